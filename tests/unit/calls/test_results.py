"""Many calls of one function: what is read ahead, in which order results come, and what becomes of errors."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from pinpool.calls.futures import Callbacks, CallFuture
from pinpool.calls.results import AHEAD, AT_ONCE, Results
from pinpool.errors import UsageError

WORKERS = 3


class Calls:
    """Calls that end when the test says so, each with ten times its argument."""

    def __init__(self, *, at_once: bool = False) -> None:
        self.made: dict[int, CallFuture[int]] = {}
        self._at_once = at_once
        self._callbacks = Callbacks(lambda: None)

    def submit(self, argument: Any) -> CallFuture[int]:
        if argument == "lock":
            raise UsageError("an argument cannot be sent")
        future: CallFuture[int] = CallFuture(self._callbacks)
        self.made[argument] = future
        if self._at_once:
            self.end(argument)
        return future

    def end(self, *arguments: int) -> None:
        for argument in arguments:
            if argument == 13:
                self.made[argument].fail(LookupError("no 13"))
            else:
                self.made[argument].succeed(10 * argument)


def results(calls: Calls, arguments: Any, *, ordered: bool) -> Results[int]:
    return Results(calls.submit, arguments, name="ten", ordered=ordered, workers=WORKERS)


both = pytest.mark.parametrize("ordered", [True, False])


@both
def test_every_argument_has_its_result_once(ordered: bool) -> None:
    found = list(results(Calls(at_once=True), range(1, 13), ordered=ordered))

    assert sorted(found) == list(range(10, 130, 10))
    if ordered:
        assert found == sorted(found)


@both
def test_nothing_to_do_is_no_result_and_no_warning(ordered: bool) -> None:
    made = results(Calls(), [], ordered=ordered)
    del made
    gc.collect()

    assert list(results(Calls(), [], ordered=ordered)) == []


@both
def test_an_endless_generator_is_read_as_far_as_the_workers_need_it(ordered: bool) -> None:
    calls = Calls(at_once=True)
    endless = itertools.count(100)
    made = results(calls, endless, ordered=ordered)

    first = [next(made) for _ in range(100)]

    assert sorted(first) == [10 * number for number in range(100, 200)]
    assert next(endless) <= 200 + (AHEAD if ordered else AT_ONCE) * WORKERS


@both
def test_no_more_calls_than_two_a_worker_are_under_way(ordered: bool) -> None:
    calls = Calls()

    made = results(calls, range(50), ordered=ordered)

    assert list(calls.made) == list(range(AT_ONCE * WORKERS))
    calls.end(*range(50)[: AT_ONCE * WORKERS])
    next(made)
    assert len(calls.made) == (2 * AT_ONCE * WORKERS if ordered else AT_ONCE * WORKERS + 1)


def test_results_come_as_the_calls_end_if_the_order_does_not_count() -> None:
    calls = Calls()
    made = results(calls, range(4), ordered=False)

    calls.end(2, 0)
    found = [next(made), next(made)]
    calls.end(3, 1)

    assert found + list(made) == [20, 0, 30, 10]


def test_while_one_call_takes_long_the_others_go_on_but_not_without_end() -> None:
    calls = Calls()
    made = results(calls, itertools.count(), ordered=True)
    made._take_in()

    while fresh := [number for number, future in calls.made.items() if number and not future.done()]:
        calls.end(*fresh)
        made._take_in()

    assert len(calls.made) == AHEAD * WORKERS
    calls.end(0)
    assert [next(made) for _ in range(3)] == [0, 10, 20]


@both
def test_a_call_that_fails_is_raised_and_the_others_can_still_be_taken(ordered: bool) -> None:
    made = results(Calls(at_once=True), range(11, 16), ordered=ordered)
    found: list[object] = []
    while True:
        try:
            found.append(next(made))
        except StopIteration:
            break
        except LookupError as error:
            found.append(str(error))

    assert found == [110, 120, "no 13", 140, 150]


@both
def test_an_argument_that_cannot_be_sent_is_the_failure_of_one_call(ordered: bool) -> None:
    made = results(Calls(at_once=True), [1, "lock", 2], ordered=ordered)
    found: list[int] = []
    with pytest.raises(UsageError, match="cannot be sent"):
        found.extend(made)
    found.extend(made)

    assert sorted(found) == [10, 20]


@both
def test_what_the_arguments_raise_comes_after_the_results_of_those_before(ordered: bool) -> None:
    def arguments() -> Iterator[int]:
        yield from (1, 2, 3)
        raise OSError("the list cannot be read")

    made = results(Calls(at_once=True), arguments(), ordered=ordered)
    found: list[int] = []
    with pytest.raises(OSError, match="the list cannot be read"):
        found.extend(made)

    assert sorted(found) == [10, 20, 30]
    assert list(made) == []


@both
def test_ctrl_c_in_the_arguments_is_raised_at_once(ordered: bool) -> None:
    def arguments() -> Iterator[int]:
        yield 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        results(Calls(), arguments(), ordered=ordered)


def test_what_cannot_be_iterated_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="'int' object is not iterable"):
        results(Calls(), 5, ordered=True)


@both
def test_calls_whose_results_nobody_will_take_are_cancelled(ordered: bool) -> None:
    calls = Calls()
    made = results(calls, range(50), ordered=ordered)
    calls.end(0)
    calls.made[1].begin()
    assert next(made) == 0

    del made
    gc.collect()

    assert [future.cancelled() for future in calls.made.values()] == [False, False, *[True] * (len(calls.made) - 2)]


def test_results_of_which_none_was_taken_are_pointed_out_as_python_does_for_a_coroutine() -> None:
    made = results(Calls(), range(50), ordered=True)

    with pytest.warns(RuntimeWarning, match=r"no result of ten was taken.* use list\(pool.map"):
        made.__del__()
    next_one = results(Calls(at_once=True), range(5), ordered=True)
    next(next_one)
    next_one.__del__()
    made._is_forgotten = False


def test_printed_it_says_what_to_do() -> None:
    assert repr(results(Calls(), [], ordered=True)) == (
        "<results of ten, 0 taken: iterate over them, or make a list of them>"
    )
