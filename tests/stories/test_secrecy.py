"""No password is ever shown: recognisable ones are planted, and everything that a run says or leaves is searched."""

from __future__ import annotations

import html
import json
import pickle
import re
import signal
import stat
import sys
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from commands import Desk
from crawling import Start, job, strike, until
from leaks import HEAD, KEY, PASSWORD, TAIL, Haul, traces
from peers import Peer, answering, socks5
from pinpool.cli.app import app
from pinpool.fetch.session import PinnedSession
from pinpool.lab import Lab
from pinpool.lab.proxies import SECRET as SECRET_OF_THE_LAB
from pinpool.proxies.parse import parse
from pinpool.proxies.proxy import Proxy
from pinpool.proxies.redaction import Redaction
from pinpool.settings import Settings

#: The run of `haul` may wait long: its last page fails on proxies that are no witnesses for it.
pytestmark = pytest.mark.timeout(1200)

#: Everything that a spider can do to show what it should not: it logs at the lowest level, shows every object that it
#: can reach, dies, hangs, and links pages with a password in the URL.
SPIDER = """
import logging, multiprocessing.util, os, sys

from pinpool import Page, Spider
from pinpool.pool.this_worker import pinned

logging.basicConfig(level=1)
multiprocessing.util.log_to_stderr(1)

spider = Spider(
    seeds=[f"BASE/detail/{n}" for n in range(1, 9)],
    attempts=4, deadline=2, grace=0.5, connect_timeout=0.5, timeout=0.5, cooling=0.2,
)


@spider.index
def film(page: Page):
    number = int(page.url.rpartition("/")[2])
    pin = pinned()
    if number == 1:
        os._exit(3)
    while number == 2:
        try:
            sum(range(10**12))
        except BaseException:
            pass
    if number == 3:
        session = pin.fetcher.session
        raise RuntimeError(pin, pin.lease, pin.fetcher, session, session.pin, f"{pin.lease.address}")
    if number == 4:
        return page.task("http://anna:PLANTED@movies.test/")
    return {"url": page.url, "title": page.first("h2.m-b-sm::text"), "pin": repr(pin), "lease": str(pin.lease)}
"""

#: What looks at a run or a list afterwards; each writes to stdout, stderr and files of the folder.
READERS = [
    "stats films.db --faults",
    "stats films.db --json",
    "stats films.db --csv",
    "failures films.db",
    "failures films.db --json",
    "failures films.db --pages",
    "failures films.db --page 1",
    "export films.db -o -",
    "report films.db -o report.html",
    "report films.db -o - --price 2.50",
    "export films.db -o films.csv -o films.parquet -o films.json -o films.sqlite",
    "new another --toml",
    "verify films.db",
    "verify films.db --json",
    "retry films.db",
    "try films.py -p proxies.txt",
    "try films.py",
    "try films.py --page films.db:1",
    "check proxies.txt --timeout 1 --url URL --alive alive.txt",
    "check --timeout 1 --url URL --json",
    "doctor",
    "doctor --json",
    "fetch urls.txt -p proxies.txt -d downloads --connect-timeout 1 --timeout 1",
]
#: What is searched by tests of its own, or is how the run itself is started.
SEARCHED_ELSEWHERE = {"crawl", "resume", "tune", "demo", "lab", "guide"}
#: These files are there to hold passwords, or were written by the user.
GIVEN = ("proxies.txt", "films.py", "alive.txt")


def listed(lab: Lab) -> str:
    """Those first that fail for a reason of their own; two accounts and a key on one host and port."""
    http, socks = lab.proxies[0], lab.proxies[1]
    login, where = f"{{}}:{quote(PASSWORD, safe='')}@127.0.0.1", "127.0.0.1"
    return "\n".join(
        [
            f"http://{login.format('stranger')}:{http.port}",
            f"http://{login.format('other')}:{http.port}",
            f"http://{KEY}@{where}:{http.port}",
            f"http://{KEY}2@{where}:{http.port}",
            f"socks5h://{login.format('stranger')}:{socks.port}",
            f"https://{login.format('tls')}:{http.port}",
            f"socks5://{login.format('socks')}:{http.port}",
            f"http://nobody:{quote(PASSWORD, safe='')}@no-such-proxy.invalid:8080",
            *(proxy.url for proxy in lab.proxies),
        ]
    )


