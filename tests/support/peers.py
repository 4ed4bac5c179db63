"""Proxies and sites, good and bad, on real sockets: each follows a script, with one thread per connection."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from pinpool.proxies.proxy import Proxy

__all__ = [
    "PATIENCE",
    "Line",
    "Peer",
    "Script",
    "answer",
    "answering",
    "connect_then",
    "first",
    "hang_up",
    "reset",
    "saying",
    "saying_and_waiting",
    "silent",
    "socks4",
    "socks5",
    "taking",
    "tls",
]

#: Seconds. No wait in a test is longer: a test that waits this long has failed.
PATIENCE = 20.0

Script = Callable[["Line"], None]


class Line:
    """One accepted connection, seen from the peer."""

    def __init__(self, sock: socket.socket, peer: Peer) -> None:
        self.sock = sock
        self.peer = peer

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def drip(self, data: bytes, pause: float = 0.02) -> None:
        """Send endlessly, one byte at a time, until the other side hangs up."""
        while not self.peer.closing.wait(pause):
            self.send(data[:1])
            data = data[1:] + data[:1]

    def exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self.sock.recv(count - len(data))
            if not more:
                raise ConnectionResetError
            data += more
        return data

    def head(self) -> str:
        """The next request with its body. Empty if the other side has hung up."""
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            more = self.sock.recv(1)
            if not more:
                return ""
            data += more
        text = data.decode("latin-1")
        for line in text.split("\r\n"):
            name, _, value = line.partition(":")
            if name.lower() == "content-length":
                text += self.exactly(int(value)).decode("latin-1")
        self.peer.heads.append(text)
        return text

    def wait(self) -> None:
        """Wait until the other side hangs up."""
        while self.sock.recv(65536):
            pass

    def reset(self) -> None:
        """Close with a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()


class Peer:
    """A listener on the loopback. `heads` are the requests it got, `connections` counts."""

    def __init__(self, script: Script) -> None:
        self.heads: list[str] = []
        self.connections = 0
        self.closing = threading.Event()
        self._script = script
        self._lines: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    @property
    def netloc(self) -> str:
        return f"127.0.0.1:{self.port}"

    def proxy(self, scheme: str = "http", username: str = "", password: str = "") -> Proxy:
        return Proxy(scheme, "127.0.0.1", self.port, username, password)

    def __enter__(self) -> Peer:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.closing.set()
        socket.create_connection(("127.0.0.1", self.port)).close()  # wakes the accepting thread
        # The accepting thread comes first in the list, so that no line is added after it.
        for thread in self._threads:
            for sock in self._lines:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
            thread.join(PATIENCE)
        self._listener.close()

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            if self.closing.is_set():
                sock.close()
                return
            sock.settimeout(PATIENCE)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            self._lines.append(sock)
            self._start(self._talk, sock)

    def _talk(self, sock: socket.socket) -> None:
        line = Line(sock, self)
        try:
            with suppress(OSError, ssl.SSLError):
                self._script(line)
        finally:
            line.sock.close()
            sock.close()


def answer(body: bytes = b"hello", status: str = "200 OK", **headers: str) -> bytes:
    """A complete HTTP answer. Underscores in header names become hyphens."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def answering(reply: bytes | Callable[[str], bytes] = b"") -> Script:
    """Answer every request on the line with `reply`, which may be a function of the request."""

    def script(line: Line) -> None:
        while request := line.head():
            line.send(reply(request) if callable(reply) else reply or answer())

    return script


def connect_then(script: Script) -> Script:
    """An HTTP proxy that grants the tunnel, and then plays the site by `script`."""

    def granting(line: Line) -> None:
        line.head()
        line.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        script(line)

    return granting


def tls(context: ssl.SSLContext, script: Script) -> Script:
    """Do the server's side of the handshake, then follow `script`."""

    def secured(line: Line) -> None:
        line.sock = context.wrap_socket(line.sock, server_side=True)
        script(line)

    return secured


def socks5(script: Script, login: tuple[str, str] | None = None, reply: int = 0, login_version: int = 1) -> Script:
    """
    A SOCKS5 proxy that plays the site by `script`. `heads` starts with the requested ``host:port``. `login_version` is
    what it writes before its answer to a login.
    """

    def greeting(line: Line) -> None:
        _, count = line.exactly(2)
        methods = line.exactly(count)
        method = 2 if login else 0
        if method not in methods:
            line.send(b"\x05\xff")
            return
        line.send(bytes((5, method)))
        if login:
            line.exactly(1)
            given = tuple(line.exactly(line.exactly(1)[0]).decode() for _ in range(2))
            line.send(bytes((login_version, given != login)))
            if given != login:
                return
        *_, kind = line.exactly(4)
        if kind == 3:
            host = line.exactly(line.exactly(1)[0]).decode()
        else:
            family, size = (socket.AF_INET, 4) if kind == 1 else (socket.AF_INET6, 16)
            host = socket.inet_ntop(family, line.exactly(size))
        line.peer.heads.append(f"{host}:{int.from_bytes(line.exactly(2), 'big')}")
        line.send(bytes((5, reply, 0, 1, 0, 0, 0, 0, 0, 0)))
        if not reply:
            script(line)

    return greeting


def socks4(script: Script) -> Script:
    """A SOCKS4 proxy, with the extension 4a, that plays the site by `script`. `heads` is as for `socks5`."""

    def asked(line: Line) -> None:
        request = line.exactly(8)
        _, host = _text(line), socket.inet_ntoa(request[4:])
        if host.startswith("0.0.0."):
            host = _text(line)
        line.peer.heads.append(f"{host}:{int.from_bytes(request[2:4], 'big')}")
        line.send(b"\x00\x5a" + bytes(6))
        script(line)

    return asked


def _text(line: Line) -> str:
    """The text before the next NUL."""
    data = b""
    while (byte := line.exactly(1)) != b"\0":
        data += byte
    return data.decode()


def silent(line: Line) -> None:
    line.wait()


def hang_up(line: Line) -> None:
    line.head()


def reset(line: Line) -> None:
    line.sock.recv(1)
    line.reset()


def taking(count: int) -> Script:
    """Read so many bytes, and hang up."""

    def script(line: Line) -> None:
        line.exactly(count)

    return script


def saying(data: bytes) -> Script:
    """Read a request, send `data`, and hang up."""

    def script(line: Line) -> None:
        line.head()
        line.send(data)

    return script


def saying_and_waiting(data: bytes) -> Script:
    """Read a request, send `data`, and wait for the other side to hang up."""

    def script(line: Line) -> None:
        line.head()
        line.send(data)
        line.wait()

    return script


def first(data: bytes) -> Script:
    """Send `data` after the first bytes, whatever they are."""

    def script(line: Line) -> None:
        line.sock.recv(65536)
        line.send(data)
        line.wait()

    return script
