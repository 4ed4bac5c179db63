"""Which task goes next, and that it meets no proxy that has failed it, or is doubtful, while another lives."""

import pytest

from pinpool.crawler.scheduler import (
    LAST_PATIENCE,
    LONGEST_BREAK,
    PATIENCE,
    Entry,
    Frontier,
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
NO_PROXY: frozenset[int] = frozenset()
NOW = 1000.0


def entry(number: int, *, is_index: bool = False) -> Entry:
    stage = "index" if is_index else "detail"
    return Entry(number, Task(stage, f"http://site.test/{number}", b"%16d" % number), is_index)


def test_details_go_before_list_pages_while_there_are_enough_of_them() -> None:
    frontier = Frontier()
    frontier.push(entry(1, is_index=True))
    for number in range(2, 12):
        frontier.push(entry(number))

    first = frontier.take(now=0.0, room=5)

    assert first is not None
    assert first.id == 2


def test_list_pages_go_first_when_details_run_short() -> None:
    """A chain of list pages would starve a hundred workers if its few details went first."""
    frontier = Frontier()
    frontier.push(entry(1))
    frontier.push(entry(2, is_index=True))

    order = [taken.id for _ in range(2) if (taken := frontier.take(now=0.0, room=5))]

    assert order == [2, 1]


def test_a_delayed_task_goes_first_once_its_moment_has_come() -> None:
    frontier = Frontier()
    frontier.push(entry(1))
    frontier.delay(entry(2), until=10.0)

    before = frontier.take(now=9.9, room=1)
    frontier.push(entry(3))
    after = frontier.take(now=10.0, room=1)

    assert before is not None
    assert after is not None
    assert (before.id, after.id) == (1, 2)


def test_a_frontier_shows_its_counts() -> None:
    frontier = Frontier()
    frontier.push(entry(1))
    frontier.delay(entry(2), until=1.0)

    assert repr(frontier) == "<Frontier 1 ready, 1 delayed>"


def retry(*tried: int, waits: float = 0.0) -> Entry:
    """A task that these have failed, and that was declined first so many seconds ago."""
    made = Entry(1, TASK, False, frozenset(tried))
    if waits:
        made.decline(NOW - waits)
        made.decline(NOW)
    return made


def test_a_task_that_no_proxy_has_failed_goes_to_any() -> None:
    assert assign(retry(), {1: PINNED, 2: COOLING}, NO_PROXY, NOW) == Assignment(TASK)


def test_a_retry_avoids_the_proxies_that_have_failed_it() -> None:
    assert assign(retry(1), {1: PINNED, 2: PINNED}, NO_PROXY, NOW) == Assignment(TASK, (1,), False)


def test_a_retry_waits_while_all_that_may_have_it_are_resting() -> None:
    assert assign(retry(1), {1: PINNED, 2: COOLING}, NO_PROXY, NOW) is None


def test_a_retry_may_fetch_a_spare_that_no_worker_holds() -> None:
    assert assign(retry(1), {1: PINNED, 2: SPARE}, NO_PROXY, NOW) == Assignment(TASK, (1,), True)


def test_a_retry_that_is_declined_for_a_while_may_exchange_a_pin_too() -> None:
    states = {1: PINNED, 2: PINNED, 3: SPARE}

    assert assign(retry(1), states, NO_PROXY, NOW) == Assignment(TASK, (1,), False)
    assert assign(retry(1, waits=PATIENCE), states, NO_PROXY, NOW) == Assignment(TASK, (1,), True)


def test_a_task_that_was_declined_for_long_goes_to_any_worker() -> None:
    states = {1: PINNED, 2: PINNED}

    assert assign(retry(1, waits=LAST_PATIENCE), states, NO_PROXY, NOW) == Assignment(TASK)


def test_a_task_that_is_tried_alone_goes_to_its_one_worker_whatever_that_holds() -> None:
    suspect = retry(1)
    suspect.alone = True

    assert assign(suspect, {1: PINNED, 2: PINNED}, frozenset({1, 2}), NOW) == Assignment(TASK)
    assert assign(suspect, {1: PINNED, 2: SPARE}, frozenset({2}), NOW) == Assignment(TASK, (1,), True)


def test_a_task_is_offered_to_each_pin_at_once_and_then_less_and_less_often() -> None:
    pauses = [offer_delay(declined, 3, 1.0) for declined in (1, 2, 3, 5, 6, 9, 60)]

    assert pauses == [0, 0, 0.02, 0.02, 0.04, 0.08, LONGEST_BREAK]


def test_a_task_that_all_the_living_have_failed_may_go_to_any_of_them() -> None:
    assert assign(retry(1, 2), {1: PINNED, 2: PINNED, 3: RETIRED}, NO_PROXY, NOW) == Assignment(TASK)


def test_as_long_as_there_is_work_for_all_no_proxy_is_avoided() -> None:
    states = {1: PINNED, 2: PINNED, 3: PINNED}

    avoided = proxies_to_avoid(states, 3, works=lambda proxy: proxy < 3, doubtful=lambda proxy: False, closing=True)

    assert avoided == NO_PROXY


def test_the_last_tasks_go_to_healthy_hands() -> None:
    states = {1: PINNED, 2: PINNED, 3: PINNED, 4: SPARE}

    avoided = proxies_to_avoid(
        states, 2, works=lambda proxy: proxy in (1, 2, 4), doubtful=lambda proxy: False, closing=False
    )
    last = assign(retry(1), states, avoided, NOW)

    assert avoided == {3, 4}, "a spare may be healthy, but no worker holds it"
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


def test_a_worker_does_not_exchange_one_doubtful_proxy_for_another() -> None:
    """Else twenty hidden bans, a few of them spare, got a page for each exchange: ten pages each in five seconds."""
    states = {1: PINNED, 2: PINNED, 3: SPARE}

    avoided = proxies_to_avoid(
        states, 100, works=lambda proxy: proxy == 1, doubtful=lambda proxy: proxy in (2, 3), closing=True
    )

    assert assign(retry(), states, avoided, NOW) == Assignment(TASK, (2, 3), False)


def test_a_worker_that_holds_a_doubtful_proxy_may_try_a_spare_at_once() -> None:
    states = {1: PINNED, 2: PINNED, 3: SPARE}

    assert assign(retry(), states, frozenset({2}), NOW) == Assignment(TASK, (2,), True)


def test_avoidance_never_keeps_a_task_from_the_only_ones_left() -> None:
    states = {1: PINNED, 2: PINNED}

    last = assign(retry(1), states, frozenset({2}), NOW)

    assert last == Assignment(TASK, (1,), False)
