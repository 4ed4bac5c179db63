"""
Where the command line sends log records: lines for people above the live view, and JSON lines into a file.

Both are handlers of the root logger for the time of one run, so records of spiders and libraries come, too.
"""

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pinpool.errors import SettingsError
from pinpool.files import is_ours
from pinpool.pool.log_pipe import CONTEXT
from pinpool.proxies.redaction import message_of, trace_of
from pinpool.text import local_time, one_line, shown_path, stamp


class _Screen(logging.Handler):
    """Hands each record as one line to `tell`."""

    def __init__(self, level: int, tell: Callable[[str], None]) -> None:
        super().__init__(level)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(_line(record))


class _Lines(logging.Handler):
    """Appends JSON lines to a file, each at once. A full disk is reported once, and stops nothing."""

    def __init__(self, level: int, path: Path, tell: Callable[[str], None]) -> None:
        super().__init__(level)
        self._path = path
        self._option = f"--log {shown_path(path)}"
        self._tell = tell
        self._file = -1
        self._torn = self._failed = False
        existed = path.exists()
        try:
            if path.is_file() and os.access(path, os.R_OK) and not is_ours(path, b'{"at": "'):
                raise SettingsError(f"{self._option}: holds something else: move it away, or name another file")
            os.close(self._open())
            if not existed:  # the run may yet fail to start, and must then leave nothing behind
                path.unlink()
        except OSError as error:
            raise SettingsError(f"{self._option}: {error.strerror}: name another file") from None

    def emit(self, record: logging.LogRecord) -> None:
        line = (b"\n" if self._torn else b"") + json.dumps(_document(record)).encode() + b"\n"
        try:
            if self._file < 0:
                self._file = self._open()
            while line:
                line = line[os.write(self._file, line) :]
            self._torn = False
        except OSError as error:
            self._torn = True
            if not self._failed:
                self._failed = True
                self._tell(f"{self._option}: {error.strerror}: the run goes on, but lines are missing there")

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        super().close()

    def _open(self) -> int:
        # Without NONBLOCK, a FIFO that nobody reads would block for ever. The URLs in a log are nobody else's business.
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o600)


@contextmanager
def logging_to(
    tell: Callable[[str], None], *, verbose: int = 0, quiet: bool = False, file: Path | None = None
) -> Iterator[None]:
    """
    Send log records to `tell`, from WARNING on; from INFO with `verbose` 1, DEBUG with 2, ERROR if `quiet`. Send them
    into `file`, too, from INFO on; from DEBUG with `verbose` 2.

    At the end, the root logger is as before. Raises SettingsError if the file cannot be written.
    """
    level = logging.ERROR if quiet else max(logging.DEBUG, logging.WARNING - 10 * verbose)
    handlers: list[logging.Handler] = [_Screen(level, tell)]
    if file is not None:
        handlers.append(_Lines(min(logging.INFO, level), file, tell))
    root = logging.getLogger()
    before = root.level
    root.setLevel(min(handler.level for handler in handlers))
    for handler in handlers:
        root.addHandler(handler)
    try:
        yield
    finally:
        root.setLevel(before)
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()


def _line(record: logging.LogRecord) -> str:
    """``12:03:44 warning films: no title (http://192.0.2.7:8080, http://films.example/7)``"""
    message = message_of(record)
    if trace := trace_of(record):
        message = f"{message}: {trace.strip().rpartition(chr(10))[2]}"
    context = [getattr(record, name, None) for name in ("proxy", "task")]
    where = ", ".join(str(value) for value in context if value and value not in message)
    start = f"{local_time(record.created)} {record.levelname.lower()} {record.name}"
    return one_line(f"{start}: {one_line(message)}" + (f" ({where})" if where else ""))


def _document(record: logging.LogRecord) -> dict[str, Any]:
    document: dict[str, Any] = {
        "at": stamp(record.created, "milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": message_of(record),
        **{name: getattr(record, name, None) for name in CONTEXT},
    }
    if trace := trace_of(record):
        document["trace"] = trace
    return document
