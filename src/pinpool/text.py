"""How people read it: counts, durations, sizes, percents, times, and text from strangers made safe."""

import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

MAX_MESSAGE = 300  # characters of a message that somebody else wrote
MAX_URL = 200  # characters of a URL
#: C0 and C1 controls, and marks that change the direction of text.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_SIGNED = re.compile(r"[+-]\d+(?:[.,]\d+)*%?\Z")
_SECRET = re.compile(r"//(?:[^/?#]*@|.*:.*@)")
# user:password@host:port in all its spellings, or host:port:user:password.
_LOGIN = re.compile(r"@.*:|:.*@|\A[^:]*:[0-9]+:[^:]+:.", re.DOTALL)


def counted(count: int, thing: str, things: str | None = None) -> str:
    """``1 page``, ``2 pages``, ``1,200 pages``; `things` is the plural where an s is not enough."""
    return f"{count:,} {thing if count == 1 else things or thing + 's'}"


def tallied(counts: Mapping[Any, int]) -> str:
    """``timeout 3, refused 1``: the commonest first, zeros left out."""
    commonest = sorted(counts.items(), key=lambda entry: -entry[1])
    return ", ".join(f"{one_line(name)} {count:,}" for name, count in commonest if count)


def nonzero(always: str, counts: Mapping[str, int]) -> str:
    """``7 good, 2 resting``: `always`, then each count that is not zero."""
    return ", ".join([always, *(f"{count:,} {name}" for name, count in counts.items() if count)])


def first_few(names: Sequence[str], most: int) -> str:
    """``a, b and 3 more``: at most so many names."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(map(one_line, names[:most])) + more


def duration(seconds: float) -> str:
    """A duration in a sentence, the coarser the longer: ``8 s``, ``1 min 30 s``, ``2 h 5 min``, ``3 d 4 h``."""
    whole = max(0, round(seconds))
    units = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    for (unit, name), (lesser, lesser_name) in pairwise(units):
        if whole >= unit:
            rest = whole % unit // lesser
            return f"{whole // unit:,} {name}" + (f" {rest} {lesser_name}" if rest else "")
    return f"{whole} s"


def fine_duration(seconds: float) -> str:
    """Like `duration`, but exact below a minute: ``80 ms``, ``4.2 s``."""
    if 0 < seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s".replace(".0 ", " ") if 0 <= seconds < 59.95 else duration(seconds)


def seconds_column(seconds: float | None, places: int = 2) -> str:
    """Seconds in a table's column, without the unit; from 10 s on with two decimal places fewer. None is empty."""
    return "" if seconds is None else f"{seconds:.{places if seconds < 10 else places - 2}f}"


def byte_size(count: float) -> str:
    """Bytes in decimal units: ``812 B``, ``4.0 MB``."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if round(count / scale, 4) >= 1:  # not 1000.0 kB
            return f"{count / scale:.1f} {unit}"
    return f"{count:.0f} B"


def megabytes_column(count: float) -> str:
    """Bytes as megabytes in a table's column, without the unit."""
    return f"{count / 1e6:.1f}" if count < 100e6 else f"{count / 1e6:.0f}"


def percent(share: float) -> str:
    """A share in a sentence: ``0.034`` is ``3%``. Only 0 is shown as 0%, and only 1 as 100%."""
    if 0 < share < 0.01:
        return "under 1%"
    return "over 99%" if 0.99 < share < 1 else f"{share:.0%}"


def percent_column(share: float | None) -> str:
    """A share in a table's column, with a decimal place below 10 %; None is empty."""
    if share is None:
        return ""
    return f"{share:.1%}" if 0 < share < 0.1 else f"{share:.0%}"


def stamp(at: float | None, timespec: str = "seconds") -> str | None:
    """Epoch seconds as ISO 8601 in UTC with a Z, rounded down to `timespec`; None stays None."""
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat("T", timespec)[:-6] + "Z"


def utc_time(at: float) -> str:
    """Epoch seconds as the date and time in UTC: ``2023-11-14 22:13:20``."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}"


def local_time(at: float) -> str:
    """Epoch seconds as the time of day where the user is: ``22:13:20``."""
    return time.strftime("%H:%M:%S", time.localtime(at))


def shown_url(url: str) -> str:
    """The URL for people: short, on one line, without user name and password."""
    return repr(bare_url(url))


def bare_url(url: str) -> str:
    """The URL in at most 200 characters, without user name and password. A terminal needs `shown_url`."""
    return cut(_SECRET.sub("//…@", url), MAX_URL)


def shown_path(path: object) -> str:
    """A file's name for people. Only an ellipsis if it looks like a proxy with a login, typed by mistake."""
    text = str(path)
    return "…" if _LOGIN.search(text) else text


def visible(text: str) -> str:
    """`text` with what hides, reorders or controls as escapes; line ends and tabs stay. In JSON it means the same."""
    return _CONTROLS.sub(lambda control: f"\\u{ord(control[0]):04x}", text)


def one_line(text: str) -> str:
    """`text` in at most 300 characters, without anything by which a hostile page could control a terminal."""
    text = "".join(letter if letter.isprintable() else " " for letter in text[: 2 * MAX_MESSAGE])
    return cut(" ".join(text.split()), MAX_MESSAGE)


def formula_safe(text: str) -> str:
    """`text` for a cell of a table: an apostrophe goes before what a spreadsheet would run. Numbers stay."""
    return f"'{text}" if text.startswith(_FORMULA) and not _SIGNED.match(text) else text


def cut(text: str, width: int) -> str:
    """`text` in at most `width` characters; an ellipsis stands for what is cut off at the end."""
    return text if len(text) <= width else text[: width - 1] + "…"


def cut_middle(text: str, width: int) -> str:
    """`text` in at most `width` characters; an ellipsis stands for what is cut out of the middle."""
    if len(text) <= width:
        return text
    tail = width // 2
    return f"{text[: width - tail - 1]}…{text[len(text) - tail :]}"
