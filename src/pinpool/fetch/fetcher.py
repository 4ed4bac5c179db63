"""
One exchange through one proxy: from a task to its answer, or to the evidence of what went wrong.

`Fetcher` is the hot path. It shares headers, cookies and connections with its `PinnedSession`, but sends and reads by
itself: that takes a seventh of the time of the session, and a fifth of urllib3's.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from inspect import GEN_CLOSED, getgeneratorstate
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import requests
from requests.structures import CaseInsensitiveDict

from pinpool.errors import FetchFailed, StorageError
from pinpool.fetch.content_coding import decoded
from pinpool.fetch.diagnosis import diagnose, login_refused, site_unknown, without_secrets
from pinpool.fetch.heads import Head, request_bytes
from pinpool.fetch.session import NO_PROFILE, PinnedSession
from pinpool.model import Evidence, Fetched, Sign, Step, Task
from pinpool.settings import Settings
from pinpool.urls import resolve_url

if TYPE_CHECKING:
    from pinpool.fetch.adapter import Answer
    from pinpool.fetch.sockets import Progress
    from pinpool.proxies.proxy import Proxy

T = TypeVar("T")

#: Characters of all cookies of a pin: more than any site sends to a browser.
MAX_COOKIES = 65_536

#: As most of the URLs that `clean_url` makes: no port, no login, no fragment.
_PLAIN_URL = re.compile(r"(https?)://([a-z0-9.-]+)(/[^\s#]*)", re.ASCII)

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HOST_HEADERS = ("authorization", "cookie")
_BODY_HEADERS = ("content-type", "content-length", "content-encoding", "content-language", "content-location")


class Fetcher:
    """
    Fetches tasks through one proxy with one identity: the cookies, headers and connections of `session`.

    Only for one thread at a time. A swap makes a new one, with another `profile` of headers. It uses the session's
    `headers`, `cookies` and `auth`, but not its `params` and hooks.
    """

    def __init__(self, proxy: Proxy, settings: Settings, profile: Mapping[str, str] = NO_PROFILE) -> None:
        self.session = PinnedSession(proxy, settings, profile)
        self._settings = settings
        self._address = proxy
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
        return self._judged(partial(self._fetch, task), until)

    def stream(
        self, task: Task, until: float, headers: Mapping[str, str], take: Callable[[Received, Progress], T]
    ) -> T:
        """
        What `take` makes of the answer to `task` with these further headers, after redirects. Its body is to come.

        `take` may put off `until`, in the progress that it gets. Raises as `fetch`, and lets the StorageError of `take`
        through. A body that `take` does not read to its end costs the connection.
        """

        def ask() -> T:
            request, answer = self._answer(task, headers)
            pieces, framing = answer.stream(), answer.framing
            status, length = answer.head.status, framing.length
            received = Received(request.url, status, answer.headers, length, framing.is_complete, pieces)
            try:
                return take(received, self._progress)
            finally:
                if getgeneratorstate(pieces) != GEN_CLOSED:
                    pieces.close()
                    answer.connection.close()

        return self._judged(ask, until)

    def _judged(self, ask: Callable[[], T], until: float) -> T:
        """What `ask` returns. What it raises becomes evidence."""
        # A connection sets CONNECT when it begins. A failure before that is not the proxy's fault.
        self._progress.step = Step.HEAD
        self._progress.until = until
        try:
            return ask()
        except FetchFailed as failed:
            evidence = failed.evidence
        except StorageError:  # this machine's
            self.close()
            raise
        except Exception as error:  # noqa: BLE001  a peer can make the libraries raise anything
            evidence = diagnose(error, self._progress.step, late=self._progress.is_late)
            evidence = without_secrets(evidence, self._address)
        except BaseException:
            self.close()
            raise
        finally:
            self._progress.until = math.inf
        # Not inside the `except`: its exception keeps the half-read answer alive.
        self.close()
        raise FetchFailed(evidence)

    def _fetch(self, task: Task) -> Fetched:
        start = time.monotonic()
        request, answer = self._answer(task)
        status, headers = answer.head.status, answer.headers
        body = answer.body(self._settings.max_body)
        size, note = len(body), ""
        # The answer to a HEAD has the headers of a body without the body.
        if body and (coding := headers.get("content-encoding")):
            body, note = decoded(body, coding, self._settings.max_body, complete=answer.framing.is_complete)
        return Fetched(request.url, status, headers, body, time.monotonic() - start, size, note)

    def _answer(self, task: Task, more: Mapping[str, str] = NO_PROFILE) -> tuple[_Request, Answer]:
        """The final request, and its answer, of which the head is read."""
        request = _Request(task.method, task.url.partition("#")[0], self._headers(task, more), task.body)
        for _ in range(self._settings.max_redirects + 1):
            answer = self._send(request)
            status, headers = answer.head.status, answer.headers
            if status in _REDIRECTS and "location" in headers:
                answer.pass_body()
                request = self._redirected(request, answer.head)
                continue
            return request, answer
        message = f"more than {self._settings.max_redirects} redirects"
        raise _failed(Step.PAGE, Sign.REDIRECTS, message, status)

    def _headers(self, task: Task, more: Mapping[str, str]) -> dict[str, str]:
        headers: Any = self.session.headers
        if task.headers or more:
            headers = CaseInsensitiveDict(headers)
            headers.update(task.headers)
            headers.update(more)
        if self.session.auth is not None:
            request = requests.Request(task.method, task.url, headers, auth=self.session.auth)
            headers = request.prepare().headers
            headers.pop("Content-Length", None)
        return {name: value for name, value in headers.items() if value is not None}

    def _send(self, request: _Request) -> Answer:
        """Send the request and wait for the head of its answer."""
        scheme, host, port, site, target = _parts(request.url)
        session, progress = self.session, self._progress
        progress.step = Step.HEAD
        left = progress.until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        headers: Mapping[str, Any] = request.headers
        if session.cookies and "cookie" not in map(str.lower, headers):
            cookies = session.cookies.header(request.url, time.time())
            headers = {**headers, "Cookie": cookies} if cookies else headers
        asks_proxy = session.pin.asks_proxy(request.url)
        pool = session.pin.pool(scheme, host, port)
        if asks_proxy:
            headers = {**headers, **pool.proxy_headers}
            target = request.url
        settings = self._settings
        answer = pool.ask(
            request.method,
            request_bytes(request.method, target, site, headers, request.body),
            not asks_proxy,
            min(settings.connect_timeout, left),
            min(settings.timeout, left),
        )
        progress.step = Step.BODY
        if (failure := _head_failure(answer, asks_proxy)) is not None:
            answer.connection.close()
            raise FetchFailed(failure)
        if "set-cookie" in answer.headers:
            self._keep_cookies(request.url, answer.head)
        return answer

    def _keep_cookies(self, url: str, head: Head) -> None:
        jar = self.session.cookies
        for name, value in head.headers:
            if name.lower() == "set-cookie":
                jar.keep(value, url, time.time())
        if sum(len(cookie.name) + len(cookie.value or "") for cookie in jar) > MAX_COOKIES:
            # Sent back with each request, so many would make the next ones fail.
            jar.clear()

    def _redirected(self, request: _Request, head: Head) -> _Request:
        """The next request, as a browser would send it."""
        status = head.status
        try:
            (location,) = {value for name, value in head.headers if name.lower() == "location"}
            url = resolve_url(request.url, _unescaped(location))
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


class Received(NamedTuple):
    """
    An answer whose body is still to come, in `pieces`. `length` is the announced one in bytes, None if there is none.

    `complete`: the end of the body can be told from a cut.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    length: int | None
    complete: bool
    pieces: Iterator[bytes]


