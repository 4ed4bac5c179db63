"""
The queues between parent and workers, as sockets that keep messages apart. Linux has these.

A queue of the stdlib is a pipe with locks. A worker reads a task in two steps and holds the lock in between, so that
all others wait until it runs again: where threads share an interpreter, for 20 to 40 ms between two pages. Killed
there, it holds the lock for ever. Here one system call takes a whole message or nothing, and needs no lock.
"""

import errno
import os
import socket
import sys
import time
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from multiprocessing.connection import wait
from multiprocessing.reduction import ForkingPickler
from typing import Any

#: Bytes of the longest message that the socket takes by itself. Linux has room for 212,992 by default, with its own
#: records. A longer one goes through a file in memory, whose descriptor is sent.
INLINE = 1 << 16
#: The kernel counts the descriptors that nobody has received yet. So long until there may be fewer.
FULL_SECONDS = 0.005
#: Begins a packet that comes with a file. No pickle begins like this.
_FILE = b"file"
#: Bytes for one descriptor beside a packet.
_ROOM = socket.CMSG_SPACE(4) if hasattr(socket, "CMSG_SPACE") else 0


def has_packets() -> bool:
    """Whether this system has what the queues need."""
    return hasattr(socket, "SOCK_SEQPACKET") and hasattr(os, "memfd_create") and hasattr(socket, "recv_fds")


class End:
    """
    One end. Any number of processes and threads may use it at a time; each message goes to one of them.

    A message is a tuple. If a long one comes, but this process may open no more files, `recv` returns what `instead`
    makes of its first two values: that much is not lost.
    """

    def __init__(self, one: socket.socket, instead: Callable[..., Any] | None = None) -> None:
        one.settimeout(None)  # whatever a spider has set as the default for sockets
        self._socket = one
        self.instead = instead
        # Nobody closes the ends of a pool that is thrown away: it may still use them.
        weakref.finalize(self, one.close).atexit = False  # threads of the pool may still run then

    def __reduce__(self) -> tuple[Any, ...]:
        return End, (self._socket, self.instead)

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def poll(self, timeout: float = 0.0) -> bool:
        """Whether a message is there, or no writer is left."""
        return bool(wait([self._socket], timeout))

    def send(self, value: object) -> None:
        """Waits while the socket is full. OSError if no reader is left."""
        message = ForkingPickler.dumps(value)
        if len(message) <= INLINE:
            try:
                self._socket.send(message)
                return
            except OSError as error:
                if error.errno != errno.EMSGSIZE:  # this system has smaller buffers
                    raise
        file = os.memfd_create("pinpool-message", os.MFD_CLOEXEC)
        try:
            with os.fdopen(file, "wb", closefd=False) as body:
                body.write(message)
            self._send_file(file, ForkingPickler.dumps(value[:2] if isinstance(value, tuple) else ()))
        finally:
            os.close(file)

    def _send_file(self, file: int, head: memoryview) -> None:
        while True:
            try:
                socket.send_fds(self._socket, [_FILE, head], [file])
            except OSError as error:
                if error.errno != errno.ETOOMANYREFS:
                    raise
                time.sleep(FULL_SECONDS)
            else:
                return

    def recv(self) -> Any:
        """The next message. EOFError if no writer is left."""
        message, extras, _, _ = self._socket.recvmsg(INLINE, _ROOM)
        if extras:
            file = int.from_bytes(extras[0][2], sys.byteorder)
            with os.fdopen(file, "rb") as body:
                body.seek(0)
                message = body.read()
        elif message.startswith(_FILE):
            if self.instead is None:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return self.instead(*ForkingPickler.loads(message[len(_FILE) :]))
        elif not message:
            raise EOFError
        return ForkingPickler.loads(message)


class PacketQueue:
    """In place of ``multiprocessing.SimpleQueue``, with the private names by which the Pool uses it."""

    def __init__(self, reader: End | None = None, writer: End | None = None) -> None:
        if reader is None or writer is None:
            reader, writer = map(End, socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        self._reader, self._writer, self._rlock = reader, writer, _NoLock()
        self.get, self.put = reader.recv, writer.send

    def __reduce__(self) -> tuple[Any, ...]:
        return PacketQueue, (self._reader, self._writer)

    def empty(self) -> bool:
        """Whether no message is there."""
        return not self._reader.poll()


class _NoLock(nullcontext[None]):
    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass
