"""The adapter of a pinned session: all its connections start at one proxy, and it has no pool for any others."""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import Callable, Generator
from contextlib import suppress
from functools import partial
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeVar, cast
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import ProxyManager
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.contrib.socks import SOCKSProxyManager
from urllib3.exceptions import HTTPError

from pinpool.errors import FetchFailed
from pinpool.fetch.connections import PlainConnection, SocksConnection, SocksTlsConnection, TlsConnection
from pinpool.fetch.diagnosis import attach, diagnose, login_refused, without_secrets
from pinpool.fetch.heads import Framing, Head, framing
from pinpool.fetch.sockets import Progress, tls_context
from pinpool.fetch.wire import CHUNK, Wire
from pinpool.model import Sign, Step
from pinpool.settings import Settings

if TYPE_CHECKING:
    from urllib3.poolmanager import PoolManager

    from pinpool.proxies.proxy import Proxy

T = TypeVar("T")

#: With the left ones PySocks would look up the site's name on this machine, and that query goes out without a proxy.
_PROXY_RESOLVES = {"socks4": "socks4a", "socks5": "socks5h"}


class _Pool(HTTPConnectionPool):
    """Repeats a request on a new connection if an old one turns out to be closed."""

    def __init__(self, *args: Any, progress: Progress, connections: type[PlainConnection], **options: Any) -> None:
        super().__init__(*args, **options)
        self.progress = progress
        self.ConnectionCls = cast(Any, partial(connections, progress))

    def urlopen(self, method: str, url: str, *args: Any, **options: Any) -> Any:
        return self._at_most_twice(method, partial(super().urlopen, method, url, *args, **options))

    def ask(self, method: str, request: bytes, tunnelled: bool, connect_timeout: float, timeout: float) -> Answer:
        """
        Send a whole request and wait for the head of its answer.

        `tunnelled` says that an HTTP proxy has to open a tunnel. The time-outs are seconds, for a new connection and
        for the longest silence.
        """
        return self._at_most_twice(method, partial(self._ask, method, request, tunnelled, connect_timeout, timeout))

    def _ask(self, method: str, request: bytes, tunnelled: bool, connect_timeout: float, timeout: float) -> Answer:
        connection = cast(PlainConnection, self._get_conn())
        try:
            try:
                if connection.is_closed:
                    connection.timeout = connect_timeout
                    if tunnelled and self.proxy is not None:
                        self._prepare_proxy(cast(Any, connection))
                    else:
                        connection.connect()
                wire = connection.ask(request, timeout)
            finally:
                # A request that broke off may have arrived.
                self.progress.count_request()
            head = wire.head()
            headers = head.merged()
            return Answer(head, headers, framing(head, headers, method), wire, connection, self)
        except BaseException:
            connection.close()
            raise

    def _at_most_twice(self, method: str, send: Callable[[], T]) -> T:
        self.progress.is_reused = True
        try:
            return send()
        except Exception as error:
            if not self._was_stale(method, error):
                raise
        self.progress.step = Step.HEAD
        return send()

    def _was_stale(self, method: str, error: Exception) -> bool:
        # Tinyproxy closes after every answer without announcing it, so our next request may cross the close. That is
        # nobody's fault. Only methods that change nothing are repeated.
        if not self.progress.is_reused or method not in ("GET", "HEAD"):
            return False
        return diagnose(error, self.progress.step, late=self.progress.is_late)[:2] == (Step.HEAD, Sign.RESET)


class Answer(NamedTuple):
    """An answer whose body is still to come. `headers` are `head.merged()`."""

    head: Head
    headers: dict[str, str]
    framing: Framing
    wire: Wire
    connection: PlainConnection
    pool: _Pool

    def body(self, limit: int) -> bytes:
        """The body, as in `Wire.body`. The connection is then free for the next request, or closed."""
        try:
            body = self.wire.body(self.framing, limit, self.head.status)
        except BaseException:
            self.connection.close()
            raise
        self._release()
        return body

    def stream(self) -> Generator[bytes, None, None]:
        """The body piece by piece, as in `Wire.stream`. The connection is closed if its end is not reached."""
        try:
            yield from self.wire.stream(self.framing)
        except BaseException:
            self.connection.close()
            raise
        self._release()

    def _release(self) -> None:
        if self.framing.reusable and self.wire.is_empty:
            self.pool._put_conn(self.connection)
        else:
            self.connection.close()

    def pass_body(self) -> None:
        """Be done with an answer whose body is not needed, so that its faults do not count."""
        if not self.framing.reusable:
            self.connection.close()
            return
        with suppress(FetchFailed, OSError, HTTPException):
            self.body(CHUNK)


class _TlsPool(_Pool, HTTPSConnectionPool):
    pass


