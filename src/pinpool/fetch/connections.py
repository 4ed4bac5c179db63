"""
The way out of a pin: each connection starts at its proxy, and there is no pool for any other.

The connections are urllib3's; they also tell how far they came, and never read beyond the page's time. A
dripped head, tunnel answer or SOCKS reply outlives any read timeout, one byte at a time. So before each read
the socket is told how much of the page's time is left, which works in every thread and needs no timer.
"""

from __future__ import annotations

import http.client
import io
import math
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache, partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NoReturn, cast
from urllib.parse import urlsplit

import requests
import socks
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3 import ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.contrib.socks import SOCKSConnection, SOCKSHTTPSConnection, SOCKSProxyManager
from urllib3.exceptions import HTTPError

from pinpool.errors import SettingsError
from pinpool.fetch.diagnosis import attach, diagnose, login_refused, site_unknown
from pinpool.model import Sign, Step
from pinpool.settings import Settings

if TYPE_CHECKING:
    from urllib3.poolmanager import PoolManager

    from pinpool.proxies.proxy import Proxy

#: Where PySocks would look up the site's name on this machine. That query would go out without a proxy.
_RESOLVING_THERE = {"socks4": "socks4a", "socks5": "socks5h"}

#: The header that carries the request target past urllib3, which would spell it anew: "%e4" as "%E4", and
#: "100%" as "100%25". Were it ever left in, http.client would refuse to send it.
TARGET = ":path"


@lru_cache(maxsize=8)
def tls_context(ca_bundle: str | None) -> ssl.SSLContext:
    """
    The context for every TLS connection, with sites and with proxies: certificate and host name are verified.

    `ca_bundle` is a PEM file of authorities instead of the shipped ones. Reading it takes 12 ms, so call
    this once before workers are forked. Raises SettingsError if the file cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=ca_bundle or DEFAULT_CA_BUNDLE_PATH)
    except OSError as error:
        reason = error.strerror if error.errno else "no certificates in PEM format in it"
        raise SettingsError(f"ca_bundle: {ca_bundle}: {reason}; name a PEM file of authorities") from None
    context.sslsocket_class = _TlsSocket
    return context


class Progress:
    """
    How far the exchange at hand has come, when it has to end, and whether its connection has served before;
    `received` counts the bytes of all answers so far, heads included.

    `asked` counts the requests that were sent, whoever sent them, redirects included; the last one left at `asked_at`
    (time.monotonic). All connections of a pin share it.
    """

    __slots__ = ("asked", "asked_at", "is_reused", "received", "step", "until")

    def __init__(self) -> None:
        self.asked = 0
        self.asked_at = -math.inf
        self.step = Step.CONNECT
        self.until = math.inf
        self.is_reused = False
        self.received = 0

    @property
    def is_late(self) -> bool:
        return time.monotonic() >= self.until - 0.001

    def bound(self, sock: socket.socket) -> None:
        """Let the next read of `sock` not outlast the page. Raises TimeoutError if its time is up."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time for the page is up")
        if left < (sock.gettimeout() or math.inf):
            sock.settimeout(left)


class _TlsSocket(ssl.SSLSocket):
    # TLS within TLS reads the outer connection by `recv`, in a loop; all else is read through a `_Reader`.
    progress: Progress | None = None

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        if self.progress is not None:
            self.progress.bound(self)
        return super().recv(buflen, flags)


class _SocksSocket(socks.socksocket):
    progress: Progress

    def recv_into(self, *args: Any) -> int:
        self.progress.bound(self)
        return super().recv_into(*args)

    def _write_SOCKS5_address(self, addr: Any, file: Any) -> Any:  # noqa: N802  PySocks names it so
        # The one point between login and request where PySocks can be met.
        self.progress.step = Step.TUNNEL
        return super()._write_SOCKS5_address(addr, file)  # type: ignore[misc]


