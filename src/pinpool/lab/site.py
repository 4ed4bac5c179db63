"""
The practice site: the answer to each path. It reads no clock and opens no socket.

Besides the films (``/page/{n}``, ``/detail/{n}``) it has a page for each difficulty:

- ``/echo``: the request as JSON: method, path, headers, body, and peer (the client's address)
- ``/status/{code}``: that status; ``?retry-after=7`` adds the header
- ``/redirect/{n}``: n redirects, then a page
- ``/drip-head``: a head that never ends; ``/drip-body``: a body at a few hundred bytes a second
- ``/truncated``: half of what was announced
- ``/bomb``: 300 MB of HTML in 300 kB of gzip; ``/huge``: 100 MB of HTML
- ``/file/{n}.pdf``, ``/files/{n}``: files, and list pages of them, see `lab.files`
- ``/login``: sets a cookie; ``/members``: 403 without it, or from another address

For the gallery of spiders there are a shop (``/shop``), and the films once more as JSON (``/api/films``), as a feed
(``/feed.xml``), and behind a form (``/search``).
"""

import hashlib
import json
import re
import zlib
from dataclasses import replace
from functools import cache
from urllib.parse import parse_qs

from pinpool.lab.files import Library
from pinpool.lab.film_lists import api_page, feed, search
from pinpool.lab.http import Answer, Delivery, Request, as_page
from pinpool.lab.pages import Catalogue
from pinpool.lab.shop import Shop

#: Where each thing to practise on begins, what it is, and the example that reads it.
ENTRIES = (
    ("/page/1", "films: list pages, and a page for each film", "start"),
    ("/api/films", "the films as JSON, cut into pages by cursors", "films_api"),
    ("/search", "the films behind a form", "search_form"),
    ("/feed.xml", "the films as a feed", "news_feed"),
    ("/shop", "a shop: categories, lists, products", "shop"),
    ("/files/1", "list pages of PDF files", "reports"),
)
#: A page for each difficulty.
DIFFICULTIES = (
    "/echo",
    "/status/503?retry-after=7",
    "/redirect/3",
    "/drip-head",
    "/drip-body",
    "/truncated",
    "/bomb",
    "/huge",
    "/login",
    "/members",
)
HTML = ("Content-Type", "text/html; charset=utf-8")
ROBOTS = b"User-agent: *\nDisallow: /bomb\nDisallow: /huge\nAllow: /\n"
MEGABYTE = b"<p>\n" * 250_000
MEGABYTES_OF_BOMB = 300
MEGABYTES_OF_HUGE = 100


class Site:
    """The same catalogue and the same request always give the same answer."""

    def __init__(self, catalogue: Catalogue, library: Library) -> None:
        self.catalogue = catalogue
        self.shop = Shop(catalogue.pages, catalogue.seed)
        self.library = library

    def answer(self, request: Request, path: str, address: str) -> Answer:
        """The answer to a `request` from `address` for `path` (with its query). Unknown paths are 404."""
        return self._found(request, path, address) or as_page(404, "404 Not Found", "There is no such page.")

    def _found(self, request: Request, path: str, address: str) -> Answer | None:
        bare, _, query = path.partition("?")
        name, _, rest = bare[1:].partition("/")
        # The number in a path is written without leading zeros.
        number = int(rest) if re.fullmatch(r"[1-9][0-9]{0,8}|0", rest) else -1
        ticket = "session=" + hashlib.sha256(f"{self.catalogue.seed} {address}".encode()).hexdigest()[:24]
        match name:
            case "page":
                return self.catalogue.list_page(number)
            case "detail":
                compress = "gzip" in request.headers.get("accept-encoding", "")
                return self.catalogue.film_page(number, compress)
            case "shop":
                return self.shop.answer(rest, query)
            case "api" if rest == "films":
                return api_page(self.catalogue, query)
            case "feed.xml":
                return feed(self.catalogue, request.headers.get("host", "localhost"))
            case "search":
                return search(self.catalogue, request)
            case "file":
                return self.library.answer(request, rest, query)
            case "files" if number > 0:
                return self.library.list_page(number)
            case "echo":
                return _echo(request, path, address)
            case "status" if 200 <= number <= 599:
                return _status(number, query)
            case "redirect" if number > 0:
                return as_page(302, "302 Found", headers=(("Location", f"/redirect/{number - 1}"),))
            case "redirect" if number == 0:
                return as_page(200, "Arrived")
            case "members":
                if ticket in request.headers.get("cookie", "").replace(" ", "").split(";"):
                    return as_page(200, "Members")
                return as_page(403, "403 Forbidden", "Members only.")
            case "login":
                return as_page(200, "Welcome", headers=(("Set-Cookie", f"{ticket}; Path=/; HttpOnly"),))
            case "":
                links = (f'<a href="{path}">{what}</a>' for path, what, _ in ENTRIES)
                return as_page(200, "The practice site", "<br>".join(links))
            case "robots.txt":
                return Answer(200, ROBOTS, (("Content-Type", "text/plain"),))
            case "drip-head":
                return Answer(200, delivery=Delivery.DRIP_HEAD)
            case "drip-body":
                return Answer(200, MEGABYTE, (HTML,), Delivery.DRIP)
            case "truncated":
                return Answer(200, MEGABYTE[:40_000], (HTML,), Delivery.CUT)
            case "bomb":
                return _bomb()
            case "huge":
                return Answer(200, (MEGABYTE,) * MEGABYTES_OF_HUGE, (HTML,))
        return None


def _echo(request: Request, path: str, address: str) -> Answer:
    shown = {
        "method": request.method,
        "path": path,
        "headers": request.headers,
        "body": request.body.decode("utf-8", "replace"),
        "peer": address,
    }
    body = json.dumps(shown, ensure_ascii=False, indent=1).encode()
    return Answer(200, body, (("Content-Type", "application/json"),))


def _status(code: int, query: str) -> Answer:
    answer = as_page(code, f"Status {code}")
    wanted = parse_qs(query).get("retry-after", [""])[0]
    # Nothing but harmless characters may get into a header.
    if not re.fullmatch(r"[\w ,:.-]{1,40}", wanted, re.ASCII):
        return answer
    return replace(answer, headers=(*answer.headers, ("Retry-After", wanted)))


@cache
def _bomb() -> Answer:
    # A deflate block that ends with a full flush does not refer to earlier data, so it can be repeated: only one
    # megabyte has to be compressed, not three hundred.
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = squeeze.compress(MEGABYTE) + squeeze.flush(zlib.Z_FULL_FLUSH)
    check = 0
    for _ in range(MEGABYTES_OF_BOMB):
        check = zlib.crc32(MEGABYTE, check)
    size = (len(MEGABYTE) * MEGABYTES_OF_BOMB).to_bytes(4, "little")
    end = zlib.compressobj(9, zlib.DEFLATED, -15).flush() + check.to_bytes(4, "little") + size
    body = (b"\x1f\x8b\x08\0\0\0\0\0\0\xff", *[block] * MEGABYTES_OF_BOMB, end)
    return Answer(200, body, (HTML, ("Content-Encoding", "gzip")))
