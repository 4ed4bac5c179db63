"""
The lab's proxies: HTTP (absolute form and CONNECT) and SOCKS (5 with and without a login, 4 and 4a without).

They reach the practice site and nothing else, so a lab can never become an open proxy.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import struct
from collections.abc import Generator
from typing import Literal
from urllib.parse import urlsplit

from pinpool.lab.connections import SiteConnection, enter_tunnel
from pinpool.lab.http import Answer, Request, as_page
from pinpool.lab.network import Ground
from pinpool.lab.request_log import LabProxy, Line

#: Stands in every password of the lab: whoever finds it in an output has found a leak.
SECRET = "s3cret"

NOT_FORWARDED = ("proxy-authorization", "proxy-connection", "connection")
# SOCKS 5 replies (RFC 1928)
GRANTED, FAILED, UNREACHABLE, NOT_SUPPORTED, BAD_ADDRESS = 0, 1, 4, 7, 8
NO_METHOD = 0xFF


def describe(index: int) -> LabProxy:
    """
    Proxy `index`, not yet on a port: HTTP and SOCKS in turn.

    Of eight, two have no login and two a password that needs percent-encoding in a URL.
    """
    turn = index % 8
    kind: Literal["http", "socks5"] = "socks5" if index % 2 else "http"
    if turn in (4, 7):
        return LabProxy(index, kind, "", "")
    return LabProxy(index, kind, f"user{index}", f"{SECRET}-{index}" + (":@/#?% +" if turn in (0, 1) else ""))


def notation(proxy: LabProxy) -> str:
    """Its line in a list of proxies, with the password: of eight, the HTTP ones in four notations."""
    address = f"{proxy.host}:{proxy.port}"
    turn = proxy.index % 8
    if turn == 2:
        return f"{address}:{proxy.user}:{proxy.password}"
    if turn == 4:
        return address
    return f"{proxy.user}:{proxy.password}@{address}" if turn == 6 else proxy.url


class HttpProxy(SiteConnection):
    """One client of an HTTP proxy."""

    def __init__(self, ground: Ground, proxy: LabProxy) -> None:
        super().__init__(ground)
        self._proxy = proxy

    def proxy(self) -> LabProxy:
        return self._proxy

    async def exchange(self, request: Request) -> bool:
        if self._proxy.fault == "blackhole":
            await self.silence()
        if not self._may_use(request):
            self._proxy.logins_refused += 1
            login = ("Proxy-Authenticate", 'Basic realm="lab"')
            return await self.send(request, _own_answer(407, "407 Proxy Authentication Required", login))
        if request.method == "CONNECT":
            return await self._connect(request)
        try:
            url = urlsplit(request.target)
            host, port = url.hostname or "", url.port or 80
        except ValueError:
            url = None
        if url is None or url.scheme != "http":
            return await self.send(request, _own_answer(400, "400 A proxy wants http://host/path or CONNECT"))
        if self.ground.way(host, port) != "plain":
            return await self.send(request, _own_answer(502, "502 The lab's proxies reach its own site only"))
        path = url.path or "/"
        headers = {name: value for name, value in request.headers.items() if name not in NOT_FORWARDED}
        return await self.visit(
            request._replace(headers=headers), f"{path}?{url.query}" if url.query else path
        )

    def _may_use(self, request: Request) -> bool:
        if self._proxy.fault == "auth":
            return False
        if not self._proxy.user:
            return True
        login = base64.b64encode(f"{self._proxy.user}:{self._proxy.password}".encode()).decode()
        return request.headers.get("proxy-authorization", "").split(" ") == ["Basic", login]

    async def _connect(self, request: Request) -> bool:
        host, _, port = request.target.rpartition(":")
        way = self.ground.way(host.strip("[]"), int(port)) if port.isascii() and port.isdigit() else None
        if way is None or self.ground.flaw(self._proxy) == "502":
            return await self.send(request, _own_answer(502, "502 Bad Gateway"))
        self.transport.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self.hand_over(way == "tls")
        return False


def _own_answer(status: int, title: str, *headers: tuple[str, str]) -> Answer:
    return as_page(status, title, "Said by the proxy.", headers)


class _RefusedError(Exception):
    """The conversation is over; `reply` are the last bytes to say."""

    def __init__(self, reply: bytes = b"") -> None:
        super().__init__(reply)
        self.reply = reply


class SocksProxy(asyncio.Protocol):
    """
    One client of a SOCKS proxy, until its tunnel stands.

    `_conversation` yields the number of bytes it wants next, and returns the address to connect to.
    """

    def __init__(self, ground: Ground, proxy: LabProxy) -> None:
        self.ground = ground
        self.proxy = proxy
        self._line: Line | None = None
        self._buffer = bytearray()
        self._talk = self._conversation()
        self._wanted = next(self._talk)

    @property
    def line(self) -> Line:
        """The books' entry of this client."""
        assert self._line is not None, "not connected"
        return self._line

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._line = Line(self.ground.books, self.proxy, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.line.close()

    def eof_received(self) -> None:
        self.line.close()
        self.line.transport.abort()

    def data_received(self, data: bytes) -> None:
        self.line.begin()
        if self.proxy.fault == "blackhole":
            return
        self._buffer += data
        while len(self._buffer) >= self._wanted:
            taken = bytes(self._buffer[: self._wanted])
            del self._buffer[: self._wanted]
            try:
                self._wanted = self._talk.send(taken)
            except StopIteration as over:
                enter_tunnel(self.ground, self.line, over.value, bytes(self._buffer))
                return
            except _RefusedError as refused:
                self.line.transport.write(refused.reply)
                self.line.transport.close()
                self.line.end()
                return

    def _say(self, *words: int) -> None:
        self.line.transport.write(bytes(words))

    def _conversation(self) -> Generator[int, bytes, bool]:
        """Whether the tunnel leads to the site's TLS port. `_RefusedError` when there will be none."""
        version = (yield 1)[0]
        if version == 4:
            return (yield from self._version_4())
        if version != 5:
            raise _RefusedError
        methods = yield (yield 1)[0]
        yield from self._log_in(methods)
        _, command, _, kind = yield 4
        if kind == 1:
            host = str(ipaddress.IPv4Address((yield 4)))
        elif kind == 3:
            host = (yield (yield 1)[0]).decode("latin-1")
        elif kind == 4:
            host = str(ipaddress.IPv6Address((yield 16)))
        else:
            raise _RefusedError(_reply(BAD_ADDRESS))
        (port,) = struct.unpack("!H", (yield 2))
        if command != 1:
            raise _RefusedError(_reply(NOT_SUPPORTED))
        way = self.ground.way(host, port)
        if way is None:
            raise _RefusedError(_reply(UNREACHABLE))
        if self.ground.flaw(self.proxy) == "502":
            raise _RefusedError(_reply(FAILED))
        self.line.transport.write(_reply(GRANTED))
        return way == "tls"

    def _log_in(self, methods: bytes) -> Generator[int, bytes, None]:
        method = 2 if self.proxy.user else 0
        if method not in methods or (method == 0 and self.proxy.fault == "auth"):
            self.proxy.logins_refused += 1
            raise _RefusedError(bytes((5, NO_METHOD)))
        self._say(5, method)
        if method == 0:
            return
        yield 1
        user = yield (yield 1)[0]
        password = yield (yield 1)[0]
        right = (user, password) == (self.proxy.user.encode(), self.proxy.password.encode())
        if not right or self.proxy.fault == "auth":
            self.proxy.logins_refused += 1
            raise _RefusedError(bytes((1, 1)))
        self._say(1, 0)

    def _version_4(self) -> Generator[int, bytes, bool]:
        command, port, address = struct.unpack("!BH4s", (yield 7))
        yield from self._until_nul()
        host = str(ipaddress.IPv4Address(address))
        if address[:3] == b"\0\0\0" and address[3]:
            host = (yield from self._until_nul()).decode("latin-1")
        way = self.ground.way(host, port)
        # Version 4 knows no password: a proxy with a login does not speak it.
        closed = self.proxy.user or self.proxy.fault == "auth" or command != 1
        if closed or way is None or self.ground.flaw(self.proxy) == "502":
            raise _RefusedError(struct.pack("!BBHI", 0, 91, 0, 0))
        self.line.transport.write(struct.pack("!BBHI", 0, 90, 0, 0))
        return way == "tls"

    def _until_nul(self) -> Generator[int, bytes, bytes]:
        taken = bytearray()
        while (byte := (yield 1)) != b"\0":
            taken += byte
            if len(taken) > 255:
                raise _RefusedError
        return bytes(taken)


def _reply(code: int) -> bytes:
    return struct.pack("!BBBB4sH", 5, code, 0, 1, b"\0\0\0\0", 0)
