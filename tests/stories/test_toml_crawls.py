"""Whole crawls of a TOML spider: stopped, killed, changed and resumed like one in Python."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from crawling import Job, job, spider, strike, until
from pinpool import Run
from pinpool.lab import Lab

pytestmark = [pytest.mark.processes]

FILMS = """
seeds = ["BASE/page/{1..PAGES}"]

[index]
details = '//a[@class="name"]/@href'

[detail.fields]
title = "h2.m-b-sm::text"
directors = { all = '//div[@class="directors el-row"]//p/text()' }
"""


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab(pages=6, proxies=4, latency=0.05) as running:
        yield running


@pytest.fixture(params=["films.py", "films.toml"])
def films(tmp_path: Path, lab: Lab, request: pytest.FixtureRequest) -> Iterator[Job]:
    """66 pages through four good proxies, by a spider in Python and by the same in TOML."""
    name: str = request.param
    with job(tmp_path / "run", lab, spider() if name == "films.py" else FILMS, file=name) as made:
        yield made


@pytest.mark.parametrize("threads", [1, 2])
def test_a_killed_crawl_is_resumed_and_holds_each_film_once(films: Job, threads: int) -> None:
    films.threads = threads
    start = films.crawl("-w", "4")
    until(lambda: len(films.written()) >= 5, "five films in the file")

    start.send(signal.SIGKILL)
    start.leaves_nobody()

    assert films.resume("-w", "4").wait() == 0
    films.complete()


@pytest.mark.parametrize("resumed", [False, True])
def test_workers_that_are_started_anew_have_the_spider_as_it_was_at_the_start(
    tmp_path: Path, lab: Lab, resumed: bool
) -> None:
    with job(tmp_path / "run", lab, FILMS, file="films.toml") as films:
        if resumed:
            assert films.crawl("-w", "3", "--limit", "5").wait() == 0
        written, start = len(films.written()), films.resume("-w", "3")
        until(lambda: len(films.written()) >= written + 5, "five more films in the file")

        (films.folder / "films.toml").write_text("somebody is just wri")
        for worker in start.cast().workers:
            strike(worker)

        assert start.wait() == 0
        films.complete()


def test_a_spider_that_was_changed_is_resumed_as_it_is_now(films: Job) -> None:
    assert films.crawl("-w", "4", "--limit", "30").wait() == 0
    path = films.folder / films.file
    path.write_text(path.read_text().replace("h2.m-b-sm::text", "h2.m-b-sm"))
    before = {item["url"] for item in Run(films.journal).items()}

    assert films.resume("-w", "4").wait() == 0

    items = list(Run(films.journal).items())
    assert len(items) == 60
    assert before < {item["url"] for item in items}


def test_a_spider_that_was_broken_is_not_resumed_and_says_why(films: Job) -> None:
    assert films.crawl("-w", "4", "--limit", "30").wait() == 0
    path = films.folder / films.file
    path.write_text("x = = 1\n" + path.read_text())

    start = films.resume()

    assert start.wait() == 2
    assert start.said.startswith(f"{films.file}:1: ")
