"""
Whole crawls in which somebody dies: nothing is lost, nothing is there twice, nobody is left behind.

Whether a proxy was used twice, or something went past the proxies, is asked of the lab's own books.
"""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from crawling import AS_PYTHON_IS_UP, Job, Start, job, spider, strike, until
from pinpool.lab import Lab

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc"),
    pytest.mark.grid(share=0.25),
]

#: A hung page is ended after three seconds.
QUICK = ("--deadline", "2", "-s", "grace=1", "--timeout", "2", "--connect-timeout", "2")


@pytest.fixture(autouse=True, params=[1, 2], ids=["alone", "threads"])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Every story is told of workers with a process each, and of workers that share one; with --slow of both."""
    chosen: int = request.param
    monkeypatch.setattr(Job, "threads", chosen)
    return chosen


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab(pages=12, proxies=6, latency=0.02) as running:
        yield running


@pytest.fixture
def films(tmp_path: Path, lab: Lab) -> Iterator[Job]:
    """132 pages through six good proxies."""
    with job(tmp_path / "run", lab) as made:
        yield made


@pytest.fixture
def slow_films(tmp_path: Path) -> Iterator[Job]:
    """The same, three seconds long at least."""
    with Lab(pages=12, proxies=6, latency=0.1) as lab, job(tmp_path / "run", lab) as made:
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
    at_any_moment,
]


@pytest.mark.grid(keep=1)
@pytest.mark.parametrize(
    ("number", "to_group", "method"),
    [
        (signal.SIGKILL, False, "forkserver"),
        (signal.SIGKILL, False, "spawn"),
        (signal.SIGTERM, False, "forkserver"),
        (signal.SIGTERM, True, "forkserver"),
        (signal.SIGTERM, True, "spawn"),
    ],
)
def test_a_run_ended_again_and_again_by_a_signal_leaves_nobody_and_is_brought_to_its_end(
    films: Job, number: int, to_group: bool, method: str, slow: bool
) -> None:
    random = Random(f"{number} {to_group} {method}")
    films.method = method
    start = films.crawl("-w", "4")

    for moment in [*MOMENTS, *MOMENTS] if slow else MOMENTS:
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


def test_a_killed_parent_takes_a_worker_along_that_never_lets_go_of_the_interpreter(tmp_path: Path, lab: Lab) -> None:
    """One call into C that keeps the GIL: no thread of that worker can look after its parent."""
    grip = "if number == 5:\n    open('gripped', 'w')\n    sum(range(10**15))"
    with job(tmp_path / "run", lab, spider(grip)) as films:
        start = films.crawl("-w", "4")
        until((films.folder / "gripped").exists, "the page that grips")

        start.send(signal.SIGKILL)

        start.leaves_nobody()


# --- Ctrl-C


def test_the_first_ctrl_c_finishes_what_is_in_flight_so_that_no_page_is_asked_for_twice(
    slow_films: Job,
) -> None:
    films = slow_films
    start = films.crawl("-w", "4")
    until(lambda: len(films.lab.requests) > 40, "requests")

    start.send(signal.SIGINT, to_group=True)

    assert start.wait() == 130
    assert "pinpool resume films.db" in start.said
    assert films.resume().wait() == 0
    paths = [seen.path for seen in films.lab.requests]
    assert len(paths) == len(set(paths)) == 132
    films.complete()


#: The first Ctrl-C alone would wait for the page in flight until the test has given up.
ENDLESS_DRAIN = """
from pinpool.crawler import loop
loop.DRAIN_SECONDS = 900.0
"""


def test_the_second_ctrl_c_ends_at_once_what_would_take_long(films: Job) -> None:
    films.lab.set_site_fault("/page/3", "silent")
    start = films.crawl("-w", "4", "--timeout", "900", "--deadline", "900", under=ENDLESS_DRAIN)
    until(lambda: any(seen.path == "/page/3" for seen in films.lab.requests), "the page that never comes")

    start.send(signal.SIGINT, to_group=True)
    until(lambda: "Ctrl-C again" in start.said, "the word that it stops")
    start.send(signal.SIGINT, to_group=True)

    assert start.wait() == 130
    films.lab.set_site_fault("/page/3", None)
    assert films.resume().wait() == 0
    films.complete()


@pytest.mark.timeout(900)
def test_ctrl_c_at_any_moment_never_hangs_and_never_shows_a_traceback(films: Job, slow: bool) -> None:
    random = Random(7)
    up = films.folder / "up"
    for _ in range(200 if slow else 10):
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
        assert start.wait() in (130, 0, -signal.SIGINT), start.said
        start.leaves_nobody()

    assert films.resume().wait() == 0
    films.complete()


#: A kill that finds the run with a journal and no output file yet.
KILLED_WITH_A_NEW_JOURNAL = """
import os, signal
from pinpool.output.outputs import Outputs
Outputs.__init__ = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_that_is_killed_with_a_new_journal_still_knows_its_output(films: Job) -> None:
    killed = films.crawl(under=KILLED_WITH_A_NEW_JOURNAL)
    assert killed.wait() == -signal.SIGKILL
    assert films.journal.exists()

    assert films.resume().wait() == 0

    films.complete()


