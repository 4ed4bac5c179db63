"""urllib3's connections, started at a proxy. Each reports in `Progress` how far it is."""

import http.client
import socket
import ssl
import time
from functools import partial
from http import HTTPStatus
from typing import Any, cast

import socks
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.contrib.socks import SOCKSConnection, SOCKSHTTPSConnection

from pinpool.fetch.diagnosis import site_unknown
from pinpool.fetch.sockets import Progress, SocketReader, SocksSocket, TlsSocket
from pinpool.model import Step

#: The header that carries the request target past urllib3, which would rewrite it: "%e4" as "%E4", and "100%" as
#: "100%25". http.client would refuse to send a header of this name.
TARGET = ":path"


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, progress: Progress, **kwargs: Any) -> None:
        self._progress = progress
        self._reader = SocketReader(sock, progress)
        super().__init__(cast(socket.socket, self._reader), *args, **kwargs)

    def _read_status(self) -> Any:
        version, status, reason = super()._read_status()  # type: ignore[misc]
        if self._progress.step is Step.TUNNEL and status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            # http.client reports only the status of a refused tunnel. The reason is in the headers.
            try:
                says_unknown = site_unknown(http.client.parse_headers(cast(Any, self.fp)))
            except (OSError, http.client.HTTPException):
                says_unknown = False  # the status is evidence enough
            if says_unknown:
                raise socket.gaierror(socket.EAI_NONAME, "said by the proxy")
            raise OSError(f"Tunnel connection failed: {status} {reason.strip()}")
        return version, status, reason

    def begin(self) -> None:
        super().begin()
        self._reader.in_head = False


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
        super()._tunnel()
        self.progress.step = Step.TLS

    def request(self, method: str, url: str, body: Any = None, headers: Any = None, **options: Any) -> None:
        target = url
        if headers is not None and TARGET in headers:
            headers = dict(headers)  # a copy: the caller sends its own again if the connection was stale
            target = headers.pop(TARGET)
        try:
            super().request(method, target, body, headers, **options)
        finally:
            # Counted afterwards, because it may connect first. A request that broke off may have arrived.
            self.progress.asked += 1
            self.progress.asked_at = time.monotonic()


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
