"""urllib3's connections, started at a proxy. Each reports in `Progress` how far it is."""

import errno
import http.client
import re
import socket
import ssl
from functools import partial
from http import HTTPStatus
from typing import Any, cast

import socks
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.contrib.socks import SOCKSConnection, SOCKSHTTPSConnection

from pinpool.fetch.diagnosis import site_unknown
from pinpool.fetch.heads import framing, request_bytes
from pinpool.fetch.sockets import Progress, SocksSocket, TlsSocket
from pinpool.fetch.wire import Wire, WireFile
from pinpool.model import Step

_CONTROL = re.compile(r"[\x00-\x20\x7f]")


class _Response(http.client.HTTPResponse):
    """Has its head read by `Wire`. The rest is http.client's."""

    def __init__(self, sock: socket.socket, *args: Any, progress: Progress, **kwargs: Any) -> None:
        self._file = WireFile(sock, progress)
        super().__init__(cast(socket.socket, self._file), *args, **kwargs)

    def begin(self) -> None:
        if self.headers is not None:
            return
        head = self._file.wire.head()
        framed = framing(head, head.merged(), self._method)
        self.version, self.reason = head.version, head.reason
        self.code = self.status = head.status
        self.headers = self.msg = head.message()
        self.chunked, self.chunk_left = framed.chunked, None
        self.length, self.will_close = framed.length, not framed.reusable


class PlainConnection(HTTPConnection):
    """To a site over http, through an HTTP or HTTPS proxy."""

    def __init__(self, progress: Progress, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.progress = progress
        self.response_class = cast(Any, partial(_Response, progress=progress))

    def connect(self) -> None:
        self.progress.is_reused = False
        self.progress.step = Step.CONNECT
        super().connect()
        self.progress.step = Step.HEAD

    def _tunnel(self) -> None:
        self.progress.step = Step.TUNNEL
        host = str(self._tunnel_host)
        if _CONTROL.search(host):
            raise ValueError("the host of a tunnel contains control characters")
        site = (
            f"[{host}]:{self._tunnel_port}"
            if ":" in host.strip("[]") and host[0] != "["
            else f"{host}:{self._tunnel_port}"
        )
        self.send(request_bytes("CONNECT", site, site, self._tunnel_headers, None))  # type: ignore[attr-defined]
        wire = Wire(cast(socket.socket, self.sock), self.progress)
        try:
            head = wire.head()
            status, site_is_unknown = head.status, site_unknown(head.merged())
        except (OSError, http.client.HTTPException):
            status, site_is_unknown = wire.status or 0, False
            if status < 300:
                raise  # otherwise the status is evidence enough
        if not 200 <= status < 300:
            self.close()
            if status >= HTTPStatus.INTERNAL_SERVER_ERROR and site_is_unknown:
                raise socket.gaierror(socket.EAI_NONAME, "said by the proxy")
            raise OSError(f"Tunnel connection failed: {status}")
        self.progress.step = Step.TLS

    def ask(self, request: bytes, timeout: float) -> Wire:
        """Send a whole request, at the cost of one system call. The connection must be open."""
        sock = cast(socket.socket, self.sock)
        if sock.gettimeout() != timeout:
            sock.settimeout(timeout)
        try:
            sock.sendall(request)
        except OSError as error:
            # The answer may be there all the same, as for urllib3.
            if error.errno not in (errno.EPIPE, errno.ECONNRESET, errno.EPROTOTYPE):
                raise
        return Wire(sock, self.progress)

    def request(self, *args: Any, **options: Any) -> None:
        try:
            super().request(*args, **options)
        finally:
            # Counted afterwards, because it may connect first. A request that broke off may have arrived.
            self.progress.count_request()


class TlsConnection(PlainConnection, HTTPSConnection):
    """To a site over https, through an HTTP or HTTPS proxy."""

    def _connect_tls_proxy(self, hostname: str, sock: socket.socket) -> ssl.SSLSocket:
        self.progress.step = Step.PROXY
        secured = super()._connect_tls_proxy(hostname, sock)
        if isinstance(secured, TlsSocket):
            secured.progress = self.progress
        return secured


class SocksConnection(PlainConnection, SOCKSConnection):
    """To a site over http, through a SOCKS proxy."""

    def _new_conn(self) -> socks.socksocket:
        # Like `socks.create_connection`, which neither reports how far it is nor closes what it opened.
        options = cast(dict[str, Any], self._socks_options)
        failure = OSError("the proxy's name has no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(
            options["proxy_host"].strip("[]"), options["proxy_port"], type=socket.SOCK_STREAM
        ):
            sock = SocksSocket(family, kind, protocol)
            sock.progress = self.progress
            try:
                for option in self.socket_options or ():
                    sock.setsockopt(*option)
                sock.settimeout(self.timeout)
                sock.set_proxy(
                    options["socks_version"],
                    str(address[0]),
                    options["proxy_port"],
                    options["rdns"],
                    options["username"],
                    options["password"],
                )
                # SOCKS 4 has no greeting: its first message requests the site.
                is_socks5 = options["socks_version"] == socks.SOCKS5
                self.progress.step = Step.PROXY if is_socks5 else Step.TUNNEL
                sock.connect((self.host, self.port))
            except BaseException as error:
                sock.close()
                if not isinstance(error, socks.ProxyConnectionError):
                    raise
                self.progress.step = Step.CONNECT
                failure = error
            else:
                self.progress.step = Step.TLS
                return sock
        raise failure


class SocksTlsConnection(SocksConnection, SOCKSHTTPSConnection):
    """To a site over https, through a SOCKS proxy."""
