"""From a text on a page to a value: a number, a date, a part of it. What does not fit is None."""

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime
from email.utils import parsedate_to_datetime

#: Digits with what may stand between them. A space only counts in front of three of them: "4 2019" is two numbers.
_NUMBER = re.compile(r"((?<!\w)[-+−])?(\d+(?:[.,'’\u00a0\u202f]\d+| \d{3}(?!\d))*)")
#: What stands before ``.5``, which begins in the middle of a number; the point of "Rs.5" does not.
_NO_WHOLE = re.compile(r"(?:\A|[^\w])[.,]\Z")
_GROUPS = re.compile(r"[ '’\u00a0\u202f]")
_GROUPED = re.compile(r"\d{1,3}(?:_\d{3})+|\d+")
_MAX_DIGITS = 40
#: Parts of a date's format that stand for a time of day.
_CLOCK = re.compile(r"%[HIMSfXcpzZ]")


def number_in(text: str, decimal: str = ".") -> int | float | None:
    """
    The first number of a text, without the separators of its thousands. `decimal` is the mark before its decimals,
    ``.`` or ``,``; the other one separates thousands, as do spaces and apostrophes.

    None if there is none, or if it is written by other rules: ``3,5`` with a decimal point.
    """
    found = _NUMBER.search(text)
    if found is None or len(found[2]) > _MAX_DIGITS or _NO_WHOLE.search(text[: found.start(2)]):
        return None
    whole, mark, decimals = found[2].partition(decimal)
    whole = _GROUPS.sub("_", whole).replace("," if decimal == "." else ".", "_")
    if not _GROUPED.fullmatch(whole) or (mark and not decimals.isdecimal()):
        return None
    sign = -1 if found[1] in ("-", "−") else 1
    digits = whole.replace("_", "")
    return sign * (float(f"{digits}.{decimals}") if mark else int(digits))


def date_in(text: str, form: str | None = None) -> str | None:
    """
    The date of a text as ISO 8601, with the time if there is one. `form` is as in `datetime.strptime`; without it the
    text is ISO 8601 or the date of an e-mail or a feed. None if it is not.
    """
    text = text.strip()
    with suppress(ValueError, TypeError, IndexError, OverflowError):
        if form is not None:
            found = datetime.strptime(text, form)
            return found.isoformat() if _CLOCK.search(form) else found.date().isoformat()
        with suppress(ValueError):
            return date.fromisoformat(text).isoformat()
        with suppress(ValueError):
            return datetime.fromisoformat(text).isoformat()
        return parsedate_to_datetime(text).isoformat()
    return None


def matcher(pattern: str) -> Callable[[str], str | None]:
    """A function for the first match of a regular expression: its first group if it has one. Raises re.error."""
    compiled = re.compile(pattern)
    group = 1 if compiled.groups else 0

    def match(text: str) -> str | None:
        found = compiled.search(text)
        return found[group] if found else None

    return match
