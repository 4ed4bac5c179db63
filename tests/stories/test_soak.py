"""
The chaos run: every fault of the lab, pages that crash and hang, and processes killed from outside, one after another.

At the end every film is there once, right, and no proxy was ever used by two workers at once.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from crawling import AS_PYTHON_IS_UP, PATIENCE, Job, Start, job, spider, strike
from pinpool.lab import FAULTS, Lab

#: Not the two that lie: what a start knows of their pages is lost with it, and these starts are killed too soon.
BAD = [fault for fault in FAULTS if fault not in ("cached", "sparse")]
#: How long the soak goes on: by default one crawl, with `--slow` ten minutes.
SECONDS, SLOW_SECONDS = float(os.environ.get("PINPOOL_SOAK_SECONDS", "10")), 600.0
SEED = int(os.environ.get("PINPOOL_SOAK_SEED", "1"))

pytestmark = [
    pytest.mark.soak,
    pytest.mark.processes,
    pytest.mark.timeout(max(SECONDS, SLOW_SECONDS) + 300),
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc"),
]

WORKERS = 8
#: Workers that share a process, drawn for each crawl.
THREADS = [int(number) for number in os.environ.get("PINPOOL_SOAK_THREADS", "1,3,8").split(",")]
PAGES = 50
#: Quick to suspect, quick to forgive: else most of the run would be waiting.
SETTINGS = (
    *("-w", str(WORKERS), "--connect-timeout", "1", "--timeout", "1", "--deadline", "2", "--swap-after", "2"),
    *("-s", "grace=1", "-s", "cooling=1", "-q"),
)
#: Of the films, one in 40 crashes at its first try, one in 80 hangs, one in 100 never lets its worker live.
MISCHIEF = """
import os, pathlib, time
if number % 100 == 50:
    os._exit(1)
tried = pathlib.Path(f"tried-{number}")
if number % 40 in (7, 27) and not tried.exists():
    tried.touch()
    if number % 80 == 27:
        sum(range(10**15))
    os._exit(1)
"""


@dataclass
class Tally:
    """What was done to the runs, and what came of it."""

    crawls: int = 0
    struck: Counter[str] = field(default_factory=Counter)
    resumes: int = 0
    put_back: int = 0
    journal: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    twice: int = 0
    shared: int = 0
    direct: int = 0

    def __str__(self) -> str:
        struck = ", ".join(f"{number} {what}" for what, number in sorted(self.struck.items()))
        noted = ", ".join(f"{number} {what}" for what, number in sorted(self.journal.items()))
        return (
            f"soak: {self.crawls} crawls; struck: {struck or 'nobody'}; resumes {self.resumes}; {noted}; put back "
            f"{self.put_back}; lost {self.lost}, twice {self.twice}, double pins {self.shared}, direct {self.direct}"
        )


@pytest.mark.parametrize("seed", [SEED])
def test_whatever_dies_nothing_is_lost_nothing_is_twice_and_no_proxy_is_shared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], seed: int, slow: bool
) -> None:
    seconds = max(SECONDS, SLOW_SECONDS) if slow else SECONDS
    random, tally, until_then = Random(seed), Tally(), time.monotonic() + seconds

    while tally.crawls == 0 or time.monotonic() < until_then:
        with (
            Lab(pages=PAGES, proxies=20, faults=BAD, latency=0.02, seed=random.randrange(1000)) as lab,
            job(tmp_path / f"run-{tally.crawls}", lab, spider(MISCHIEF)) as films,
        ):
            films.threads = random.choice(THREADS)
            torment(films, random, tally, until_then)
            settle(films, tally)
            tally.crawls += 1

    with capsys.disabled():
        print(f"\n{tally}")  # noqa: T201
    assert (tally.lost, tally.twice, tally.shared, tally.direct) == (0, 0, 0, 0)


def torment(films: Job, random: Random, tally: Tally, until_then: float) -> None:
    """Run a crawl to its end, in however many starts, with two or three deaths a second."""
    start = films.crawl(*SETTINGS, under=AS_PYTHON_IS_UP)
    give_up = until_then + 2 * PATIENCE
    while start.runs_for(random.uniform(0.02, 0.8)):
        assert time.monotonic() < give_up, f"no end in sight; it said: {start.said}"
        if time.monotonic() > until_then:
            continue  # let it come to its end
        what = random.choices(["worker", "busy worker", "manager", "parent"], [60, 20, 5, 15])[0]
        if not hurt(start, what, random, films.folder / "up"):
            continue
        tally.struck[what] += 1
        if what == "parent":
            start.leaves_nobody()
            start.wait()
            (films.folder / "up").unlink(missing_ok=True)
            start = films.resume(*SETTINGS, under=AS_PYTHON_IS_UP)
            tally.resumes += 1
    assert start.wait() == 3, start.said  # the poison pages


def hurt(start: Start, what: str, random: Random, up: Path) -> bool:
    """Strike somebody. False if there was nobody of that kind."""
    if what == "parent":
        number = random.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
        if number == signal.SIGINT and not up.exists():
            return False
        start.send(number)
        return True
    cast = start.cast()
    candidates = cast.manager if what == "manager" else cast.workers
    if what == "busy worker":
        candidates = [player for player in candidates if has_connection(player.pid)]
    if candidates:
        strike(random.choice(candidates))
    return bool(candidates)


def has_connection(pid: int) -> bool:
    """Whether the process holds a socket to a proxy, in use or kept alive."""
    try:
        links = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return False
    # One more than the two to the Manager: the lease queue's, and the guard's.
    return sum(link.startswith("socket:") for link in links) > 1


def settle(films: Job, tally: Tally) -> None:
    """
    Judge a crawl that has come to its end.

    A page whose worker we have killed three times is quarantined with the poison: that is the rule, and `pinpool
    retry` the way back.
    """
    base = films.lab.named_url
    poison = frozenset(f"{base}/detail/{n}" for n in range(1, PAGES * 10 + 1) if n % 100 == 50)
    unlucky = {url: one for url, one in films.failures().items() if url not in poison}
    for url, failure in unlucky.items():
        lost = [one for one in failure["attempts"] if one["fault"] in ("crash", "hang")]
        assert len(lost) >= 3, failure
        assert films.ask("retry", "films.db", "--task", url).returncode == 0
    tally.put_back += len(unlucky)
    if unlucky:
        assert films.resume(*SETTINGS).wait() == 3
    tally.lost += len(films.lost(but=poison))
    tally.twice += len(films.twice())
    tally.shared += len(films.shared())
    tally.direct += films.lab.direct
    tally.journal += noted(films.journal)
    films.complete(but=poison)


def noted(journal: Path) -> Counter[str]:
    """What the journal has noted of deaths and swaps."""
    names = {"worker_lost": "workers lost", "rebuilt": "rebuilds", "faulted": "swaps", "exhausted": "retired"}
    with closing(sqlite3.connect(journal)) as db:
        rows = db.execute("SELECT kind, count(*) FROM events GROUP BY kind").fetchall()
    return Counter({names[kind]: number for kind, number in rows if kind in names})
