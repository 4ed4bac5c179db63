"""The life of a proxy, as a user sees it: it rests, tries again, retires, and is remembered by the next start."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from crawling import Job, job, until
from pinpool.crawler.list_reload import admit
from pinpool.journal.records import ProxyRow
from pinpool.journal.schema import WITHDRAWN
from pinpool.lab import Lab
from pinpool.model import Fault, ProxyState
from pinpool.policy.reputation import Reputation, Retire
from pinpool.proxies.proxy import Proxy
from terminals import Terminal

NOW = 1_700_000_000.0
PROXY = Proxy("http", "192.0.2.1", 80)


def known(state: ProxyState, reason: str | None = None, until: float | None = None, coolings: int = 0) -> Any:
    return ProxyRow(1, PROXY.label, state, reason, until, coolings, listed=True)


# What the next start, or the next version of the list, makes of what the journal knows


def test_a_rest_goes_on_after_a_resume_and_so_does_the_count_of_rests() -> None:
    reputation = Reputation(30.0)

    standing = admit(
        reputation, known(ProxyState.COOLING, "timeout", NOW + 40, coolings=5), PROXY, NOW, forgiving=False
    )

    assert (standing.state, standing.rest_seconds) == (ProxyState.COOLING, 40.0)
    assert isinstance(reputation.penalty(1, Fault.TIMEOUT, None, 0.5), Retire)


@pytest.mark.parametrize(("forgiving", "state"), [(False, ProxyState.RETIRED), (True, ProxyState.COOLING)])
def test_one_that_retired_for_its_faults_gets_a_probe_if_its_list_is_named_anew(
    forgiving: bool, state: ProxyState
) -> None:
    reputation = Reputation(30.0)

    standing = admit(
        reputation, known(ProxyState.RETIRED, "refused again", coolings=5), PROXY, NOW, forgiving=forgiving
    )

    assert (standing.state, standing.rest_seconds) == (state, 0.0)
    assert reputation[1].coolings == (0 if forgiving else 5)


@pytest.mark.parametrize(("coolings", "state"), [(0, ProxyState.SPARE), (2, ProxyState.COOLING)])
def test_one_that_was_withdrawn_comes_back_as_it_was(coolings: int, state: ProxyState) -> None:
    """Taking a line out and putting it back is no way to forget that its proxy was failing."""
    reputation = Reputation(30.0)

    standing = admit(reputation, known(ProxyState.RETIRED, WITHDRAWN, coolings=coolings), PROXY, NOW, forgiving=False)

    assert (standing.state, standing.rest_seconds) == (state, 0.0)
    assert reputation[1].coolings == coolings


# Processes


@pytest.fixture
def films(tmp_path: Path) -> Iterator[Job]:
    """Eleven pages through one proxy."""
    with Lab(pages=1, proxies=1) as lab, job(tmp_path / "run", lab) as made:
        yield made


def asked(films: Job, question: str) -> list[tuple[Any, ...]]:
    if not films.journal.exists():
        return []
    with closing(sqlite3.connect(f"file:{films.journal}?mode=ro", uri=True)) as db:
        return db.execute(question).fetchall()


RESTING = "SELECT until, (SELECT max(at) FROM attempts) FROM proxies WHERE state = 'cooling' AND coolings = 1"


@pytest.mark.processes
def test_a_site_that_asks_everybody_to_wait_for_long_from_the_start_on_ends_the_run_with_the_reason(films: Job) -> None:
    seeds = films.folder / "seeds"
    seeds.write_text(f"{films.lab.named_url}/status/429?retry-after=600\n")

    code = films.crawl("--swap-after", "1", "--seeds", "seeds").wait()

    assert code == 4
    [(words,)] = asked(films, "SELECT detail FROM events WHERE kind = 'starved'")
    assert words.startswith("no page was ever fetched: 1 proxy got 429 Too Many Requests")


@pytest.mark.processes
def test_a_run_that_waits_says_when_the_next_proxy_wakes_and_a_resume_waits_on(films: Job) -> None:
    for index in range(len(films.lab.proxies)):
        films.lab.set_fault(index, "refused")
    with Terminal(films, "--swap-after", "1", "-s", "cooling=6") as run:
        until(lambda: re.search(r"failed \(refused\), next try \d\d:\d\d:\d\d", run.read()), "the word that it waits")
        [(wakes, _)] = asked(films, RESTING)
        run.close()
        assert run.wait() == 130
    for index in range(len(films.lab.proxies)):
        films.lab.set_fault(index, None)

    code = films.resume().wait()

    assert code == 0
    [(first,)] = asked(films, "SELECT min(at) FROM attempts WHERE ending = 'ok'")
    assert first >= wakes - 0.1
    films.complete()