def test_a_hang_up_that_the_caller_ignores_stays_ignored(films: Job) -> None:
    """`nohup pinpool crawl` goes on when the terminal is closed."""
    start = films.crawl("-w", "4", under="import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)")
    until(lambda: len(films.lab.requests) > 20, "requests")

    start.send(signal.SIGHUP, to_group=True)

    assert start.wait() == 0
    films.complete()


# --- workers and helpers die


@pytest.mark.parametrize("victim", ["workers", "manager", "forkserver"])
def test_a_run_survives_that_others_than_the_parent_are_killed_at_random(slow_films: Job, victim: str) -> None:
    films, random = slow_films, Random(victim)
    start = films.crawl("-w", "4")

    for _ in range(4):
        enough = len(films.lab.requests) + random.randint(4, 25)
        until(lambda enough=enough: not start.runs or len(films.lab.requests) > enough, "requests")  # type: ignore[misc]
        until(lambda: not start.runs or getattr(start.cast(), victim), victim)
        if candidates := getattr(start.cast(), victim):
            strike(random.choice(candidates))

    assert start.wait(tidy=victim != "forkserver") == 0
    films.complete()


def test_a_run_survives_that_all_but_the_parent_are_killed_at_one_blow(slow_films: Job) -> None:
    films = slow_films
    start = films.crawl("-w", "4")

    for enough in (20, 60, 90):
        until(lambda enough=enough: not start.runs or len(films.lab.requests) > enough, "requests")  # type: ignore[misc]
        for player in [*start.cast().workers, *start.cast().forkserver, *start.cast().manager]:
            strike(player)

    assert start.wait(tidy=False) == 0
    films.complete()


def test_a_run_survives_that_its_forkserver_dies_as_it_starts_a_worker(slow_films: Job) -> None:
    """The pool's thread that starts workers dies of it: for good, and without a word to anybody."""
    films = slow_films
    start = films.crawl("-w", "4")

    until(lambda: len(films.lab.requests) > 20, "requests")
    cast = start.cast()
    for player in [*cast.workers, *cast.forkserver]:
        strike(player)

    assert start.wait(tidy=False) == 0
    films.complete()


@pytest.mark.parametrize("pace", ["0", "0.4"])
def test_workers_that_are_stopped_and_never_go_on_cost_a_moment_and_not_the_run(tmp_path: Path, pace: str) -> None:
    """Somebody's debugger, or a freezer. Busy, waiting for their turn, or with the pool's lock in hand."""
    with Lab(pages=6, proxies=6, latency=0.1) as lab, job(tmp_path / "run", lab) as films:
        start = films.crawl("-w", "4", "--pace", pace, *QUICK)

        for enough in (15, 30):
            until(lambda enough=enough: len(lab.requests) > enough, "requests")  # type: ignore[misc]
            for player in start.cast().workers[:2]:
                strike(player, signal.SIGSTOP)

        assert start.wait() == 0
        films.complete()


def test_a_manager_that_is_stopped_and_never_answers_is_replaced(slow_films: Job) -> None:
    films = slow_films
    start = films.crawl("-w", "4")

    until(lambda: len(films.lab.requests) > 20, "requests")
    strike(start.cast().manager[0], signal.SIGSTOP)

    assert start.wait() == 0
    films.complete()


# --- pages that kill


#: What each of these films does to its worker, and what it ends with.
POISON = {
    "os._exit(1)": "crash",
    "ctypes.string_at(0)": "crash",
    "sum(range(10**15))": "hang",
    "swallow()": "hang",
    "return {'url': page.url, 'odd': lambda: 1}": "extract",
    "return {'url': page.url, 'deep': deep()}": "extract",
    "return {'url': page.url, 'huge': 'x' * 2_000_000}": "extract",
    "raise BaseException('odd')": "extract",
    "sys.exit(1)": "extract",
    "raise Unprintable": "extract",
}
VENOM = """
import ctypes, os, sys, time

class Unprintable(Exception):
    def __str__(self): raise RuntimeError
    def __reduce__(self): raise RuntimeError

def swallow():
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass

def deep():
    nested = []
    for _ in range(100_000):
        nested = [nested]
    return nested

"""


