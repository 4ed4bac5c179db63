"""A call as bytes for the workers, and in words: why it cannot be sent, or what has become of it."""

import pickle
import sys
from collections.abc import Callable, Mapping
from enum import StrEnum
from reprlib import Repr
from types import MappingProxyType
from typing import Any

from pinpool.errors import UsageError
from pinpool.spider.user_errors import described, shown_file

NO_NAMES: Mapping[str, object] = MappingProxyType({})

_shown = Repr()
_shown.maxstring = _shown.maxother = 200


class Place(StrEnum):
    """Where in the worker a call has failed."""

    LOADING = "loading"  # function and arguments
    CALLING = "calling"
    SENDING = "sending"  # the result


def packed_call(
    function: Callable[..., Any], arguments: tuple[object, ...], named: Mapping[str, object] = NO_NAMES
) -> bytes:
    """``function(*arguments, **named)`` as bytes. Raises UsageError if a worker could not call that."""
    check_function(function)
    try:
        return pickle.dumps((function, arguments, dict(named)))
    except Exception as error:  # noqa: BLE001  their own code may take part
        message = described(error)
    check_function(function, by_pickle=True)
    raise UsageError(
        f"an argument of {name_of(function)} cannot be sent to the workers ({message}): "
        "give it plain data, and open files or connections in the function"
    )


def check_function(function: Callable[..., Any], *, by_pickle: bool = False) -> None:
    """Raise UsageError if no worker can import the function. With `by_pickle` it is tried."""
    if not callable(function):
        raise UsageError(f"a {type(function).__name__} cannot be called: the function comes first, then its arguments")
    if getattr(function, "__module__", None) == "__main__" and not hasattr(sys.modules["__main__"], "__file__"):
        raise UsageError(
            f"{name_of(function)} was typed in, so the workers cannot import it: "
            "save it in a file, script.py, and run that"
        )
    if not by_pickle:
        return
    try:
        pickle.dumps(function)
    except Exception:  # noqa: BLE001
        raise UsageError(
            f"{name_of(function)} cannot be sent to the workers, because they import it by its name: "
            "define it with def at the top level of a file, not as a lambda or inside another function"
        ) from None


def name_of(function: object) -> str:
    """The name of a function for people, with its place in a file if it has one."""
    name = getattr(function, "__qualname__", type(function).__qualname__)
    code = getattr(function, "__code__", None)
    return f"{name} ({shown_file(code.co_filename)}:{code.co_firstlineno})" if code else str(name)


def shown_call(function: object, arguments: tuple[object, ...], named: Mapping[str, object] = NO_NAMES) -> str:
    """The call for people, on one line: ``size('http://movies.test/')``."""
    name = getattr(function, "__name__", type(function).__name__)
    given = [*map(_shown.repr, arguments), *(f"{key}={_shown.repr(value)}" for key, value in named.items())]
    return f"{name}({', '.join(given)})"


def explained(place: str, function: object, kind: str, message: str) -> str:
    """The message of a call that has failed at this place of a worker."""
    if place == Place.CALLING:
        return message
    if place == Place.SENDING:
        return f"{message}; the result of {name_of(function)} cannot be sent back: return plain data"
    if kind == "AttributeError" and "main__'" in message:
        hint = "define it at the top level of the script, above `if __name__ == '__main__':`"
    else:
        hint = "what it is made of must be in files that they can import"
    return f"{message}; the workers cannot import {name_of(function)} or its arguments: {hint}"
