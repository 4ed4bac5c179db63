"""A pin: when its next turn is, and what it keeps as long as it lives."""

from __future__ import annotations

import math
import time

import pytest

from pinpool.fetch.robots import MAX_AGE, Rules
from pinpool.pool.lease_types import Lease
from pinpool.pool.pin import MOST_ORIGINS, Pin
from pinpool.proxies.proxy import Proxy
from pinpool.settings import Settings

URL = "http://site.test/film/1"


def pin(settings: Settings | None = None, idle: float = math.inf) -> Pin:
    return Pin(Lease(1, Proxy("http", "192.0.2.1", 80), False, idle), settings or Settings())


def waits(of: Pin, jitter: float = 1.0) -> float:
    return max(0.0, of.next_turn(jitter) - time.monotonic())


def asked(of: Pin) -> Pin:
    """The same pin, a moment after a request."""
    of.fetcher.session.pin.progress.asked_at = time.monotonic()
    return of


@pytest.mark.parametrize(("idle", "wait"), [(math.inf, 0), (4000, 0), (400, 600), (0, 1000)])
def test_a_new_pin_waits_for_what_another_worker_has_left_of_the_pace(idle: float, wait: float) -> None:
    assert waits(pin(Settings(pace=1000), idle)) == pytest.approx(wait, abs=5)


@pytest.mark.parametrize("jitter", [0.75, 1.25])
def test_the_pace_runs_from_the_last_request_and_is_jittered(jitter: float) -> None:
    assert waits(asked(pin(Settings(pace=1000))), jitter) == pytest.approx(1000 * jitter, abs=5)


def test_without_a_pace_nobody_waits() -> None:
    assert waits(asked(pin())) == 0


@pytest.mark.parametrize(("pace", "wait"), [(0, 50), (40, 50), (1000, 750)])
def test_a_crawl_delay_is_kept_in_full_where_it_is_longer_than_the_pace(pace: float, wait: float) -> None:
    slow = asked(pin(Settings(pace=pace)))

    slow.heed(URL, Rules("User-agent: *\nCrawl-delay: 50"))

    assert waits(slow, 0.75) == pytest.approx(wait, abs=5)


def test_rules_are_those_of_a_site_and_not_of_a_page() -> None:
    one, rules = pin(), Rules()

    one.heed(URL, rules)

    assert one.rules_for("http://site.test/?page=2") is rules
    assert one.rules_for("https://site.test/") is None
    assert pin().rules_for(URL) is None


def test_rules_are_asked_for_again_after_a_day() -> None:
    one, rules = pin(), Rules()
    one.heed(URL, rules)

    one.robots["http://site.test"] = time.monotonic() - MAX_AGE - 1, rules

    assert one.rules_for(URL) is None


def test_a_pin_that_meets_many_sites_forgets_the_first_of_them() -> None:
    one = pin()

    for number in range(MOST_ORIGINS + 5):
        one.heed(f"http://site-{number}.test/", Rules())

    assert len(one.robots) == MOST_ORIGINS
    assert one.rules_for("http://site-0.test/") is None
    assert one.rules_for(f"http://site-{MOST_ORIGINS}.test/") is not None


def test_the_headers_of_a_profile_go_over_those_of_the_settings_whatever_their_case() -> None:
    settings = Settings(headers={"User-Agent": "all", "X-All": "1"})

    drawn = Pin(pin().lease, settings, {"user-agent": "mine"})

    assert drawn.agent == "mine"
    assert drawn.fetcher.session.headers["X-All"] == "1"