def _manager(proxy: Proxy, context: ssl.SSLContext, progress: Progress) -> PoolManager:
    # The login is never part of a URL here: urllib3 puts its URLs into exceptions.
    host = f"[{proxy.host}]" if ":" in proxy.host else proxy.host
    address = f"{_PROXY_RESOLVES.get(proxy.scheme, proxy.scheme)}://{host}:{proxy.port}"
    options: dict[str, Any] = {
        "ssl_context": context,
        # urllib3 leaves Nagle's algorithm on towards a proxy, and a POST then waits 40 ms for an ACK.
        "socket_options": HTTPConnection.default_socket_options,
    }
    plain: type[PlainConnection] = PlainConnection
    secure: type[PlainConnection] = TlsConnection
    manager: PoolManager
    if proxy.scheme.startswith("socks"):
        plain, secure = SocksConnection, SocksTlsConnection
        manager = SOCKSProxyManager(address, proxy.username or None, proxy.password or None, **options)
    else:
        login = {}
        if proxy.username:
            secret = b64encode(f"{proxy.username}:{proxy.password}".encode()).decode()
            login = {"Proxy-Authorization": f"Basic {secret}"}
        manager = ProxyManager(address, proxy_headers=login, proxy_ssl_context=context, **options)
    pools: dict[str, Any] = {
        "http": partial(_Pool, progress=progress, connections=plain),
        "https": partial(_TlsPool, progress=progress, connections=secure),
    }
    manager.pool_classes_by_scheme = pools
    # urllib3 would leave a connection open as long as somebody keeps an answer of its pool.
    manager.pools.dispose_func = HTTPConnectionPool.close
    return manager


class PinnedAdapter(HTTPAdapter):
    """
    Sends everything, http and https, through one proxy.

    A caller that names another proxy gets requests.exceptions.ProxyError, and nothing is sent. A client certificate
    is refused with requests.exceptions.SSLError. Without a time-out of the caller that of `settings` applies.
    """

    def __init__(self, proxy: Proxy, settings: Settings) -> None:
        self.label = proxy.label
        self._address = proxy
        self.progress = Progress()
        self._latest: tuple[tuple[str, str, int | None], _Pool] | None = None
        self._is_http_proxy = not proxy.scheme.startswith("socks")
        self._timeout = (settings.connect_timeout, settings.timeout)
        super().__init__()
        self.poolmanager = _manager(proxy, tls_context(settings.ca_bundle), self.progress)

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"the pin {self.label} belongs to its worker; it cannot be pickled or copied")

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Leave out the pools of requests, which connect directly."""

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise requests.exceptions.ProxyError(
            f"this session is pinned to {self.label}; leave out `proxies` and `trust_env`"
        )

    get_connection = proxy_manager_for

    def get_connection_with_tls_context(self, request: Any, verify: Any, proxies: Any = None, cert: Any = None) -> Any:
        parts = urlsplit(request.url)
        options: dict[str, Any] | None = None
        if verify is False:
            # None replaces the shared context: urllib3 would switch verification off in it, for everybody.
            options = {"ssl_context": None, "cert_reqs": "CERT_NONE"}
        elif isinstance(verify, str):
            options = {"ssl_context": tls_context(verify)}
        return self.poolmanager.connection_from_host(parts.hostname, parts.port, parts.scheme, options)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Do nothing: the context has the authorities. Requests would read them again for each connection."""

    def request_url(self, request: Any, proxies: Any) -> str:
        if self.asks_proxy(request.url):
            return cast(str, requests.utils.urldefragauth(request.url))
        return cast(str, request.path_url)

    def asks_proxy(self, url: str | None) -> bool:
        """Whether the proxy itself answers for this URL. Otherwise there is a tunnel, and the site answers."""
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
            self.proxy_manager_for()
        if cert:
            raise requests.exceptions.SSLError("a pinned session sends no client certificate; leave out `cert`")
        self.progress.step = Step.HEAD
        try:
            response = super().send(request, stream, timeout or self._timeout, verify)
        except requests.exceptions.InvalidURL:
            raise
        except (requests.RequestException, HTTPError) as error:
            evidence = diagnose(error, self.progress.step, late=self.progress.is_late)
            attach(error, without_secrets(evidence, self._address))
            raise
        if self.asks_proxy(request.url) and (refusal := login_refused(response.status_code, response.headers)):
            response.close()
            raise attach(requests.exceptions.ProxyError(refusal.message), refusal)
        return response

    def pool(self, scheme: str, host: str, port: int | None) -> _Pool:
        """The urllib3 pool whose connections reach this site through the proxy."""
        site = (scheme, host, port)
        # urllib3 takes 20 µs to find a pool again. It closes those that were not used for long.
        if self._latest is None or self._latest[0] != site or self._latest[1].pool is None:
            self._latest = site, cast(_Pool, self.poolmanager.connection_from_host(host, port, scheme))
        return self._latest[1]
