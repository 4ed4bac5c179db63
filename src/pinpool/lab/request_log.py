"""What the lab writes down: every request, and who held which connection when."""

from __future__ import annotations

import asyncio
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

# Enough for the largest run that anybody checks request by request; a lab left running for days stays small.
REMEMBERED = 1_000_000
# POLLHUP and POLLERR are always reported; a half-closed connection has a sign of its own where the system has one.
HUNG_UP: int = getattr(select, "POLLRDHUP", 0)


@dataclass(slots=True)
class Seen:
    """
    One request for a page of the site. `at` and `ended` are `time.monotonic` seconds.

    `proxy` is the index of the lab's proxy that it came through, None if it bypassed them. `status` is None
    until there is an answer, and for ever when a fault kept it back. `ended` is set when the answer was sent,
    or at once when the client left. `port` is the client's own, `cookie` all that it sent of these.
    """

    at: float
    proxy: int | None
    method: str
    path: str
    agent: str
    port: int
    cookie: str = ""
    status: int | None = None
    ended: float | None = None


class LabProxy:
    """
    One proxy of the lab, with what it counted.

    `requests` are requests for pages, answered or not; `logins_refused` counts wrong or missing credentials;
    `connections` were accepted in all, `open` are open now, `max_connections` were at once. `users` are
    client connections with a request (or a handshake) in progress, `max_users` the most at any time: 1 as
    long as one worker at a time pins this proxy.
    """

    def __init__(self, index: int, kind: Literal["http", "socks5"], user: str, password: str) -> None:
        self.index = index
        self.kind: Literal["http", "socks5"] = kind
        self.host = "127.0.0.1"
        self.port = 0
        self.user = user
        self.password = password
        self.fault: str | None = None
        self.requests = 0
        self.logins_refused = 0
        self.connections = 0
        self.open = 0
        self.max_connections = 0
        self.users = 0
        self.max_users = 0

    @property
    def scheme(self) -> str:
        """``http`` or ``socks5h``: the name of the site is for the proxy to resolve."""
        return "http" if self.kind == "http" else "socks5h"

    @property
    def url(self) -> str:
        """The line for a proxy list, with the password, percent-encoded."""
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}@" if self.user else ""
        return f"{self.scheme}://{login}{self.host}:{self.port}"

    @property
    def label(self) -> str:
        """The printable name, without the password."""
        return f"{self.scheme}://{f'{self.user}@' if self.user else ''}{self.host}:{self.port}"

    @property
    def exit_address(self) -> str:
        """The address that the site sees, of the range reserved for test networks (198.18.0.0/15)."""
        high, low = divmod(self.index + 1, 256)
        return f"198.18.{high}.{low}"

    def __repr__(self) -> str:
        return f"<LabProxy {self.index} {self.label} {self.fault or 'faultless'}>"


class RequestLog:
    """Written by the lab's loop only; read from anywhere. `wait` wakes after each entry."""

    def __init__(self) -> None:
        self.requests: deque[Seen] = deque(maxlen=REMEMBERED)
        self.direct = 0
        self.lines: set[Line] = set()
        self._changed = threading.Condition()

    def note(self) -> None:
        """Wake those who wait."""
        with self._changed:
            self._changed.notify_all()

    def wait(self, predicate: Callable[[], bool], timeout: float) -> bool:
        """Whether `predicate` came true within `timeout` seconds; it is asked again after each entry."""
        with self._changed:
            return self._changed.wait_for(predicate, timeout)

    def enter(self, line: Line, method: str, path: str, agent: str, cookie: str = "") -> Seen:
        """Write down a request that has just arrived."""
        proxy = line.proxy
        if proxy is None:
            self.direct += 1
        else:
            proxy.requests += 1
        seen = Seen(time.monotonic(), proxy.index if proxy else None, method, path, agent, line.port, cookie)
        self.requests.append(seen)
        self.note()
        return seen


class Line:
    """One client connection in the books, from accept to its end, through every change of protocol."""

    def __init__(self, books: RequestLog, proxy: LabProxy | None, transport: asyncio.Transport) -> None:
        self.books = books
        self.proxy = proxy
        self.transport = transport
        peer = transport.get_extra_info("peername")
        self.port: int = peer[1] if peer else 0
        self.busy = False
        self.closed = False
        books.lines.add(self)
        if proxy is not None:
            proxy.connections += 1
            proxy.open += 1
            proxy.max_connections = max(proxy.max_connections, proxy.open)
        books.note()

    def begin(self) -> None:
        """A request, or a part of one, has arrived."""
        if self.busy or self.closed:
            return
        self.busy = True
        if self.proxy is not None:
            if self.proxy.users:
                self._end_the_departed()
            self.proxy.users += 1
            self.proxy.max_users = max(self.proxy.max_users, self.proxy.users)
        self.books.note()

    def _end_the_departed(self) -> None:
        # A reset and the next client's request may come in one turn of the loop, and the loop hears of the reset
        # last. The kernel knows better: two users are two only if both are still there.
        for line in tuple(self.books.lines):
            if line.busy and line.proxy is self.proxy and _departed(line.transport):
                line.close()

    def end(self) -> None:
        """The answer has left us, or nobody waits for it any more."""
        if not self.busy:
            return
        self.busy = False
        if self.proxy is not None:
            self.proxy.users -= 1
        self.books.note()

    def close(self) -> None:
        """The client has left. The first call counts."""
        if self.closed:
            return
        self.end()
        self.closed = True
        self.books.lines.discard(self)
        if self.proxy is not None:
            self.proxy.open -= 1
        self.books.note()


def _departed(transport: asyncio.Transport) -> bool:
    """Whether the other side has closed or reset the connection, heard of or not."""
    socket = transport.get_extra_info("socket")
    if socket is None or socket.fileno() < 0:
        return True
    watch = select.poll()
    watch.register(socket.fileno(), HUNG_UP)
    return bool(watch.poll(0))
