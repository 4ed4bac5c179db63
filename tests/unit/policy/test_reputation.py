"""What follows when a worker has swapped a proxy."""

import pytest

from pinpool.model import Charge, Fault
from pinpool.policy.reputation import (
    CAP_SECONDS,
    FLOOR_SECONDS,
    MAX_COOLINGS,
    Cool,
    Patience,
    Reputation,
    Retire,
)


def reputation(base_seconds: float = 30.0) -> Reputation:
    made = Reputation(base_seconds)
    made.admit(1, "http://192.0.2.1:80")
    return made


def test_rests_double_as_long_as_no_page_is_served() -> None:
    rests = reputation()

    seconds = [rests.penalty(1, Fault.TIMEOUT, None, jitter=0.5) for _ in range(4)]

    assert seconds == [Cool(30.0), Cool(60.0), Cool(120.0), Cool(240.0)]


def test_a_page_served_ends_the_row_of_rests() -> None:
    rests = reputation()
    rests.penalty(1, Fault.TIMEOUT, None, jitter=0.5)

    rests.credit(1)

    assert rests.penalty(1, Fault.TIMEOUT, None, jitter=0.5) == Cool(30.0)


def test_after_five_rests_without_a_page_a_proxy_retires_with_the_reason() -> None:
    rests = reputation()
    for _ in range(MAX_COOLINGS):
        rests.penalty(1, Fault.REFUSED, None, jitter=0.5)

    last = rests.penalty(1, Fault.REFUSED, None, jitter=0.5)

    assert last == Retire("refused again after 5 rests in a row")


def test_a_proxy_that_refuses_our_login_retires_at_once() -> None:
    penalty = reputation().penalty(1, Fault.PROXY_AUTH, None, jitter=0.5)

    assert isinstance(penalty, Retire)


@pytest.mark.parametrize(("asked", "granted"), [(120.0, 120.0), (0.0, FLOOR_SECONDS), (1e9, CAP_SECONDS)])
def test_retry_after_is_obeyed_within_reason(asked: float, granted: float) -> None:
    assert reputation().penalty(1, Fault.BANNED, asked, jitter=0.0) == Cool(granted)


def test_no_rest_is_shorter_than_the_floor_or_longer_than_the_cap() -> None:
    short, long = reputation(base_seconds=16.0), reputation(base_seconds=1000.0)

    shortest = short.penalty(1, Fault.TIMEOUT, None, jitter=0.0)
    long.penalty(1, Fault.TIMEOUT, None, jitter=0.5)
    longest = long.penalty(1, Fault.TIMEOUT, None, jitter=0.5)

    assert (shortest, longest) == (Cool(FLOOR_SECONDS), Cool(CAP_SECONDS))


def test_a_withdrawn_proxy_is_off_the_list_until_it_is_admitted_again() -> None:
    rests = reputation()

    rests.withdraw(1, "off the list")
    gone = rests[1].withdrawn
    rests.admit(1, "http://192.0.2.1:80")

    assert (gone, rests[1].withdrawn) == ("off the list", "")


@pytest.mark.parametrize("jitter", [0.0, 0.999])
def test_jitter_stays_within_a_quarter(jitter: float) -> None:
    penalty = reputation(base_seconds=100.0).penalty(1, Fault.TIMEOUT, None, jitter)

    assert isinstance(penalty, Cool)
    assert 75.0 <= penalty.seconds <= 125.0


def test_a_proxy_is_credible_while_it_works_elsewhere() -> None:
    rests = reputation()
    for _ in range(5):
        rests.credit(1)

    rests.blame(1)
    after_one_failure = rests.credible(1)
    for _ in range(5):
        rests.blame(1)

    assert after_one_failure
    assert not rests.credible(1)


def test_a_newcomer_is_not_credible_before_its_first_page() -> None:
    rests = reputation()

    before = rests.credible(1)
    rests.credit(1)

    assert not before
    assert rests.credible(1)


def test_a_failure_that_nobody_has_settled_yet_does_not_touch_the_score() -> None:
    rests = reputation()
    rests.credit(1)

    for task in range(10):
        rests.strike(1, task, counts=True)

    assert rests.credible(1)
    assert not rests.works(1)
    assert not rests.works(1, 3)


def test_a_cleared_strike_is_gone_and_a_rest_without_enough_strikes_should_end() -> None:
    rests = reputation()
    for task in (7, 8, 9):
        rests.strike(1, task, counts=True)
    rests.penalty(1, Fault.TIMEOUT, None, jitter=0.5, strikes_needed=3)

    should_end = [rests.clear(1, 7), rests.clear(1, 8)]

    assert should_end == [True, False], "once is enough"
    assert list(rests[1].strikes) == [9]
    assert rests.penalty(1, Fault.TIMEOUT, None, jitter=0.5) == Cool(30.0), "the rest is not counted either"


def test_a_rest_for_what_a_proxy_surely_did_is_not_shortened_by_a_cleared_strike() -> None:
    rests = reputation()
    rests.strike(1, 7, counts=True)
    rests.penalty(1, Fault.REFUSED, None, jitter=0.5)

    assert not rests.clear(1, 7)


@pytest.mark.parametrize(
    ("charge", "strikes", "probing", "swaps"),
    [
        (Charge.PROXY, 0, False, True),
        (Charge.DOUBTFUL, 2, False, False),
        (Charge.OPEN, 3, False, True),
        (Charge.OPEN, 1, True, True),
        (Charge.SITE, 3, False, True),
        (Charge.PAGE, 1, True, True),
        (Charge.PAGE, 2, False, False),
        (Charge.WORKER, 9, True, False),
    ],
)
def test_a_worker_swaps_at_once_or_after_doubts_or_not_at_all(
    charge: Charge, strikes: int, probing: bool, swaps: bool
) -> None:
    assert Patience(probing, max(0, strikes - 1)).ends(charge, swap_after=3) is swaps


def test_a_proxy_works_after_three_pages_in_a_row_and_not_from_the_start() -> None:
    """One that fails every other page seldom gets there."""
    rests = reputation()

    works = [rests.works(1)]
    for _ in range(3):
        rests.credit(1)
        works.append(rests.works(1))

    assert works == [False, False, False, True]
