"""
The connections of the site: every client ends in a `SiteConnection`, straight or through a proxy's tunnel.

A proxy and the site live in one process, so a tunnel is no second pair of sockets: the client's connection
changes its protocol. Whatever comes through a proxy is known by the `Line` that it came on, and everything
that the site's own port accepts has bypassed the proxies.
"""

from __future__ import annotations

import asyncio
import time

from pinpool.lab.http import Answer, Manner, Request, reset, take_request
from pinpool.lab.network import Ground
from pinpool.lab.request_log import LabProxy, Line

DRIP_RATE = 300  # bytes a second
DRIP_EVERY = 0.1  # seconds
HANDSHAKE_TIMEOUT = 10.0
# Nobody sends this much before the answer to what he has already asked.
MAX_AHEAD = 20_000_000


class SiteConnection(asyncio.Protocol):
    """One client of the site: its requests in order, each answered in its manner."""

    def __init__(self, ground: Ground, line: Line | None = None) -> None:
        self.ground = ground
        self.tunnel = line is not None
        self._line = line
        self._buffer = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._handed_over = False

    @property
    def line(self) -> Line:
        """The books' entry of this client."""
        assert self._line is not None, "not connected"
        return self._line

    @property
    def transport(self) -> asyncio.Transport:
        """Where to write to."""
        return self.line.transport

    def proxy(self) -> LabProxy | None:
        """The proxy that a client of this port has reached; None for the site's own port."""
        return None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        # A request counts as in progress until its last byte has left us, so a writer waits while anything is
        # in our own buffer. With a limit of 0 asyncio's TLS pauses a writer for good, at times.
        transport.set_write_buffer_limits(high=1 if transport.get_extra_info("sslcontext") else 0)
        if self._line is None:
            self._line = Line(self.ground.books, self.proxy(), transport)
        else:
            self._line.transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self._gone()

    def eof_received(self) -> None:
        # Half-closed is closed: a client that waits for an answer keeps its side open.
        self._gone()
        self.transport.abort()

    def _gone(self) -> None:
        self.line.close()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        if self._drained is None:
            self._drained = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None

    def data_received(self, data: bytes) -> None:
        self.line.begin()
        self._buffer += data
        if self._task is not None:
            if len(self._buffer) > MAX_AHEAD:
                self.transport.abort()
            return
        request = self._take()
        if request is not None:
            self._task = asyncio.get_running_loop().create_task(self._serve(request))

    def _take(self) -> Request | None:
        try:
            return take_request(self._buffer)
        except ValueError as error:
            self.transport.write(
                b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n" + f"{error}\n".encode()
            )
            self.transport.close()
            return None

    async def _serve(self, request: Request | None) -> None:
        while request is not None:
            if not await self.exchange(request):
                break
            request = self._take()
        self._task = None
        if not self._buffer and not self._handed_over:
            self.line.end()

    async def exchange(self, request: Request) -> bool:
        """Answer one request; whether the connection stays open for another."""
        return await self.visit(request, request.target)

    async def visit(self, request: Request, path: str) -> bool:
        """Let the site answer, and write it down."""
        ground, proxy = self.ground, self.line.proxy
        headers = request.headers
        agent, cookie = headers.get("user-agent", ""), headers.get("cookie", "")
        seen = ground.books.enter(self.line, request.method, path, agent, cookie)
        answer = ground.answer(request, path, proxy, self.tunnel)
        try:
            pause = answer.pause + ground.delay(proxy)
            if pause:
                await asyncio.sleep(pause)
            if answer.manner not in (Manner.RESET, Manner.SILENT):
                seen.status = answer.status
            return await self.send(request, answer)
        finally:
            seen.ended = time.monotonic()
            ground.books.note()

    async def send(self, request: Request, answer: Answer) -> bool:
        """Send `answer` in its manner; whether the connection stays open."""
        transport, manner = self.transport, answer.manner
        if manner is Manner.SILENT:
            await self.silence()
        if manner is Manner.RESET:
            reset(transport)
            return False
        if manner is Manner.DRIP_HEAD:
            await self._drip(b"HTTP/1.1 200 OK\r\nX-Drip: ")
            while True:
                await self._drip(b".")
        keep = request.keep_alive and manner is not Manner.CUT
        head = answer.head(keep)
        pieces = iter(()) if request.method == "HEAD" else answer.pieces()
        if manner is Manner.CUT:
            whole = next(pieces, b"")
            await self._write(head + whole[: len(whole) // 2])
        elif manner is Manner.DRIP:
            await self._write(head)
            for piece in pieces:
                await self._drip(piece)
        else:
            await self._write(head + next(pieces, b""))
            for piece in pieces:
                # A client that has left fills no buffer: without this turn of the loop we would never hear of it.
                await asyncio.sleep(0)
                await self._write(piece)
        if not keep:
            transport.close()
        return keep

    async def silence(self) -> None:
        """Wait until the client leaves, which cancels this."""
        await asyncio.get_running_loop().create_future()

    async def _write(self, data: bytes) -> None:
        self.transport.write(data)
        if self._drained is not None:
            await self._drained

    async def _drip(self, data: bytes) -> None:
        step = int(DRIP_RATE * DRIP_EVERY)
        for start in range(0, len(data), step):
            await self._write(data[start : start + step])
            await asyncio.sleep(DRIP_EVERY)

    def hand_over(self, secure: bool) -> None:
        """From now on this client talks to the site itself."""
        self._handed_over = True
        enter_tunnel(self.ground, self.line, secure, bytes(self._buffer))


class TlsDoor(asyncio.Protocol):
    """The site's own TLS port: every client is in the books before it has shaken hands."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        enter_tunnel(self.ground, Line(self.ground.books, None, transport), True, b"")


def enter_tunnel(ground: Ground, line: Line, secure: bool, early: bytes) -> None:
    """
    Turn a client into one of the site. `early` is what it said before it was told that the tunnel stands.

    Early TLS is dropped, as it cannot be handed to a handshake: such a client runs into the handshake's
    time-out.
    """
    inner = SiteConnection(ground, line)
    line.end()
    if not secure:
        line.transport.set_protocol(inner)
        inner.connection_made(line.transport)
        if early:
            inner.data_received(early)
        return
    line.transport.set_write_buffer_limits(high=0)
    line.transport.pause_reading()  # until the handshake listens
    task = asyncio.get_running_loop().create_task(_secure(ground, line, inner))
    ground.tasks.add(task)
    task.add_done_callback(ground.tasks.discard)


async def _secure(ground: Ground, line: Line, inner: SiteConnection) -> None:
    assert ground.tls is not None
    raw = line.transport
    try:
        transport = await asyncio.get_running_loop().start_tls(
            raw, inner, ground.tls, server_side=True, ssl_handshake_timeout=HANDSHAKE_TIMEOUT
        )
    except OSError:  # the client left, or does not trust our certificate
        transport = None
    if transport is None:
        line.close()
        raw.abort()
        return
    inner.connection_made(transport)
