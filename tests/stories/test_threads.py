"""Workers that share a process: what one page does to it costs no other page, and each worker has a pin of its own."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from crawling import Job, job, spider
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
