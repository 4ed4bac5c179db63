from __future__ import annotations

import pytest

from pinpool.policy.hedging import FEW, FIRST_PATIENCE, LEAST_PATIENCE, Hedging
from pinpool.policy.reputation import Reputation


def hedging(*latencies: float) -> Hedging:
    made = Hedging()
    for seconds in latencies:
        made.answered(1, seconds)
    return made


@pytest.mark.parametrize(
    ("latencies", "patience"),
    [
        ([], FIRST_PATIENCE),
        ([0.2] * 100, LEAST_PATIENCE),
        ([2.0], 4.0),
        ([2.0] * 94 + [3.0] * 6, 6.0),
        ([2.0] * 96 + [3.0] * 4, 4.0),
        # A dripping proxy has a tenth of the answers.
        ([0.5] * 90 + [20.0] * 10, 5.0),
        # The latest 200 count.
        ([9.0] * 500 + [1.0] * 200, 2.0),
    ],
)
def test_a_page_is_late_after_much_longer_than_pages_take(latencies: list[float], patience: float) -> None:
    assert hedging(*latencies).patience == patience


def test_second_attempts_are_a_few_and_a_twentieth_of_all() -> None:
    made = hedging()
    made.attempts, made.second_attempts = 1000, 50

    assert made.allowed == FEW


def known(*proxies: int) -> Reputation:
    reputation = Reputation(30.0)
    for proxy in proxies:
        reputation.admit(proxy, f"proxy {proxy}")
    return reputation


def test_proxies_that_work_come_first_and_doubtful_ones_never() -> None:
    works, once, new, failed, flaky = range(1, 6)
    reputation = known(works, once, new, failed, flaky)
    for proxy, pages in ((works, 4), (once, 1), (flaky, 1)):
        for _ in range(pages):
            reputation.credit(proxy)
    for proxy in (failed, flaky):
        reputation.strike(proxy, 7, counts=True)

    groups = Hedging().ranked(range(1, 6), reputation)

    assert groups == [{works}, {works, once}, {works, once, new, flaky}]


def test_a_proxy_that_was_late_itself_gets_no_second_attempt() -> None:
    reputation, made = known(1, 2, 3), hedging(*[0.2] * 50)
    for proxy in (1, 2, 3):
        for _ in range(4):
            reputation.credit(proxy)
    made.answered(2, 20.0)
    reputation.overtaken(3, 7)

    assert made.ranked([1, 2, 3], reputation)[0] == {1}
