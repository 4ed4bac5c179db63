"""`Lab`: the practice site and its proxies, on one loop in one thread."""

from __future__ import annotations

import asyncio
import math
import os
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Self
from weakref import WeakSet

from pinpool.lab.connections import SiteConnection, TlsDoor
from pinpool.lab.faults import SiteFault, assign, check_fault
from pinpool.lab.http import bound, reset
from pinpool.lab.network import NAME, Ground
from pinpool.lab.pages import Catalogue, Film
from pinpool.lab.proxies import HttpProxy, SocksProxy, describe, notation
from pinpool.lab.request_log import LabProxy, RequestLog, Seen
from pinpool.lab.site import Site

HOST = "127.0.0.1"
BACKLOG = 1024
PATIENCE = 10.0  # seconds that the lab's own loop may take for anything


class Lab:
    """
    A local practice site behind local proxies, good and faulty; the same `seed` gives the same lab.

    A context manager; `start` and `stop` do the same by hand, once. `latency` is seconds per answer, a
    quarter more or less. `faults` (of `FAULTS`) go to one proxy each, chosen by the seed. `certificate`
    (certificate file, key file, both PEM) adds the same site over https. A ban falls after `ban_after`
    requests, a flaky proxy fails with probability `flaky_rate`. With `dying`, that share (0 to 1) of the
    living proxies begins to refuse for good in each minute from the first request on. ValueError for faults
    that are unknown or more than the proxies, for no pages, for a port out of range and for a share of 1.
    """

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
    ) -> None:
        if not 0 <= site_port <= 65_535:
            raise ValueError(
                f"site_port is a TCP port from 1 to 65535, or 0 for any free one, not {site_port}"
            )
        if not 0 <= dying < 1:
            raise ValueError(
                f"dying is the share of proxies that die in a minute, from 0 to below 1, not {dying}"
            )
        self.seed = seed
        self._death_rate = -math.log1p(-dying) / 60
        self.catalogue = Catalogue(pages, seed)
        self.proxies: list[LabProxy] = [describe(index) for index in range(proxies)]
        for index, fault in assign(faults, proxies, seed).items():
            self.proxies[index].fault = fault
        self._site_port = site_port
        self._books = RequestLog()
        self._ground = Ground(
            site=Site(self.catalogue),
            books=self._books,
            latency=latency,
            ban_after=ban_after,
            flaky_rate=flaky_rate,
            draws={index: Random(f"draws {seed} {index}") for index in (None, *range(proxies))},
        )
        if certificate is not None:
            self._ground.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._ground.tls.load_cert_chain(*certificate)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over: asyncio.Event | None = None
        self._site_servers: list[asyncio.Server] = []
        # What stands on a proxy's port: a server, or for a refusing proxy a socket that only keeps the port.
        self._doors: dict[int, asyncio.Server | socket.socket] = {}

    def __repr__(self) -> str:
        faulty = sum(proxy.fault is not None for proxy in self.proxies)
        return f"<Lab {self.url} {len(self.catalogue)} films, {len(self.proxies)} proxies, {faulty} faulty>"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """
        Listen on all ports. OSError if `site_port` is taken, RuntimeError if the lab was started before.
        """
        if self._thread is not None:
            raise RuntimeError("this lab was started before: make a new one")
        ready: Future[None] = Future()
        self._thread = threading.Thread(target=asyncio.run, args=(self._run(ready),), name="lab", daemon=True)
        self._thread.start()
        try:
            ready.result(PATIENCE)
        except OSError:
            self._thread.join(PATIENCE)
            raise

    def stop(self) -> None:
        """
        Close all ports and connections at once, whoever waits for an answer.

        A second call does nothing.
        """
        if self._thread is None or not self._thread.is_alive() or self._loop is None or self._over is None:
            return
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(PATIENCE)

    @property
    def url(self) -> str:
        """The site's address."""
        return f"http://{HOST}:{self._ground.plain_port}"

    @property
    def named_url(self) -> str:
        """The same site by a name that only the lab's proxies know: whoever bypasses them fails."""
        return f"http://{NAME}:{self._ground.plain_port}"

    @property
    def tls_url(self) -> str:
        """The site over https. RuntimeError if the lab has no certificate."""
        return f"https://{HOST}:{self._tls_port}"

    @property
    def named_tls_url(self) -> str:
        """The site over https by the name that only the lab's proxies know."""
        return f"https://{NAME}:{self._tls_port}"

    @property
    def _tls_port(self) -> int:
        if self._ground.tls is None:
            raise RuntimeError("this lab speaks no https: give it a certificate")
        return self._ground.tls_port

    @property
    def requests(self) -> list[Seen]:
        """Every request for a page of the site, in order of arrival (the last million)."""
        return list(self._books.requests)

    @property
    def direct(self) -> int:
        """How many of the requests bypassed the proxies."""
        return self._books.direct

    def films(self, base: str = "") -> dict[str, Film]:
        """All films by path, or by URL with `base` before the path."""
        films = (self.catalogue.film(number) for number in range(1, len(self.catalogue) + 1))
        return {base + film.path: film for film in films}

    def write_proxies(self, path: str | Path) -> None:
        """Write the list of proxies, with their passwords, in several of the notations that pinpool reads."""
        lines = ["# The lab's proxies: HTTP and SOCKS in turn.", "", *map(notation, self.proxies)]
        Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")

    def wait_for(self, predicate: Callable[[], bool], timeout: float) -> None:
        """Return as soon as `predicate` is true. TimeoutError if it is not within `timeout` seconds."""
        if not self._books.wait(predicate, timeout):
            raise TimeoutError(f"not within {timeout} s; so far {len(self._books.requests)} requests came")

    def set_fault(self, index: int, fault: str | None) -> None:
        """
        Give proxy `index` another fault, or none, from its next request on.

        Whoever is connected to a proxy that begins to refuse is reset. ValueError for an unknown fault.
        """
        if fault is not None:
            check_fault(fault)
        self._in_loop(self._change(self.proxies[index], fault))

    def set_site_fault(self, path: str, fault: SiteFault | None, times: int | None = None) -> None:
        """
        Answer `path`, which may be a pattern (``/detail/*``, ``*``), with a status or in a bad manner.

        `times` is for how many requests, None for all. A `fault` of None takes this pattern's fault away.
        """

        async def change() -> None:
            self._ground.site_faults.pop(path, None)
            if fault is not None:
                self._ground.site_faults[path] = (fault, times)

        self._in_loop(change())

    def _in_loop(self, change: Coroutine[None, None, None]) -> None:
        if self._loop is None or not self._loop.is_running():
            asyncio.run(change)
        else:
            asyncio.run_coroutine_threadsafe(change, self._loop).result(PATIENCE)

    async def _run(self, ready: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        try:
            await self._open()
        except OSError as error:
            self._close()
            ready.set_exception(error)
            return
        _running.add(self)
        doom = asyncio.ensure_future(self._doom()) if self._death_rate else None
        ready.set_result(None)
        await self._over.wait()
        if doom is not None:
            doom.cancel()
        self._close()
        # One turn of the loop for the sockets to be closed; asyncio.run then ends what still waits.
        await asyncio.sleep(0)
        _running.discard(self)

    async def _open(self) -> None:
        ground, loop = self._ground, asyncio.get_running_loop()
        site = bound(HOST, self._site_port)
        ground.plain_port = site.getsockname()[1]
        self._site_servers.append(
            await loop.create_server(lambda: SiteConnection(ground), sock=site, backlog=BACKLOG)
        )
        if ground.tls is not None:
            secure = bound(HOST, 0)
            ground.tls_port = secure.getsockname()[1]
            self._site_servers.append(
                await loop.create_server(lambda: TlsDoor(ground), sock=secure, backlog=BACKLOG)
            )
        for proxy in self.proxies:
            await self._open_door(proxy)

    async def _doom(self) -> None:
        """Let each proxy die at its moment, drawn by the seed."""
        while not self._books.requests:
            await asyncio.sleep(0.01)
        lives = [
            (Random(f"death {self.seed} {proxy.index}").expovariate(self._death_rate), proxy.index)
            for proxy in self.proxies
        ]
        begin = asyncio.get_running_loop().time()
        for seconds, index in sorted(lives):
            await asyncio.sleep(begin + seconds - asyncio.get_running_loop().time())
            await self._change(self.proxies[index], "refused")
            self._books.note()

    async def _open_door(self, proxy: LabProxy) -> None:
        door = bound(proxy.host, proxy.port, shared=True)
        proxy.port = door.getsockname()[1]
        if proxy.fault == "refused":
            self._doors[proxy.index] = door
            return
        kind = HttpProxy if proxy.kind == "http" else SocksProxy
        self._doors[proxy.index] = await asyncio.get_running_loop().create_server(
            lambda: kind(self._ground, proxy), sock=door, backlog=BACKLOG
        )

    async def _change(self, proxy: LabProxy, fault: str | None) -> None:
        before, proxy.fault = proxy.fault, fault
        if (before == "refused") == (fault == "refused") or proxy.index not in self._doors:
            return
        old = self._doors.pop(proxy.index)
        await self._open_door(proxy)
        old.close()
        for line in tuple(self._books.lines):
            if line.proxy is proxy:
                reset(line.transport)

    def _close(self) -> None:
        for door in (*self._site_servers, *self._doors.values()):
            door.close()
        self._doors.clear()
        for line in tuple(self._books.lines):
            line.transport.abort()

    def _leave_to_parent(self) -> None:
        """
        In a forked child: let go of all sockets, else a connection that the lab closes would stay open here.
        """
        sockets = [line.transport.get_extra_info("socket") for line in tuple(self._books.lines)]
        for door in (*self._site_servers, *self._doors.values()):
            sockets.extend(door.sockets if isinstance(door, asyncio.Server) else (door,))
        nothing = os.open(os.devnull, os.O_RDWR)
        for each in sockets:
            # The number stays taken, so that whatever believes to own it closes nothing of somebody else's.
            if each is not None and each.fileno() >= 0:
                os.dup2(nothing, each.fileno())
        os.close(nothing)


_running: WeakSet[Lab] = WeakSet()


def _leave_all() -> None:
    for lab in tuple(_running):
        lab._leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_all)
