"""
Status lines and headers as browsers read them, within limits. Pure functions of bytes.

Sites send what no standard allows: lines without a colon, blanks before it, a second status line. http.client ends the
head there, and takes the rest for the body. Here such a line is passed over (RFC 9112, 2.2 and 5; Chromium does so).
"""

import logging
import re
from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from http.client import BadStatusLine, HTTPException, HTTPMessage
from typing import NamedTuple

import urllib3

#: Bytes and lines of the heads of one answer, interim answers included. Chromium's limit is 256 kB too.
MAX_HEAD = 262_144
MAX_LINES = 1_000

_END = re.compile(rb"\n\r?\n")
_STATUS = re.compile(r"HTTP/(\d)(?:\.(\d))?[ \t]+([1-9]\d\d)(?!\d)[ \t]*([^\n]*)", re.IGNORECASE | re.ASCII)
_FOLD = re.compile(r"\r?\n[ \t]+")
_FIELD = re.compile(r"\n([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*:[ \t]*([^\n]*)")
_BLANKS = " \t\r"
_FIRST_LINE = re.compile(r"[A-Za-z]+ [\x21-\x7e]+ HTTP/1\.1\r\n")
_LINE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+: [^\r\n\0]*\r\n")
#: A request by another method says so if it has no body (RFC 9110, 8.6).
_WITHOUT_BODY = frozenset({"GET", "HEAD", "DELETE", "TRACE", "OPTIONS", "CONNECT"})

log = logging.getLogger("pinpool")


class Head(NamedTuple):
    """
    The head of an answer. `headers` are in the order and spelling of the peer, read as Latin-1, without blanks around.

    `version` is 10 for HTTP/1.0 and 11 for everything later, as in http.client.
    """

    version: int
    status: int
    reason: str
    headers: list[tuple[str, str]]

    def merged(self) -> dict[str, str]:
        """The headers by lower-case names; the values of a repeated one with commas between (RFC 9110, 5.3)."""
        found: dict[str, str] = {}
        for name, value in self.headers:
            key = name.lower()
            found[key] = f"{found[key]}, {value}" if key in found else value
        return found

    def message(self) -> HTTPMessage:
        """The headers as http.client has them."""
        message = HTTPMessage()
        for name, value in self.headers:
            message[name] = value
        return message


class Framing(NamedTuple):
    """
    How the body of an answer ends: in chunks, after `length` bytes, or with the connection (None).

    `reusable` says whether the connection can serve again after it.
    """

    chunked: bool
    length: int | None
    reusable: bool

    @property
    def is_complete(self) -> bool:
        """Whether a body that was read has all its bytes. One that ends with the connection may have been cut."""
        return self.chunked or self.length is not None


class HeadReader:
    """
    Finds the head of the final answer in the bytes of a connection, as they come in. Only for one answer.

    Interim answers (1xx) are passed over. 101 is none of them: it ends HTTP on this connection, and nobody asked for
    that. `rest` are the bytes behind the head. `status` is known as soon as the status line is there.
    """

    def __init__(self) -> None:
        self.rest = b""
        self.status: int | None = None
        self._data = b""
        self._start = self._searched = 0

    def feed(self, data: bytes) -> Head | None:
        """The head, or None if more bytes are needed. Raises HTTPException if it is not HTTP, or beyond the limits."""
        self._data = data = self._data + data if self._data else data
        while True:
            # After a body of a wrong length a line end or two may be left over. Chromium passes over 4 bytes as well.
            slop = data[self._start : self._start + 4]
            start = self._start + len(slop) - len(slop.lstrip(b"\r\n"))
            end = _END.search(data, max(start, self._searched), MAX_HEAD)
            if end is None:
                self._wait(start)
                return None
            if data.count(b"\n", 0, end.end()) > MAX_LINES:
                raise HTTPException(f"a head of more than {MAX_LINES:,} lines")
            head = _parsed(data[start : end.start()].decode("latin-1"))
            self._start = self._searched = end.end()
            self.status = None
            if head.status >= HTTPStatus.OK or head.status == HTTPStatus.SWITCHING_PROTOCOLS:
                self.rest = data[end.end() :]
                return head

    def _wait(self, start: int) -> None:
        if len(self._data) >= MAX_HEAD:
            raise HTTPException(f"a head of more than {MAX_HEAD:,} bytes")
        self._searched = max(self._searched, len(self._data) - 2)
        if self.status is None and (end := self._data.find(b"\n", start)) >= 0:
            # A peer that does not speak HTTP may wait for us.
            self.status = _status(self._data[start:end].decode("latin-1"))[1]


