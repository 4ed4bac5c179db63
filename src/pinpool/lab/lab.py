"""`Lab`: the practice site and its proxies, on one loop in one thread."""

import asyncio
import math
import os
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from random import Random
from typing import Self
from weakref import WeakSet

from pinpool.lab.connections import SiteConnection, TlsEntry
from pinpool.lab.faults import SiteFault, assign, check_fault
from pinpool.lab.files import Library
from pinpool.lab.http import bound_socket, reset
from pinpool.lab.network import NAME, Network
from pinpool.lab.pages import Catalogue, Film
from pinpool.lab.proxies import HttpProxy, SocksProxy, list_line, make_proxy
from pinpool.lab.request_log import LabProxy, RequestLog, Seen
from pinpool.lab.shop import Product
from pinpool.lab.site import Site

HOST = "127.0.0.1"
BACKLOG = 1024
PATIENCE = 10.0  # seconds that the lab's own loop may take for anything


class Lab:
    """
    A local practice site behind local proxies, good and faulty. The same `seed` gives the same lab.

    A context manager; `start` and `stop` do the same by hand, once. `latency` is seconds per answer, a quarter more or
    less. `faults` (of `FAULTS`) go to one proxy each, chosen by the seed. `certificate` (certificate file, key file,
    both PEM) adds the same site over https. A ban comes after `ban_after` requests, a flaky proxy fails with
    probability `flaky_rate`. With `dying`, that share (0 to 1) of the living proxies begins to refuse for good in each
    minute after the first request. `file_sizes` are the smallest and the largest file, in bytes. ValueError for unknown
    faults or more than the proxies, and for no pages.

    `url` is the site's address once it has started, `named_url` the same site by a name that only the lab's proxies
    resolve: a client that bypasses them fails. `tls_url` and `named_tls_url` are the same over https.
    """

    url: str
    named_url: str
    tls_url: str
    named_tls_url: str
    _loop: asyncio.AbstractEventLoop

    def __init__(
        self,
        pages: int = 10,
        proxies: int = 8,
        faults: Sequence[str] = (),
        latency: float = 0.0,
        seed: int = 1,
        site_port: int = 0,
        certificate: tuple[str | Path, str | Path] | None = None,
        ban_after: int = 6,
        flaky_rate: float = 0.3,
        dying: float = 0.0,
        file_sizes: tuple[int, int] = (10_000, 200_000),
    ) -> None:
        self.seed = seed
        self._death_rate = -math.log1p(-dying) / 60
        self.catalogue = Catalogue(pages, seed)
        self.library = Library(seed, file_sizes)
        self.proxies: list[LabProxy] = [make_proxy(index) for index in range(proxies)]
        for index, fault in assign(faults, proxies, seed).items():
            self.proxies[index].fault = fault
        self._site_port = site_port
        self._log = RequestLog()
        self._network = Network(
            site=Site(self.catalogue, self.library),
            log=self._log,
            latency=latency,
            ban_after=ban_after,
            flaky_rate=flaky_rate,
            draws={index: Random(f"draws {seed} {index}") for index in (None, *range(proxies))},
        )
        if certificate is not None:
            self._network.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._network.tls.load_cert_chain(*certificate)
        self._thread: threading.Thread | None = None
        self._site_servers: list[asyncio.Server] = []
        # By proxy: its server, or for a refusing proxy a socket that only keeps the port.
        self._listeners: dict[int, asyncio.Server | socket.socket] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen on all ports. OSError if `site_port` is taken, RuntimeError if the lab was started before."""
        if self._thread is not None:
            raise RuntimeError("this lab was started before: make a new one")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="lab", daemon=True)
        self._thread.start()
        try:
            self._in_loop(self._open())
        except Exception:
            self.stop()
            raise
        _running.add(self)

    def stop(self) -> None:
        """Close all ports and connections at once, even if clients wait for answers. A second call does nothing."""
        if self._thread and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(PATIENCE)

    @property
    def requests(self) -> list[Seen]:
        """Every request for a page of the site, in order of arrival (the last million)."""
        return list(self._log.requests)

    @property
    def direct(self) -> int:
        """The number of requests that bypassed the proxies."""
        return self._log.direct

    @property
    def client_sockets(self) -> list[socket.socket]:
        """The lab's ends of all client connections now open."""
        return [client.sock for client in tuple(self._log.clients) if client.sock is not None]

    def films(self, base: str = "") -> dict[str, Film]:
        """All films by path, or by URL with `base` before the path."""
        films = (self.catalogue.film(number) for number in range(1, len(self.catalogue) + 1))
        return {base + film.path: film for film in films}

    def products(self, base: str = "") -> dict[str, Product]:
        """All products of the shop by path, or by URL with `base` before the path."""
        shop = self._network.site.shop
        products = (shop.product(number) for number in range(1, len(shop) + 1))
        return {base + product.path: product for product in products}

    def write_proxies(self, path: str | Path) -> None:
        """Write the list of proxies, with their passwords, in several of the notations that pinpool reads."""
        lines = ["# The lab's proxies: HTTP and SOCKS in turn.", "", *map(list_line, self.proxies)]
        Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")

    def wait_for(self, predicate: Callable[[], bool], timeout: float) -> None:
        """Return as soon as `predicate` is true. TimeoutError after `timeout` seconds."""
        self._log.wait(predicate, timeout)

    def set_fault(self, index: int, fault: str | None) -> None:
        """
        Give proxy `index` another fault, or none, from its next request on.

        The clients of a proxy that begins to refuse are reset. ValueError for an unknown fault.
        """
        check_fault(fault)
        self._in_loop(self._change(self.proxies[index], fault))

    def set_site_fault(self, path: str, fault: SiteFault | None, times: int | None = None) -> None:
        """
        Let `path`, which may be a pattern (``/detail/*``, ``*``), have a fault: a status, or a way of sending.

        `times` is the number of requests that get it, None for all. A `fault` of None removes the pattern.
        """

        async def change() -> None:
            self._network.site_faults.pop(path, None)
            if fault is not None:
                self._network.site_faults[path] = (fault, times)

        self._in_loop(change())

    def set_latency(self, seconds: float) -> None:
        """Let every answer from now on take `seconds`, a quarter more or less."""
        self._network.latency = seconds

    def call_soon(self, function: Callable[[], None]) -> None:
        """Call `function` in the lab's own loop. Meanwhile the loop serves no client."""
        self._loop.call_soon_threadsafe(function)

    def _in_loop(self, change: Coroutine[None, None, None]) -> None:
        if self._thread and self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(change, self._loop).result(PATIENCE)
        else:
            asyncio.run(change)

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.get_loop().run_forever()
            self._close()
        _running.discard(self)

    async def _open(self) -> None:
        network = self._network
        network.plain_port = port = await self._listen_at_site(lambda: SiteConnection(network), self._site_port)
        self.url, self.named_url = f"http://{HOST}:{port}", f"http://{NAME}:{port}"
        if network.tls is not None:
            network.tls_port = port = await self._listen_at_site(lambda: TlsEntry(network), 0)
            self.tls_url, self.named_tls_url = f"https://{HOST}:{port}", f"https://{NAME}:{port}"
        for proxy in self.proxies:
            await self._listen(proxy)
        if self._death_rate:
            network.tasks.add(asyncio.ensure_future(self._let_proxies_die()))

    async def _listen_at_site(self, protocol: Callable[[], asyncio.Protocol], port: int) -> int:
        sock = bound_socket(HOST, port)
        number: int = sock.getsockname()[1]
        server = await asyncio.get_running_loop().create_server(protocol, sock=sock, backlog=BACKLOG)
        self._site_servers.append(server)
        return number

    async def _listen(self, proxy: LabProxy) -> None:
        sock = bound_socket(proxy.host, proxy.port, shared=True)
        proxy.port = sock.getsockname()[1]
        if proxy.fault == "refused":
            self._listeners[proxy.index] = sock
            return
        kind = HttpProxy if proxy.scheme == "http" else SocksProxy
        self._listeners[proxy.index] = await asyncio.get_running_loop().create_server(
            lambda: kind(self._network, proxy), sock=sock, backlog=BACKLOG
        )

    async def _let_proxies_die(self) -> None:
        """Let each proxy die at its moment, drawn by the seed."""
        while not self._log.requests:
            await asyncio.sleep(0.01)
        lives = [
            (Random(f"death {self.seed} {proxy.index}").expovariate(self._death_rate), proxy.index)
            for proxy in self.proxies
        ]
        begin = asyncio.get_running_loop().time()
        for seconds, index in sorted(lives):
            await asyncio.sleep(begin + seconds - asyncio.get_running_loop().time())
            await self._change(self.proxies[index], "refused")
            self._log.notify()

    async def _change(self, proxy: LabProxy, fault: str | None) -> None:
        before, proxy.fault = proxy.fault, fault
        if (before == "refused") == (fault == "refused") or proxy.index not in self._listeners:
            return
        old = self._listeners.pop(proxy.index)
        await self._listen(proxy)
        old.close()
        for client in tuple(self._log.clients):
            if client.proxy is proxy:
                reset(client.transport)

    def _close(self) -> None:
        for listener in (*self._site_servers, *self._listeners.values()):
            listener.close()
        self._listeners.clear()
        for client in tuple(self._log.clients):
            client.transport.abort()

    def _release_sockets(self) -> None:
        """In a forked child: release all sockets, else a connection that the lab closes would stay open here."""
        sockets: list[socket.socket] = self.client_sockets
        for listener in (*self._site_servers, *self._listeners.values()):
            sockets.extend(listener.sockets if isinstance(listener, asyncio.Server) else (listener,))
        null = os.open(os.devnull, os.O_RDWR)
        for sock in sockets:
            # The number stays taken: an object here that still holds it must not close somebody else's file.
            if sock.fileno() >= 0:
                os.dup2(null, sock.fileno())
        os.close(null)


_running: WeakSet[Lab] = WeakSet()


def _release_all() -> None:
    for lab in tuple(_running):
        lab._release_sockets()


os.register_at_fork(after_in_child=_release_all)
