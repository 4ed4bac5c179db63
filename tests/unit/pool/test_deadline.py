"""The alarm interrupts its block, again and again, and nothing outside of it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable

import pytest

from pinpool.errors import DeadlinePassed
from pinpool.pool.deadline import armed, disarm, limit

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no alarm on this platform")

#: Far beyond what any test here needs; a test that gets there has failed.
PATIENCE = 20.0


def spin(done: Callable[[], bool] = lambda: False) -> None:
    give_up = time.monotonic() + PATIENCE
    while not done() and time.monotonic() < give_up:
        pass


def test_a_loop_without_end_is_interrupted() -> None:
    with pytest.raises(DeadlinePassed), limit(0.01):
        spin()


def test_a_sleep_is_interrupted_too() -> None:
    with pytest.raises(DeadlinePassed), limit(0.01):
        time.sleep(PATIENCE)


def test_code_that_swallows_the_first_alarm_gets_another() -> None:
    swallowed = []

    with pytest.raises(DeadlinePassed), limit(0.01):
        try:
            spin()
        except BaseException as error:
            swallowed.append(type(error))
        spin()

    assert swallowed == [DeadlinePassed]


def test_a_block_that_ends_in_time_leaves_no_timer_behind() -> None:
    with limit(PATIENCE):
        assert armed()

    assert not armed()
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_block_left_by_an_exception_leaves_no_timer_behind() -> None:
    with pytest.raises(KeyError), limit(PATIENCE):
        raise KeyError

    assert not armed()
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def spin_until(moment: float) -> None:
    # Not in the block itself: in CPython 3.13 the backward jump of a loop there is covered by no `with`.
    while time.perf_counter() < moment:
        pass


def test_disarm_ends_a_block_that_was_left_without_its_exit() -> None:
    limit(PATIENCE).__enter__()

    disarm()

    assert not armed()
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_an_alarm_at_the_very_end_of_a_block_never_comes_after_it() -> None:
    """
    Whatever the timing, nothing is raised once the block is left.

    The bodies last about as long as the limit, so many alarms come while the block is entered or left.
    """
    interrupted = 0
    for turn in range(3000):
        body = time.perf_counter() + (turn % 30) * 2e-6
        try:
            with limit(3e-5):
                spin_until(body)
        except DeadlinePassed:
            interrupted += 1
        assert not armed()
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)

    assert interrupted > 0


def test_an_alarm_that_comes_after_the_block_does_nothing() -> None:
    with limit(PATIENCE):
        pass

    signal.raise_signal(signal.SIGALRM)

    assert not armed()


def test_a_limit_that_is_over_before_it_starts_still_interrupts() -> None:
    with pytest.raises(DeadlinePassed), limit(-1.0):
        spin()


def test_another_thread_is_not_limited_and_does_not_claim_to_be() -> None:
    seen = []

    def elsewhere() -> None:
        with limit(1e-6):
            seen.append(armed())

    with limit(PATIENCE):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join(PATIENCE)

    assert seen == [False]


def test_an_alarm_of_other_code_goes_on_after_the_block() -> None:
    rung = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: rung.append(number))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)

        with limit(PATIENCE):
            spin(lambda: True)
        spin(lambda: bool(rung))

        assert rung == [signal.SIGALRM]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before if callable(before) else signal.SIG_IGN)