class _Request(NamedTuple):
    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None


def _head_failure(answer: Answer, asks_proxy: bool) -> Evidence | None:
    """The evidence of an answer that is not the site's, or not an answer."""
    status = answer.head.status
    if asks_proxy and (refusal := login_refused(status, answer.headers)) is not None:
        return refusal
    if status < 200:
        return Evidence(Step.HEAD, Sign.BROKEN, "an interim status instead of an answer", status)
    if asks_proxy and status >= 500 and site_unknown(answer.headers):
        return Evidence(Step.HEAD, Sign.NAME, "the proxy says that the site's name does not resolve")
    return None


def _parts(url: str) -> tuple[str, str, int | None, str, str]:
    """Scheme, host, port, the Host header, and the target without these. Raises FetchFailed."""
    if found := _PLAIN_URL.fullmatch(url):
        scheme, site, target = found.groups()
        return scheme, site, None, site, target
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        message = "the URL cannot be requested; it needs http(s)://, a host, and no login"
        raise _failed(Step.HEAD, Sign.BROKEN, message)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return parts.scheme, parts.hostname, parts.port, parts.netloc, target


def _unescaped(location: str) -> str:
    # Sites write UTF-8, and headers are read as Latin-1. A browser escapes bytes that are not UTF-8 as they are.
    sent = location.encode("latin-1")
    try:
        return sent.decode("utf-8")
    except UnicodeDecodeError:
        return "".join(chr(byte) if byte < 0x80 else f"%{byte:02X}" for byte in sent)


def _failed(step: Step, sign: Sign, message: str, status: int | None = None) -> FetchFailed:
    return FetchFailed(Evidence(step, sign, message, status))
