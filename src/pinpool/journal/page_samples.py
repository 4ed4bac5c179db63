"""
Which pages are kept so that a selector can be mended: the first of each kind of failed extraction. Pure.

A worker sends a kind once, and few kinds in all; the journal keeps the first that comes, and few in all. So a site on
which every page fails costs a handful of pages, not a flood through the pool's pipe.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable

from pinpool.model import Fault, Fetched, PageSample

KEPT_PAGES = 200  # in one journal: 100 MB at the very worst, and more kinds than anybody mends
KINDS_SENT = 20  # by one worker process: 100 workers whose every page is a new kind send 1 GB, and not more
MAX_KEPT = 512_000  # bytes as compressed: ten times what a large page of HTML comes to
MAX_READ = 20_000_000  # bytes before that: four times the default limit on a body

#: Response headers that an extractor may need. An allow-list: cookies and tokens come under many names.
_HEADERS = ("content-type", "content-language", "last-modified", "link")

#: With a page that was read as a whole, these may be the extractor's or the ban rule's word.
_READ = frozenset({Fault.EXTRACT, Fault.EMPTY, Fault.BANNED, Fault.DEADLINE})

_PLACE = re.compile(r" \([^()]{1,100}:\d+\)\Z")  # where the user's code raised: (movies.py:12)
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_NUMBER = re.compile(r"\d+")


def kind_of(stage: str, fault: str, message: str, size: int) -> str:
    """
    What makes two failed extractions the same kind: stage, fault, and what was said without its numbers and quotes;
    if it names a line of the spider, that line and the class of the error.

    Empty pages say nothing, so their `size` (bytes over the wire) stands for it, in steps of four: a block page is
    of another kind than a film's page whose selectors are wrong.
    """
    place = _PLACE.search(message)
    if place:
        told = message.partition(":")[0][:100] + place[0]
    else:
        told = _NUMBER.sub("#", _QUOTED.sub("'…'", message[:300]))[:120]
    if fault == Fault.EMPTY:
        least = 4 ** ((max(size, 1).bit_length() - 1) // 2)
        told += f", {least:,} to {4 * least:,} bytes"
    return f"{stage} {fault}: {told}".encode(
        "utf-8", "replace"
    ).decode()  # what cannot be stored is no difference


def was_read(fault: str | None, status: int | None) -> bool:
    """Whether an attempt that ended so may have been one on which the spider looked at the page."""
    return status is not None and status < 400 and fault in _READ


class Memory:
    """The kinds that this worker has sent."""

    def __init__(self) -> None:
        self._sent: set[str] = set()

    def __repr__(self) -> str:
        return f"<Memory {len(self._sent)} kinds>"

    def is_new(self, kind: str) -> bool:
        """True once for each kind, and never again after `KINDS_SENT` of them."""
        if kind in self._sent or len(self._sent) >= KINDS_SENT:
            return False
        self._sent.add(kind)
        return True


def keep(kind: str, fetched: Fetched, secrets: Iterable[str] = ()) -> PageSample:
    """
    The page as it is kept: compressed, cut if it is too large, with the few headers that an extractor may need.

    `secrets` are crossed out: sites, and proxies, show requests as they came, with the login in it.
    """
    secrets = sorted(secrets, key=len, reverse=True)  # of two that fit, the longer one
    body = _without(secrets, fetched.body)[:MAX_READ]
    packed = zlib.compress(body)
    if len(packed) > MAX_KEPT:
        packed = zlib.compress(body[: MAX_KEPT - 1000])  # what cannot be compressed grows a little
    shown = {name: fetched.headers[name] for name in _HEADERS if name in fetched.headers}
    url, *values = (
        _without(secrets, text.encode(errors="replace")).decode() for text in (fetched.url, *shown.values())
    )
    headers = json.dumps(dict(zip(shown, values, strict=True)))
    return PageSample(kind, url, fetched.status, headers, packed, len(fetched.body))


def _without(secrets: Iterable[str], text: bytes) -> bytes:
    for secret in secrets:
        # A page may be in any of these, and what an encoding lacks HTML has numbers for.
        for encoding in ("utf-8", "latin-1", "ascii"):
            text = text.replace(secret.encode(encoding, "xmlcharrefreplace"), b"***")
    return text


def body_of(packed: bytes) -> bytes:
    """The body of a kept page, at most `MAX_READ` bytes of it. Raises ValueError if it cannot be read."""
    try:
        return zlib.decompressobj().decompress(packed, MAX_READ)
    except zlib.error as error:
        raise ValueError(f"it is damaged ({error})") from None
