"""
Whole crawls in which a page hangs behind a proxy, with real processes: another proxy gives it meanwhile.

Who asked for a page while whom held it is read from the lab's own books.
"""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from crawling import Job, job, spider, strike, until
from pinpool.lab import Lab

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc"),
]

#: Each list page is the only one that leads to the next.
LIST = "    yield from page.details('//a[@class=\"name\"]/@href')\n"
CHAIN = (
    spider()
    .replace("range(1, PAGES + 1)", "range(1, 2)")
    .replace(LIST, LIST + "    yield from page.more('//a[@rel=\"next\"]/@href')\n")
)


@pytest.fixture
def films(tmp_path: Path) -> Iterator[Job]:
    """66 pages through six proxies, each list page leading to the next."""
    with Lab(pages=6, proxies=6, latency=0.02) as lab, job(tmp_path / "run", lab, CHAIN) as made:
        yield made


def attempts(films: Job, where: str = "1") -> list[tuple[str, int, str, str | None]]:
    """(URL, proxy from 0 on, ending, fault) of each attempt, in order."""
    query = (
        "SELECT url, proxy - 1, ending, fault FROM attempts JOIN tasks ON tasks.id = task"
        f" WHERE {where} ORDER BY attempts.id"
    )
    with closing(sqlite3.connect(films.journal)) as db:
        return db.execute(query).fetchall()


@pytest.mark.grid(share=0.3)
@pytest.mark.parametrize("options", [(), ("--threads", "3")], ids=["processes", "threads"])
@pytest.mark.parametrize("path", ["/page/1", "/page/4", "/detail/60"])
def test_a_page_that_hangs_at_the_start_in_the_middle_or_at_the_end_is_given_by_another_proxy(
    films: Job, path: str, options: tuple[str, ...]
) -> None:
    films.lab.set_site_fault(path, "silent", times=1)

    code = films.crawl("--timeout", "60", "-s", "deadline=90", *options).wait()

    films.complete()
    first, second, *_ = (request for request in films.lab.requests if request.path == path)
    assert code == 0
    assert second.ended is not None
    assert first.ended is None or first.ended > second.ended
    assert [attempt[1:3] for attempt in attempts(films, f"url LIKE '%{path}'")] == [
        (first.proxy, "overtaken"),
        (second.proxy, "ok"),
    ]


def test_pages_behind_dripping_proxies_hold_nothing_up(films: Job) -> None:
    for number in (1, 3):
        films.lab.set_fault(number, "drip")

    assert films.crawl().wait() == 0

    films.complete()
    slow = attempts(films, "ending <> 'ok'")
    assert slow
    assert {(proxy, ending) for _, proxy, ending, _ in slow} <= {(1, "overtaken"), (3, "overtaken")}
    assert not films.failures()


@pytest.mark.grid(keep=1)
@pytest.mark.parametrize("seed", range(3))
def test_a_run_that_is_killed_while_a_page_is_asked_for_twice_goes_on_and_has_all_once(films: Job, seed: int) -> None:
    for number in (0, 1, 2):
        films.lab.set_fault(number, "blackhole")
    patient = ("--timeout", "8", "-s", "cooling=1")
    start = films.crawl(*patient)

    def asked_twice() -> bool:
        asked = [request.path for request in films.lab.requests]
        return not start.runs or len(asked) > len(set(asked))

    until(asked_twice, "a page that was asked for twice")
    start.runs_for(Random(seed).uniform(0.0, 0.3))
    films.starts[-1].send(signal.SIGKILL)
    films.starts[-1].leaves_nobody()
    code = films.resume(*patient).wait()

    films.complete()
    assert code == 0


@pytest.mark.grid(keep=1)
@pytest.mark.parametrize("options", [(), ("--threads", "4")], ids=["processes", "threads"])
@pytest.mark.parametrize("seed", range(4))
def test_hanging_pages_and_proxies_and_kills_at_any_moment_lose_nothing(
    tmp_path: Path, seed: int, options: tuple[str, ...]
) -> None:
    random = Random(seed)
    options = ("--timeout", "6", "-s", "cooling=1", *options)
    with Lab(pages=15, proxies=8, latency=0.05) as lab, job(tmp_path / "run", lab) as films:
        for index in random.sample(range(8), 3):
            lab.set_fault(index, random.choice(["drip", "blackhole", "flaky"]))
        for number in random.sample(range(1, 151), 6):
            lab.set_site_fault(f"/detail/{number}", "silent", times=1)
        start = films.crawl(*options)
        for _ in range(3):
            if not start.runs_for(random.uniform(1.0, 5.0)):
                break
            if random.random() < 0.5 and (workers := start.cast().workers):
                strike(random.choice(workers))
            else:
                start.send(signal.SIGKILL)
                start.leaves_nobody()
                start = films.resume(*options)

        code = start.wait()

        films.complete()
        assert code == 0