class _Reader(io.RawIOBase):
    """What http.client reads an answer through."""

    def __init__(self, sock: socket.socket, progress: Progress) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._progress = progress
        self.in_head = True

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._progress.bound(self._sock)
        count = self._raw.readinto(buffer)
        if count == 0 and self.in_head:
            # http.client takes the end of the stream for the end of the headers.
            raise http.client.RemoteDisconnected("closed before the end of the headers")
        self._progress.received += count or 0
        return count

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, progress: Progress, **kwargs: Any) -> None:
        self._progress = progress
        self._reader = _Reader(sock, progress)
        super().__init__(cast(socket.socket, self._reader), *args, **kwargs)

    def _read_status(self) -> Any:
        version, status, reason = super()._read_status()  # type: ignore[misc]
        if self._progress.step is Step.TUNNEL and status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            # Of a refused tunnel http.client tells the status alone; why it was refused stands in the headers.
            if self._names_no_such_site():
                raise socket.gaierror(socket.EAI_NONAME, "said by the proxy")
            raise OSError(f"Tunnel connection failed: {status} {reason.strip()}")
        return version, status, reason

    def _names_no_such_site(self) -> bool:
        try:
            return site_unknown(http.client.parse_headers(cast(Any, self.fp)))
        except (OSError, http.client.HTTPException):
            return False  # the status has come, and is evidence enough

    def begin(self) -> None:
        super().begin()
        self._reader.in_head = False