def test_pages_that_kill_or_hang_their_worker_end_with_their_history_and_the_rest_is_done(
    tmp_path: Path, lab: Lab
) -> None:
    deeds = "".join(f"if number == {n}: {deed}\n" for n, deed in enumerate(POISON, 1))
    with job(tmp_path / "run", lab, spider(VENOM + deeds)) as films:
        urls = {f"{lab.named_url}/detail/{n}": fault for n, fault in enumerate(POISON.values(), 1)}

        code = films.crawl("-w", "4", *QUICK).wait()

        failures = films.failures()
        assert code == 3
        films.complete(but=frozenset(urls))
        for url, fault in urls.items():
            faults = [one["fault"] for one in failures[url]["attempts"]]
            # One of the two on which the spider raises has served a page, so a broken page may need more of them.
            assert faults == [fault] * (max(2, len(faults)) if fault == "extract" else 3), url
            assert all(one["proxy"] for one in failures[url]["attempts"])
            if fault == "hang":
                assert "quarantined after 3 hangs" in failures[url]["reason"]
                assert all("films.py" in one["message"] for one in failures[url]["attempts"])
            elif fault == "crash":
                assert "quarantined after 3 crashes" in failures[url]["reason"]


# --- the disk


LITTLE_ROOM = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
"""
#: Root may write anywhere, but for this: the right to do so is dropped, and the command run by exec without it.
NO_LONGER_ALMIGHTY = """
import ctypes, os, sys
if os.geteuid() == 0:
    for right in (1, 2):
        assert ctypes.CDLL(None).prctl(24, right, 0, 0, 0) == 0
os.execv(sys.executable, [sys.executable, "-m", "pinpool", *sys.argv[1:]])
"""


def says_one_line(start: Start, *words: str) -> None:
    lines = [line for line in start.said.splitlines() if line.strip()]
    assert len(lines) == 1, start.said
    for word in words:
        assert word in lines[0]


def test_a_full_disk_stops_the_run_with_one_line_and_loses_nothing(films: Job) -> None:
    start = films.crawl("-w", "4", under=LITTLE_ROOM)

    assert start.wait() == 1

    says_one_line(start, "films.db", "pinpool resume films.db")
    assert films.resume().wait() == 0
    films.complete()


#: It would wait ten seconds for the lock.
IMPATIENT = """
from pinpool.journal import sqlite as storage
storage.BUSY_SECONDS = 0.5
"""

#: After the first commit with an item it waits until the test holds the lock.
LETS_THE_TEST_LOCK = f"""{IMPATIENT}
import time
from pathlib import Path
from pinpool.journal.writer import Journal
commit = Journal.commit
def commit_and_wait(journal):
    commit(journal)
    if journal.last_item():
        Path("free").touch()
        while not Path("locked").exists():
            time.sleep(0.005)
Journal.commit = commit_and_wait
"""


def test_a_journal_that_another_program_locks_stops_the_run_with_one_line_and_loses_nothing(
    films: Job,
) -> None:
    start = films.crawl("-w", "4", under=LETS_THE_TEST_LOCK)

    until((films.folder / "free").exists, "a moment between two commits")
    with closing(sqlite3.connect(films.journal, isolation_level=None, timeout=0)) as other:
        other.execute("BEGIN IMMEDIATE")
        (films.folder / "locked").touch()
        assert start.wait() == 1
        late = films.resume(under=IMPATIENT)
        assert late.wait() == 2

    for refused in (start, late):
        says_one_line(refused, "films.db", "locked", "pinpool resume films.db")
    assert films.resume().wait() == 0
    films.complete()


def test_a_read_only_journal_is_told_with_one_line_and_nothing_is_changed(films: Job) -> None:
    films.crawl("-w", "4", "--limit", "20").wait()
    films.journal.chmod(0o444)
    films.folder.chmod(0o555)

    start = films.resume(under=NO_LONGER_ALMIGHTY)

    assert start.wait() == 2
    says_one_line(start, "films.db")
    films.folder.chmod(0o755)
    films.journal.chmod(0o644)
    assert films.resume().wait() == 0
    films.complete()
