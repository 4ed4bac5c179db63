"""The error of a call, as its caller meets it."""

from __future__ import annotations

import pickle
import traceback

from pinpool.errors import CallFailed, RemoteTraceback

TRACE = 'Traceback (most recent call last):\n  File "size.py", line 3, in size\nLookupError: no film here\n'


def test_python_prints_the_workers_traceback_above_it() -> None:
    printed = "".join(traceback.format_exception(CallFailed("LookupError", "no film here", TRACE)))

    above, _, below = printed.partition("The above exception was the direct cause of the following exception:")
    assert TRACE in above
    assert below.strip() == "pinpool.errors.CallFailed: LookupError: no film here"


def test_without_a_traceback_there_is_nothing_above_it() -> None:
    assert CallFailed("closed", "the pool was closed").__cause__ is None


def test_it_survives_a_pickle_with_all_that_it_says() -> None:
    error = CallFailed("LookupError", "no film here", TRACE)
    error.arguments = ("http://movies.test/",)
    error.add_note("in the call size('http://movies.test/')")

    again = pickle.loads(pickle.dumps(error))

    assert (str(again), again.trace, again.arguments) == (str(error), TRACE, error.arguments)
    assert again.__notes__ == error.__notes__
    assert isinstance(again.__cause__, RemoteTraceback)