class _Connection(HTTPConnection):
    """A connection that says in `progress` how far it is."""

    def __init__(self, progress: Progress, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.progress = progress
        self.response_class = cast(Any, partial(_Answer, progress=progress))

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
            headers = dict(headers)  # the caller's are sent again where the connection was stale
            target = headers.pop(TARGET)
        try:
            super().request(method, target, body, headers, **options)
        finally:
            # Afterwards, for it may connect first. One that broke off may have arrived all the same.
            self.progress.asked += 1
            self.progress.asked_at = time.monotonic()


class _TlsConnection(_Connection, HTTPSConnection):
    def _connect_tls_proxy(self, hostname: str, sock: socket.socket) -> ssl.SSLSocket:
        self.progress.step = Step.PROXY
        secured = super()._connect_tls_proxy(hostname, sock)
        if isinstance(secured, _TlsSocket):
            secured.progress = self.progress
        return secured


class _SocksConnection(_Connection, SOCKSConnection):
    def _new_conn(self) -> socks.socksocket:
        # As in `socks.create_connection`, which says neither how far it came nor closes what it opened.
        options = cast(dict[str, Any], self._socks_options)
        failure = OSError("the proxy's name has no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(
            options["proxy_host"].strip("[]"), options["proxy_port"], type=socket.SOCK_STREAM
        ):
            sock = _SocksSocket(family, kind, protocol)
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
                # SOCKS 4 has no greeting: its first message asks for the site.
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


class _SocksTlsConnection(_SocksConnection, SOCKSHTTPSConnection):
    pass


def _manager(proxy: Proxy, context: ssl.SSLContext, progress: Progress) -> PoolManager:
    # The login is never part of a URL here: urllib3 hands its URLs to exceptions.
    host = f"[{proxy.host}]" if ":" in proxy.host else proxy.host
    place = f"{_RESOLVING_THERE.get(proxy.scheme, proxy.scheme)}://{host}:{proxy.port}"
    options: dict[str, Any] = {
        "ssl_context": context,
        # urllib3 leaves Nagle's algorithm on towards a proxy, and a POST then waits 40 ms for an ACK.
        "socket_options": HTTPConnection.default_socket_options,
    }
    plain: type[_Connection] = _Connection
    secure: type[_Connection] = _TlsConnection
    manager: PoolManager
    if proxy.scheme.startswith("socks"):
        plain, secure = _SocksConnection, _SocksTlsConnection
        manager = SOCKSProxyManager(place, proxy.username or None, proxy.password or None, **options)
    else:
        login = {}
        if proxy.username:
            secret = b64encode(f"{proxy.username}:{proxy.password}".encode()).decode()
            login = {"Proxy-Authorization": f"Basic {secret}"}
        manager = ProxyManager(place, proxy_headers=login, proxy_ssl_context=context, **options)
    manager.pool_classes_by_scheme = cast(
        Any,
        {
            "http": _pools_of(_Pool, plain, progress),
            "https": _pools_of(_TlsPool, secure, progress),
        },
    )
    return manager


class _Pool(HTTPConnectionPool):
    """Asks again, on a new connection, where an old one turns out to be closed."""

    progress: Progress

    def urlopen(self, method: str, url: str, *args: Any, **options: Any) -> Any:
        self.progress.is_reused = True
        try:
            return super().urlopen(method, url, *args, **options)
        except Exception as error:
            if not self._was_stale(method, error):
                raise
        self.progress.step = Step.HEAD
        return super().urlopen(method, url, *args, **options)

    def _was_stale(self, method: str, error: Exception) -> bool:
        # Tinyproxy hangs up after every answer and does not say so: then our next request crosses its farewell, which
        # is nobody's fault. What may be done once only is not asked for again.
        if not self.progress.is_reused or method not in ("GET", "HEAD"):
            return False
        return diagnose(error, self.progress.step, late=self.progress.is_late)[:2] == (Step.HEAD, Sign.RESET)


class _TlsPool(_Pool, HTTPSConnectionPool):
    pass


def _pools_of(
    pools: type[_Pool], connections: type[_Connection], progress: Progress
) -> Callable[..., HTTPConnectionPool]:
    def pool(host: str, port: int, **options: Any) -> HTTPConnectionPool:
        made = pools(host, port, **options)
        made.progress = progress
        made.ConnectionCls = cast(Any, partial(connections, progress))
        return made

    return pool


class _NoDirectRoute:
    """Stands where requests keeps its pool for connections without a proxy."""

    def __init__(self, label: str) -> None:
        self._label = label

    def __getattr__(self, name: str) -> NoReturn:
        raise requests.exceptions.ProxyError(f"nothing is sent but through {self._label}")


class PinnedAdapter(HTTPAdapter):
    """
    Sends everything, http and https, through the one proxy it was made for.

    Whoever names another proxy gets requests.exceptions.ProxyError, and nothing is sent. A client
    certificate is refused with requests.exceptions.SSLError. Where the caller gives no time-out, that of
    `settings` holds.
    """

    def __init__(self, proxy: Proxy, settings: Settings) -> None:
        self.label = proxy.label
        self.progress = Progress()
        self._is_http_proxy = not proxy.scheme.startswith("socks")
        self._timeout = (settings.connect_timeout, settings.timeout)
        self._manager = _manager(proxy, tls_context(settings.ca_bundle), self.progress)
        super().__init__()

    def __repr__(self) -> str:
        return f"<PinnedAdapter {self.label}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} belongs to its worker; it cannot be pickled or copied")

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        self.poolmanager = cast(Any, _NoDirectRoute(self.label))

    def proxy_manager_for(self, proxy: Any, **kwargs: Any) -> NoReturn:
        self._refuse()

    def get_connection(self, url: Any, proxies: Any = None) -> NoReturn:
        self._refuse()

    def get_connection_with_tls_context(
        self, request: Any, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        parts = urlsplit(request.url)
        options: dict[str, Any] | None = None
        if verify is False:
            # None takes the shared context away: urllib3 would switch verification off in it, for everybody.
            options = {"ssl_context": None, "cert_reqs": "CERT_NONE"}
        elif isinstance(verify, str):
            options = {"ssl_context": tls_context(verify)}
        return self._manager.connection_from_host(parts.hostname, parts.port, parts.scheme, options)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Nothing: the context knows the authorities. Requests would read them again for each connection."""

    def request_url(self, request: Any, proxies: Any) -> str:
        if self.asks_proxy(request.url):
            return cast(str, requests.utils.urldefragauth(request.url))
        return cast(str, request.path_url)

    def asks_proxy(self, url: str | None) -> bool:
        """Whether the proxy itself answers for this URL. Else there is a tunnel, and the site does."""
        return self._is_http_proxy and str(url)[:5].lower() == "http:"

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        if requests.utils.select_proxy(str(request.url), proxies):
            self._refuse()
        if cert:
            raise requests.exceptions.SSLError(
                "a pinned session sends no client certificate; leave out `cert`"
            )
        self.progress.step = Step.HEAD
        try:
            response = super().send(request, stream, timeout or self._timeout, verify)
        except requests.exceptions.InvalidURL:
            raise
        except (requests.RequestException, HTTPError) as error:
            attach(error, diagnose(error, self.progress.step, late=self.progress.is_late))
            raise
        asks_proxy = self.asks_proxy(request.url)
        refusal = login_refused(response.status_code, response.headers) if asks_proxy else None
        if refusal is not None:
            response.close()
            raise attach(requests.exceptions.ProxyError(refusal.message), refusal)
        return response

    def pool(self, scheme: str, host: str, port: int | None) -> HTTPConnectionPool:
        """The urllib3 pool whose connections reach this site through the proxy."""
        return self._manager.connection_from_host(host, port, scheme)

    def close(self) -> None:
        """Close every connection that is not in use. The adapter can still be used, with new ones."""
        pools = self._manager.pools
        for key in pools.keys():  # noqa: SIM118  this container cannot be iterated
            with suppress(KeyError):
                pools[key].close()
        self._manager.clear()

    def _refuse(self) -> NoReturn:
        raise requests.exceptions.ProxyError(
            f"this session is pinned to {self.label}; leave out `proxies` and `trust_env`"
        )
