"""Undoes the content codings of a body (gzip, deflate), within a limit."""

import zlib

from pinpool.errors import FetchFailed
from pinpool.model import Evidence, Sign, Step

#: Bytes given to a decompressor at a time.
CHUNK = 65_536
#: Content codings on top of each other. No honest page has more.
MAX_CODINGS = 3


def too_large(limit: int, status: int | None = None) -> FetchFailed:
    """The failure of a body of more than `limit` bytes."""
    return FetchFailed(Evidence(Step.BODY, Sign.TOO_LARGE, f"the body is larger than {limit:,} bytes", status))


def decoded(body: bytes, coding: str, limit: int) -> bytes:
    """`body` without its content codings, never more than `limit` bytes. Raises FetchFailed."""
    codings = [name.strip().lower() for name in coding.split(",")]
    if len(codings) > MAX_CODINGS:
        raise _unreadable(f"the body is compressed {len(codings)} times")
    for name in reversed(codings):
        try:
            if name in ("gzip", "x-gzip"):
                body = _inflated(body, 16 + zlib.MAX_WBITS, limit)
            elif name == "deflate":
                # The standard says zlib, and some servers send the bare stream.
                is_zlib = len(body) > 1 and body[0] & 15 == 8 and int.from_bytes(body[:2], "big") % 31 == 0
                body = _inflated(body, zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS, limit)
            elif name not in ("", "identity"):
                raise _unreadable("the body has a content coding that was not asked for")
        except zlib.error:
            raise _unreadable(f"the body is not {name}, though the headers say so") from None
    return body


def _inflated(body: bytes, window: int, limit: int) -> bytes:
    inflater, whole, position = zlib.decompressobj(window), bytearray(), 0
    while position < len(body):
        # In chunks, because zlib copies what follows a gzip member, and there may be a hundred thousand members.
        chunk = body[position : position + CHUNK]
        whole += inflater.decompress(chunk, limit + 1 - len(whole))
        if len(whole) > limit:
            raise too_large(limit)
        position += len(chunk) - len(inflater.unused_data)
        if inflater.eof:
            # Browsers go on if another member follows, and ignore anything else.
            if window < 16 or body[position : position + 2] != b"\x1f\x8b":
                break
            inflater = zlib.decompressobj(window)
    if not inflater.eof:
        raise FetchFailed(Evidence(Step.BODY, Sign.SHORT, "the compressed data is cut off"))
    return bytes(whole)


def _unreadable(message: str) -> FetchFailed:
    return FetchFailed(Evidence(Step.BODY, Sign.BROKEN, message))
