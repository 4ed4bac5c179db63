"""Reads an answer from a connection: its head, then its body, each within a limit."""

import io
import re
import socket
from collections.abc import Iterator
from http.client import IncompleteRead, LineTooLong, RemoteDisconnected
from typing import Any

from pinpool.fetch.content_coding import too_large
from pinpool.fetch.heads import MAX_HEAD, Framing, Head, HeadReader
from pinpool.fetch.sockets import Progress

#: Bytes read at a time: a page and its head mostly come in one or two reads.
CHUNK = 65_536
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,16})[ \t\r]*(?:;|\Z)")


class Wire:
    """An answer on its way in. Each read is limited by the page's time, and counted."""

    def __init__(self, sock: socket.socket, progress: Progress) -> None:
        self._sock = sock
        self._progress = progress
        self._data = b""  # received, and read up to `_at`
        self._at = 0
        self._reader = HeadReader()

    @property
    def status(self) -> int | None:
        """The status of an answer whose head breaks off."""
        return self._reader.status

    @property
    def is_empty(self) -> bool:
        """Whether all that was received is read. What is left over belongs to no answer."""
        return self._at == len(self._data)

    def head(self) -> Head:
        """The head of the final answer. Raises HTTPException if it is not HTTP, or ends too soon."""
        while data := self._receive():
            if (head := self._reader.feed(data)) is not None:
                self._data = self._reader.rest
                return head
        raise RemoteDisconnected("closed before the end of the headers")

    def body(self, framing: Framing, limit: int, status: int) -> bytes:
        """
        The whole body as it was sent, without the marks of its chunks.

        Raises FetchFailed, with `status`, if it has more than `limit` bytes, and IncompleteRead if it ends too soon.
        """
        if framing.chunked:
            return self._chunks(limit, status)
        length = framing.length
        if length is not None and length > limit:
            raise too_large(limit, status)
        if length is not None and len(self._data) >= length:
            self._at = length
            return self._data[:length]
        body = bytearray(self._data)
        self._at = len(self._data)
        while length is None or len(body) < length:
            if len(body) > limit:
                raise too_large(limit, status)
            if data := self._receive():
                body += data
            elif length is None:
                break
            else:
                raise IncompleteRead(b"", length - len(body))
        if length is not None and len(body) > length:
            self._data, self._at = data, len(data) - (len(body) - length)
            del body[length:]
        return bytes(body)

    def _chunks(self, limit: int, status: int) -> bytes:
        body = bytearray()
        while size := self._chunk_size():
            if len(body) + size > limit:
                raise too_large(limit, status)
            while size:
                if self.is_empty:
                    self._more()
                piece = self._data[self._at : self._at + size]
                self._at += len(piece)
                size -= len(piece)
                body += piece
            self._end_chunk()
        return bytes(body)

    def stream(self, framing: Framing) -> Iterator[bytes]:
        """
        The body piece by piece, as it comes, without the marks of its chunks. The caller limits its size.

        Raises IncompleteRead if it ends too soon.
        """
        if framing.chunked:
            yield from self._chunk_pieces()
            return
        left = framing.length
        while left is None or left:
            if not (piece := self.read(CHUNK if left is None else min(left, CHUNK))):
                if left is None:
                    return
                raise IncompleteRead(b"", left)
            left = None if left is None else left - len(piece)
            yield piece

    def _chunk_pieces(self) -> Iterator[bytes]:
        while size := self._chunk_size():
            while size:
                if not (piece := self.read(min(size, CHUNK))):
                    raise IncompleteRead(b"")
                size -= len(piece)
                yield piece
            self._end_chunk()

    def _chunk_size(self) -> int:
        """The bytes of the next chunk. 0 at the end of the body, with its trailer."""
        found = _CHUNK_SIZE.match(self._line())
        if found is None:
            raise IncompleteRead(b"")
        size = int(found[1], 16)
        if not size:
            self._pass_trailer()
        return size

    def _end_chunk(self) -> None:
        if self._line().strip(b"\r"):
            raise IncompleteRead(b"")

    def _pass_trailer(self) -> None:
        passed = 0
        try:
            while line := self._line().strip(b"\r"):
                passed += len(line)
                if passed > MAX_HEAD:
                    raise LineTooLong("trailer")
        except IncompleteRead:
            pass  # the body is whole, and some sites leave out the end

    def _line(self) -> bytes:
        while (end := self._data.find(b"\n", self._at)) < 0:
            if len(self._data) - self._at > CHUNK:
                raise LineTooLong("chunk")
            self._more()
        line = self._data[self._at : end]
        self._at = end + 1
        return line

    def _more(self) -> None:
        if not (data := self._receive()):
            raise IncompleteRead(b"")
        self._data, self._at = self._data[self._at :] + data, 0

    def read(self, most: int) -> bytes:
        """Up to so many bytes of what follows the head; none at the end of the stream."""
        if self.is_empty:
            self._data, self._at = self._receive(), 0
        piece = self._data[self._at : self._at + most]
        self._at += len(piece)
        return piece

    def _receive(self) -> bytes:
        self._progress.limit(self._sock)
        data = self._sock.recv(CHUNK)
        self._progress.received += len(data)
        return data


class WireFile(io.RawIOBase):
    """What follows the head, for http.client. The socket stays open until this is closed, as http.client expects."""

    def __init__(self, sock: socket.socket, progress: Progress) -> None:
        self.wire = Wire(sock, progress)
        self._held = sock.makefile("rb", buffering=0)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self.wire.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        if not self.closed:
            self._held.close()
        super().close()