@pytest.fixture(scope="module")
def haul(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haul]:
    """A run with all kinds of trouble, killed, resumed and read; with its processes and files at every moment."""
    seen, temporary = Haul(), tmp_path_factory.mktemp("t")
    with (
        pytest.MonkeyPatch.context() as patch,
        Lab(pages=1, proxies=8) as lab,
    ):
        for proxy in lab.proxies:
            if proxy.user:
                proxy.password = PASSWORD
        for index, fault in enumerate(("refused", "blackhole", "ban", "drip", "reset"), 2):
            lab.set_fault(index, fault)
        patch.setenv("TMPDIR", str(temporary))
        # The bytecode of the spider is Python's copy of what the user has written there.
        patch.setenv("PYTHONDONTWRITEBYTECODE", "1")
        source = SPIDER.replace("PLANTED", quote(PASSWORD, safe=""))
        with job(tmp_path_factory.mktemp("run"), lab, source) as films:
            (films.folder / "proxies.txt").write_text(listed(lab))
            (films.folder / "urls.txt").write_text(f"{lab.named_url}/files/1\n")
            folders = [films.folder, temporary]
            first = films.crawl("-w", "4", "-s", "headers=X-Token: token")
            until(lambda: films.journal.exists() and len(first.cast().workers) == 4, "all have started")
            strike(first.cast().manager[0])
            until(lambda: len(lab.requests) > 3, "some pages")
            seen.look_at(films.folder, *GIVEN)
            for worker in first.cast().workers[:1]:
                strike(worker)
            first.send(signal.SIGKILL)
            first.leaves_nobody()
            second = films.resume(
                "-w", "4", "--threads", "2", "-p", "proxies.txt", "-vv", "--log", "run.log", "--metrics", "run.prom"
            )
            seen.watch(second, folders, *GIVEN, seconds=900)
            assert second.wait(900, tidy=False) == 3
            patch.setenv("PINPOOL_PROXIES", str(films.folder / "proxies.txt"))
            for words in READERS:
                said = films.ask(*words.replace("URL", f"{lab.named_url}/echo").split())
                seen.add(f"stdout of {words}", said.stdout.encode(errors="surrogateescape"))
                seen.add(f"stderr of {words}", said.stderr.encode())
                assert said.returncode in (0, 3), said.stderr
            for folder in folders:
                seen.look_at(folder, *GIVEN)
            alive = films.folder / "alive.txt"
            seen.add(f"the list {alive.name} {stat.S_IMODE(alive.stat().st_mode):o}", alive.read_bytes())
    yield seen


@pytest.mark.processes
def test_no_password_is_in_anything_that_a_run_says_or_leaves(haul: Haul) -> None:
    assert {where: words for where, words in haul.leaks.items() if "alive.txt" not in where} == {}


def test_no_command_is_left_out_of_the_search() -> None:
    """Whoever adds one adds it to the READERS."""
    assert {words.split()[0] for words in READERS} | SEARCHED_ELSEWHERE == set(app.commands)


@pytest.mark.processes
def test_the_run_was_one_that_had_much_to_tell(haul: Haul) -> None:
    """Else there would be nothing in it to find."""
    failures = json.loads(haul["stdout of failures films.db --json"])
    told = {one["url"].rpartition("/")[2]: str(one["attempts"]) for one in failures}
    proxies = json.loads(haul["stdout of stats films.db --json"])["proxies"]
    faults = {fault for proxy in proxies for fault in proxy["faults"]}
    assert {"proxy_auth", "unreachable", "refused", "crash", "hang", "extract"} <= faults
    assert "films.py" in told["2"]  # the stack where it hung
    assert "<Pin http://" in told["3"] or "<Pin socks5h://" in told["3"]
    assert "…@movies.test" in told["4"]
    assert b"DEBUG" in haul.of("start-1.err")
    # The parent, forkserver and tracker, the Manager and four workers.
    assert len([where for where in haul if where.endswith(" environ")]) >= 8
    assert b"multiprocessing.forkserver" in haul.of(" cmdline")
    for part in ("films.db", "films.db-wal", "films.jsonl", "run.log", "run.prom", ".stack"):
        assert haul.of(part), part


@pytest.mark.processes
def test_two_accounts_on_one_host_and_port_are_told_apart(haul: Haul) -> None:
    proxies = json.loads(haul["stdout of stats films.db --json"])["proxies"]

    labels = [proxy["proxy"] for proxy in proxies]
    assert len(labels) == len(set(labels)) == 16
    assert {label.split("@")[0] for label in labels} >= {"http://stranger", "http://other", "http://***"}
    assert sum(label.startswith("http://***@") for label in labels) == 2


