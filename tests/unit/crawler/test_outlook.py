"""What a run says it waits for, in simulated time, and when it warns of links without end."""

from __future__ import annotations

import logging
import re

import pytest

from pinpool.crawler.run_log import BARREN, RunLog
from pinpool.model import Ending, Outcome
from pinpool.policy.reputation import Reputation
from pinpool.stats.snapshot import Snapshot
from simulated import GOOD, Behavior, Crawl


class Watched:
    """What a run says while it goes on."""

    def __init__(self) -> None:
        self.waiting: set[str] = set()
        self.trouble: set[str] = set()
        self.last_pages: set[str] = set()

    def __call__(self, view: Snapshot) -> None:
        self.waiting.add(view.waiting)
        self.trouble.add(view.trouble())
        self.last_pages.add(view.last_pages())


@pytest.fixture
def said() -> Watched:
    return Watched()


def matching(pattern: str, texts: set[str]) -> list[str]:
    return [text for text in texts if re.fullmatch(pattern, text)]


def test_a_run_whose_proxies_are_all_banned_names_the_ban_and_the_next_try(said: Watched) -> None:
    def site_shows(now: float) -> str:
        return "banned" if 2 < now < 60 else ""

    Crawl([GOOD] * 10, 300, site_shows=site_shows, watch=said).run().are_just()

    assert matching(r"10 of 10 proxies failed \(banned 403\), next try \d\d:\d\d:\d\d", said.waiting)
    assert not [text for text in said.waiting if "down" in text]


def test_the_trouble_of_some_proxies_is_named_while_the_others_work(said: Watched) -> None:
    Crawl([GOOD] * 6 + [Behavior("refused")] * 2 + [Behavior("banned")] * 2, 200, watch=said).run().are_just()

    assert matching(r"4 of 10 proxies failed \(2 (refused, 2 banned 403|banned 403, 2 refused)\)", said.trouble)


def test_the_last_page_is_named_with_its_proxy_and_its_limit(said: Watched) -> None:
    Crawl([GOOD] * 10, 200, bad={199: "silent"}, watch=said).run().are_just()

    assert matching(r"last page: 199 through proxy \d+, 14 s, limit 45 s", said.last_pages)


def test_pages_that_all_wait_to_be_tried_again_are_counted_with_the_moment(said: Watched) -> None:
    Crawl([GOOD] * 10, 200, bad=dict.fromkeys(range(190, 200), "500"), watch=said).run().are_just()

    told = r"\d+ pages that failed, of which the first is tried again at \d\d:\d\d:\d\d"
    assert matching(rf"{told}: \d+ of 10 proxies failed \(server_error 500\)", said.last_pages)


def test_pages_that_come_at_once_are_no_tail(said: Watched) -> None:
    Crawl([GOOD] * 10, 200, watch=said).run().are_just()

    assert said.last_pages == {""}


def test_links_without_end_get_a_hint_after_some_thousand_pages_without_an_item(
    caplog: pytest.LogCaptureFixture,
) -> None:
    run_log = RunLog(Reputation(30.0))
    caplog.set_level(logging.WARNING)

    for number in range(2 * BARREN - 1):
        run_log.yielded(f"http://films.example/?day={number}", Outcome(number, 1, -1, Ending.OK, 0.0, 0.1))

    (hint,) = caplog.messages
    assert f"{BARREN:,} pages in a row have yielded no item" in hint
    assert f"?day={BARREN - 1}" in hint
    assert "--limit" in hint


def test_an_item_now_and_then_is_enough(caplog: pytest.LogCaptureFixture) -> None:
    run_log = RunLog(Reputation(30.0))
    caplog.set_level(logging.WARNING)

    for number in range(3 * BARREN):
        items = ("{}",) if number % 1000 == 0 else ()
        run_log.yielded("http://films.example/", Outcome(number, 1, -1, Ending.OK, 0.0, 0.1, items=items))

    assert caplog.messages == []
