"""
One exchange through one proxy: from a task to its answer, or to the evidence of what went wrong.

`Fetcher` is the hot path. It shares headers, cookies and connections with its `PinnedSession`, but calls urllib3's pool
itself, which takes half the time of the session.
"""

from __future__ import annotations

import math
import time
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
from pinpool.fetch.content_coding import decoded, too_large
from pinpool.fetch.diagnosis import diagnose, login_refused, site_unknown
from pinpool.fetch.session import NO_PROFILE, PinnedSession
from pinpool.model import Evidence, Fetched, Sign, Step, Task
from pinpool.settings import Settings
from pinpool.urls import clean_url, join_url

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

    from pinpool.proxies.proxy import Proxy

#: Characters of all cookies of a pin: more than any site sends to a browser.
MAX_COOKIES = 65_536
#: Bytes read of a body at a time.
CHUNK = 65_536

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HOST_HEADERS = ("authorization", "cookie")
_BODY_HEADERS = ("content-type", "content-length", "content-encoding", "content-language", "content-location")
_NO_RETRIES = Retry(total=False, redirect=False)


class Fetcher:
    """
    Fetches tasks through one proxy with one identity: the cookies, headers and connections of `session`.

    Only for one thread at a time. A swap makes a new one, with another `profile` of headers. It uses the session's
    `headers`, `cookies` and `auth`, but not its `params` and hooks.
    """

    def __init__(self, proxy: Proxy, settings: Settings, profile: Mapping[str, str] = NO_PROFILE) -> None:
        self.session = PinnedSession(proxy, settings, profile)
        self._settings = settings
        self._timeout = Timeout(connect=settings.connect_timeout, read=settings.timeout)
        self._progress = self.session.pin.progress

    def close(self) -> None:
        """Close every connection. Cookies and headers stay."""
        self.session.close()

    def fetch(self, task: Task, until: float) -> Fetched:
        """
        The complete answer to `task`, whatever its status, after redirects.

        Reads nothing after `until` (`time.monotonic()`), in any thread. Raises FetchFailed for any failure, and lets a
        DeadlinePassed of an alarm through. After either all connections are closed: one may hold the rest of an
        answer.
        """
        # A connection sets CONNECT when it begins. A failure before that is not the proxy's fault.
        self._progress.step = Step.HEAD
        self._progress.until = until
        try:
            return self._follow(task)
        except FetchFailed as failed:
            evidence = failed.evidence
        except Exception as error:  # noqa: BLE001  a peer can make the libraries raise anything
            evidence = diagnose(error, self._progress.step, late=self._progress.is_late)
        except BaseException:
            self.close()
            raise
        finally:
            self._progress.until = math.inf
        # Not inside the `except`: its exception keeps the half-read answer alive.
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
                # The answer to a HEAD has the headers of a body without the body.
                if body and (coding := response.headers.get("content-encoding")):
                    body = decoded(body, coding, self._settings.max_body)
                seconds = time.monotonic() - start
                headers = {name.lower(): value for name, value in response.headers.itermerged()}
                return Fetched(request.url, response.status, headers, body, seconds, size)
            request = self._redirected(request, response.status, location)
        message = f"more than {self._settings.max_redirects} redirects"
        raise _failed(Step.PAGE, Sign.REDIRECTS, message, response.status)

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
            message = "the URL cannot be requested; it needs http(s)://, a host, and no login"
            raise _failed(Step.HEAD, Sign.BROKEN, message)
        session, self._progress.step = self.session, Step.HEAD
        timeout = self._time_left()
        headers = dict(request.headers)
        if session.cookies and (cookies := get_cookie_header(session.cookies, _for_jar(request))):  # type: ignore[no-untyped-call]
            headers["Cookie"] = cookies
        asks_proxy = session.pin.asks_proxy(request.url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers[TARGET] = request.url if asks_proxy else path
        response = session.pin.pool(parts.scheme, parts.hostname, parts.port).urlopen(
            request.method,
            f"http://{parts.netloc}/" if asks_proxy else "/",  # the path is in the header TARGET
            body=request.body,
            headers=headers,
            retries=_NO_RETRIES,
            redirect=False,
            assert_same_host=False,
            timeout=timeout,
            preload_content=False,
            decode_content=False,
        )
        self._progress.step = Step.BODY
        if (failure := _head_failure(response, asks_proxy)) is not None:
            response.close()
            raise FetchFailed(failure)
        if "set-cookie" in response.headers:
            extract_cookies_to_jar(session.cookies, _for_jar(request), response)  # type: ignore[no-untyped-call]
            if sum(len(cookie.name) + len(cookie.value or "") for cookie in session.cookies) > MAX_COOKIES:
                # Sent back with each request, so many would make the next ones fail.
                session.cookies.clear()
        return response

    def _time_left(self) -> Timeout:
        left = self._progress.until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if left >= self._settings.connect_timeout:
            return self._timeout
        return Timeout(connect=left, read=min(left, self._settings.timeout))

    def _body(self, response: BaseHTTPResponse) -> bytes:
        """The body as it was sent. It is read to its end, so that the connection can be used again."""
        limit = self._settings.max_body
        if (response.length_remaining or 0) > limit:
            raise too_large(limit, response.status)
        body = bytearray()
        while chunk := response.read(min(CHUNK, limit + 1 - len(body)), decode_content=False):
            body += chunk
            if len(body) > limit:
                raise too_large(limit, response.status)
            if response.length_remaining == 0:
                break
        return bytes(body)

    def _redirected(self, request: _Request, status: int, location: str) -> _Request:
        """The next request, as a browser would send it."""
        try:
            # http.client reads headers as Latin-1, while sites write UTF-8.
            target = location.encode("latin-1").decode("utf-8", "replace")
            url = clean_url(join_url(request.url, target))
        except ValueError:
            # The target is not shown: a proxy could put its password there.
            message = "redirected to something that is not an http(s) URL"
            raise _failed(Step.PAGE, Sign.REDIRECTS, message, status) from None
        method, body, dropped = request.method, request.body, set[str]()
        if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
            method, body = "GET", None
            dropped.update(_BODY_HEADERS)
        if self.session.should_strip_auth(request.url, url):  # type: ignore[no-untyped-call]
            dropped.update(_HOST_HEADERS)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in dropped}
        return _Request(method, url, headers, body)


class _Request(NamedTuple):
    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None


def _for_jar(request: _Request) -> Any:
    """The parts of a request that a cookie jar reads."""
    return SimpleNamespace(url=request.url, headers=CaseInsensitiveDict(request.headers))


def _head_failure(response: BaseHTTPResponse, asks_proxy: bool) -> Evidence | None:
    """The evidence of an answer that is not the site's, or not an answer."""
    if asks_proxy and (refusal := login_refused(response.status, response.headers)) is not None:
        return refusal
    if response.status < 200:
        return Evidence(Step.HEAD, Sign.BROKEN, "an interim status instead of an answer", response.status)
    if asks_proxy and response.status >= 500 and site_unknown(response.headers):
        return Evidence(Step.HEAD, Sign.NAME, "the proxy says that the site's name does not resolve")
    return None


def _failed(step: Step, sign: Sign, message: str, status: int | None = None) -> FetchFailed:
    return FetchFailed(Evidence(step, sign, message, status))
