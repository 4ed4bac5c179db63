"""What is logged, in the parent and in workers: where it comes out, what it says, and what it never says."""

from __future__ import annotations

import json
import logging
import os
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from commands import Desk
from crawling import job, spider, strike, until
from pinpool.errors import SettingsError
from pinpool.lab import Lab
from pinpool.pool.log_pipe import LogPipe, Whereabouts
from pinpool.proxies.parse import parse
from pinpool.proxies.redaction import Redaction, redacting
from pinpool.terminal.log_output import logging_to

PROXIES = parse(
    "http://alice:p%40ss/word%21@192.0.2.1:80\n192.0.2.2:80:bob:xyz\nsocks5://apikey123:@192.0.2.3:80", "x"
)
NOWHERE = Whereabouts()
LOUD = """
import logging, os

logging.basicConfig(format="%(message)s of the spider's own making")
"""


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """Logging is one for the whole process; whoever tests it puts it back."""
    root = logging.getLogger()
    before = (root.level, root.handlers[:])
    root.handlers.clear()
    yield
    root.setLevel(before[0])
    root.handlers[:] = before[1]


# ----------------------------------------------------------------------------------------------------------- passwords


@pytest.mark.parametrize(
    "text",
    [
        "p@ss/word!",
        "p%40ss%2Fword%21",
        "http://alice:p%40ss/word%21@192.0.2.1:80",
        "Proxy-Authorization: Basic YWxpY2U6cEBzcy93b3JkIQ==",
        "p@ss/wordp@ss/word!p@ss/word!",
        "//bob:xyz@192.0.2.2",
        "apikey123",
        "Basic YXBpa2V5MTIzOg==",
    ],
)
def test_no_spelling_of_a_password_comes_through(text: str) -> None:
    hidden = Redaction(PROXIES.proxies)(f"before {text} after")

    assert "***" in hidden
    assert not any(
        secret in hidden for secret in ("word!", "word%21", ":xyz@", "apikey123", "YWxpY2U6", "YXBpa2V5")
    )
    assert hidden.startswith("before ")
    assert hidden.endswith(" after")


def test_what_is_no_secret_stays_as_it_is() -> None:
    text = "xyz is too short a password to hunt for, and p@ss/wor is none; 电影"

    assert Redaction(PROXIES.proxies)(text) == text


def test_foreign_loggers_are_redacted_too_and_tracebacks_with_them(told: list[str], tmp_path: Path) -> None:
    file = tmp_path / "run.log"
    with logging_to(told.append, verbose=2, file=file), redacting(Redaction(PROXIES.proxies)):
        logging.getLogger("urllib3.connectionpool").debug("tunnel to %s", "alice:p@ss/word!")
        try:
            raise ValueError("p@ss/word!")
        except ValueError:
            logging.getLogger("films").exception("cannot")

    text = file.read_text() + "".join(told)
    assert "tunnel to alice:***" in told[0]
    assert told[1].endswith("error films: cannot: ValueError: ***")
    assert "word!" not in text
    assert "ValueError: ***" in file.read_text()


# ----------------------------------------------------------------------------------------------------------- logging_to


@pytest.mark.parametrize(
    ("options", "on_screen", "in_file"),
    [
        ({}, "WE", "IWE"),
        ({"verbose": 1}, "IWE", "IWE"),
        ({"verbose": 2}, "DIWE", "DIWE"),
        ({"verbose": 7}, "DIWE", "DIWE"),
        ({"quiet": True}, "E", "IWE"),
    ],
)
def test_levels(
    told: list[str], tmp_path: Path, options: dict[str, Any], on_screen: str, in_file: str
) -> None:
    file = tmp_path / "run.log"
    with logging_to(told.append, file=file, **options):
        for level in ("debug", "info", "warning", "error"):
            getattr(logging.getLogger("films"), level)(level[0].upper())

    assert "".join(line[-1] for line in told) == on_screen
    assert "".join(json.loads(line)["message"] for line in file.read_text().splitlines()) == in_file


def test_a_line_of_the_log_is_one_document_and_belongs_to_its_owner_alone(
    told: list[str], tmp_path: Path
) -> None:
    file, before = tmp_path / "run.log", logging.getLogger().handlers[:]
    with logging_to(told.append, file=file):
        logging.getLogger("films").warning("two\nlines \x1b[2J", extra={"proxy": "http://a:1", "attempt": 7})

    (document,) = map(json.loads, file.read_text().splitlines())
    assert document.pop("at").endswith("Z")
    assert document == {
        "level": "warning",
        "logger": "films",
        "message": "two\nlines \x1b[2J",
        "worker": None,
        "proxy": "http://a:1",
        "task": None,
        "attempt": 7,
    }
    assert told[0].endswith(" warning films: two lines [2J (http://a:1)")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert logging.getLogger().handlers == before


