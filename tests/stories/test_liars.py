"""Proxies that show something else than the site does: they are found out, and every page is right in the end."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from crawling import Job, Start, job, until
from pinpool.lab import Lab

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc"),
]

BOTH_SHAPES = pytest.mark.parametrize("threads", [1, 4])


def liars(lab: Lab, fault: str, *indexes: int) -> None:
    for index in indexes:
        lab.set_fault(index, fault)


def ask(films: Job, query: str) -> int:
    with closing(sqlite3.connect(f"file:{films.journal}?mode=ro", uri=True)) as db:
        return int(db.execute(query).fetchone()[0])


def has_replaced(films: Job) -> bool:
    """True once another proxy has shown that a page is wrong."""
    try:
        return films.journal.exists() and ask(films, "SELECT count(*) FROM replaced_items") > 0
    except sqlite3.Error:
        return False  # it is being made


@BOTH_SHAPES
def test_a_proxy_that_hands_out_one_page_for_all_is_found_out_and_its_pages_are_asked_for_once_more(
    tmp_path: Path, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Job, "threads", threads)
    with Lab(pages=8, proxies=4, latency=0.02) as lab, job(tmp_path / "run", lab) as films:
        liars(lab, "cached", 1)

        start = films.crawl("-w", "4")

        assert start.wait() == 0, start.said
        films.complete()
        assert "shows one page for many URLs" in start.said
        assert ask(films, "SELECT count(*) FROM attempts WHERE charged AND proxy = 2") >= 3
        assert ask(films, "SELECT count(*) FROM attempts WHERE charged AND proxy <> 2") == 0


def test_a_kill_while_pages_are_asked_for_once_more_leaves_each_item_once_after_a_resume(tmp_path: Path) -> None:
    with Lab(pages=10, proxies=4, latency=0.1) as lab, job(tmp_path / "run", lab) as films:
        liars(lab, "cached", 0)
        start: Start = films.crawl("-w", "4", "-q")
        until(lambda: has_replaced(films), "a page that was replaced")
        start.send(signal.SIGKILL)
        start.leaves_nobody()

        lab.set_latency(0.0)
        resumed = films.resume("-w", "4", "-q")

        assert resumed.wait() == 0, resumed.said
        films.complete()


def test_ctrl_c_in_the_middle_says_what_is_in_doubt_and_a_resume_settles_it(tmp_path: Path) -> None:
    with Lab(pages=10, proxies=4, latency=0.1) as lab, job(tmp_path / "run", lab) as films:
        liars(lab, "cached", 0)
        start = films.crawl("-w", "4", "-q")
        until(lambda: has_replaced(films), "a page that was replaced")
        start.send(signal.SIGINT)
        assert start.wait() == 130
        in_doubt = ask(films, "SELECT count(*) FROM doubts WHERE sure AND verdict IS NULL")
        assert not in_doubt or "in doubt" in films.ask("verify", "films.db").stdout
        assert films.twice() == set()

        lab.set_latency(0.0)
        assert films.resume("-w", "4", "-q").wait() == 0
        films.complete()


def test_a_good_proxy_alone_among_dead_ones_is_believed(tmp_path: Path) -> None:
    with Lab(pages=3, proxies=4) as lab, job(tmp_path / "run", lab) as films:
        liars(lab, "refused", 0, 1, 2)

        assert films.crawl("-w", "4", "-q").wait() == 0
        films.complete()
        assert ask(films, "SELECT count(*) FROM doubts") == 0


SAME_FOR_ALL = """
from pinpool import Page, Spider

spider = Spider(seeds=[f"BASE/redirect/0?n={n}" for n in range(200)])


@spider.index
def page(page: Page):
    return {"url": page.url, "title": page.first("h1")}
"""


def test_a_site_that_shows_one_page_for_all_urls_costs_no_request_more_and_nobody_is_doubted(tmp_path: Path) -> None:
    with Lab(pages=1, proxies=4) as lab, job(tmp_path / "run", lab, SAME_FOR_ALL) as films:
        assert films.crawl("-w", "4", "-q").wait() == 0

        assert len(films.written()) == 200
        assert len(lab.requests) <= 202
        assert ask(films, "SELECT count(*) FROM attempts WHERE charged") == 0


@BOTH_SHAPES
def test_a_proxy_that_leaves_a_field_out_is_found_out_and_no_item_lacks_it(
    tmp_path: Path, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Job, "threads", threads)
    with Lab(pages=10, proxies=4, latency=0.02) as lab, job(tmp_path / "run", lab) as films:
        liars(lab, "sparse", 2)

        start = films.crawl("-w", "4")

        assert start.wait() == 0, start.said
        films.complete()
        assert "leaves directors out of the items of stage detail" in start.said
        assert ask(films, "SELECT count(*) FROM attempts WHERE charged AND proxy <> 3") == 0
