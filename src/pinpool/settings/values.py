"""
Checks of single values, as a spider or a command line gives them.

A check takes a value of the right type, or its text, and returns what pinpool works with. It raises ValueError; the
message goes behind "name: ". It never repeats a value that may hold a password.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from webencodings.labels import LABELS

from pinpool.selectors import checked
from pinpool.text import cut
from pinpool.urls import header_problems

T = TypeVar("T")
Check = Callable[[object], T]

DAY = 86_400.0  # seconds
_YES, _NO = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_NEXT_HEADER = re.compile(r"\n|,\s*(?=[\w-]+:\s)")
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/(?:\*|[a-z0-9][a-z0-9!#$&^_.+-]*)")
_READABLE = frozenset({"gzip", "x-gzip", "deflate", "identity", ""})


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
        if (found := bounded(value)) != int(found):
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


def encoding(value: object) -> str:
    """A label that browsers know, or a text encoding that Python knows."""
    try:
        name = text(value)
        if LABELS.get(name.strip().lower(), "replacement") != "replacement":
            return name
        # Some codecs turn bytes into bytes, or refuse to replace what they cannot read.
        b"\xff".decode(name, "replace")
        return name
    except (LookupError, ValueError):
        raise ValueError(f"{_shown(value)} is not an encoding that browsers or Python know") from None


def headers(value: object) -> dict[str, str]:
    """A mapping, a list of ``Name: value``, or text with commas or line ends between these."""
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
        if str(name).lower() == "accept-encoding":
            # Copied from a browser, for instance. Every page would come in a coding that nobody here reads.
            codings = [part.partition(";")[0].strip().lower() for part in str(content).split(",")]
            if unread := ", ".join(coding for coding in codings if coding not in _READABLE):
                problems.append(f"{name} asks for {unread}; pinpool reads gzip and deflate")
    if problems:
        raise ValueError("; ".join(problems))
    return found


def listed(check: Check[T], what: str, *, numbered: str = "") -> Check[tuple[T, ...]]:
    """A list, or one a line. One ValueError names all problems, each with its number if `numbered` says of what."""

    def check_all(value: object) -> tuple[T, ...]:
        if isinstance(value, str):
            lines = [] if value.strip().lower() == "none" else value.splitlines()
            value = [line for line in lines if line.strip()]
        if isinstance(value, Mapping) or not isinstance(value, Iterable):
            raise ValueError(f"{type(value).__name__} is not a list of {what}; put [ and ] around a single one")
        found, problems = [], []
        for place, one in enumerate(value, 1):
            try:
                found.append(check(one))
            except ValueError as error:
                problems.append(f"{numbered} {place}: {error}" if numbered else str(error))
        if problems:
            raise ValueError("; ".join(problems))
        return tuple(found)

    return check_all


def statuses(value: object) -> tuple[int, ...]:
    """One HTTP status, or several in a list or with commas."""
    if isinstance(value, str | int):
        value = str(value).replace(",", "\n")
    return listed(whole(100, 599), "statuses")(value)


def media_types(value: object) -> tuple[str, ...]:
    """Content types, in a list or with commas; ``image/*`` stands for all of its kind."""
    if isinstance(value, str):
        value = value.replace(",", "\n")
    return listed(media_type, "content types")(value)


def media_type(value: object) -> str:
    """One content type, in lower case and without parameters."""
    name = text(value).partition(";")[0].strip().lower()
    if not _MEDIA_TYPE.fullmatch(name):
        raise ValueError(f"{_shown(value)} is not a content type; write it like application/pdf or image/*")
    return name


def _mark(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{type(value).__name__} is not a text")
    if not value.strip():
        raise ValueError("an empty text would be found in every page")
    return value


texts = listed(_mark, "texts")
selectors = listed(checked, "selectors")
profiles = listed(headers, "profiles", numbered="profile")


def _shown(value: object) -> str:
    shown = repr(value) if isinstance(value, str | int | float | None) else type(value).__name__
    if "@" in shown:
        return "a value with an @ in it"  # perhaps a proxy in the wrong place, with its password
    return cut(shown, 60)
