"""Output files and streams: opening, cutting and closing them. What the system refuses becomes our error."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, BinaryIO, cast

from pinpool.errors import SettingsError
from pinpool.files import STDOUT, is_stream_path, lock, remove_leftovers, storing


def open_output(path: str, kind: Callable[[str], Exception] = SettingsError) -> BinaryIO:
    """
    Open a stream for writing, or a file, new or not, for reading and for writing at its end.

    A file is claimed for this process until it is closed, whatever name leads to it. Raises an error of `kind`, also
    if another process has claimed it.
    """
    with storing(f"output {path}", "name another file with -o", kind):
        if path == STDOUT:
            if sys.__stdout__ is None:
                raise SettingsError(f"output {path}: stdout is closed: name a file with -o")
            return cast(BinaryIO, sys.__stdout__.buffer)  # `sys.stdout` may lead elsewhere: see `cli/running`
        if is_stream_path(path):
            return Path(path).open("wb")
        while True:
            # At its end whatever happens: if another program cuts the file, there is no hole of NULs.
            file = cast(BinaryIO, os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666), "r+b"))
            if not lock(file):
                file.close()
                raise kind(f"output {path}: another pinpool is writing it: wait for it, or name another file")
            if is_at(file, path):
                remove_leftovers(path)
                return file
            file.close()  # whoever had the claim has put a new file in its place


def check_file(path: str) -> int:
    """The size of a file in bytes. Raises SettingsError if it cannot be written. A missing file stays missing."""
    real = os.path.realpath(path)
    exists = os.path.lexists(real)
    with open_output(path) as file:
        if not exists:
            Path(real).unlink()
        return size_of(file)


def is_at(file: BinaryIO, path: str) -> bool:
    """Whether an open file is still the one at this path."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))  # noqa: PTH116  at every commit
    except OSError:
        return False


def size_at(path: str) -> int | None:
    """The size of the file at this path in bytes; None if there is none."""
    try:
        return os.stat(path).st_size  # noqa: PTH116  at every commit
    except OSError:
        return None


def size_of(file: BinaryIO) -> int:
    """The size in bytes. Moves the position to the end."""
    return file.seek(0, os.SEEK_END)


def line_count(path: str) -> int:
    """How many lines a file has."""
    with Path(path).open("rb") as file:
        return sum(1 for _ in file)


def skip_to_line(file: BinaryIO, position: int) -> int:
    """Where the first line begins from `position` on; the end of the file if there is none."""
    if position == 0:
        return 0
    file.seek(max(0, min(position, size_of(file)) - 1))
    file.readline()
    return file.tell()


def cut_at(file: BinaryIO, position: int) -> int:
    """Cut the file at `position`, add a missing line end, and return the position to write at."""
    file.seek(max(0, position - 1))
    is_whole = position == 0 or file.read(1) == b"\n"
    file.truncate(position)
    if is_whole:
        return position
    file.write(b"\n")
    file.flush()
    return position + 1


@contextmanager
def closing(file: IO[bytes] | IO[str], *, is_stream: bool) -> Iterator[None]:
    """At the end of the block: flush, make a file durable, and close everything but stdout."""
    try:
        yield
        file.flush()
        if not is_stream:
            os.fsync(file.fileno())
    finally:
        if sys.__stdout__ is None or file is not sys.__stdout__.buffer:
            file.close()


def storing_items(path: str) -> AbstractContextManager[None]:
    """Turn an OSError in the block into a StorageError that tells the next step."""
    return storing(f"output {path}", "make room, then `pinpool resume`, or export again")
