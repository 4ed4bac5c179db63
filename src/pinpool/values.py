"""
Checks of single values, as a spider or a command line gives them.

A check takes a value of the right type, or its text, and returns what pinpool works with. It raises ValueError; the
message goes behind "name: ". It never repeats a value that may hold a password.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from pinpool.text import cut

T = TypeVar("T")
Check = Callable[[object], T]

DAY = 86_400.0  # seconds
_YES, _NO = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_NEXT_HEADER = re.compile(r"\n|,\s*(?=[\w-]+:\s)")
_READABLE = frozenset({"gzip", "x-gzip", "deflate", "identity"})


def number(low: float, high: float, *, above: bool = False) -> Check[float]:
    """From `low` to `high`; `above` leaves `low` itself out."""
    bounds = f"above {low:.15g} and at most {high:.15g}" if above else f"from {low:.15g} to {high:.15g}"

    def check(value: object) -> float:
        try:
            found = float(value) if isinstance(value, int | float | str) else math.nan
        except (ValueError, OverflowError):
            found = math.nan
        if math.isnan(found) or isinstance(value, bool):
            raise ValueError(f"{_shown(value)} is not a number")
        if not low <= found <= high or (above and found == low):
            raise ValueError(f"{_shown(value)} is not {bounds}")
        return found

    return check


def whole(low: int, high: int) -> Check[int]:
    """A whole number from `low` to `high`."""
    bounded = number(low, high)

    def check(value: object) -> int:
        found = bounded(value)
        if found != int(found):
            raise ValueError(f"{_shown(value)} is not a whole number")
        return int(found)

    return check


def optional(check: Check[T]) -> Check[T | None]:
    """None, an empty text and the text ``none`` are None."""

    def check_or_none(value: object) -> T | None:
        if value is None or (isinstance(value, str) and value.strip().lower() in ("", "none")):
            return None
        return check(value)

    return check_or_none


def yes_or_no(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and (word := value.strip().lower()) in _YES + _NO:
        return word in _YES
    raise ValueError(f"{_shown(value)} is neither yes nor no")


def text(value: object) -> str:
    if isinstance(value, str) and value.isprintable():
        return value
    raise ValueError(f"{_shown(value)} is not a text")


def texts(value: object) -> tuple[str, ...]:
    """A list of texts, or one a line."""

    def check(item: object) -> str:
        if not isinstance(item, str):
            raise ValueError(f"{type(item).__name__} is not a text")
        if not item.strip():
            raise ValueError("an empty text would be found in every page")
        return item

    return tuple(map(check, _lines(value, "texts")))


def selectors(value: object) -> tuple[str, ...]:
    """A list of XPath or CSS selectors, or one a line."""
    from pinpool.selectors import checked

    _all_checked(found := texts(value), checked)
    return found


def statuses(value: object) -> tuple[int, ...]:
    """One HTTP status, or several in a list or with commas."""
    if isinstance(value, str):
        value = [part for part in value.split(",") if part.strip()]
    elif isinstance(value, int):
        value = [value]
    if not isinstance(value, Iterable):
        raise ValueError(f"{_shown(value)} is not a list of statuses such as 403,429")
    return tuple(map(whole(100, 599), value))


def headers(value: object) -> dict[str, str]:
    """A mapping, a list of ``Name: value``, or text with commas or line ends between these."""
    from pinpool.urls import header_problems

    if isinstance(value, str):
        value = _NEXT_HEADER.split(value)
    if isinstance(value, Mapping):
        found = dict(value)
    elif isinstance(value, list | tuple) and all(isinstance(line, str) for line in value):
        found = {}
        for line in filter(str.strip, value):
            name, colon, content = line.partition(":")
            if not colon:
                raise ValueError("a header is written Name: value")
            found[name.strip()] = content.strip()
    else:
        raise ValueError(f"{type(value).__name__} is not a mapping of names to values")
    problems = header_problems(found)
    for name, content in found.items():
        if str(name).lower() == "accept-encoding" and (unread := _unreadable(content)):
            # Copied from a browser, for instance. Every page would come in a coding that nobody here reads.
            problems.append(f"{name} asks for {unread}; pinpool reads gzip and deflate")
    if problems:
        raise ValueError("; ".join(problems))
    return found


def profiles(value: object) -> tuple[dict[str, str], ...]:
    """A list of sets of headers, or one set a line."""
    if isinstance(value, Mapping):
        raise ValueError("this is one profile; put [ and ] around it to make a list")
    return tuple(_all_checked(_lines(value, "profiles"), headers, "profile"))


def encoding(value: object) -> str:
    """A text encoding that Python knows."""
    if isinstance(value, str):
        try:
            # Some codecs turn bytes into bytes, or refuse to replace what they cannot read.
            b"\xff".decode(value, "replace")
            return value
        except (LookupError, ValueError):
            pass
    raise ValueError(f"{_shown(value)} is not an encoding that Python knows")


def _unreadable(accepted: object) -> str:
    """The accepted content codings that pinpool does not read."""
    codings = [part.partition(";")[0].strip().lower() for part in str(accepted).split(",")]
    return ", ".join(coding for coding in codings if coding and coding not in _READABLE)


def _lines(value: object, what: str) -> list[object]:
    """A list as it is, or the lines of a text that are not blank."""
    if isinstance(value, str):
        lines = [] if value.strip().lower() == "none" else value.splitlines()
        return [line for line in lines if line.strip()]
    if isinstance(value, list | tuple):
        return list(value)
    raise ValueError(f"{type(value).__name__} is not a list of {what}")


def _all_checked(values: Iterable[object], check: Callable[..., T], numbered: str = "") -> list[T]:
    """Check each value. One ValueError names all problems, each with its number if `numbered` says of what."""
    found, problems = [], []
    for place, value in enumerate(values, 1):
        try:
            found.append(check(value))
        except ValueError as error:
            problems.append(f"{numbered} {place}: {error}" if numbered else str(error))
    if problems:
        raise ValueError("; ".join(problems))
    return found


def _shown(value: object) -> str:
    shown = repr(value) if isinstance(value, str | int | float | None) else type(value).__name__
    if "@" in shown:
        return "a value with an @ in it"  # perhaps a proxy in the wrong place, with its password
    return cut(shown, 60)
