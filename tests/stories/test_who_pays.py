"""Whole crawls of a site or through a list that misbehaves: the lab and the journal show who pays for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crawling import Job, job, until
from pinpool import Run
from pinpool.lab import Lab
from pinpool.lab.faults import SiteFault

PROXIES = 8
#: Long enough that a proxy which is sent to rest by mistake does not come back within a test.
LONG_REST = ["-s", "cooling=600"]


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab(pages=20, proxies=PROXIES, latency=0.02) as made:
        yield made
        assert made.direct == 0
        assert all(proxy.max_users <= 1 for proxy in made.proxies)


@pytest.fixture
def films(tmp_path: Path, lab: Lab) -> Iterator[Job]:
    with job(tmp_path, lab) as made:
        yield made


def asked(journal: Path, query: str) -> list[Any]:
    try:
        with sqlite3.connect(f"file:{journal}?mode=ro", uri=True) as db:
            return db.execute(query).fetchall()
    except sqlite3.OperationalError:
        return []


def proxies(films: Job) -> list[dict[str, Any]]:
    return Run(films.journal).proxies


@pytest.mark.grid(keep=1)
@pytest.mark.parametrize("fault", [503, 403, "reset"])
def test_a_site_that_is_down_for_a_while_pauses_the_run_and_costs_neither_proxy_nor_page(
    films: Job, lab: Lab, fault: SiteFault
) -> None:
    run = films.crawl("-w", str(PROXIES), *LONG_REST)
    until(lambda: len(lab.requests) > 60, "the run is under way")

    lab.set_site_fault("*", fault)
    until(lambda: asked(films.journal, "SELECT 1 FROM events WHERE kind = 'paused'"), "the run pauses")
    lab.set_site_fault("*", None)

    assert run.wait() == 0, run.said
    films.complete()
    assert {row["state"] for row in proxies(films)} == {"spare"}
    # A page that was on its way when it began may land after the first failures, and speak against them.
    assert sum(row["charged"] for row in proxies(films)) < PROXIES
    assert asked(films.journal, "SELECT count(*) FROM events WHERE kind = 'continued'") == [(1,)]


@pytest.mark.grid(keep=2)
@pytest.mark.parametrize("bad", [range(1, 21), range(181, 201)], ids=["first", "last"])
@pytest.mark.parametrize("fault", ["reset", 403])
def test_bad_pages_are_given_up_and_every_proxy_gets_its_charges_back(
    films: Job, lab: Lab, bad: range, fault: SiteFault
) -> None:
    """Twenty bad pages in a row: at the end of a run they look like a site that is down."""
    for number in bad:
        lab.set_site_fault(f"/detail/{number}", fault)

    run = films.crawl("-w", str(PROXIES), *LONG_REST)

    assert run.wait() == 3, run.said
    films.complete(but=frozenset(f"{lab.named_url}/detail/{number}" for number in bad))
    rows = proxies(films)
    assert {row["state"] for row in rows} == {"spare"}
    assert sum(row["charged"] for row in rows) == 0
    assert sum(row["forgiven"] for row in rows) >= 20


def test_a_list_whose_first_proxies_are_dead_is_asked_on_before_the_site_is_suspected(films: Job, lab: Lab) -> None:
    for index in range(PROXIES - 2):
        lab.set_fault(index, "blackhole")

    run = films.crawl("-w", "2", *LONG_REST, "-s", "connect_timeout=0.5", "-s", "timeout=0.5")

    assert run.wait() == 0, run.said
    films.complete()
    assert asked(films.journal, "SELECT 1 FROM events WHERE kind = 'paused'") == []
