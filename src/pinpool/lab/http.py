"""HTTP/1.1 for the lab: requests are read, answers are made, to be sent well or badly."""

import asyncio
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from http.client import responses
from typing import NamedTuple

MAX_HEAD = 64 * 1024
NO_BODY = (204, 304)


class Delivery(StrEnum):
    """How an answer is sent."""

    WHOLE = "whole"
    DRIP = "drip"  # the head at once, then the body at `DRIP_RATE`
    DRIP_HEAD = "drip-head"  # a head that never ends
    CUT = "cut"  # half of the body, then the connection is closed
    RESET = "reset"  # RST instead of an answer
    SILENT = "silent"  # nothing, until the client leaves


class Request(NamedTuple):
    """One request; `headers` has lower-case names."""

    method: str
    target: str
    version: str
    headers: dict[str, str]
    body: bytes

    @property
    def keep_alive(self) -> bool:
        """Whether the client wants to use the connection again."""
        option = self.headers.get("connection", self.headers.get("proxy-connection", "")).lower()
        return option != "close" and (self.version == "HTTP/1.1" or option == "keep-alive")


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back, and how. A long body is a tuple of its pieces, mostly the same one many times."""

    status: int
    body: bytes | tuple[bytes, ...] = b""
    headers: tuple[tuple[str, str], ...] = ()
    delivery: Delivery = Delivery.WHOLE
    chunked: bool = False
    endless: bool = False  # the connection is closed behind the body, and nothing else tells its end

    def head(self, keep_alive: bool) -> bytes:
        """The status line and the headers, with the blank line that ends them."""
        phrase = responses.get(self.status, "Unknown")
        lines = [f"HTTP/1.1 {self.status} {phrase}", *(f"{name}: {value}" for name, value in self.headers)]
        if self.chunked:
            lines.append("Transfer-Encoding: chunked")
        elif self.status not in NO_BODY and not self.endless:
            body = self.body if isinstance(self.body, tuple) else (self.body,)
            lines.append(f"Content-Length: {sum(map(len, body))}")
        lines.append(f"Connection: {'keep-alive' if keep_alive else 'close'}\r\n\r\n")
        return "\r\n".join(lines).encode("latin-1")

    def pieces(self) -> Iterator[bytes]:
        """The body as it is sent, in pieces."""
        if self.status in NO_BODY:
            return
        if isinstance(self.body, tuple):
            for part in self.body:
                yield b"%x\r\n%b\r\n" % (len(part), part) if self.chunked and part else part
            if self.chunked:
                yield b"0\r\n\r\n"
        elif self.chunked:
            half = len(self.body) // 2
            for part in (self.body[:half], self.body[half:]):
                if part:
                    yield b"%x\r\n%b\r\n" % (len(part), part)
            yield b"0\r\n\r\n"
        else:
            yield self.body


def as_page(status: int, title: str, text: str = "", headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """A small HTML page with `title` as its heading. Both texts are ours and need no escaping."""
    top = f"<!doctype html><html><head><title>{title}</title></head><body>"
    html = f"{top}<h1>{title}</h1><p>{text}</p></body></html>"
    return Answer(status, html.encode(), (("Content-Type", "text/html; charset=utf-8"), *headers))


def take_request(buffer: bytearray) -> Request | None:
    """Take the first request out of `buffer`; None while it is not complete. ValueError if it is not valid."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        if len(buffer) > MAX_HEAD:
            raise ValueError(f"a head of more than {MAX_HEAD} bytes")
        return None
    first, *lines = buffer[:end].decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise ValueError("not an HTTP/1 request line")
    fields = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in fields}
    if "transfer-encoding" in headers:
        raise ValueError("a body needs a Content-Length here")
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise ValueError("a Content-Length that is not a number")
    stop = end + 4 + int(length)
    if len(buffer) < stop:
        return None
    body = bytes(buffer[end + 4 : stop])
    del buffer[:stop]
    return Request(words[0], words[1], words[2], headers, body)


def bound_socket(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """
    A socket bound to the port (0: any free one) that does not listen. OSError if the port is taken.

    Another socket of this user can be bound to a `shared` port. So the port can pass from one socket to the next, and
    is never free in between.
    """
    # asyncio sets TCP_NODELAY only if the protocol is given. Without it some answers take 45 ms.
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared and hasattr(socket, "SO_REUSEPORT"):
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind((host, port))
    except OSError:
        made.close()
        raise
    return made


def reset(transport: asyncio.Transport) -> None:
    """Close a connection with RST, so that the client sees a reset."""
    sock: socket.socket | None = transport.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
