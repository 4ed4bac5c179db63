"""
The practice site: the answer to each path. It reads no clock and opens no socket.

Besides the films (``/page/{n}``, ``/detail/{n}``, ``/reviews/{n}``) it has a page for each difficulty:

- ``/echo``: the request as JSON: method, path, headers, body, and peer (the client's address)
- ``/status/{code}``: that status; ``?retry-after=7`` adds the header
- ``/slow/{seconds}``: silence, then a page; ``/redirect/{n}``: n redirects, then a page
- ``/drip-head``: a head that never ends; ``/drip-body``: a body at a few hundred bytes a second
- ``/reset``: RST instead of an answer; ``/truncated``: half of what was announced
- ``/bomb``: 300 MB of HTML in 300 kB of gzip; ``/huge``: 100 MB of HTML; ``/broken-gzip``: gzip in name only
- ``/login``: sets a cookie; ``/members``: 403 without it, or from another address
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

from pinpool.lab.http import Answer, Delivery, Request, Stream, as_json, as_page
from pinpool.lab.pages import Catalogue

HTML = ("Content-Type", "text/html; charset=utf-8")
GZIP = ("Content-Encoding", "gzip")
GZIP_HEAD = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
ROBOTS = b"User-agent: *\nDisallow: /bomb\nDisallow: /huge\nAllow: /\n"
MAX_PAUSE = 3600.0
MEGABYTE = b"<p>\n" * 250_000
MEGABYTES_OF_BOMB = 300
MEGABYTES_OF_HUGE = 100
ANY_METHOD = ("echo", "login")


class Site:
    """The same catalogue and the same request always give the same answer."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._by_name: dict[str, Callable[[Request, str, str], Answer | None]] = {
            "page": self._list,
            "detail": self._film,
            "reviews": self._reviews,
            "echo": _echo,
            "status": _status,
            "slow": _slow,
            "redirect": _redirect,
            "login": self._login,
            "members": self._members,
        }
        self._by_path: dict[str, Callable[[], Answer]] = {
            "/": lambda: as_page(200, "The practice site", '<a href="/page/1">Films</a>'),
            "/robots.txt": lambda: Answer(200, ROBOTS, (("Content-Type", "text/plain"),)),
            "/drip-head": lambda: Answer(200, delivery=Delivery.DRIP_HEAD),
            "/drip-body": lambda: Answer(200, MEGABYTE, (HTML,), Delivery.DRIP),
            "/reset": lambda: Answer(200, delivery=Delivery.RESET),
            "/truncated": lambda: Answer(200, MEGABYTE[:40_000], (HTML,), Delivery.CUT),
            "/bomb": _bomb,
            "/huge": _huge,
            "/broken-gzip": lambda: Answer(200, GZIP_HEAD + b"no deflate " * 99, (HTML, GZIP)),
        }

    def answer(self, request: Request, path: str, address: str) -> Answer:
        """The answer to a `request` from `address` for `path` (with its query). Unknown paths are 404."""
        bare = path.partition("?")[0]
        if bare in self._by_path:
            return self._by_path[bare]()
        name, _, rest = bare[1:].partition("/")
        page = self._by_name.get(name)
        if page is not None and name not in ANY_METHOD and request.method not in ("GET", "HEAD"):
            return as_page(405, "405 Method Not Allowed", headers=(("Allow", "GET, HEAD"),))
        found = page(request, path if name in ("echo", "status") else rest, address) if page else None
        return found or as_page(404, "404 Not Found", "There is no such page.")

    def _list(self, request: Request, rest: str, address: str) -> Answer | None:
        return self.catalogue.list_page(_number(rest))

    def _film(self, request: Request, rest: str, address: str) -> Answer | None:
        return self.catalogue.film_page(_number(rest), "gzip" in request.headers.get("accept-encoding", ""))

    def _reviews(self, request: Request, rest: str, address: str) -> Answer | None:
        number = _number(rest)
        if not 1 <= number <= len(self.catalogue):
            return None
        return as_json([review._asdict() for review in self.catalogue.film(number).reviews])

    def _ticket(self, address: str) -> str:
        return hashlib.sha256(f"{self.catalogue.seed} {address}".encode()).hexdigest()[:24]

    def _login(self, request: Request, rest: str, address: str) -> Answer | None:
        cookie = f"session={self._ticket(address)}; Path=/; HttpOnly"
        return None if rest else as_page(200, "Welcome", headers=(("Set-Cookie", cookie),))

    def _members(self, request: Request, rest: str, address: str) -> Answer | None:
        cookies = request.headers.get("cookie", "").replace(" ", "").split(";")
        if f"session={self._ticket(address)}" not in cookies:
            return as_page(403, "403 Forbidden", "Members only.")
        return as_page(200, "Members")


def _number(text: str) -> int:
    """The number in a path, written without leading zeros; -1 if it is not one."""
    return int(text) if re.fullmatch(r"[1-9][0-9]{0,8}|0", text) else -1


def _echo(request: Request, path: str, address: str) -> Answer:
    body = request.body.decode("utf-8", "replace")
    shown = {
        "method": request.method,
        "path": path,
        "headers": request.headers,
        "body": body,
        "peer": address,
    }
    return as_json(shown)


def _status(request: Request, path: str, address: str) -> Answer | None:
    parts = urlsplit(path)
    code = _number(parts.path.removeprefix("/status/"))
    if not 200 <= code <= 599:
        return None
    answer = as_page(code, f"Status {code}")
    wanted = parse_qs(parts.query).get("retry-after", [""])[0]
    # Nothing but harmless characters may get into a header.
    if not re.fullmatch(r"[\w ,:.-]{1,40}", wanted, re.ASCII):
        return answer
    return replace(answer, headers=(*answer.headers, ("Retry-After", wanted)))


def _slow(request: Request, rest: str, address: str) -> Answer | None:
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", rest):
        return None
    return replace(as_page(200, f"After {rest} seconds"), pause=min(float(rest), MAX_PAUSE))


def _redirect(request: Request, rest: str, address: str) -> Answer | None:
    left = _number(rest)
    if left < 0:
        return None
    if left == 0:
        return as_page(200, "Arrived")
    return as_page(302, "302 Found", headers=(("Location", f"/redirect/{left - 1}"),))


def _bomb() -> Answer:
    # A deflate block that ends with a full flush does not refer to earlier data, so it can be repeated: only one
    # megabyte has to be compressed, not three hundred.
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = squeeze.compress(MEGABYTE) + squeeze.flush(zlib.Z_FULL_FLUSH)
    end = zlib.compressobj(9, zlib.DEFLATED, -15).flush()

    def chunks() -> Iterator[bytes]:
        yield GZIP_HEAD
        check = 0
        for _ in range(MEGABYTES_OF_BOMB):
            check = zlib.crc32(MEGABYTE, check)
            yield block
        yield end + check.to_bytes(4, "little") + (len(MEGABYTE) * MEGABYTES_OF_BOMB).to_bytes(4, "little")

    length = len(GZIP_HEAD) + len(block) * MEGABYTES_OF_BOMB + len(end) + 8
    return Answer(200, Stream(length, chunks), (HTML, GZIP))


def _huge() -> Answer:
    def chunks() -> Iterator[bytes]:
        for _ in range(MEGABYTES_OF_HUGE):
            yield MEGABYTE

    return Answer(200, Stream(len(MEGABYTE) * MEGABYTES_OF_HUGE, chunks), (HTML,))
