"""A task does not meet a proxy that has failed it as long as another lives, nor at the end one that is in doubt."""

import pytest

from pinpool.crawler.scheduler import (
    LAST_PATIENCE,
    LONGEST_BREAK,
    PATIENCE,
    Entry,
    assign,
    offer_delay,
    proxies_to_avoid,
)
from pinpool.model import Assignment, ProxyState, Task

SPARE, PINNED, COOLING, RETIRED = (
    ProxyState.SPARE,
    ProxyState.PINNED,
    ProxyState.COOLING,
    ProxyState.RETIRED,
)
TASK = Task("detail", "http://films.test/1", b"1" * 16)
NOBODY: frozenset[int] = frozenset()
NOW = 1000.0


def entry(*tried: int, waits: float = 0.0) -> Entry:
    """A task that these have failed, and that was declined first so many seconds ago."""
    made = Entry(1, TASK, False, frozenset(tried))
    if waits:
        made.decline(NOW - waits)
        made.decline(NOW)
    return made


def test_a_task_that_nobody_has_failed_goes_to_anybody() -> None:
    assert assign(entry(), {1: PINNED, 2: COOLING}, NOBODY, NOW) == Assignment(TASK)


def test_a_retry_avoids_the_proxies_that_have_failed_it() -> None:
    assert assign(entry(1), {1: PINNED, 2: PINNED}, NOBODY, NOW) == Assignment(TASK, (1,), False)


def test_a_retry_waits_while_all_that_may_have_it_are_resting() -> None:
    assert assign(entry(1), {1: PINNED, 2: COOLING}, NOBODY, NOW) is None


def test_a_retry_may_fetch_a_spare_that_no_worker_holds() -> None:
    assert assign(entry(1), {1: PINNED, 2: SPARE}, NOBODY, NOW) == Assignment(TASK, (1,), True)


def test_a_retry_that_is_declined_for_a_while_may_exchange_a_pin_too() -> None:
    states = {1: PINNED, 2: PINNED, 3: SPARE}

    assert assign(entry(1), states, NOBODY, NOW) == Assignment(TASK, (1,), False)
    assert assign(entry(1, waits=PATIENCE), states, NOBODY, NOW) == Assignment(TASK, (1,), True)


def test_a_task_that_was_declined_for_long_goes_to_whoever_takes_it() -> None:
    states = {1: PINNED, 2: PINNED}

    assert assign(entry(1, waits=LAST_PATIENCE), states, NOBODY, NOW) == Assignment(TASK)


def test_a_task_is_offered_to_each_pin_at_once_and_then_less_and_less_often() -> None:
    pauses = [offer_delay(declined, 3, 1.0) for declined in (1, 2, 3, 5, 6, 9, 60)]

    assert pauses == [0, 0, 0.02, 0.02, 0.04, 0.08, LONGEST_BREAK]


def test_a_task_that_all_the_living_have_failed_may_go_to_any_of_them() -> None:
    assert assign(entry(1, 2), {1: PINNED, 2: PINNED, 3: RETIRED}, NOBODY, NOW) == Assignment(TASK)


def test_as_long_as_there_is_work_for_all_nobody_is_in_doubt() -> None:
    states = {1: PINNED, 2: PINNED, 3: PINNED}

    avoided = proxies_to_avoid(
        states, 3, works=lambda proxy: proxy < 3, doubtful=lambda proxy: False, closing=True
    )

    assert avoided == NOBODY


def test_the_last_tasks_go_to_healthy_hands() -> None:
    states = {1: PINNED, 2: PINNED, 3: PINNED, 4: SPARE}

    avoided = proxies_to_avoid(
        states, 2, works=lambda proxy: proxy in (1, 2, 4), doubtful=lambda proxy: False, closing=False
    )
    last = assign(entry(1), states, avoided, NOW)

    assert avoided == {3, 4}, "a spare may be healthy, but nobody holds it"
    assert last is not None
    assert set(last.avoid) == {1, 3, 4}


@pytest.mark.parametrize(("closing", "avoided"), [(False, set()), (True, {3})])
def test_when_little_time_is_left_those_that_have_failed_and_never_worked_get_no_more(
    closing: bool, avoided: set[int]
) -> None:
    """A newcomer (2) may still show what it can do."""
    states = {1: PINNED, 2: PINNED, 3: PINNED, 4: COOLING}

    assert avoided == proxies_to_avoid(
        states, 100, works=lambda proxy: proxy == 1, doubtful=lambda proxy: proxy == 3, closing=closing
    )


def test_a_worker_does_not_give_one_suspect_for_another() -> None:
    """Else twenty hidden bans, a few of them spare, got a page for each exchange: ten pages each in five seconds."""
    states = {1: PINNED, 2: PINNED, 3: SPARE}

    avoided = proxies_to_avoid(
        states, 100, works=lambda proxy: proxy == 1, doubtful=lambda proxy: proxy in (2, 3), closing=True
    )

    assert assign(entry(), states, avoided, NOW) == Assignment(TASK, (2, 3), False)


def test_a_worker_that_holds_a_doubtful_proxy_may_try_a_spare_at_once() -> None:
    states = {1: PINNED, 2: PINNED, 3: SPARE}

    assert assign(entry(), states, frozenset({2}), NOW) == Assignment(TASK, (2,), True)


def test_doubt_never_keeps_a_task_from_the_only_ones_left() -> None:
    states = {1: PINNED, 2: PINNED}

    last = assign(entry(1), states, frozenset({2}), NOW)

    assert last == Assignment(TASK, (1,), False)
