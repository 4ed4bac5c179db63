"""
Page samples: the first page of each kind of failed extraction, stored so that a selector can be mended. Pure.

A worker sends each kind once, and few kinds in all; the journal keeps the first page of a kind, and few in all. So a
site on which every page fails costs a handful of pages, not a flood through the pool's pipe.
"""

import json
import re
import zlib
from collections.abc import Iterable

from pinpool.model import Fault, Fetched, PageSample

MOST_SAMPLES = 200  # in one journal: 100 MB at the very worst, and more kinds than anybody mends
KINDS_SENT = 20  # by one worker process: 100 workers whose every page is a new kind send at most 1 GB
LARGEST_SAMPLE = 512_000  # bytes, compressed: ten times what a large page of HTML needs
LARGEST_BODY = 20_000_000  # bytes, not compressed: four times the default limit on a body

#: Response headers that an extractor may need. An allow-list: cookies and tokens come under many names.
_HEADERS = ("content-type", "content-language", "last-modified", "link")

_LINE_OF_CODE = re.compile(r" \([^()]{1,100}:\d+\)\Z")  # where the user's code raised: (movies.py:12)
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_NUMBER = re.compile(r"\d+")


def kind_of(stage: str, fault: str, message: str, size: int) -> str:
    """
    The kind of a failed extraction: stage, fault, and the message without its numbers and quotes. If the message
    names a line of the spider, that line and the class of the error.

    Empty pages have no message, so the kind names their `size` (bytes over the wire) in steps of four: a block page
    is of another kind than a film's page whose selectors are wrong.
    """
    line = _LINE_OF_CODE.search(message)
    if line:
        words = message.partition(":")[0][:100] + line[0]
    else:
        words = _NUMBER.sub("#", _QUOTED.sub("'…'", message[:300]))[:120]
    if fault == Fault.EMPTY:
        least = 4 ** ((max(size, 1).bit_length() - 1) // 2)
        words += f", {least:,} to {4 * least:,} bytes"
    # A lone surrogate cannot be stored, and does not make another kind.
    return f"{stage} {fault}: {words}".encode("utf-8", "replace").decode()


def was_read(status: int | None) -> bool:
    """True if the spider may have read an answer of this status. Only such pages are sampled."""
    return status is not None and status < 400


def may_send(kind: str, sent: set[str]) -> bool:
    """Add a kind to those that a worker has `sent`. True once for each, and never again after `KINDS_SENT` of them."""
    if kind in sent or len(sent) >= KINDS_SENT:
        return False
    sent.add(kind)
    return True


def sample_of(kind: str, fetched: Fetched, secrets: Iterable[str] = ()) -> PageSample:
    """
    The sample of a page: compressed, cut if it is too large, with the few headers that an extractor may need.

    `secrets` are replaced by ``***``: sites and proxies show requests as they came, login included.
    """
    secrets = sorted(secrets, key=len, reverse=True)  # of two that match, the longer one
    body = _without(secrets, fetched.body)[:LARGEST_BODY]
    packed = zlib.compress(body)
    if len(packed) > LARGEST_SAMPLE:
        packed = zlib.compress(body[: LARGEST_SAMPLE - 1000])  # what cannot be compressed grows a little
    shown = {name: fetched.headers[name] for name in _HEADERS if name in fetched.headers}
    url, *values = (
        _without(secrets, text.encode(errors="replace")).decode() for text in (fetched.url, *shown.values())
    )
    headers = json.dumps(dict(zip(shown, values, strict=True)))
    return PageSample(kind, url, fetched.status, headers, packed, len(fetched.body))


def _without(secrets: Iterable[str], text: bytes) -> bytes:
    for secret in secrets:
        # A page may have any of these encodings; HTML writes numbers for the characters that one lacks.
        for encoding in ("utf-8", "latin-1", "ascii"):
            text = text.replace(secret.encode(encoding, "xmlcharrefreplace"), b"***")
    return text


def body_of(packed: bytes) -> bytes:
    """The body of a sample, at most `LARGEST_BODY` bytes of it. Raises ValueError if it is damaged."""
    try:
        return zlib.decompressobj().decompress(packed, LARGEST_BODY)
    except zlib.error as error:
        raise ValueError(f"it is damaged ({error})") from None
