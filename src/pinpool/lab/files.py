"""
The practice site's files, made from the seed: ``/file/{n}.pdf`` and the like, and the ways in which servers send them.

The query of a file changes how it is sent, for instance ``/file/7.pdf?chunked&norange``:

- ``chunked``: in chunks, without a length; ``endless``: without either, the connection is closed at the end
- ``norange``: no Range; ``noetag``: no ETag and no date, so that nothing can be gone on with
- ``gzip``: compressed by the way
- ``attachment``: with a Content-Disposition that names it ``Bericht ü {n}.pdf``
- ``html``: a page in its place, though it says that it is the file; ``mislabelled``: the file, called text/html
- ``odd``: a 206 of another range than the one asked for
- ``changing``: another content for each request, with another ETag
"""

import gzip
import hashlib
import re
from functools import lru_cache
from itertools import count
from random import Random
from typing import NamedTuple

from pinpool.lab.http import Answer, Request, as_page

KINDS = {
    "pdf": ("application/pdf", b"%PDF-1.7\n", b"\n%%EOF\n"),
    "png": ("image/png", b"\x89PNG\r\n\x1a\n", b""),
    "zip": ("application/zip", b"PK\x03\x04", b""),
    "bin": ("application/octet-stream", b"", b""),
}
PER_LIST = 20
_PATH = re.compile(r"([1-9][0-9]{0,8})\.([a-z]{3})")
_RANGE = re.compile(r"bytes=([0-9]{1,12})-([0-9]{0,12})")
_PIECE = 65_536


class LabFile(NamedTuple):
    """What a client should have of a file in the end."""

    path: str
    size: int
    sha256: str


class Library:
    """All files of a site. `sizes` are the smallest and the largest, in bytes; small ones are the more likely."""

    def __init__(self, seed: int, sizes: tuple[int, int]) -> None:
        self.seed = seed
        self.sizes = sizes
        self.body = lru_cache(8)(self._body)
        self._versions = count(1)

    def file(self, number: int, kind: str = "pdf") -> LabFile:
        """File `number`, counted from 1."""
        body = self._body(number, kind)
        return LabFile(f"/file/{number}.{kind}", len(body), hashlib.sha256(body).hexdigest())

    def _body(self, number: int, kind: str) -> bytes:
        _, start, end = KINDS[kind]
        draw = Random(f"file {self.seed} {number} {kind}")
        low, high = self.sizes
        size = int(low + (high - low) * draw.random() ** 2)
        return start + draw.randbytes(max(0, size - len(start) - len(end))) + end

    def list_page(self, number: int) -> Answer:
        """List page `number` with the links of `PER_LIST` files."""
        first = (number - 1) * PER_LIST + 1
        links = "".join(f'<a class="file" href="/file/{one}.pdf">{one}</a> ' for one in range(first, first + PER_LIST))
        return as_page(200, f"Files, page {number}", links)

    def answer(self, request: Request, rest: str, query: str) -> Answer | None:
        """The answer to a request for ``/file/{rest}``, None if there is no such file."""
        found = _PATH.fullmatch(rest)
        if found is None or found[2] not in KINDS:
            return None
        number, kind, ways = int(found[1]), found[2], set(query.split("&"))
        type = KINDS[kind][0]
        body, version = self.body(number, kind), ""
        if "changing" in ways:
            version = str(next(self._versions))
            body = body[: len(body) // 2] + Random(f"{version} {number}").randbytes(len(body) - len(body) // 2)
        if "html" in ways:
            return Answer(200, b"<!DOCTYPE html><title>Log in</title>", (("Content-Type", type),))
        headers = [("Content-Type", "text/html" if "mislabelled" in ways else type)]
        if "attachment" in ways:
            name = f"Bericht ü {number}.{kind}".encode().decode("latin-1")
            headers.append(("Content-Disposition", f'attachment; filename="{name}"'))
        etag = f'"{self.seed}-{number}-{kind}{version}"'
        if "noetag" not in ways:
            headers.append(("ETag", etag))
        if "gzip" in ways:
            return Answer(200, gzip.compress(body, 1, mtime=0), (*headers, ("Content-Encoding", "gzip")))
        if "norange" not in ways:
            headers.append(("Accept-Ranges", "bytes"))
            if part := _part(request, body, etag, odd="odd" in ways):
                return Answer(part.status, part.body, (*headers, *part.headers))
        return Answer(200, _pieces(body), tuple(headers), chunked="chunked" in ways, endless="endless" in ways)


def _part(request: Request, body: bytes, etag: str, *, odd: bool) -> Answer | None:
    """The part that the request wants, if it wants one."""
    wanted = _RANGE.fullmatch(request.headers.get("range", ""))
    if wanted is None or request.headers.get("if-range", etag) != etag:
        return None
    first, last = int(wanted[1]), min(int(wanted[2] or len(body)), len(body) - 1)
    if first >= len(body):
        return Answer(416, b"", (("Content-Range", f"bytes */{len(body)}"),))
    first += 7 if odd and first + 7 <= last else 0
    content = ("Content-Range", f"bytes {first}-{last}/{len(body)}")
    return Answer(206, _pieces(body[first : last + 1]), (content,))


def _pieces(body: bytes) -> tuple[bytes, ...]:
    return tuple(body[start : start + _PIECE] for start in range(0, len(body), _PIECE)) or (b"",)
