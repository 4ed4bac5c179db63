"""Undoes the content codings of a body (gzip, deflate), within a limit."""

import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from pinpool.errors import FetchFailed
from pinpool.model import Evidence, Sign, Step
from pinpool.text import cut

#: Bytes given to a decompressor at a time.
CHUNK = 65_536
#: Content codings on top of each other. No honest page has more.
MAX_CODINGS = 3

#: The codings that are undone.
CODINGS = frozenset({"gzip", "x-gzip", "deflate"})
_READ = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}
_NO_CODING = frozenset({"", "identity"})
#: Codings that exist but are never asked for. Any other word in the header is a mistake of the site.
_UNASKED = frozenset({"br", "zstd", "dcb", "dcz", "compress", "x-compress", "exi", "pack200-gzip", "aes128gcm"})
#: Bytes that no text has, in any encoding but UTF-16.
_NOT_TEXT = bytes({*range(0x20)} - {*b"\t\n\f\r\x1b"})

_MAGIC = b"\x1f\x8b"
_GZIP_TRAILER = 8


class Decoded(NamedTuple):
    """A body without its content codings. `note` says what had to be forgiven; mostly it is empty."""

    body: bytes
    note: str = ""


def too_large(limit: int, status: int | None = None) -> FetchFailed:
    """The failure of a body of more than `limit` bytes."""
    return FetchFailed(Evidence(Step.BODY, Sign.TOO_LARGE, f"the body is larger than {limit:,} bytes", status))


def decoded(body: bytes, coding: str, limit: int, *, complete: bool) -> Decoded:
    """
    `body` without its content codings, never more than `limit` bytes. Raises FetchFailed.

    As in browsers, a word that is no content coding is passed over, and so is a wrong check sum. Data without an end
    are taken as far as they go, but only if the body is `complete`: it has the length that was announced.
    """
    codings = [name.strip(' \t"').lower() for name in coding.split(",")]
    if len(codings) > MAX_CODINGS:
        raise _failed(Sign.BROKEN, f"the body has {len(codings)} content codings")
    notes = []
    for name in reversed(codings):
        if name in _READ:
            body, note = _inflated(body, _READ[name], limit, complete)
            notes += [note] if note else []
        elif name in _UNASKED and not _is_text(body):
            raise _failed(Sign.BROKEN, f"the body has the content coding {name}, which was not asked for")
        elif name not in _NO_CODING:
            notes.append(f"the content coding {cut(name, 40)!r} is passed over")
    return Decoded(body, "; ".join(notes))


class Inflater:
    """Undoes gzip or deflate piece by piece. Its output comes in pieces too, however small a bomb is."""

    def __init__(self, name: str) -> None:
        self._is_gzip = _READ[name] == "gzip"
        self._inflater: Any = None  # none between two members of gzip
        self._rest = b""
        self._over = False
        self.ended = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What these bytes become; then `ended` says whether they are whole so far. Raises zlib.error if damaged."""
        data, piece, self._rest = self._rest + data, b"", b""
        while (data or len(piece) == CHUNK) and not self._over:
            if self._inflater is None and not self._begin(data):
                return
            piece = self._inflater.decompress(data, CHUNK)
            data = self._inflater.unconsumed_tail
            if piece:
                yield piece
            if self._inflater.eof:
                data, piece, self.ended = self._inflater.unused_data, b"", True
                self._inflater = None

    def _begin(self, data: bytes) -> bool:
        """Begin a stream, or a further member; False if it takes more bytes to tell, or nothing follows."""
        if len(data) < len(_MAGIC):
            self._rest = data
            return False
        if self.ended and not (self._is_gzip and data.startswith(_MAGIC)):
            self._over = True  # browsers ignore what follows
            return False
        window = 16 + zlib.MAX_WBITS if self._is_gzip else zlib.MAX_WBITS if _is_zlib(data) else -zlib.MAX_WBITS
        self._inflater, self.ended = zlib.decompressobj(window), False
        return True


def _is_text(body: bytes) -> bool:
    start = body[:1024]
    return len(start.translate(None, _NOT_TEXT)) == len(start)


def _inflated(body: bytes, name: str, limit: int, complete: bool) -> Decoded:
    window = 16 + zlib.MAX_WBITS
    if name == "deflate":
        # The standard says zlib, and some servers send the bare stream.
        window = zlib.MAX_WBITS if _is_zlib(body) else -zlib.MAX_WBITS
    inflater, whole, position = zlib.decompressobj(window), bytearray(), 0
    try:
        while position < len(body):
            # In chunks, because zlib copies what follows a gzip member, and there may be a hundred thousand members.
            chunk = body[position : position + CHUNK]
            whole += inflater.decompress(chunk, limit + 1 - len(whole))
            if len(whole) > limit:
                raise too_large(limit)
            position += len(chunk) - len(inflater.unused_data)
            if inflater.eof:
                # Browsers go on if another member follows, and ignore anything else.
                if name != "gzip" or body[position : position + 2] != _MAGIC:
                    return Decoded(bytes(whole))
                inflater = zlib.decompressobj(window)
    except zlib.error:
        pass  # with this error zlib drops what it had read
    return _salvaged(body, name, limit, complete)


def _salvaged(body: bytes, name: str, limit: int, complete: bool) -> Decoded:
    """As much of damaged data as can be believed: the bare streams are read, without check sums."""
    whole, position = bytearray(), 0
    while True:
        start = _stream_start(body, position) if name == "gzip" else position + 2 * _is_zlib(body)
        if start is None and position:
            break  # the first member was whole, and what follows is none
        if start is None:
            raise _failed(Sign.BROKEN, _not(name))
        inflater, position = zlib.decompressobj(-zlib.MAX_WBITS), start
        while position < len(body) and not inflater.eof:
            chunk = body[position : position + CHUNK]
            try:
                whole += inflater.decompress(chunk, limit + 1 - len(whole))
            except zlib.error:
                reason = f"the {name} data are damaged" if name == "gzip" or _is_zlib(body) else _not(name)
                raise _failed(Sign.BROKEN, reason) from None
            if len(whole) > limit:
                raise too_large(limit)
            position += len(chunk) - len(inflater.unused_data)
        if not inflater.eof:
            if complete and whole:
                return Decoded(bytes(whole), f"the {name} data are cut off")
            raise _failed(Sign.SHORT, "the compressed data is cut off")
        position += _GZIP_TRAILER
        if name != "gzip" or body[position : position + 2] != _MAGIC:
            break
    return Decoded(bytes(whole), f"the check sum of the {name} data is wrong or missing")


def _is_zlib(body: bytes) -> bool:
    return len(body) > 1 and body[0] & 15 == 8 and int.from_bytes(body[:2], "big") % 31 == 0


def _stream_start(body: bytes, member: int) -> int | None:
    """Where the bare stream of a gzip member starts (RFC 1952, 2.3); the end if it is not there. None: no member."""
    magic = body[member : member + 3]
    if not magic or not (_MAGIC + b"\x08").startswith(magic):
        return None
    flags = body[member + 3] if len(body) > member + 3 else 0
    position = member + 10
    if flags & 4:
        position += 2 + int.from_bytes(body[position : position + 2], "little")
    for flag in (8, 16):  # the name and the comment end with NUL
        if flags & flag:
            end = body.find(b"\0", position)
            position = len(body) if end < 0 else end + 1
    return position + 2 * bool(flags & 2)


def _not(name: str) -> str:
    return f"the body is not {name}, though the headers say so"


def _failed(sign: Sign, message: str) -> FetchFailed:
    return FetchFailed(Evidence(Step.BODY, sign, message))
