"""A call as bytes for the workers, or why it cannot be sent, in words for the one who wrote it."""

import pickle
import sys
from collections.abc import Callable
from typing import Any

from pinpool.errors import UsageError
from pinpool.spider.user_errors import described, shown_file


def packed_call(function: Callable[..., Any], arguments: tuple[object, ...]) -> bytes:
    """``function(*arguments)`` as bytes. Raises UsageError if a worker could not call that."""
    if getattr(function, "__module__", None) == "__main__" and not hasattr(sys.modules["__main__"], "__file__"):
        raise UsageError(
            f"{_name(function)} was typed in, so the workers cannot import it: "
            "save it in a file, script.py, and run that"
        )
    try:
        return pickle.dumps((function, arguments))
    except Exception as error:  # noqa: BLE001  their own code may take part
        message = described(error)
    try:
        pickle.dumps(function)
    except Exception:  # noqa: BLE001
        raise UsageError(
            f"{_name(function)} cannot be sent to the workers, because they import it by its name: "
            "define it with def at the top level of a file, not as a lambda or inside another function"
        ) from None
    raise UsageError(
        f"an argument of {_name(function)} cannot be sent to the workers ({message}): "
        "give it plain data, and open files or connections in the function"
    )


def _name(function: object) -> str:
    name = getattr(function, "__qualname__", type(function).__qualname__)
    code = getattr(function, "__code__", None)
    return f"{name} ({shown_file(code.co_filename)}:{code.co_firstlineno})" if code else str(name)
