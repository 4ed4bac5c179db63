"""
The log pipe: brings what workers log to the parent, where it goes through stdlib logging like any other record.

A queue with a lock would jam for good when a worker is killed while it holds the lock (pool research, section 2). So
there is one pipe, and each record is one write of at most PIPE_BUF bytes: POSIX keeps such writes whole and separate
without a lock. No worker ever waits: when the pipe is full, the record is dropped and counted.
"""

import fcntl
import json
import logging
import os
import select
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import NamedTuple

from pinpool.proxies.redaction import message_of, trace_of

#: Attributes of a LogRecord that say where it comes from: the worker's number, the proxy's label, the task's URL, the
#: attempt's serial.
CONTEXT = ("worker", "proxy", "task", "attempt")
#: Bytes in the pipe: half a second of urllib3's debugging from a fast pool.
_ROOM = 1 << 20
_CHUNK = 1 << 16
#: Bytes taken at a time, so that spiders that log without end cannot stop the crawl.
_MOST_BYTES = 1 << 20
#: Characters of a message, of a traceback and so on, tried from the left until a record fits into one write.
_LENGTHS = (1500, 700, 300, 100, 0)
_NAME_LENGTH = 40

Levels = Mapping[str, int]


class Whereabouts(NamedTuple):
    """
    What a worker is doing: its proxy's label, its task's URL, its attempt's serial. `worker` is None outside of one.
    """

    proxy: str | None = None
    task: str | None = None
    attempt: int | None = None
    worker: int | None = None


class Reporting(NamedTuple):
    """What a worker needs to log: the pipe, and the level of each logger as it was in the parent."""

    pipe: Connection
    levels: Levels

    def begin(self, whereabouts: Callable[[], Whereabouts]) -> None:
        """
        Send all that this process logs through the pipe, and nowhere else.

        Other handlers, which came with a fork or from the script that each worker imports, would write it twice.
        """
        for name in ("", *logging.root.manager.loggerDict):
            logging.getLogger(name).handlers.clear()
        for name, level in self.levels.items():
            logging.getLogger(name).setLevel(level)
        logging.getLogger().addHandler(_Sender(self.pipe, whereabouts))


class LogPipe:
    """The parent's end. Gives each record to the logger of its name."""

    def __init__(self, redact: Callable[[str], str]) -> None:
        """`redact` removes the passwords from a text."""
        self._redact = redact
        self._reader, self._writer = Pipe(duplex=False)
        os.set_blocking(self._reader.fileno(), False)
        os.set_blocking(self._writer.fileno(), False)
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with suppress(OSError):  # a user with many pipes may not have large ones
                fcntl.fcntl(self._writer.fileno(), fcntl.F_SETPIPE_SZ, _ROOM)
        self._rest = b""

    def reporting(self) -> Reporting:
        """The worker's end, for workers that start now."""
        loggers = [logging.getLogger(name) for name in ("", *logging.root.manager.loggerDict)]
        return Reporting(self._writer, {one.name: one.level for one in loggers if one.level})

    def drain(self) -> None:
        """Log what workers have sent. Never waits, never raises."""
        self.log(self.take())

    def take(self) -> bytes:
        """What workers have sent: whole records, for the `log` of another process. Never waits, never raises."""
        taken = self._rest
        while len(taken) < _MOST_BYTES:
            try:
                chunk = os.read(self._reader.fileno(), _CHUNK)
            except OSError:  # empty, or closed
                break
            if not chunk:
                break
            taken += chunk
        whole, end, rest = taken.rpartition(b"\n")
        self._rest = rest if len(rest) <= _CHUNK else b""  # more is not a record of ours
        return whole + end

    def log(self, records: bytes) -> None:
        """Log records that were taken, here or in another process. Never raises."""
        for line in records.splitlines():
            self._log(line)

    def close(self) -> None:
        """Log what is left. The workers have ended."""
        self.drain()
        self._writer.close()
        self._reader.close()

    def _log(self, line: bytes) -> None:
        try:
            (name, level, created, pid, worker), (message, trace, where, dropped) = json.loads(line)
            logger = logging.getLogger(str(name))
            if dropped:
                logging.getLogger("pinpool").warning(
                    "%d log records of worker %d were dropped: the parent did not keep up", dropped, worker
                )
            if not logger.isEnabledFor(level):
                return
            context = {"worker": worker, **dict(zip(CONTEXT[1:], where, strict=True))}
            record = logger.makeRecord(logger.name, level, "", 0, self._redact(message), (), None, extra=context)
            record.exc_text = self._redact(trace) if trace else None
            record.created, record.msecs = created, created % 1 * 1000
            record.process = pid
            logger.handle(record)
        except Exception:  # noqa: BLE001  user code in a worker may write anything into its descriptors
            logging.getLogger("pinpool").debug("a log record could not be read")


class _Sender(logging.Handler):
    """The worker's end."""

    def __init__(self, pipe: Connection, whereabouts: Callable[[], Whereabouts]) -> None:
        super().__init__()
        self._pipe = pipe
        self._whereabouts = whereabouts
        self._dropped = 0

    def handle(self, record: logging.LogRecord) -> bool:
        # Without the lock: a write is whole without it, and a deadline could end a thread just as it has taken it.
        if passed := bool(self.filter(record)):
            self.emit(record)
        return passed

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = _fitted(record, message_of(record), trace_of(record), self._whereabouts(), self._dropped)
            os.write(self._pipe.fileno(), line)
            self._dropped = 0
        except Exception:  # noqa: BLE001  a full pipe as a rule; whatever it is, the page matters more
            self._dropped += 1


def _fitted(record: logging.LogRecord, message: str, trace: str, where: Whereabouts, dropped: int) -> bytes:
    """The record as one line that fits into one write."""
    name, (proxy, task, attempt, worker) = record.name[:_NAME_LENGTH], where
    for most in _LENGTHS:
        at = (_cut(proxy, most), _cut(task, most), attempt)
        fields = (
            (name, record.levelno, record.created, os.getpid(), worker or os.getpid()),
            (_cut(message, most), _cut_before(trace, most), at, dropped),
        )
        # Lone surrogates become escapes, which JSON reads back.
        line = json.dumps(fields, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
        if len(line) <= select.PIPE_BUF:
            break
    return line


def _cut(text: str | None, most: int) -> str | None:
    """At most so many characters, cut between two words: half a password would not be redacted."""
    if text is None or len(text) <= most:
        return text
    return text[:most].rpartition(" ")[0] + " …"


def _cut_before(trace: str, most: int) -> str:
    """The last whole lines of a traceback: the end tells most."""
    return trace if len(trace) <= most else trace[len(trace) - most :].partition("\n")[2]
