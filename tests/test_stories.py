"""
Whole crawls in which somebody dies: nothing is lost, nothing is there twice, nobody is left behind.

Whether a proxy was used twice, or something went past the proxies, is asked of the lab's own books.
"""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from crawling import Job, Start, job, spider, until
from pinpool.lab import Lab

pytestmark = [pytest.mark.processes, pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")]

SOAKING = float(os.environ.get("PINPOOL_SOAK_SECONDS", "20")) >= 600
#: A hung page is ended after three seconds.
QUICK = ("--deadline", "2", "-s", "grace=1", "--timeout", "2", "--connect-timeout", "2")


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab(pages=12, proxies=6, latency=0.02) as running:
        yield running


@pytest.fixture
def films(tmp_path: Path, lab: Lab) -> Iterator[Job]:
    """132 pages through six good proxies."""
    with job(tmp_path / "run", lab) as made:
        yield made


# --- the parent dies


def at_once(start: Start, films: Job, random: Random) -> None:
    start.runs_for(0.1)


def as_workers_come_up(start: Start, films: Job, random: Random) -> None:
    wanted = random.randint(2, 8)
    until(lambda: not start.runs or len(start.cast().workers) >= wanted - 2, "workers")


def at_the_first_request(start: Start, films: Job, random: Random) -> None:
    before = len(films.lab.requests)
    until(lambda: not start.runs or len(films.lab.requests) > before, "a request")


def while_it_writes(start: Start, films: Job, random: Random) -> None:
    enough = len(films.written()) + random.randint(1, 25)
    until(lambda: not start.runs or len(films.written()) >= enough, "items in the file")


def at_any_moment(start: Start, films: Job, random: Random) -> None:
    start.runs_for(random.uniform(0.0, 1.5))


Moment = Callable[[Start, Job, Random], None]
MOMENTS: list[Moment] = [
    at_once,
    as_workers_come_up,
    at_the_first_request,
    while_it_writes,
    while_it_writes,
    at_any_moment,
    at_any_moment,
]


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
@pytest.mark.parametrize(
    ("number", "to_group"),
    [
        (signal.SIGKILL, False),
        (signal.SIGTERM, False),
        (signal.SIGHUP, False),
        (signal.SIGTERM, True),
        (signal.SIGHUP, True),
    ],
    ids=["SIGKILL", "SIGTERM", "SIGHUP", "SIGTERM-to-all", "SIGHUP-to-all"],
)
def test_a_run_ended_again_and_again_by_a_signal_leaves_nobody_and_is_brought_to_its_end(
    films: Job, number: int, to_group: bool, method: str
) -> None:
    random = Random(f"{number} {to_group} {method}")
    films.method = method
    start = films.crawl("-w", "4")

    for moment in MOMENTS:
        moment(start, films, random)
        start.send(number, to_group=to_group)
        start.leaves_nobody()
        assert start.wait() in (-number, 130, 0)
        start = films.resume("-w", "4")

    assert start.wait() == 0
    films.complete()


@pytest.mark.parametrize("method", ["forkserver", "spawn", "fork"])
def test_a_killed_parent_takes_workers_along_that_are_in_a_long_fetch(films: Job, method: str) -> None:
    films.method = method
    films.lab.set_site_fault("/page/*", "silent")
    start = films.crawl("-w", "6")
    until(lambda: sum(proxy.users for proxy in films.lab.proxies) == 6, "six workers waiting for an answer")

    start.send(signal.SIGKILL)

    start.leaves_nobody()
    films.lab.set_site_fault("/page/*", None)
    assert films.resume().wait() == 0
    films.complete()


# --- Ctrl-C


def test_the_first_ctrl_c_finishes_what_is_in_flight_so_that_no_page_is_asked_for_twice(films: Job) -> None:
    start = films.crawl("-w", "4")
    until(lambda: len(films.lab.requests) > 40, "requests")

    start.send(signal.SIGINT, to_group=True)

    assert start.wait() == 130
    assert "pinpool resume films.db" in start.said
    assert films.resume().wait() == 0
    paths = [seen.path for seen in films.lab.requests]
    assert len(paths) == len(set(paths)) == 132
    films.complete()


def test_the_second_ctrl_c_ends_at_once_what_would_take_long(films: Job) -> None:
    films.lab.set_site_fault("/page/3", "silent")
    start = films.crawl("-w", "4")
    until(lambda: any(seen.path == "/page/3" for seen in films.lab.requests), "the page that never comes")

    start.send(signal.SIGINT, to_group=True)
    until(lambda: "Ctrl-C again" in start.said, "the word that it stops")
    start.send(signal.SIGINT, to_group=True)

    assert start.wait(seconds=5) == 130
    films.lab.set_site_fault("/page/3", None)
    assert films.resume().wait() == 0
    films.complete()


#: Nothing of ours runs before; what Python says to a Ctrl-C while it comes up itself is its own affair.
AS_PYTHON_IS_UP = """
import pathlib, signal
signal.signal(signal.SIGINT, signal.SIG_DFL)
pathlib.Path("up").touch()
"""


def test_ctrl_c_at_any_moment_never_hangs_and_never_shows_a_traceback(films: Job) -> None:
    random = Random(7)
    up = films.folder / "up"
    for _ in range(200 if SOAKING else 20):
        if films.journal.exists() and films.ask("verify", "films.db").returncode == 0:
            films.complete()
            films.journal.unlink()
            films.output.unlink()
        up.unlink(missing_ok=True)
        start = films.resume("-w", "4", under=AS_PYTHON_IS_UP)
        until(up.exists, "Python is up")
        start.runs_for(random.choice([0.1, random.uniform(0.0, 0.2), random.uniform(0.0, 1.0)]))
        start.send(signal.SIGINT, to_group=True)
        if random.random() < 0.3:
            start.runs_for(random.uniform(0.0, 0.2))
            start.send(signal.SIGINT, to_group=True)
        assert start.wait(seconds=20) in (130, 0, -signal.SIGINT)
        start.leaves_nobody()

    assert films.resume().wait() == 0
    films.complete()


def test_a_hang_up_that_the_caller_ignores_stays_ignored(films: Job) -> None:
    """`nohup pinpool crawl` goes on when the terminal is closed."""
    start = films.crawl("-w", "4", under="import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)")
    until(lambda: len(films.lab.requests) > 20, "requests")

    start.send(signal.SIGHUP, to_group=True)

    assert start.wait() == 0
    films.complete()
