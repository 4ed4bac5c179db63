"""Workers that share a process: what one page does to it costs no other page, and each worker has a pin of its own."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from calls import crash, double, place
from crawling import Job, job, spider
from pinpool import CallFailed, PinnedPool
from pinpool.lab import Lab

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc"),
]

#: A hung page is ended after three seconds.
QUICK = ("--deadline", "2", "-s", "grace=1", "--timeout", "2", "--connect-timeout", "2", "-q")
VENOM = """
import os
if number == 50:
    os._exit(1)
if number == 51:
    sum(range(10**15))
if number == 52:
    while True:
        pass
"""


@pytest.fixture(autouse=True)
def threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Job, "threads", 10)


def test_poison_pages_are_found_among_many_good_ones_and_none_of_these_is_charged(tmp_path: Path, slow: bool) -> None:
    """There are as many workers as proxies, so that the page that is tried alone needs one of theirs."""
    pages = 100 if slow else 12
    with Lab(pages=pages, proxies=20, latency=0.02) as lab, job(tmp_path / "run", lab, spider(VENOM)) as films:
        code = films.crawl("-w", "20", *QUICK).wait()

        crash, grip, loop = (f"{lab.named_url}/detail/{number}" for number in (50, 51, 52))
        failures = films.failures()
        assert code == 3
        films.complete(but=frozenset({crash, grip, loop}))
        assert "quarantined after 3 crashes" in failures[crash]["reason"]
        assert "quarantined after 3 hangs" in failures[grip]["reason"]
        assert all("took longer than 2 s" in one["message"] for one in failures[loop]["attempts"])
        with closing(sqlite3.connect(films.journal)) as db:
            rows = db.execute("SELECT url FROM attempts JOIN tasks ON tasks.id = task WHERE fault IN ('crash', 'hang')")
            assert {url for (url,) in rows} == {crash, grip}


def test_each_worker_of_a_pool_has_its_own_proxy_wherever_it_runs() -> None:
    with Lab(pages=1, proxies=6) as lab, PinnedPool([proxy.url for proxy in lab.proxies], workers=6, threads=3) as pool:
        places = {future.result(60) for future in [pool.submit(place, 0.05) for _ in range(200)]}

    assert len(places) == 6  # of a thread and its proxy
    assert len({pid for pid, _, _ in places}) == 2
    assert len({thread for _, thread, _ in places}) == 6
    assert len({proxy for _, _, proxy in places}) == 6


def test_a_call_that_crashes_fails_and_no_other_is_charged_with_it() -> None:
    with Lab(pages=1, proxies=4) as lab, PinnedPool([proxy.url for proxy in lab.proxies], workers=4, threads=4) as pool:
        good = [pool.submit(double, number) for number in range(100)]
        bad = pool.submit(crash)
        good += [pool.submit(double, number) for number in range(100, 200)]

        with pytest.raises(CallFailed, match="crash"):
            bad.result(120)
        assert [future.result(60) for future in good] == [2 * number for number in range(200)]


def test_a_resume_goes_on_with_as_many_threads_unless_it_is_given_others(tmp_path: Path) -> None:
    with Lab(pages=6, proxies=4, latency=0.02) as lab, job(tmp_path / "run", lab) as films:
        films.crawl("-w", "4", "--limit", "30", "-q").wait()
        films.resume("--limit", "20", "-q").wait()
        films.resume("--threads", "2", "-q").wait()

        with closing(sqlite3.connect(films.journal)) as db:
            details = db.execute("SELECT detail FROM events WHERE kind = 'measured' ORDER BY id").fetchall()
        assert [json.loads(detail)["threads"] for (detail,) in details] == [10, 10, 2]
        films.complete()
