"""The lab's log: every request, and who was connected to which proxy when."""

import asyncio
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

# Requests that are kept: enough to check the largest run one by one, and a lab that runs for days stays small.
MAX_REQUESTS = 1_000_000
# POLLHUP and POLLERR are always reported. Some systems also report a half-closed connection.
HUNG_UP: int = getattr(select, "POLLRDHUP", 0)


@dataclass(slots=True)
class Seen:
    """
    One request for a page of the site. `at` and `ended` are `time.monotonic` seconds.

    `proxy` is the index of the lab's proxy that it came through, None if it bypassed them. `status` is None until
    there is an answer, and stays None if a fault kept it back. `ended` is set when the answer was sent, or when the
    client left. `cookie` is the whole Cookie header.
    """

    at: float
    proxy: int | None
    method: str
    path: str
    agent: str
    cookie: str
    status: int | None = None
    ended: float | None = None


@dataclass(eq=False, repr=False, slots=True)
class LabProxy:
    """
    One proxy of the lab, with its counters.

    `requests` are requests for pages, answered or not. `logins_refused` counts wrong or missing credentials.
    `connections` is the number ever accepted, `open` the number now. `users` are client connections with a request or
    a handshake in progress. `max_users` is the most of these at once: 1 if one worker at a time pins this proxy.
    """

    index: int
    scheme: Literal["http", "socks5h"]
    user: str
    password: str
    host: str = "127.0.0.1"
    port: int = 0
    fault: str | None = None
    requests: int = 0
    logins_refused: int = 0
    connections: int = 0
    open: int = 0
    users: int = 0
    max_users: int = 0

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


class RequestLog:
    """Written by the lab's loop only, read from any thread. `wait` wakes after each entry."""

    def __init__(self) -> None:
        self.requests: deque[Seen] = deque(maxlen=MAX_REQUESTS)
        self.direct = 0
        self.clients: set[Client] = set()
        self._changed = threading.Condition()

    def notify(self) -> None:
        """Wake all threads in `wait`."""
        with self._changed:
            self._changed.notify_all()

    def wait(self, predicate: Callable[[], bool], timeout: float) -> None:
        """Return as soon as `predicate`, called after each entry, is true. TimeoutError after `timeout` seconds."""
        with self._changed:
            if not self._changed.wait_for(predicate, timeout):
                raise TimeoutError(f"not within {timeout} s; so far {len(self.requests)} requests came")

    def add(self, proxy: LabProxy | None, method: str, path: str, agent: str, cookie: str) -> Seen:
        """Log a request that has just arrived."""
        if proxy is None:
            self.direct += 1
        else:
            proxy.requests += 1
        seen = Seen(time.monotonic(), proxy.index if proxy else None, method, path, agent, cookie)
        self.requests.append(seen)
        self.notify()
        return seen


class Client:
    """One client connection in the log, from accept to its end, through every change of protocol."""

    def __init__(self, log: RequestLog, proxy: LabProxy | None, transport: asyncio.Transport) -> None:
        self.log = log
        self.proxy = proxy
        self.transport = transport
        self.busy = False
        self.closed = False
        log.clients.add(self)
        if proxy is not None:
            proxy.connections += 1
            proxy.open += 1
        log.notify()

    @property
    def sock(self) -> socket.socket | None:
        """Our end of the connection."""
        return self.transport.get_extra_info("socket")  # type: ignore[no-any-return]

    def begin(self) -> None:
        """A request, or a part of one, has arrived."""
        if self.busy or self.closed:
            return
        self.busy = True
        if self.proxy is not None:
            if self.proxy.users:
                self._close_departed()
            self.proxy.users += 1
            self.proxy.max_users = max(self.proxy.max_users, self.proxy.users)
        self.log.notify()

    def _close_departed(self) -> None:
        # A reset and the next client's request may come in one turn of the loop, which handles the reset last. So ask
        # the kernel: two users are only two if both are still connected.
        for client in tuple(self.log.clients):
            if client.busy and client.proxy is self.proxy and client.has_departed():
                client.close()

    def end(self) -> None:
        """The answer has left us, or nobody waits for it any more."""
        if not self.busy:
            return
        self.busy = False
        if self.proxy is not None:
            self.proxy.users -= 1
        self.log.notify()

    def close(self) -> None:
        """The client has left. A second call does nothing."""
        if self.closed:
            return
        self.end()
        self.closed = True
        self.log.clients.discard(self)
        if self.proxy is not None:
            self.proxy.open -= 1
        self.log.notify()

    def has_departed(self) -> bool:
        """Whether the other side has closed or reset the connection, even if the loop does not know yet."""
        if self.sock is None or self.sock.fileno() < 0:
            return True
        poll = select.poll()
        poll.register(self.sock.fileno(), HUNG_UP)
        return bool(poll.poll(0))