def request_bytes(method: str, target: str, host: str, headers: Mapping[str, object], body: bytes | None) -> bytes:
    """
    A whole request, head and body, as urllib3 would send it.

    Raises ValueError if it cannot be sent: it would be another request, or two.
    """
    length = None if body is None and method in _WITHOUT_BODY else len(body or b"")
    first = f"{method} {target} HTTP/1.1\r\n"
    if not _FIRST_LINE.fullmatch(first):
        raise ValueError("the request cannot be sent: its method or its URL has blanks or letters that are not ASCII")
    return first.encode("ascii") + _request_headers(host, tuple(headers.items()), length) + (body or b"")


# Mostly the same from page to page.
@lru_cache(maxsize=16)
def _request_headers(host: str, headers: tuple[tuple[str, object], ...], length: int | None) -> bytes:
    lines = {name.lower(): f"{name}: {_latin(value)}\r\n" for name, value in headers}
    lines.pop("transfer-encoding", None)  # a body is sent as a whole
    start = []
    if "host" not in lines:
        start.append(f"Host: {host}\r\n")
    if "accept-encoding" not in lines:
        start.append("Accept-Encoding: identity\r\n")
    if "content-length" not in lines and length is not None:
        start.append(f"Content-Length: {length}\r\n")
    if "user-agent" not in lines:
        start.append(f"User-Agent: python-urllib3/{urllib3.__version__}\r\n")  # type: ignore[attr-defined]
    start.extend(lines.values())
    if not all(map(_LINE.fullmatch, start)):
        raise ValueError("the request cannot be sent: a header has line breaks, or its name has other letters")
    return "".join([*start, "\r\n"]).encode("latin-1")


def framing(head: Head, headers: dict[str, str], method: str) -> Framing:
    """
    How the body of this answer to a request by `method` ends (RFC 9112, 6.3). `headers` are `head.merged()`.

    Raises HTTPException if it announces two lengths.
    """
    connection = headers.get("connection", "").lower()
    reusable = "close" not in connection
    if reusable and head.version == 10:
        # As in http.client: HTTP/1.0 closes unless it says otherwise, in one of three ways.
        also = connection + headers.get("proxy-connection", "").lower()
        reusable = "keep-alive" in headers or "keep-alive" in also
    if method == "HEAD" or head.status < 200 or head.status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
        return Framing(False, 0, reusable)
    codings = headers.get("transfer-encoding")
    if codings and "chunked" in [coding.strip(_BLANKS) for coding in codings.lower().split(",")]:
        return Framing(True, None, reusable)
    length = _length(headers.get("content-length"))
    return Framing(False, length, reusable and length is not None)


def _latin(value: object) -> str:
    # Requests takes bytes and numbers too.
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _length(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdecimal():
        lengths = {part.strip(_BLANKS) for part in text.split(",")}
        if len(lengths) > 1 and all(map(str.isdecimal, lengths)):
            raise HTTPException("two different lengths")
        text = lengths.pop() if len(lengths) == 1 else ""
    # What makes no sense is ignored, as in browsers. No body has 20 digits, and int() refuses 5,000 of them.
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None


def _parsed(text: str) -> Head:
    if "\n " in text or "\n\t" in text:
        text = _FOLD.sub(" ", text)
    version, status, reason = _status(text)
    headers = [(name, value.rstrip(_BLANKS)) for name, value in _FIELD.findall(text)]
    if skipped := text.count("\n") - len(headers):
        log.debug("lines of a head that are no headers: %d", skipped)
    return Head(version, status, reason, headers)


def _status(text: str) -> tuple[int, int, str]:
    found = _STATUS.match(text)
    if found is None:
        raise BadStatusLine(text[:20])
    major, minor, status, reason = found.groups()
    return (11 if (major, minor or "0") >= ("1", "1") else 10), int(status), reason.rstrip(_BLANKS)
