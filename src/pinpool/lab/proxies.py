"""
The lab's proxies: HTTP (absolute form and CONNECT) and SOCKS (5 with and without a login, 4 and 4a without).

They reach the practice site and nothing else, so a lab is never an open proxy.
"""

import base64
import ipaddress
import struct
from collections.abc import Generator
from typing import Literal
from urllib.parse import urlsplit

from pinpool.lab.connections import ClientProtocol, SiteConnection, enter_tunnel
from pinpool.lab.http import Answer, Request, as_page
from pinpool.lab.network import Network
from pinpool.lab.request_log import LabProxy

#: Part of every password of the lab: an output that contains it has leaked a password.
SECRET = "s3cret"

NOT_FORWARDED = ("proxy-authorization", "proxy-connection", "connection")
# SOCKS 5 replies (RFC 1928)
GRANTED, FAILED, UNREACHABLE, NOT_SUPPORTED = 0, 1, 4, 7
NO_METHOD = 0xFF


def make_proxy(index: int) -> LabProxy:
    """Proxy `index`, not yet on a port. Of eight, two have no login and two a password that needs escaping."""
    turn = index % 8
    scheme: Literal["http", "socks5h"] = "socks5h" if index % 2 else "http"
    if turn in (4, 7):
        return LabProxy(index, scheme, "", "")
    return LabProxy(index, scheme, f"user{index}", f"{SECRET}-{index}" + (":@/#?% +" if turn in (0, 1) else ""))


def list_line(proxy: LabProxy) -> str:
    """Its line in a list of proxies, with the password. The four HTTP proxies of eight have four notations."""
    address = f"{proxy.host}:{proxy.port}"
    turn = proxy.index % 8
    if turn == 2:
        return f"{address}:{proxy.user}:{proxy.password}"
    if turn == 4:
        return address
    return f"{proxy.user}:{proxy.password}@{address}" if turn == 6 else proxy.url


class HttpProxy(SiteConnection):
    """One client of an HTTP proxy."""

    proxy: LabProxy

    async def handle(self, request: Request) -> bool:
        if self.proxy.fault == "blackhole":
            await self.wait_for_ever()
        if not self._may_use(request):
            self.proxy.logins_refused += 1
            login = ("Proxy-Authenticate", 'Basic realm="lab"')
            return await self.send(request, _own_answer(407, "407 Proxy Authentication Required", login))
        if request.method == "CONNECT":
            return await self._connect(request)
        try:
            url = urlsplit(request.target)
            reaches_site = self.network.route(url.hostname or "", url.port or 80) == "plain"
        except ValueError:
            reaches_site = False
        if not reaches_site or url.scheme != "http":
            return await self.send(request, _own_answer(502, "502 The lab's proxies reach its own site only"))
        path = url.path or "/"
        headers = {name: value for name, value in request.headers.items() if name not in NOT_FORWARDED}
        forwarded = request._replace(headers=headers)
        return await self.visit(forwarded, f"{path}?{url.query}" if url.query else path)

    def _may_use(self, request: Request) -> bool:
        if self.proxy.fault == "auth":
            return False
        if not self.proxy.user:
            return True
        login = base64.b64encode(f"{self.proxy.user}:{self.proxy.password}".encode()).decode()
        return request.headers.get("proxy-authorization", "").split(" ") == ["Basic", login]

    async def _connect(self, request: Request) -> bool:
        host, _, port = request.target.rpartition(":")
        is_port = port.isascii() and port.isdigit()
        route = self.network.route(host.strip("[]"), int(port)) if is_port else None
        if route is None or self.network.flaw(self.proxy) == "502":
            return await self.send(request, _own_answer(502, "502 Bad Gateway"))
        self.transport.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        enter_tunnel(self.network, self.client, route == "tls", bytes(self._buffer))
        return False


def _own_answer(status: int, title: str, *headers: tuple[str, str]) -> Answer:
    return as_page(status, title, "Said by the proxy.", headers)


class _RefusedError(Exception):
    """The conversation is over. Its argument are the last bytes to send."""