def test_a_log_is_gone_on_with_but_no_other_file_is_touched(told: list[str], tmp_path: Path) -> None:
    log, proxies = tmp_path / "run.log", tmp_path / "proxies.txt"
    proxies.write_text("192.0.2.1:80\n")
    for _ in range(2):
        with logging_to(told.append, file=log):
            logging.getLogger("films").info("once more")

    with (
        pytest.raises(SettingsError, match=r"--log .*proxies\.txt: holds something else"),
        logging_to(told.append, file=proxies),
    ):
        pass
    with (
        pytest.raises(SettingsError, match=r"--log .*: Is a directory: name another file"),
        logging_to(told.append, file=tmp_path),
    ):
        pass

    assert log.read_text().count("once more") == 2
    assert proxies.read_text() == "192.0.2.1:80\n"


def test_a_full_disk_is_told_once_and_stops_nothing(told: list[str]) -> None:
    with logging_to(told.append, file=Path("/dev/full"), quiet=True):
        for _ in range(3):
            logging.getLogger("films").warning("nobody will read this")

    assert told == ["--log /dev/full: No space left on device: the run goes on, but lines are missing there"]


def test_arguments_that_do_not_fit_are_no_traceback(
    told: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    logging.getLogger().handlers.clear()  # pytest's own would raise
    with logging_to(told.append):
        logging.getLogger("films").warning("%d films", "ten")

    assert told[0].endswith("films: '%d films' (its arguments do not fit)")
    assert capsys.readouterr() == ("", "")


# ------------------------------------------------------------------------------------------------------------ the pipe


class Heard(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def heard() -> Iterator[Heard]:
    """What arrives in the parent. The worker is this process too, so the parent's handler waits outside of its tree."""
    handler = Heard()
    yield handler


def send_and_receive(heard: Heard, messages: list[str], where: Whereabouts = NOWHERE, **extra: Any) -> None:
    pipe = LogPipe(Redaction(PROXIES.proxies))
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    reporting = pipe.reporting()
    reporting.begin(lambda: where)
    for message in messages:
        logging.getLogger("films").info(message, **extra)
    root.handlers[:] = [heard]
    pipe.close()


def test_a_record_arrives_with_where_it_comes_from_and_without_passwords(heard: Heard) -> None:
    where = Whereabouts("http://alice@192.0.2.1:80", "http://films.example/7", 7)

    send_and_receive(heard, ["logged in with p@ss/word!"], where)

    (record,) = heard.records
    assert (record.name, record.levelname) == ("films", "INFO")
    assert record.getMessage() == "logged in with ***"
    told = [getattr(record, name) for name in ("worker", "proxy", "task", "attempt")]
    assert told == [os.getpid(), *where]


@pytest.mark.parametrize("letter", ["x", "x ", "电", "\ud800", "\x00", "\n", "😀 "])
def test_every_record_fits_into_one_write_and_arrives(heard: Heard, letter: str) -> None:
    where = Whereabouts(letter * 3000, f"http://films.example/{letter * 60_000}", 7)

    send_and_receive(heard, [letter * 5000, "next"], where)

    assert [record.name for record in heard.records] == ["films", "films"]
    assert heard.records[1].getMessage() == "next"


def test_a_secret_is_never_halved_by_the_cut(heard: Heard) -> None:
    for shift in range(12):
        send_and_receive(heard, ["x" * (1488 + shift) + " p@ss/word! " + "y" * 5000])

    assert len(heard.records) == 12
    assert not any("p@" in record.getMessage() for record in heard.records)


def test_a_full_pipe_holds_nobody_up_and_says_how_much_is_missing(heard: Heard) -> None:
    pipe = LogPipe(Redaction(()))
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    reporting = pipe.reporting()
    reporting.begin(Whereabouts)
    for _ in range(3000):
        logging.getLogger("films").info("x " * 500)
    worker = root.handlers[:]
    root.handlers[:] = [heard]
    pipe.drain()
    root.handlers[:] = worker
    logging.getLogger("films").info("after")
    root.handlers[:] = [heard]
    pipe.close()

    arrived = [record for record in heard.records if record.name == "films"]
    (dropped,) = [record for record in heard.records if record.name == "pinpool"]
    assert arrived[-1].getMessage() == "after"
    assert f"{3001 - len(arrived)} log records of worker" in dropped.getMessage()


def test_nonsense_in_the_pipe_harms_nobody(heard: Heard) -> None:
    pipe = LogPipe(Redaction(()))
    writer = pipe.reporting().pipe.fileno()
    os.write(writer, b'\xff\xfe\n{"a": 1}\n[[1,2,3],[5]]\n\n[["films","high",0,0],["",0,[0,0,0],0]]\nhalf')
    logging.getLogger().addHandler(heard)

    pipe.close()

    assert [record for record in heard.records if record.levelno > logging.DEBUG] == []


# ---------------------------------------------------------------------------------------------------------- whole runs


@pytest.mark.parametrize("method", ["forkserver", "spawn", "fork"])
def test_what_a_spider_logs_in_a_worker_is_in_the_log_with_proxy_task_and_attempt(
    desk: Desk, method: str
) -> None:
    with Lab(pages=1, proxies=2) as lab:
        desk.prepare(lab)
        source = (desk / "films.py").read_text()
        said = 'logging.getLogger("films").warning("%s by %d", page.url, os.getpid())\n    return {'
        desk.write("films.py", LOUD + source.replace("return {", said))
        run = desk.run("crawl", "films.py", "-p", "proxies.txt", "--log", "run.log", "--start-method", method)
        labels = {proxy.label for proxy in lab.proxies}

    lines = desk.lines("run.log")
    films = [line for line in lines if line["logger"] == "films"]
    assert run.code == 0
    assert (
        len(films) == 10 == len({line["task"] for line in films}) == len({line["attempt"] for line in films})
    )
    assert all(line["message"] == f"{line['task']} by {line['worker']}" for line in films)
    assert {line["proxy"] for line in films} <= labels
    assert run.err.count(" warning films: ") == 10
    assert "of the spider's own making" not in run.err
    assert [line["message"] for line in (lines[0], lines[-1])] == [
        "run of films starts with 2 proxies and 2 workers",
        "run of films ends: complete",
    ]


def test_a_whole_run_with_everything_in_its_log_holds_no_password(desk: Desk) -> None:
    with Lab(pages=2, proxies=6, faults=["auth", "refused", "ban"]) as lab:
        desk.prepare(lab)
        run = desk.run("crawl", "films.py", "-p", "proxies.txt", "-vv", "--log", "run.log", "--limit", "15")
        secrets = {proxy.password for proxy in lab.proxies if proxy.password}

    text = run.err + (desk / "run.log").read_text()
    loggers = {line["logger"] for line in desk.lines("run.log")}
    assert "urllib3.connectionpool" in loggers
    assert "pinpool" in loggers
    assert secrets
    assert not [secret for secret in secrets if secret in text]
    assert "attempt failed: refused" in text


def test_workers_that_are_killed_while_they_log_jam_nobody_and_tear_no_line(tmp_path: Path) -> None:
    chatter = """
        import logging
        for turn in range(40):
            logging.getLogger("films").info("film %d, %s", number, "x " * 400)
    """
    with (
        Lab(pages=20, proxies=6, latency=0.01) as lab,
        job(tmp_path / "job", lab, spider(chatter)) as work,
    ):
        start = work.crawl("-v", "--log", "run.log", "-w", "4")
        log = work.folder / "run.log"
        killed: set[int] = set()

        def grown(size: int) -> bool:
            return not start.runs or (log.exists() and log.stat().st_size > size)

        while len(killed) < 8 and start.runs:
            until(partial(grown, log.stat().st_size if log.exists() else 0), "a log")
            workers = [worker for worker in start.cast().workers if worker.pid not in killed]
            if workers:
                strike(workers[0])
                killed.add(workers[0].pid)
        code = start.wait()
        work.complete()

    lines = [json.loads(line) for line in log.read_text().splitlines()]
    lost = {line["worker"] for line in lines if "was lost while in" in line["message"]}
    assert code == 0
    assert len(killed) == 8
    assert lost & killed
    assert {line["message"][-2:] for line in lines if line["logger"] == "films"} == {"x "}


def test_what_a_function_logs_in_a_pinned_pool_is_heard_as_well(desk: Desk) -> None:
    desk.write(
        "script.py",
        """
import logging
from pinpool import PinnedPool


def work(number):
    logging.getLogger("mine").info("number %d", number)
    return number


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(name)s %(message)s %(proxy)s")
    with PinnedPool(["http://bob:secret99@192.0.2.1:80"], workers=1) as pool:
        print(sum(pool.map_unordered(work, range(3))))
""",
    )

    said = desk.start_python("script.py").end()

    assert (said.code, said.out) == (0, "3\n")
    assert said.err.splitlines() == [f"mine number {n} http://bob@192.0.2.1:80" for n in range(3)]


def test_a_log_may_not_be_one_of_the_runs_own_files(desk: Desk) -> None:
    with Lab(pages=1, proxies=1) as lab:
        desk.prepare(lab)
        for option in ("--log", "--metrics"):
            for name in ("proxies.txt", "films.py", "out.jsonl", "films.db"):
                said = desk.run("crawl", "films.py", "-p", "proxies.txt", "-O", "out.jsonl", option, name)
                assert said.code == 2, (option, name, said)
                assert f"{name}" in said.err
                assert not (desk / "films.db").exists()


def test_more_and_less_at_once_is_a_mistake(desk: Desk) -> None:
    said = desk.run("crawl", "films.py", "-p", "proxies.txt", "-q", "-v")

    assert (said.code, said.out) == (2, "")
    assert "-q asks for less and -v for more: choose one" in said.err
