"""
One exchange through one proxy: a task goes in, and a `Fetched` answer comes out, or evidence of what went
wrong.

`PinnedSession` is a requests.Session with one way out, for hooks and for `pinpool.session()`. `Fetcher` is
the hot path: it shares the session's headers, cookies and connections, and goes straight to urllib3's pool,
which takes half the time of the session.
"""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import requests
from requests.cookies import extract_cookies_to_jar, get_cookie_header
from requests.structures import CaseInsensitiveDict
from urllib3 import Retry, Timeout

from pinpool.errors import FetchFailed
from pinpool.fetch.connections import TARGET
from pinpool.fetch.diagnosis import diagnose, login_refused, site_unknown
from pinpool.fetch.session import NO_PROFILE, PinnedSession
from pinpool.model import Evidence, Fetched, Sign, Step, Task
from pinpool.settings import Settings
from pinpool.urls import clean_url, join_url

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

    from pinpool.proxies.proxy import Proxy

#: Names and values that a pin keeps in all: more than any site sends to a browser.
COOKIE_BYTES = 65_536
#: Bytes asked of a body at a time, and given to a decompressor at a time.
CHUNK = 65_536
#: Content codings one upon the other. More is nobody's page.
MOST_CODINGS = 3

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OF_ONE_HOST = ("authorization", "cookie")
_OF_A_BODY = ("content-type", "content-length", "content-encoding", "content-language", "content-location")
_NEVER_AGAIN = Retry(total=False, redirect=False)


