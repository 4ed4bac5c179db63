"""Output files and streams: opening, cutting and closing them. What the system refuses becomes our error."""

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, BinaryIO

from pinpool.errors import SettingsError
from pinpool.files import STDOUT, is_stream_path, storing


def open_output(path: str) -> BinaryIO:
    """Open a stream for writing, or a file, new or not, for reading and writing. Raises SettingsError."""
    with storing(f"output {path}", "name another file with -o", SettingsError):
        if path == STDOUT:
            return sys.stdout.buffer
        if is_stream_path(path):
            return Path(path).open("wb")
        Path(path).touch()
        return Path(path).open("r+b")


def check_file(path: str) -> int:
    """The size of a file in bytes. Raises SettingsError if it cannot be written. A missing file stays missing."""
    real = os.path.realpath(path)
    exists = os.path.lexists(real)
    with open_output(path) as file:
        size = size_of(file)
    if not exists:
        Path(real).unlink()
    return size


def size_of(file: BinaryIO) -> int:
    """The size in bytes. Moves the position to the end."""
    return file.seek(0, os.SEEK_END)


def ends_line(file: BinaryIO, position: int) -> bool:
    """Whether the file is at least `position` bytes long, and a line ends there."""
    if position == 0:
        return True
    file.seek(position - 1)
    return file.read(1) == b"\n"


def cut_at(file: BinaryIO, position: int) -> int:
    """Cut the file at `position`, add a missing line end, and return the position to write at."""
    is_whole = ends_line(file, position)
    file.truncate(position)
    file.seek(position)
    return position if is_whole else position + file.write(b"\n")


@contextmanager
def closing(file: IO[bytes] | IO[str], *, is_stream: bool) -> Iterator[None]:
    """At the end of the block: flush, make a file durable, and close everything but stdout."""
    try:
        yield
        file.flush()
        if not is_stream:
            os.fsync(file.fileno())
    finally:
        if file is not sys.stdout.buffer:
            file.close()


def storing_items(path: str) -> AbstractContextManager[None]:
    """Turn an OSError in the block into a StorageError that tells the next step."""
    return storing(f"output {path}", "make room, then `pinpool resume`, or export again")
