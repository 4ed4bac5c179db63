"""What cannot be sent to the workers is refused where it is given, in words that say what to do."""

from __future__ import annotations

import pickle
import sys
import threading
from types import ModuleType

import pytest

from pinpool.calls.sending import Place, check_function, explained, packed_call, shown_call
from pinpool.errors import UsageError


def double(number: int) -> int:
    return 2 * number


def test_a_function_of_a_file_is_sent_with_its_arguments() -> None:
    function, arguments, named = pickle.loads(packed_call(double, (), {"number": 3}))

    assert function(*arguments, **named) == 6
    assert pickle.loads(packed_call(double, (3,)))[1:] == ((3,), {})


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


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(UsageError, match="a str cannot be called: the function comes first"):
        packed_call("http://movies.test/", (double,))  # type: ignore[arg-type]


def test_a_function_is_checked_without_a_call() -> None:
    check_function(double, by_pickle=True)
    with pytest.raises(UsageError, match="with def at the top level"):
        check_function(lambda: 1, by_pickle=True)


def test_a_call_is_shown_on_one_line_however_large_its_arguments_are() -> None:
    shown = shown_call(double, ("http://movies.test/detail/3", "x\n" * 9_000), {"tries": 3})

    assert shown.startswith("double('http://movies.test/detail/3', 'x")
    assert shown.endswith(", tries=3)")
    assert "\n" not in shown
    assert len(shown) < 300


def test_what_a_call_raised_is_told_as_it_is() -> None:
    assert explained(Place.CALLING, double, "LookupError", "no film here") == "no film here"


def test_a_result_that_cannot_be_sent_back_says_whose_it_is_and_what_to_do() -> None:
    message = explained("sending", double, "TypeError", "cannot pickle '_thread.lock' object")

    assert message.startswith("cannot pickle '_thread.lock' object; the result of double (")
    assert message.endswith("cannot be sent back: return plain data")


def test_a_function_below_the_guard_of_its_script_is_told_where_it_belongs() -> None:
    below = "Can't get attribute 'size' on <module '__mp_main__' from 'size.py'>"

    assert "above `if __name__ == '__main__':`" in explained("loading", double, "AttributeError", below)
    assert "in files that they can import" in explained("loading", double, "ModuleNotFoundError", "No module named 'x'")
