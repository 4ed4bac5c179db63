"""Files that users name: which of them may be written, and writing one so that readers find it whole."""

import atexit
import errno
import os
import secrets
import shutil
import stat
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from glob import escape
from pathlib import Path
from typing import IO, Any, TextIO

from pinpool.errors import StorageError

STDOUT = "-"
LOCK_SECONDS = 0.5
_FOLDER = "pinpool."
#: Not the user's mistake: the same command works when there is room again.
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
#: The endings of the files that SQLite puts beside a database.
SQLITE_SIDES = ("-wal", "-shm", "-journal")


def real_path(path: str) -> str:
    """The one name of a file, whatever links lead to it; stdout stays as it is."""
    return path if path == STDOUT else os.path.realpath(path)


def folder_of_files(journal: Path, named: str | None) -> Path:
    """The folder for the downloaded files of a run: the one that is named, relative to that of its journal."""
    return Path(os.path.realpath(journal.parent / (named or f"{journal.stem}.files")))


def is_stream_path(path: str) -> bool:
    """Whether this is stdout, a pipe or a device: something that cannot be read again or cut."""
    if path == STDOUT:
        return True
    with suppress(OSError, ValueError):  # not there, or not a file name
        mode = Path(path).stat().st_mode
        return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)
    return False


def open_closed_streams() -> None:
    """
    Open /dev/null for each of stdin, stdout and stderr that was closed at the start: the next files would get their
    descriptors, and what a child prints would end in them. `sys.__stdout__` stays None.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            # The system takes the lowest descriptor that is free, which is this one.
            stream = open(os.devnull, "w" if descriptor else "r")  # noqa: SIM115, PTH123  for the life of the program
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)


def discard(stream: TextIO) -> None:
    """Send what is still buffered nowhere: nobody reads it, and it would fail again when the program ends."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def use_of(path: str | Path, used: Mapping[str, str | Path]) -> str | None:
    """
    What the file `path` is already used for: the key of the same file in `used`, whatever links lead to it. The files
    that SQLite and our claim put beside a journal belong to it.
    """
    for use, other in used.items() if not is_stream_path(str(path)) else ():
        # Not there, or not a file name: a variable may hold a list of proxies itself.
        with suppress(OSError, ValueError):
            real, taken = Path(os.path.realpath(path)), Path(os.path.realpath(other))
            sides = [f".{taken.name}.claim", *(taken.name + side for side in SQLITE_SIDES)]
            if real in map(taken.with_name, sides):
                return f"one of {use}'s side files"
            if real == taken or real.samefile(taken):
                return use
    return None


def refusal(path: Path, ours: bytes, *, within: int = 0, used: Mapping[str, str | Path] | None = None) -> str | None:
    """
    Why the file at `path` must not be replaced, with the next step; None if it may.

    It must not be one of `used`, and hold nothing but what we wrote (`is_ours`). Nothing is left behind.
    """
    try:
        if use := use_of(path, used or {}):
            return f"is {use}: name another file"
        if path.exists() and not path.is_file():
            return "is not a file: name one"
        folder = Path(os.path.realpath(path)).parent
        if not folder.is_dir():
            return "its folder does not exist: make it, or name another file"
        if not os.access(folder, os.W_OK | os.X_OK):
            return "its folder cannot be written: name a file in another one"
        if not is_ours(path, ours, within=within):
            return "holds something else: move it away, or name another file"
    except (OSError, ValueError) as error:
        return f"cannot be used ({getattr(error, 'strerror', None) or 'not a file name'}): name another file"
    return None


def is_ours(path: Path, ours: bytes, *, within: int = 0) -> bool:
    """Whether a file begins with `ours` (or has it in its first `within` bytes), is empty, or is not there."""
    if not path.exists():
        return True
    with path.open("rb") as file:
        head = file.read(max(within, len(ours)))
    return not head or ours in head


@contextmanager
def replacing(path: str | Path, *, mode: int | None = None, durable: bool = True) -> Iterator[Path]:
    """
    A file to write beside the one at `path`. It takes that one's place when the block ends well; else nothing changes.

    Readers find the old file or the new one, whole. Links keep leading to it. Its permissions stay, unless `mode` sets
    them before anything is written. `durable` waits until the disk has it. Raises OSError.
    """
    real = Path(os.path.realpath(path))
    part = real.with_name(f"{_part_name(real)}{secrets.token_hex(4)}.part")
    try:
        if mode is not None:
            os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
        yield part
        if mode is None and real.exists():
            shutil.copymode(real, part)
        if durable:
            with part.open("rb") as file:
                os.fsync(file.fileno())
        part.replace(real)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def storing(what: str, next_step: str, kind: Callable[[str], Exception] = StorageError) -> Iterator[None]:
    """Turn an OSError into one of `kind`. Only a reader that left a pipe goes on as it is: it has seen enough."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno in NO_ROOM:
            kind, next_step = StorageError, "look at the disk and make room, then do it again, or `pinpool resume`"
        raise kind(f"{what}: cannot be written ({error.strerror}): {next_step}") from error


def lock(file: IO[Any] | int, seconds: float = LOCK_SECONDS) -> bool:
    """
    Claim an open file or folder, whatever name leads to it, until it is closed; False if it is claimed already.

    The kernel ends a claim when its process ends. Where there are no such locks, everybody may claim.
    """
    if sys.platform == "win32":
        return True
    import fcntl

    give_up = time.monotonic() + seconds  # a check claims it for a moment
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= give_up:
                return False
            time.sleep(0.02)
        except OSError:
            return True
        else:
            return True


def remove_leftovers(path: str | Path) -> None:
    """Remove what a killed `replacing` has left beside the file at `path`. Its claim must be held."""
    real = Path(os.path.realpath(path))
    for part in real.parent.glob(f"{escape(_part_name(real))}*.part*"):
        part.unlink(missing_ok=True)


def _part_name(real: Path) -> str:
    return f".{real.name[:50]}.{zlib.crc32(os.fsencode(real.name)):08x}."


@cache
def temporary_folder() -> Path:
    """
    The folder for all temporary files of this process, which ends with it. The first call also removes those that
    killed processes have left.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*"):
        with suppress(OSError):  # gone meanwhile, or somebody else's
            claim = os.open(left, os.O_RDONLY)
            if lock(claim, seconds=0):
                shutil.rmtree(left, ignore_errors=True)
            os.close(claim)
    while True:
        made = Path(tempfile.mkdtemp(prefix=_FOLDER))
        with suppress(FileNotFoundError):  # another process that starts now took it for one that was left
            claim = os.open(made, os.O_RDONLY)  # held until the process ends
            if lock(claim) and made.exists():
                break
            os.close(claim)
    atexit.register(_remove_own, made, os.getpid())
    return made


def _remove_own(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # not in a child that was forked
        shutil.rmtree(folder, ignore_errors=True)