class SocksProxy(ClientProtocol):
    """
    One client of a SOCKS proxy, until it has its tunnel.

    `_conversation` yields the number of bytes it needs next, and returns whether the tunnel leads to the TLS port.
    """

    proxy: LabProxy

    def __init__(self, network: Network, proxy: LabProxy) -> None:
        super().__init__(network, proxy)
        self._talk = self._conversation()
        self._wanted = next(self._talk)

    def data_received(self, data: bytes) -> None:
        self.client.begin()
        if self.proxy.fault == "blackhole":
            return
        self._buffer += data
        while len(self._buffer) >= self._wanted:
            taken = bytes(self._buffer[: self._wanted])
            del self._buffer[: self._wanted]
            try:
                self._wanted = self._talk.send(taken)
            except StopIteration as over:
                enter_tunnel(self.network, self.client, over.value, bytes(self._buffer))
                return
            except _RefusedError as refused:
                self._send(b"".join(refused.args))
                self.client.transport.close()
                self.client.end()
                return

    def _send(self, data: bytes) -> None:
        self.client.transport.write(data)

    def _conversation(self) -> Generator[int, bytes, bool]:
        """Whether the tunnel leads to the site's TLS port. Raises `_RefusedError` if there is no tunnel."""
        version = (yield 1)[0]
        if version == 4:
            return (yield from self._version_4())
        if version != 5:
            raise _RefusedError
        methods = yield (yield 1)[0]
        yield from self._log_in(methods)
        _, command, _, kind = yield 4
        if command != 1 or kind not in (1, 3, 4):
            raise _RefusedError(_reply(NOT_SUPPORTED))
        if kind == 3:
            host = (yield (yield 1)[0]).decode("latin-1")
        else:
            host = str(ipaddress.ip_address((yield 4 if kind == 1 else 16)))
        (port,) = struct.unpack("!H", (yield 2))
        route = self.network.route(host, port)
        if route is None:
            raise _RefusedError(_reply(UNREACHABLE))
        if self.network.flaw(self.proxy) == "502":
            raise _RefusedError(_reply(FAILED))
        self._send(_reply(GRANTED))
        return route == "tls"

    def _log_in(self, methods: bytes) -> Generator[int, bytes, None]:
        method = 2 if self.proxy.user else 0
        if method not in methods or (method == 0 and self.proxy.fault == "auth"):
            self.proxy.logins_refused += 1
            raise _RefusedError(bytes((5, NO_METHOD)))
        self._send(bytes((5, method)))
        if method == 0:
            return
        yield 1
        user = yield (yield 1)[0]
        password = yield (yield 1)[0]
        is_right = (user, password) == (self.proxy.user.encode(), self.proxy.password.encode())
        if not is_right or self.proxy.fault == "auth":
            self.proxy.logins_refused += 1
            raise _RefusedError(bytes((1, 1)))
        self._send(bytes((1, 0)))

    def _version_4(self) -> Generator[int, bytes, bool]:
        command, port, address = struct.unpack("!BH4s", (yield 7))
        yield from self._until_nul()
        host = str(ipaddress.IPv4Address(address))
        if address[:3] == b"\0\0\0" and address[3]:
            host = (yield from self._until_nul()).decode("latin-1")
        route = self.network.route(host, port)
        # Version 4 has no passwords: a proxy with a login does not speak it.
        is_closed = self.proxy.user or self.proxy.fault == "auth" or command != 1
        if is_closed or route is None or self.network.flaw(self.proxy) == "502":
            raise _RefusedError(struct.pack("!BBHI", 0, 91, 0, 0))
        self._send(struct.pack("!BBHI", 0, 90, 0, 0))
        return route == "tls"

    def _until_nul(self) -> Generator[int, bytes, bytes]:
        taken = bytearray()
        while (byte := (yield 1)) != b"\0":
            taken += byte
        return bytes(taken)


def _reply(code: int) -> bytes:
    return struct.pack("!BBBB4sH", 5, code, 0, 1, b"\0\0\0\0", 0)
