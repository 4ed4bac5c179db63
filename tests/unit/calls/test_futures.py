"""The future of a call: a real one of concurrent.futures, whose callbacks stand in nobody's way."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, as_completed, wait

import pytest

from pinpool.calls.futures import Callbacks, CallFuture

#: Seconds. Whoever waits this long has failed.
PATIENCE = 20.0


@pytest.fixture
def callbacks() -> Iterator[Callbacks]:
    made = Callbacks(lambda: None)
    made.start()
    yield made
    made.end(PATIENCE)


def test_wait_and_as_completed_take_it_beside_the_futures_of_other_executors(callbacks: Callbacks) -> None:
    ours: CallFuture[int] = CallFuture(callbacks)
    with ThreadPoolExecutor(1) as executor:
        theirs = executor.submit(int, "1")
        ours.succeed(2)

        assert isinstance(ours, Future)
        assert wait([ours, theirs], PATIENCE).not_done == set()
        assert sorted(done.result(0) for done in as_completed([ours, theirs], PATIENCE)) == [1, 2]


def test_a_call_is_cancelled_before_it_runs_and_not_afterwards(callbacks: Callbacks) -> None:
    early: CallFuture[int] = CallFuture(callbacks)
    late: CallFuture[int] = CallFuture(callbacks)

    assert late.begin()
    assert (early.cancel(), late.cancel(), late.running()) == (True, False, True)

    early.succeed(1)
    late.succeed(2)
    assert not early.begin()
    assert late.result(0) == 2
    with pytest.raises(CancelledError):
        early.result(0)


def test_those_who_wait_for_a_cancelled_call_are_told_at_once(callbacks: Callbacks) -> None:
    """The standard library tells them only when the executor comes to that call."""
    future: CallFuture[int] = CallFuture(callbacks)
    with ThreadPoolExecutor(1) as executor:
        waiting = executor.submit(lambda: list(as_completed([future], PATIENCE)))

        assert future.cancel()
        assert future.cancel()

        assert waiting.result(PATIENCE) == [future]
        assert wait([future], 0).done == {future}


def test_callbacks_run_in_their_own_thread_in_the_order_in_which_they_were_added(callbacks: Callbacks) -> None:
    seen: list[tuple[int, str]] = []
    future: CallFuture[int] = CallFuture(callbacks)
    for number in range(3):
        future.add_done_callback(
            lambda done, number=number: seen.append((number, threading.current_thread().name))  # type: ignore[misc]
        )

    future.succeed(1)
    callbacks.end(PATIENCE)

    assert seen == [(0, "pinpool-callbacks"), (1, "pinpool-callbacks"), (2, "pinpool-callbacks")]


def test_a_callback_that_is_added_too_late_runs_at_once(callbacks: Callbacks) -> None:
    future: CallFuture[int] = CallFuture(callbacks)
    future.succeed(1)
    seen: list[int] = []

    future.add_done_callback(lambda done: seen.append(done.result(0)))

    assert seen == [1]


def test_a_callback_may_wait_for_another_call(callbacks: Callbacks) -> None:
    first: CallFuture[int] = CallFuture(callbacks)
    second: CallFuture[int] = CallFuture(callbacks)
    found: Future[int] = Future()
    first.add_done_callback(lambda done: found.set_result(done.result() + second.result(PATIENCE)))

    first.succeed(1)
    second.succeed(2)

    assert found.result(PATIENCE) == 3


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3)])
def test_what_a_callback_raises_is_logged_and_the_next_one_runs(
    callbacks: Callbacks, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    seen: list[int] = []

    def spoil(done: Future[int]) -> None:
        raise error

    future: CallFuture[int] = CallFuture(callbacks)
    future.add_done_callback(spoil)
    future.add_done_callback(lambda done: seen.append(done.result(0)))
    with caplog.at_level(logging.ERROR, "pinpool"):
        future.succeed(1)
        callbacks.end(PATIENCE)

    assert seen == [1]
    (record,) = caplog.records
    assert record.getMessage() == "a callback has raised; the calls go on"
    assert record.exc_info is not None and record.exc_info[1] is error


def test_it_is_told_when_the_last_callback_has_ended() -> None:
    told: list[bool] = []
    made = Callbacks(lambda: told.append(made.idle))
    assert made.idle
    for _ in range(3):
        made.post(lambda: None)
    assert not made.idle

    made.start()
    made.end(PATIENCE)

    assert told == [True]


def test_a_callback_after_the_end_runs_where_it_is_posted(callbacks: Callbacks) -> None:
    callbacks.end(PATIENCE)
    seen: list[str] = []

    callbacks.post(lambda: seen.append(threading.current_thread().name))

    assert seen == [threading.current_thread().name]


def test_an_asyncio_program_can_await_it(callbacks: Callbacks) -> None:
    future: CallFuture[int] = CallFuture(callbacks)

    async def program() -> int:
        asyncio.get_running_loop().call_soon(future.succeed, 7)
        return await asyncio.wait_for(asyncio.wrap_future(future), PATIENCE)

    assert asyncio.run(program()) == 7


def test_whoever_sets_a_result_by_himself_does_no_harm(callbacks: Callbacks) -> None:
    future: CallFuture[int] = CallFuture(callbacks)
    future.set_result(1)

    future.succeed(2)
    future.fail(ValueError())

    assert future.result(0) == 1


def test_of_a_cancel_and_a_begin_at_the_same_moment_exactly_one_succeeds(callbacks: Callbacks) -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(2) as executor:
            for _ in range(200):
                future: CallFuture[int] = CallFuture(callbacks)
                begun, cancelled = executor.submit(future.begin), executor.submit(future.cancel)
                assert begun.result(PATIENCE) != cancelled.result(PATIENCE)
    finally:
        sys.setswitchinterval(interval)