@pytest.mark.processes
def test_nobody_else_can_read_the_journal_or_reach_the_processes(haul: Haul) -> None:
    """The journal holds headers and forms; the sockets of Manager and forkserver lie in folders of our own."""
    modes = {where.rpartition(" ")[0]: where.rpartition(" ")[2] for where in haul}
    journals = {name: mode for name, mode in modes.items() if name.startswith("films.db")}
    folders = {name: mode for name, mode in modes.items() if re.fullmatch(r"pinpool\.\w+/", name)}

    assert set(journals) >= {"films.db", "films.db-wal"}
    assert set(journals.values()) == {"600"}
    assert not any(name.startswith("pymp-") for name in modes)
    assert folders
    assert set(folders.values()) == {"700"}


@pytest.mark.processes
def test_the_list_of_those_that_work_is_the_one_exception(haul: Haul) -> None:
    (mode,) = [where.rpartition(" ")[2] for where in haul if where.startswith("the list alive.txt")]

    assert traces(haul.of("the list alive.txt")) == [HEAD, TAIL]
    assert mode == "600"


@pytest.mark.processes
def test_workers_do_not_inherit_the_variable_with_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Lab(pages=1, proxies=2) as lab, job(tmp_path / "run", lab) as films:
        for proxy in lab.proxies:
            proxy.password = PASSWORD
        monkeypatch.setenv("PINPOOL_PROXIES", " ".join(proxy.url for proxy in lab.proxies))
        seen = Haul()
        command = [sys.executable, "-m", "pinpool", "crawl", "films.py", "-j", "films.db", "--pace", "0.1"]
        films.starts.append(Start(command, films.folder, "start"))
        seen.watch(films.starts[0], [films.folder], *GIVEN)

        assert films.starts[0].wait() == 0

    # The parent, forkserver and tracker, the Manager and two workers.
    assert len([where for where in seen if where.endswith(" environ")]) == 6
    # As it was seen last: a child that has not run its own program yet is still a picture of the parent.
    assert {where for where in seen.leaks if traces(seen[where])} == {f"{films.starts[0].pid} environ"}


@pytest.mark.processes
def test_a_demo_the_advice_on_it_and_a_lab_show_no_password_either(tmp_path: Path) -> None:
    """Theirs are no secrets, but what is shown here is what everybody shows around."""
    desk, seen = Desk(tmp_path), Haul()
    try:
        demo = desk.run("demo", "--calm", "--pages", 4, "--proxies", 4, "--workers", 4, "--keep", "kept")
        tune = desk.run("tune", "--from", "kept/movies.db")
        lab = desk.start("lab", "--write-proxies", "kept/proxies.txt")
        lines = [lab.line()]
        while not lines[-1].startswith("list with passwords"):
            lines.append(lab.line())
        lab.send(signal.SIGINT)
        served = lab.end()
    finally:
        desk.clear()
    seen.look_at(tmp_path / "kept", "proxies.txt")
    seen.add("demo", f"{demo.out}{demo.err}".encode())
    seen.add("tune", f"{tune.out}{tune.err}".encode())
    seen.add("lab", f"{''.join(lines)}{served.out}{served.err}".encode())

    assert (demo.code, tune.code, served.code) == (0, 0, 0)
    assert "movies.db 600" in seen
    assert b"proxy: http://user0@" in seen["lab"]
    assert [where for where, data in seen.items() if traces(data, SECRET_OF_THE_LAB)] == []
    assert traces((tmp_path / "kept/proxies.txt").read_bytes(), SECRET_OF_THE_LAB)


@pytest.mark.processes
def test_a_header_that_is_given_for_one_run_is_in_the_journal_and_nowhere_else(haul: Haul) -> None:
    """A resume needs it. Whoever keeps it in the spider's environment instead has it nowhere."""
    told = {where.split(" ")[0] for where, data in haul.items() if traces(data, "X-Token: token")}

    assert "films.db" in told
    assert told <= {"films.db", "films.db-wal"}


# --- what is wrong with a list


