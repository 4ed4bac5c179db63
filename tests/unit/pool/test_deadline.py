"""A limit interrupts its block, again and again, and nothing outside of it: in the main thread and in any other."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pinpool.errors import DeadlinePassed
from pinpool.pool.deadline import armed, disarm, limit

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no alarm on this platform")

#: Far beyond what any test here needs; a test that gets there has failed.
PATIENCE = 20.0


Test = Callable[[], None]


def in_any_thread(test: Test) -> Callable[[str], None]:
    """Run a test in the main thread, where signals come, and in another, where the watchdog does it."""

    @pytest.mark.parametrize("where", ["main thread", "another thread"])
    def run(where: str) -> None:
        if where == "main thread":
            test()
        else:
            with ThreadPoolExecutor(1) as executor:
                executor.submit(test).result(PATIENCE * 2)

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


def spin(done: Callable[[], bool] = lambda: False) -> None:
    give_up = time.monotonic() + PATIENCE
    while not done() and time.monotonic() < give_up:
        pass


@in_any_thread
def test_a_loop_without_end_is_interrupted() -> None:
    with pytest.raises(DeadlinePassed), limit(0.01):
        spin()


def test_a_sleep_is_interrupted_too() -> None:
    with pytest.raises(DeadlinePassed), limit(0.01):
        time.sleep(PATIENCE)


@in_any_thread
def test_code_that_swallows_the_first_alarm_gets_another() -> None:
    swallowed = []

    with pytest.raises(DeadlinePassed), limit(0.1):
        try:
            spin()
        except BaseException as error:
            swallowed.append(type(error))
        spin()

    assert swallowed == [DeadlinePassed]


@in_any_thread
def test_a_block_that_ends_in_time_leaves_no_timer_behind() -> None:
    with limit(PATIENCE):
        assert armed()

    assert not armed()
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


@in_any_thread
def test_a_block_left_by_an_exception_leaves_no_timer_behind() -> None:
    with pytest.raises(KeyError), limit(PATIENCE):
        raise KeyError

    assert not armed()
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def spin_until(moment: float) -> None:
    # Not in the block itself: in CPython 3.13 the backward jump of a loop there is covered by no `with`.
    while time.perf_counter() < moment:
        pass


@in_any_thread
def test_disarm_ends_a_block_that_was_left_without_its_exit() -> None:
    limit(PATIENCE).__enter__()

    disarm()

    assert not armed()
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


@in_any_thread
def test_an_alarm_at_the_very_end_of_a_block_never_comes_after_it() -> None:
    """
    Whatever the timing, nothing is raised once the block is left.

    The bodies last about as long as the limit, so many alarms come while the block is entered or left.
    """
    interrupted, is_main = 0, threading.current_thread() is threading.main_thread()
    for turn in range(3000 if is_main else 600):
        body = time.perf_counter() + (turn % 30) * (2e-6 if is_main else 2e-4)
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


@in_any_thread
def test_a_limit_that_is_over_before_it_starts_still_interrupts() -> None:
    with pytest.raises(DeadlinePassed), limit(-1.0):
        spin()


def test_threads_are_limited_each_for_itself() -> None:
    seen = []

    def elsewhere() -> None:
        seen.append(armed())
        with limit(0.01):
            spin()

    with ThreadPoolExecutor(4) as executor, limit(PATIENCE):
        ends = [executor.submit(elsewhere).exception(PATIENCE * 2) for _ in range(4)]
        assert armed()

    assert [type(end) for end in ends] == [DeadlinePassed] * 4
    assert seen == [False] * 4


def test_a_shorter_limit_of_another_thread_is_kept_beside_a_longer_one() -> None:
    entered, leave = threading.Event(), threading.Event()

    def long() -> None:
        with limit(3600.0):
            entered.set()
            leave.wait(PATIENCE)

    def short() -> None:
        with limit(0.01):
            spin()

    with ThreadPoolExecutor(2) as executor:
        first = executor.submit(long)
        entered.wait(PATIENCE)
        end = executor.submit(short).exception(PATIENCE * 2)
        leave.set()
        first.result(PATIENCE)

    assert isinstance(end, DeadlinePassed)


@pytest.mark.parametrize("slow", ["nothing", "the entry", "the exit"])
def test_an_alarm_of_other_code_goes_on_after_the_block(slow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if it would be due just then: on a busy machine a step may take long."""
    rung: list[int] = []
    change = signal.signal

    def ring(number: int, frame: object) -> None:
        rung.append(number)

    def slowly(number: int, handler: Any) -> Any:
        """While our handler is there, the alarm of the other code would be lost."""
        if slow == "the exit" and handler is ring:
            spin_until(time.perf_counter() + 0.1)
        before = change(number, handler)
        if slow == "the entry" and handler is not ring:
            spin_until(time.perf_counter() + 0.1)
        return before

    before = change(signal.SIGALRM, ring)
    try:
        monkeypatch.setattr(signal, "signal", slowly)
        signal.setitimer(signal.ITIMER_REAL, 0.05)

        with limit(PATIENCE):
            spin(lambda: True)
        spin(lambda: bool(rung))

        assert rung == [signal.SIGALRM]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        change(signal.SIGALRM, before if callable(before) else signal.SIG_IGN)
