"""Output files and streams: opened, cut, replaced at once, made durable. What the system refuses becomes our error."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pinpool.errors import SettingsError, StorageError

STDOUT = "-"


def absolute(path: str) -> str:
    """The path, wherever the program goes; stdout stays as it is."""
    return path if path == STDOUT else str(Path(path).absolute())


def real_path(path: str) -> str:
    """The one name of a file, whatever links lead to it."""
    return absolute(path) if is_stream_path(path) else os.path.realpath(path)


def is_stream_path(path: str) -> bool:
    """Whether this is stdout, a pipe or a device: something that cannot be read again or cut."""
    return path == STDOUT or (Path(path).exists() and not Path(path).is_file() and not Path(path).is_dir())


def open_stream(path: str) -> BinaryIO:
    """Stdout, a pipe or a device, for writing. Raises SettingsError."""
    try:
        return sys.stdout.buffer if path == STDOUT else Path(path).open("wb")
    except OSError as error:
        raise _unwritable(path, error) from error


def open_file(path: str) -> BinaryIO:
    """A file for reading and writing, made if it is not there. Raises SettingsError."""
    try:
        Path(path).touch()
        return Path(path).open("r+b")
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: str, error: OSError) -> SettingsError:
    return SettingsError(f"output {path}: cannot be written ({error.strerror}): name another file with -o")


def size_of(file: BinaryIO) -> int:
    """Its bytes; the position is at its end then."""
    return file.seek(0, os.SEEK_END)


def ends_line(file: BinaryIO, position: int) -> bool:
    """Whether the file reaches to `position`, and a line ends there."""
    if position == 0:
        return True
    file.seek(position - 1)
    return file.read(1) == b"\n"


def cut_at(file: BinaryIO, position: int) -> int:
    """End the file at `position`, with a line end if there is none, and return the position to write at."""
    is_whole = ends_line(file, position)
    file.truncate(position)
    file.seek(position)
    if is_whole:
        return position
    file.write(b"\n")
    return position + 1


@contextmanager
def closing(file: BinaryIO, *, is_stream: bool) -> Iterator[BinaryIO]:
    """Hand over what is buffered, make a file durable, and close it, but for stdout."""
    try:
        yield file
        file.flush()
        if not is_stream:
            os.fsync(file.fileno())
    finally:
        if file is not sys.stdout.buffer:
            file.close()


@contextmanager
def replacing(path: str) -> Iterator[Path]:
    """
    A file to write beside the one at `path`, whose place it takes at once when the block ends well; else nothing
    changes. Links keep leading to it, and its permissions stay.
    """
    place = Path(path).resolve()
    part = place.with_name(f".{place.name}.part")
    try:
        yield part
        if place.exists():
            shutil.copymode(place, part)
        part.replace(place)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def storing(path: str) -> Iterator[None]:
    """A reader that left a pipe has seen enough: that goes on as it is, all else becomes a StorageError."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StorageError(
            f"output {path}: cannot be written ({error.strerror}): make room, then `pinpool resume`, or export again"
        ) from error