@pytest.mark.parametrize(
    "line",
    [
        "http://anna:{}@127.0.0.1:99999",
        "htp://anna:{}@127.0.0.1:80",
        "http://anna:{}@127.0.0.1",
        "anna:{}@127.0.0.1:80 more",
        "http://anna:{}",
        "{}:80",
        "127.0.0.1:{}",
        "127.0.0.1:80/{}",
        "http://[{}]:80",
        "http://anna@{}:80",
    ],
)
@pytest.mark.parametrize("spelled", [str, quote])
@pytest.mark.parametrize("way", ["variable", "stdin", "option", "library"])
def test_a_list_that_cannot_be_read_is_told_without_repeating_any_of_it(
    line: str, spelled: Callable[[str], str], way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In process: what differs between the ways is the reader of the list alone."""
    import io

    from pinpool.errors import ProxyListError
    from pinpool.proxies.source import read

    text = line.format(spelled(PASSWORD))
    ways: dict[str, Callable[[], object]] = {
        "variable": lambda: read(None, io.BytesIO(), {"PINPOOL_PROXIES": text}),
        "stdin": lambda: read("-", io.BytesIO(text.encode()), {}),
        "option": lambda: read(text, io.BytesIO(), {}),
        "library": lambda: parse(text, "proxies"),
    }

    with pytest.raises(ProxyListError) as caught:
        ways[way]()

    assert traces(f"{caught.value} {caught.value!r} {caught.value.__context__!r}".encode()) == []


# --- what leaves the run


def test_a_site_behind_a_socks_proxy_never_sees_the_login() -> None:
    """For CONNECT see test_route; on plain http the proxy takes the header out, as its standard says."""
    with (
        Peer(socks5(answering(), ("anna", PASSWORD))) as proxy,
        PinnedSession(proxy.proxy("socks5h", "anna", PASSWORD), Settings()) as session,
    ):
        session.get("http://site.test/")

    assert len(proxy.heads) == 2
    assert traces("".join(proxy.heads).encode()) == []


def test_no_repr_of_what_holds_a_password_shows_it() -> None:
    proxy = Proxy("http", "127.0.0.1", 9, "anna", PASSWORD)
    key = Proxy("http", "127.0.0.1", 9, KEY)
    shown = [f"{one!r} {one!s} {one.label} {one.fingerprint(b'salt')}" for one in (proxy, key)]
    with PinnedSession(proxy, Settings()) as session:
        shown += [repr(session), repr(session.pin), repr(session.pin.pool("http", "site.test", 80))]
        shown += [repr(vars(session.pin)), repr(vars(session))]

    assert traces(" ".join(shown).encode()) == []


# --- the means of this search


#: As libraries write them into logs, pages and headers.
SPELLINGS: list[Callable[[str], str]] = [
    str,
    quote,
    lambda text: quote(text, safe=""),
    lambda text: re.sub("%..", lambda code: code[0].lower(), quote(text, safe="")),
    quote_plus,
    html.escape,
    lambda text: html.escape(text, quote=False),
    json.dumps,
    lambda text: json.dumps(text, ensure_ascii=False),
    repr,
    ascii,
    lambda text: repr(text.encode()),
    lambda text: b64encode(f"anna:{text}".encode()).decode(),
    lambda text: urlsafe_b64encode(f"anna:{text}".encode()).decode(),
    lambda text: b64encode(f"anna:{text}".encode("latin-1")).decode(),
]


@pytest.mark.parametrize("spelled", SPELLINGS)
@pytest.mark.parametrize("password", [PASSWORD, f"{HEAD}ÿÿÿ>>>???{TAIL}"])
def test_a_log_holds_a_password_of_the_list_in_no_spelling(spelled: Callable[[str], str], password: str) -> None:
    redact = Redaction([Proxy("http", "127.0.0.1", 9, "anna", password)])

    assert traces(redact(f"before {spelled(password)} after").encode()) == []


@pytest.mark.parametrize(
    "spelled",
    [
        *SPELLINGS,
        lambda text: pickle.dumps(text).decode("latin-1"),
        lambda text: text.encode().hex(),
        lambda text: b64encode(text.encode()).decode(),
        lambda text: b64encode(f"bob:{text}".encode()).decode(),
        lambda text: b64encode(f"hanna:{text}".encode()).decode(),
        lambda text: text.partition("@")[2],
        lambda text: text.partition("@")[0].lower(),
    ],
)
def test_this_search_finds_a_planted_password_in_any_spelling(spelled: Callable[[str], str]) -> None:
    assert traces(b"\0\xff " + spelled(PASSWORD).encode() + b" \0") != []
    assert traces(b"nothing of it") == []
