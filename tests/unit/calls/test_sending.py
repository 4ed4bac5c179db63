"""What cannot be sent to the workers is refused where it is given, in words that say what to do."""

from __future__ import annotations

import pickle
import sys
import threading
from types import ModuleType

import pytest

from pinpool.calls.sending import packed_call
from pinpool.errors import UsageError


def double(number: int) -> int:
    return 2 * number


def test_a_function_of_a_file_is_sent_with_its_arguments() -> None:
    function, arguments = pickle.loads(packed_call(double, (3,)))

    assert function(*arguments) == 6


def test_a_lambda_is_refused_with_its_place_and_the_way_out() -> None:
    with pytest.raises(UsageError, match=r"<lambda> \(.*test_sending\.py:\d+\) cannot .*with def at the top level"):
        packed_call(lambda: 1, ())


def test_a_local_function_is_refused_with_its_name() -> None:
    def local() -> None:
        pass

    with pytest.raises(UsageError, match=r"local .* cannot be sent"):
        packed_call(local, ())


def test_an_argument_that_cannot_be_sent_is_not_taken_for_the_functions_fault() -> None:
    with pytest.raises(UsageError, match=r"an argument of double .* cannot pickle '_thread.lock' object.*plain data"):
        packed_call(double, (threading.Lock(),))


def test_a_function_that_was_typed_in_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
    monkeypatch.setattr(double, "__module__", "__main__")

    with pytest.raises(UsageError, match=r"double .* was typed in"):
        packed_call(double, (1,))
