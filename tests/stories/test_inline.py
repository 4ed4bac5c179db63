"""Crawls in the calling process: every promise holds, and a debugger, a profiler and Ctrl-C get what they want."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from sqlite3 import connect
from typing import Any

import pytest

import pinpool
from crawling import PATIENCE, Job, job, spider, until
from pinpool.lab import Lab
from terminals import Terminal

PROMPT = "(Pdb) "
#: What a spider does before `mended` is there, at films 3 and 7.
BREAKPOINT = """
import pathlib
if number in (3, 7) and not pathlib.Path("mended").exists():
    breakpoint()
    number += 100
return None
"""
#: Film 3 is in hand until the test says so.
WAITING = """
import pathlib, time
if number == 3 and not pathlib.Path("mended").exists():
    pathlib.Path("in-hand").touch()
    while not pathlib.Path("go-on").exists():
        time.sleep(0.01)
return None
"""


@contextmanager
def inline(folder: Path, meddle: str = "return None", **options: Any) -> Iterator[Job]:
    """Twenty films through four proxies, all in the calling process."""
    with Lab(**{"pages": 2, "proxies": 4, **options}) as lab, job(folder / "run", lab, spider(meddle)) as made:
        made.other_engine = ("--engine", "inline")
        yield made


def goes_on_with_processes(films: Job) -> None:
    """Nothing is lost, nothing is there twice, and another engine does the rest."""
    (films.folder / "mended").touch()
    assert films.resume("--engine", "processes").wait() == 0
    films.complete()


def ended(films: Job) -> set[str]:
    """The URLs of the pages that have ended."""
    with closing(connect(films.journal)) as db:
        return {url for (url,) in db.execute("SELECT url FROM tasks WHERE state != 'waiting'")}


# ------------------------------------------------------------------------------------------------- as elsewhere


@pytest.mark.parametrize(
    "options",
    [("--pace", "0.05"), ("--site-rate", "200"), ("-s", "robots=yes"), ("-w", "9"), ("-w", "1")],
    ids=["pace", "site rate", "robots", "more workers than proxies", "one worker"],
)
def test_what_holds_workers_back_holds_them_back_here(tmp_path: Path, options: tuple[str, ...]) -> None:
    with inline(tmp_path) as films:
        assert films.crawl(*options).wait() == 0
        films.complete()


def test_no_process_is_started(tmp_path: Path) -> None:
    children = 'open(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read()'
    with inline(tmp_path, f"import os\nreturn {{'children': f'{{{children}!r}}'}}") as films:
        assert films.crawl().wait() == 0
        items = [json.loads(line) for line in films.written()]
        assert items
        assert {item["children"] for item in items} == {"''"}


def test_faulty_proxies_are_swapped_and_rest_and_pages_get_their_other_tries(tmp_path: Path) -> None:
    faults = ("refused", "auth", "ban", "reset", "softban", "flaky")
    with inline(tmp_path, pages=4, proxies=9, faults=faults) as films:
        assert films.crawl("-s", "cooling=1").wait() == 0
        films.complete()


def test_a_run_waits_while_all_proxies_rest(tmp_path: Path) -> None:
    with inline(tmp_path, proxies=2, faults=("flaky", "flaky"), flaky_rate=0.4) as films:
        assert films.crawl("-s", "cooling=0.2", "--swap-after", "1", "--attempts", "40").wait() == 0
        films.complete()


def test_an_answer_that_drips_ends_at_the_deadline_of_its_page(tmp_path: Path) -> None:
    with inline(tmp_path) as films:
        films.lab.set_site_fault("/detail/3", "drip", times=1)

        assert films.crawl("--deadline", "1").wait() == 0
        films.complete()
        stats = json.loads(films.ask("stats", "films.db", "--json").stdout)
        assert sum(row["faults"].get("deadline", 0) for row in stats["proxies"]) == 1


def test_a_new_pin_is_warmed_before_its_first_page(tmp_path: Path) -> None:
    with inline(tmp_path) as films:
        source = (films.folder / "films.py").read_text()
        warm = '\n\n@spider.on_pin\ndef warm(session):\n    session.get("BASE/page/1").raise_for_status()\n'
        (films.folder / "films.py").write_text(source + warm.replace("BASE", films.lab.named_url))

        assert films.crawl().wait() == 0
        films.complete()
        assert sum(request.path == "/page/1" for request in films.lab.requests) == 1 + len(films.lab.proxies)


def test_files_are_downloaded_and_a_cut_one_is_gone_on_with(tmp_path: Path) -> None:
    with inline(tmp_path, file_sizes=(200_000, 300_000)) as films:
        paths = [f"/file/{n}.pdf" for n in range(1, 4)]
        (films.folder / "urls.txt").write_text("".join(f"{films.lab.named_url}{path}\n" for path in paths))
        films.lab.set_site_fault(paths[1], "cut", times=1)

        said = films.ask("fetch", "urls.txt", "-p", "proxies.txt", "-d", "got", "--engine", "inline")

        assert said.returncode == 0, said.stderr
        assert len([*(films.folder / "got").iterdir()]) == 3
        assert films.ask("verify", "urls.db", "--hashes").returncode == 0


def test_an_exception_of_the_spider_is_evidence_unless_asked_for(tmp_path: Path) -> None:
    with inline(tmp_path, "if number == 3:\n    raise LookupError('no such film')\nreturn None") as films:
        assert films.crawl().wait() == 3
        [failure] = films.failures().values()
        assert "LookupError: no such film (films.py:" in failure["reason"]


# ------------------------------------------------------------------------------------------------- a debugger


def test_at_a_breakpoint_one_steps_looks_goes_on_and_quits_and_nothing_is_lost(tmp_path: Path) -> None:
    with inline(tmp_path, BREAKPOINT) as films:
        with Terminal(films, "--engine", "inline") as terminal:
            terminal.shown_until(PROMPT)
            terminal.type("n\n")
            stepped = terminal.shown_until(PROMPT)
            terminal.type("p page.url\n")
            looked = terminal.shown_until(PROMPT)
            terminal.type("c\n")
            went_on = terminal.shown_until(PROMPT)
            terminal.type("q\n")
            quitted = terminal.shown_until("interrupted; `pinpool resume films.db` goes on")
            code = terminal.wait()

        # Since Python 3.13 the line of the breakpoint itself is the first.
        assert "return None" in stepped or "number += 100" in stepped
        assert f"{films.lab.named_url}/detail/3" in looked
        assert "number += 100" in went_on or "breakpoint()" in went_on
        assert "\x1b" not in stepped + looked + went_on + quitted
        assert code == 130
        assert f"{films.lab.named_url}/detail/3" in ended(films)
        assert f"{films.lab.named_url}/detail/7" not in ended(films)
        goes_on_with_processes(films)


def test_no_deadline_ends_a_look_around(tmp_path: Path) -> None:
    with inline(tmp_path, BREAKPOINT) as films:
        with Terminal(films, "--engine", "inline", "--deadline", "1") as terminal:
            terminal.shown_until(PROMPT)
            terminal.type("import time; time.sleep(1.5)\n")  # looked for longer than the deadline
            looked = terminal.shown_until(PROMPT)
            terminal.type("c\n")
            terminal.shown_until(PROMPT)
            terminal.type("c\n")
            terminal.shown_until("complete: ")
            code = terminal.wait()

        assert "***" not in looked
        assert code == 0
        films.complete()
        stats = json.loads(films.ask("stats", "films.db", "--json").stdout)
        assert [row["faults"] for row in stats["proxies"]] == [{}] * len(films.lab.proxies)


def test_after_a_breakpoint_ctrl_c_ends_the_run_as_ever(tmp_path: Path) -> None:
    """From its first `c` on, pdb would answer it, with a prompt in the middle of our own code."""
    slow = BREAKPOINT.replace("return None", "import time; time.sleep(0.05)")
    with inline(tmp_path, slow, pages=10) as films:
        with Terminal(films, "--engine", "inline") as terminal:
            for _ in range(2):
                terminal.shown_until(PROMPT)
                terminal.type("c\n")
            until(lambda: f"{films.lab.named_url}/detail/8" in ended(films), "a page after the breakpoints")
            terminal.send(signal.SIGINT)
            code = terminal.wait()

        assert code == 130
        assert terminal.read().count(PROMPT) == 2
        goes_on_with_processes(films)


@pytest.mark.skipif(sys.version_info[:3] == (3, 13, 0), reason="its pdb takes the command's options for its own")
def test_pdb_around_the_command_stops_in_the_spider_and_looks_at_what_it_raised(tmp_path: Path) -> None:
    with inline(tmp_path, "if number == 3:\n    return {'share': 1 / (number - 3)}\nreturn None") as films:
        with Terminal(films, "--engine", "inline", "--raise", under=("-m", "pdb")) as terminal:
            terminal.shown_until(PROMPT)
            terminal.type("c\n")
            raised = terminal.shown_until(PROMPT)
            terminal.type("p number\n")
            looked = terminal.shown_until(PROMPT)

        assert "ZeroDivisionError" in raised
        assert "post mortem" in raised
        assert looked.splitlines()[-2] == "3"
        goes_on_with_processes_after_mending(films)


def goes_on_with_processes_after_mending(films: Job) -> None:
    (films.folder / "films.py").write_text((films.folder / "films.py").read_text().replace("number == 3", "False"))
    goes_on_with_processes(films)


def test_a_profiler_shows_the_functions_of_the_spider(tmp_path: Path) -> None:
    with inline(tmp_path) as films:
        words = ["crawl", "films.py", "-p", "proxies.txt", "-j", "films.db", "-o", "films.jsonl", "--engine", "inline"]
        command = [sys.executable, "-m", "cProfile", "-m", "pinpool", *words]
        said = subprocess.run(
            command, cwd=films.folder, capture_output=True, text=True, timeout=PATIENCE, check=False
        ).stdout

        assert "films.py" in said
        assert "(film)" in said
        films.complete()


# ------------------------------------------------------------------------------------------------- Ctrl-C


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_ctrl_c_finishes_the_page_and_no_other(tmp_path: Path, number: int) -> None:
    with inline(tmp_path, WAITING) as films:
        start = films.crawl()
        until((films.folder / "in-hand").exists, "film 3 in hand")
        before = len(films.lab.requests)
        start.send(number)
        (films.folder / "go-on").touch()

        assert start.wait() == 130
        assert f"{films.lab.named_url}/detail/3" in ended(films)
        assert len(films.lab.requests) == before
        goes_on_with_processes(films)


def test_the_second_ctrl_c_ends_a_page_that_does_not_end(tmp_path: Path) -> None:
    with inline(tmp_path, WAITING) as films:
        start = films.crawl()
        until((films.folder / "in-hand").exists, "film 3 in hand")
        start.send(signal.SIGINT)
        until(lambda: not pending(start.pid), "the first one has come")
        start.send(signal.SIGINT)

        assert start.wait() == 130
        assert "interrupted; `pinpool resume films.db` goes on" in start.said
        assert f"{films.lab.named_url}/detail/3" not in ended(films)
        goes_on_with_processes(films)


def pending(pid: int) -> bool:
    """True if a signal has not come to the process yet."""
    status = Path(f"/proc/{pid}/status").read_text()
    return any(int(line.split()[1], 16) for line in status.splitlines() if line.startswith(("SigPnd", "ShdPnd")))


# ------------------------------------------------------------------------------------------------- --raise


FAULTY_STAGE = "if number == 3:\n    raise LookupError('no such film')\nreturn None"
FAULTY_YIELD = "if number == 3:\n    return 5\nreturn None"
FAULTY_BAN = "\n\n@spider.ban\ndef ban(page):\n    return page.url.endswith('/detail/3') and page.url.missing\n"
FAULTY_PIN = "\n\n@spider.on_pin\ndef warm(session):\n    raise LookupError('no login')\n"


@pytest.mark.parametrize(
    ("meddle", "more", "place", "message"),
    [
        (FAULTY_STAGE, "", "in meddle", "LookupError: no such film"),
        (FAULTY_YIELD, "", "in film", "UnusableYield: stage detail yields int"),
        ("return None", FAULTY_BAN, "in ban", "AttributeError: 'str' object has no attribute 'missing'"),
        ("return None", FAULTY_PIN, "in warm", "LookupError: no login"),
    ],
    ids=["stage", "yield", "ban", "on_pin"],
)
def test_what_the_spider_raises_is_shown_with_its_own_lines_and_the_page_waits(
    tmp_path: Path, meddle: str, more: str, place: str, message: str
) -> None:
    with inline(tmp_path, meddle) as films:
        file = films.folder / "films.py"
        file.write_text(file.read_text() + more)

        start = films.crawl("--raise")

        assert start.wait(tidy=False) == 1
        assert message in start.said
        assert f'File "{file}", line' in start.said
        assert place in start.said
        assert "/src/pinpool/" not in start.said.replace(str(films.folder), "")
        assert start.said.splitlines()[-1].startswith(
            "the spider has raised; `pinpool resume films.db` goes on; add --engine"
        )
        assert json.loads(films.ask("stats", "films.db", "--json").stdout)["run"]["state"] == "interrupted"
        file.write_text(spider().replace("BASE", films.lab.named_url).replace("PAGES", "2"))
        goes_on_with_processes(films)


def test_no_password_is_in_the_traceback(tmp_path: Path) -> None:
    with inline(tmp_path) as films:
        secrets = [proxy.password for proxy in films.lab.proxies if proxy.password]
        file = films.folder / "films.py"
        file.write_text(file.read_text() + f"\n\n@spider.ban\ndef ban(page):\n    raise LookupError({secrets!r})\n")

        start = films.crawl("--raise")

        assert start.wait(tidy=False) == 1
        assert "LookupError: ['***'" in start.said
        assert not any(secret in start.said for secret in secrets)


def test_a_caller_of_crawl_gets_the_exception_itself(tmp_path: Path) -> None:
    with inline(tmp_path, FAULTY_STAGE) as films:
        proxies, path = films.folder / "proxies.txt", films.folder / "films.py"

        with pytest.raises(LookupError, match="no such film") as raised:
            pinpool.crawl(path, proxies, engine="inline", raises=True, journal=films.journal)

        assert raised.traceback[-1].name == "meddle"
        assert "/detail/3" in raised.value.__notes__[0]


# ------------------------------------------------------------------------------------------------- prints


PRINTS = "print('film', number)\nreturn None"


@pytest.mark.parametrize(
    ("options", "read"),
    [
        (("-O", "-"), lambda text: len([json.loads(line) for line in text.splitlines()]) == 20),
        (("--json",), lambda text: json.loads(text)["run"]["items"] == 20),
    ],
    ids=["items", "summary"],
)
def test_prints_stay_out_of_data_on_stdout(
    tmp_path: Path, options: tuple[str, ...], read: Callable[[str], bool]
) -> None:
    with inline(tmp_path, PRINTS) as films:
        start = films.crawl(*options)

        assert start.wait() == 0
        assert read(start.printed)
        assert "film 7\n" in start.said


def test_prints_go_to_stdout_as_they_are_otherwise(tmp_path: Path) -> None:
    with inline(tmp_path, PRINTS) as films:
        start = films.crawl()

        assert start.wait() == 0
        assert "film 7\n" in start.printed
        assert "film" not in start.said


def test_what_the_spider_logs_says_through_which_proxy_and_of_which_page(tmp_path: Path) -> None:
    with inline(
        tmp_path, "import logging\nlogging.getLogger('films').warning('film %d', number)\nreturn None"
    ) as films:
        start = films.crawl("--log", "films.log")

        assert start.wait() == 0
        records = [json.loads(line) for line in (films.folder / "films.log").read_text().splitlines()]
        [record] = [record for record in records if record["message"] == "film 7"]
        assert record["task"] == f"{films.lab.named_url}/detail/7"
        assert record["proxy"] in {proxy.label for proxy in films.lab.proxies}
        assert (record["worker"] in range(1, 5), record["attempt"] > 0) == (True, True)
        assert f"warning films: film 7 ({record['proxy']}, {record['task']})" in start.said