class Fetcher:
    """
    Fetches tasks through one proxy, keeping one identity: the cookies, headers and connections of `session`.

    To be used by one thread at a time. A swap makes a new one, with another `profile` of headers. Of the
    session's own settings `headers`, `cookies` and `auth` count; its `params` and hooks do not.
    """

    def __init__(self, proxy: Proxy, settings: Settings, profile: Mapping[str, str] = NO_PROFILE) -> None:
        self.session = PinnedSession(proxy, settings, profile)
        self._settings = settings
        self._timeout = Timeout(connect=settings.connect_timeout, read=settings.timeout)
        self._progress = self.session.pin.progress

    def __repr__(self) -> str:
        return f"<Fetcher {self.session.pin.label}>"

    def close(self) -> None:
        """Close every connection. Cookies and headers stay."""
        self.session.close()

    def fetch(self, task: Task, until: float) -> Fetched:
        """
        The complete answer to `task`, of whatever status, redirects followed.

        `until` is a `time.monotonic()` value: nothing is read after it, in any thread. Raises FetchFailed
        for everything else that can happen; a DeadlinePassed that strikes meanwhile passes through. After
        either, all connections are closed, as one may hold the rest of an answer.
        """
        # Whoever connects says so: until then, what goes wrong is no proxy's doing.
        self._progress.step = Step.HEAD
        self._progress.until = until
        try:
            return self._follow(task)
        except FetchFailed as failed:
            evidence = failed.evidence
        except Exception as error:  # noqa: BLE001  whatever a peer makes a library raise is evidence
            evidence = diagnose(error, self._progress.step, late=self._progress.is_late)
        except BaseException:
            self.close()
            raise
        finally:
            self._progress.until = math.inf
        # Out here the first exception is gone, and with it the half-read answer that its traceback held on to.
        self.close()
        raise FetchFailed(evidence)

    def _follow(self, task: Task) -> Fetched:
        start = time.monotonic()
        request = _Request(task.method, task.url.partition("#")[0], self._headers(task), task.body)
        for _ in range(self._settings.max_redirects + 1):
            response = self._send(request)
            try:
                body = self._body(response)
            except BaseException:
                response.close()
                raise
            size = len(body)
            location = response.headers.get("location") if response.status in _REDIRECTS else None
            if location is None:
                # A HEAD has the headers of a body, and none.
                if body and (coding := response.headers.get("content-encoding")):
                    body = _decoded(body, coding, self._settings.max_body)
                seconds = time.monotonic() - start
                headers = {name.lower(): value for name, value in response.headers.itermerged()}
                return Fetched(request.url, response.status, headers, body, seconds, size)
            request = self._redirected(request, response.status, location)
        raise _failed(
            Step.PAGE, Sign.REDIRECTS, f"more than {self._settings.max_redirects} redirects", response.status
        )

    def _headers(self, task: Task) -> dict[str, str]:
        headers: Any = self.session.headers
        if task.headers:
            headers = CaseInsensitiveDict(headers)
            headers.update(task.headers)
        if self.session.auth is not None:
            request = requests.Request(task.method, task.url, headers, auth=self.session.auth)
            headers = request.prepare().headers
            headers.pop("Content-Length", None)
        return {name: value for name, value in headers.items() if value is not None}

    def _send(self, request: _Request) -> BaseHTTPResponse:
        """Send the request and wait for the head of its answer."""
        parts = urlsplit(request.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            told = "the URL cannot be requested; it needs http(s)://, a host, and no login"
            raise _failed(Step.HEAD, Sign.BROKEN, told)
        session, self._progress.step = self.session, Step.HEAD
        timeout = self._patience()
        headers = dict(request.headers)
        if session.cookies and (cookies := get_cookie_header(session.cookies, _for_jar(request))):  # type: ignore[no-untyped-call]
            headers["Cookie"] = cookies
        asks_proxy = session.pin.asks_proxy(request.url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers[TARGET] = request.url if asks_proxy else path
        response = session.pin.pool(parts.scheme, parts.hostname, parts.port).urlopen(
            request.method,
            f"http://{parts.netloc}/" if asks_proxy else "/",  # all that urllib3 has to know: see TARGET
            body=request.body,
            headers=headers,
            retries=_NEVER_AGAIN,
            redirect=False,
            assert_same_host=False,
            timeout=timeout,
            preload_content=False,
            decode_content=False,
        )
        self._progress.step = Step.BODY
        refusal = login_refused(response.status, response.headers) if asks_proxy else None
        if response.status < 200 or refusal is not None:
            response.close()
            if refusal is not None:
                raise FetchFailed(refusal)
            raise _failed(Step.HEAD, Sign.BROKEN, "an interim status is no answer", response.status)
        if asks_proxy and response.status >= 500 and site_unknown(response.headers):
            response.close()
            raise _failed(Step.HEAD, Sign.NAME, "the proxy says that the site's name does not resolve")
        if "set-cookie" in response.headers:
            extract_cookies_to_jar(session.cookies, _for_jar(request), response)  # type: ignore[no-untyped-call]
            if sum(len(one.name) + len(one.value or "") for one in session.cookies) > COOKIE_BYTES:
                # No site needs that many; sent back with each request, they would break the next ones.
                session.cookies.clear()
        return response

    def _patience(self) -> Timeout:
        left = self._progress.until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if left >= self._settings.connect_timeout:
            return self._timeout
        return Timeout(connect=left, read=min(left, self._settings.timeout))

    def _body(self, response: BaseHTTPResponse) -> bytes:
        """The body as it came over the wire. Read to its end, so that the connection can be used again."""
        limit = self._settings.max_body
        if (response.length_remaining or 0) > limit:
            raise _too_large(limit, response.status)
        chunks = []
        size = 0
        while chunk := response.read(min(CHUNK, limit + 1 - size), decode_content=False):
            size += len(chunk)
            if size > limit:
                raise _too_large(limit, response.status)
            chunks.append(chunk)
            if response.length_remaining == 0:
                break
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _redirected(self, request: _Request, status: int, location: str) -> _Request:
        """The request that follows, with a browser's manners."""
        try:
            # http.client reads headers as Latin-1, while sites write UTF-8.
            target = location.encode("latin-1").decode("utf-8", "replace")
            url = clean_url(join_url(request.url, target))
        except ValueError:
            # What a peer sent is not repeated: a proxy could put its password there.
            told = "redirected to something that is no http(s) URL to request"
            raise _failed(Step.PAGE, Sign.REDIRECTS, told, status) from None
        method, body, dropped = request.method, request.body, set[str]()
        if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
            method, body = "GET", None
            dropped.update(_OF_A_BODY)
        if self.session.should_strip_auth(request.url, url):  # type: ignore[no-untyped-call]
            dropped.update(_OF_ONE_HOST)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in dropped}
        return _Request(method, url, headers, body)


class _Request(NamedTuple):
    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None


def _for_jar(request: _Request) -> Any:
    """The two things that a cookie jar wants to know of a request."""
    return SimpleNamespace(url=request.url, headers=CaseInsensitiveDict(request.headers))


def _failed(step: Step, sign: Sign, message: str, status: int | None = None) -> FetchFailed:
    return FetchFailed(Evidence(step, sign, message, status))


def _too_large(limit: int, status: int | None = None) -> FetchFailed:
    return _failed(Step.BODY, Sign.TOO_LARGE, f"the body is larger than {limit:,} bytes", status)


def _decoded(body: bytes, coding: str, limit: int) -> bytes:
    """`body` without its content codings, never more than `limit` bytes. Raises FetchFailed."""
    codings = [name.strip().lower() for name in coding.split(",")]
    if len(codings) > MOST_CODINGS:
        raise _failed(Step.BODY, Sign.BROKEN, f"compressed {len(codings)} times over")
    for name in reversed(codings):
        try:
            if name in ("gzip", "x-gzip"):
                body = _inflated(body, 16 + zlib.MAX_WBITS, limit)
            elif name == "deflate":
                # The standard says zlib, and some servers send the bare stream.
                is_zlib = len(body) > 1 and body[0] & 15 == 8 and int.from_bytes(body[:2], "big") % 31 == 0
                body = _inflated(body, zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS, limit)
            elif name not in ("", "identity"):
                raise _failed(Step.BODY, Sign.BROKEN, "in a content coding that was not asked for")
        except zlib.error:
            raise _failed(Step.BODY, Sign.BROKEN, f"not {name}, though the headers say so") from None
    return body


def _inflated(body: bytes, window: int, limit: int) -> bytes:
    inflater, whole, position = zlib.decompressobj(window), bytearray(), 0
    while position < len(body):
        # In pieces: what is left behind one gzip member is copied, and there may be a hundred thousand of
        # them.
        piece = body[position : position + CHUNK]
        whole += inflater.decompress(piece, limit + 1 - len(whole))
        if len(whole) > limit:
            raise _too_large(limit)
        position += len(piece) - len(inflater.unused_data)
        if inflater.eof:
            # Browsers read on where another member follows, and overlook anything else.
            if window < 16 or body[position : position + 2] != b"\x1f\x8b":
                break
            inflater = zlib.decompressobj(window)
    if not inflater.eof:
        raise _failed(Step.BODY, Sign.SHORT, "ended within the compressed data")
    return bytes(whole)
