"""
The connections of the site: every client ends in a `SiteConnection`, directly or through a proxy's tunnel.

The proxies and the site are in one process, so a tunnel needs no second pair of sockets: the client's connection
changes its protocol. Its `Client` says which proxy it came through. A client of the site's own port bypassed them.
"""

import asyncio
import time

from pinpool.lab.http import Answer, Delivery, Request, reset, take_request
from pinpool.lab.network import Network
from pinpool.lab.request_log import Client, LabProxy

DRIP_RATE = 300  # bytes a second
DRIP_EVERY = 0.1  # seconds
HANDSHAKE_TIMEOUT = 10.0


class ClientProtocol(asyncio.Protocol):
    """
    The protocol that a client speaks for now. `client` is its entry in the log, which outlives the protocol.

    `client` is given for a client in a tunnel. Otherwise it begins with the connection, at `proxy` or at the site.
    """

    client: Client

    def __init__(self, network: Network, proxy: LabProxy | None = None, client: Client | None = None) -> None:
        self.network = network
        self.proxy = proxy
        self.tunnel = client is not None
        self._buffer = bytearray()
        self._may_write = asyncio.Event()
        self._may_write.set()
        if client is not None:
            self.client = client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if self.tunnel:
            self.client.transport = transport
        else:
            self.client = Client(self.network.log, self.proxy, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.client.close()

    def eof_received(self) -> None:
        # Half-closed is closed: a client that waits for an answer keeps its side open.
        self.connection_lost(None)
        self.client.transport.abort()


class SiteConnection(ClientProtocol):
    """One client of the site: answers its requests in order, each as its `Delivery` says."""

    _task: asyncio.Task[None] | None = None

    @property
    def transport(self) -> asyncio.Transport:
        """Where to write to."""
        return self.client.transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # A request is in progress until its last byte has left us, so a writer waits while our own buffer holds
        # anything. With a limit of 0 asyncio's TLS sometimes pauses a writer for good.
        self.transport.set_write_buffer_limits(high=1 if transport.get_extra_info("sslcontext") else 0)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    def data_received(self, data: bytes) -> None:
        self.client.begin()
        self._buffer += data
        if self._task is None and (request := self._take()) is not None:
            self._task = asyncio.get_running_loop().create_task(self._serve(request))

    def _take(self) -> Request | None:
        try:
            return take_request(self._buffer)
        except ValueError as error:
            head = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"
            self.transport.write(head + f"{error}\n".encode())
            self.transport.close()
            return None

    async def _serve(self, request: Request | None) -> None:
        while request is not None and await self.handle(request):
            request = self._take()
        self._task = None
        if not self._buffer:
            self.client.end()

    async def handle(self, request: Request) -> bool:
        """Answer one request; whether the connection stays open for another."""
        return await self.visit(request, request.target)

    async def visit(self, request: Request, path: str) -> bool:
        """Let the site answer, and log it; whether the connection stays open."""
        network, proxy, headers = self.network, self.client.proxy, request.headers
        agent, cookie = headers.get("user-agent", ""), headers.get("cookie", "")
        seen = network.log.add(proxy, request.method, path, agent, cookie)
        answer = network.answer(request, path, proxy, self.tunnel)
        try:
            if network.latency:
                await asyncio.sleep(network.delay(proxy))
            if answer.delivery not in (Delivery.RESET, Delivery.SILENT):
                seen.status = answer.status
            return await self.send(request, answer)
        finally:
            seen.ended = time.monotonic()
            network.log.notify()

    async def send(self, request: Request, answer: Answer) -> bool:
        """Send `answer` as its `delivery` says; whether the connection stays open."""
        transport, delivery = self.transport, answer.delivery
        if delivery is Delivery.SILENT:
            await self.wait_for_ever()
        if delivery is Delivery.RESET:
            reset(transport)
            return False
        if delivery is Delivery.DRIP_HEAD:
            await self._drip(b"HTTP/1.1 200 OK\r\nX-Drip: ")
            while True:
                await self._drip(b".")
        keep = request.keep_alive and delivery is not Delivery.CUT and not answer.endless
        head = answer.head(keep)
        pieces = iter(()) if request.method == "HEAD" else answer.pieces()
        if delivery is Delivery.CUT:
            whole = next(pieces, b"")
            await self._write(head + whole[: len(whole) // 2])
        elif delivery is Delivery.DRIP:
            await self._write(head)
            for piece in pieces:
                await self._drip(piece)
        else:
            await self._write(head + next(pieces, b""))
            for piece in pieces:
                # A departed client fills no buffer. Only in this turn of the loop do we notice that it is gone.
                await asyncio.sleep(0)
                await self._write(piece)
        if not keep:
            transport.close()
        return keep

    async def wait_for_ever(self) -> None:
        """Wait until the client leaves, which cancels this."""
        await asyncio.get_running_loop().create_future()

    async def _write(self, data: bytes) -> None:
        self.transport.write(data)
        await self._may_write.wait()

    async def _drip(self, data: bytes) -> None:
        step = int(DRIP_RATE * DRIP_EVERY)
        for start in range(0, len(data), step):
            await self._write(data[start : start + step])
            await asyncio.sleep(DRIP_EVERY)


class TlsEntry(ClientProtocol):
    """The site's own TLS port. Each client is logged before its handshake."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        enter_tunnel(self.network, self.client, True, b"")


def enter_tunnel(network: Network, client: Client, secure: bool, early: bytes) -> None:
    """
    Connect a client to the site. `early` is what it sent before it knew that the tunnel is there.

    Early TLS is dropped, because a handshake cannot be given data: such a client runs into the handshake's time-out.
    """
    site = SiteConnection(network, client=client)
    client.end()
    if not secure:
        client.transport.set_protocol(site)
        site.connection_made(client.transport)
        if early:
            site.data_received(early)
        return
    client.transport.set_write_buffer_limits(high=0)
    client.transport.pause_reading()  # until the handshake listens
    task = asyncio.get_running_loop().create_task(_secure(network, client, site))
    network.tasks.add(task)
    task.add_done_callback(network.tasks.discard)


async def _secure(network: Network, client: Client, site: SiteConnection) -> None:
    assert network.tls is not None
    raw = client.transport
    try:
        transport = await asyncio.get_running_loop().start_tls(
            raw, site, network.tls, server_side=True, ssl_handshake_timeout=HANDSHAKE_TIMEOUT
        )
    except OSError:  # the client left, or does not trust our certificate
        transport = None
    if transport is None:
        client.close()
        raw.abort()
        return
    site.connection_made(transport)
