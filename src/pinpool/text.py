"""How people read it: safe text from strangers, plurals, durations, sizes, percents."""

from __future__ import annotations

import re
from datetime import UTC, datetime

MAX_MESSAGE = 300  # characters of what somebody else has said
_SECRET = re.compile(r"//(?:[^/?#]*@|.*:.*@)")
# user:password@host:port in all its spellings, or host:port:user:password.
_LOGIN = re.compile(r"@.*:|:.*@|\A[^:]*:[0-9]+:[^:]+:.", re.DOTALL)


def shown_url(url: str) -> str:
    """The URL for people: short, on one line, without user name and password."""
    return repr(bare_url(url))


def bare_url(url: str) -> str:
    """The URL in at most 200 characters, without user name and password; not yet fit for a terminal."""
    text = _SECRET.sub("//…@", url)
    return text if len(text) <= 200 else text[:199] + "…"


def shown_path(path: object) -> str:
    """The name of a file for people; but not of a proxy that was typed in its place, for that holds a password."""
    text = str(path)
    return "…" if _LOGIN.search(text) else text


def one_line(text: str) -> str:
    """`text` in at most 300 characters, free of what a hostile page could do to a terminal."""
    text = "".join(letter if letter.isprintable() else " " for letter in text[: 2 * MAX_MESSAGE])
    text = " ".join(text.split())
    return text if len(text) <= MAX_MESSAGE else text[: MAX_MESSAGE - 1] + "…"


def stamp(at: float | None) -> str | None:
    """Epoch seconds as ISO 8601 in UTC with a Z, to the second; None stays None."""
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
