"""
The part of a file that has come so far, on disk: written by one attempt at a time, and gone on with by the next.

A task has eight slots for its attempts. An attempt takes the first slot that no other one holds, and what an earlier
one has left there. The kernel ends a hold with its process, however that ends. A slot is a file of bytes, ``.part``,
and a file ``.head`` that says of which answer these bytes are. A part that is whole gets a name of its own, ``.whole``:
no other attempt, however late, writes to that, and the parent moves it to its place.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import NamedTuple, Self

from pinpool.errors import StorageError
from pinpool.files import lock, storing
from pinpool.text import shown_path

SLOTS = 8
CHUNK = 1 << 20
_NEVER_LINKED = getattr(os, "O_NOFOLLOW", 0)
_IN_BINARY = getattr(os, "O_BINARY", 0)


class Kept(NamedTuple):
    """
    Of which answer the bytes of a part are: the URL that was asked, the one that answered, the validator for If-Range,
    the length of the whole file (None if the site did not say), and the headers that name and describe it. `boot` is
    the system's start: what was written before a crash of the system may be missing.
    """

    asked: str
    url: str
    validator: str
    length: int | None
    headers: dict[str, str]
    boot: str


class PartFile:
    """The part of one task, held for one attempt until `close`. All raise StorageError where the disk fails."""

    def __init__(self, folder: Path, key: bytes, slot: int, descriptor: int) -> None:
        self.folder = folder
        self.slot = slot
        self.size = os.fstat(descriptor).st_size
        self._key = key.hex()
        self._file = descriptor
        self._hash = hashlib.sha256()
        self._hashed = 0

    @classmethod
    def hold(cls, folder: Path, key: bytes) -> Self | None:
        """Hold the first free slot of the task; None if all are held. Makes the folder if it is missing."""
        with _storing(folder):
            make_folder(folder)
            for slot in range(SLOTS):
                path = part_path(folder, key.hex(), slot)
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _NEVER_LINKED | _IN_BINARY, 0o666)
                # Whoever held it may have made it whole, or removed it, since we opened it.
                if lock(descriptor, seconds=0) and _is_at(path, descriptor):
                    return cls(folder, key, slot, descriptor)
                os.close(descriptor)
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def removed(self) -> bool:
        """True if the parent has removed it: the task has ended by another attempt."""
        return os.fstat(self._file).st_nlink == 0

    @property
    def first_is_held(self) -> bool:
        """True if another attempt holds a slot before this one."""
        for slot in range(self.slot):
            with suppress(OSError):
                other = os.open(part_path(self.folder, self._key, slot), os.O_RDWR | _NEVER_LINKED | _IN_BINARY)
                try:
                    if not lock(other, seconds=0):
                        return True
                finally:
                    os.close(other)
        return False

    def kept(self) -> Kept | None:
        """Of which answer the bytes are; None if nobody can tell, and they are of no use."""
        try:
            found = Kept(**json.loads(self._head.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return found if found.boot == boot() and self.size else None

    def restart(self, kept: Kept) -> None:
        """Drop the bytes; those that follow are of this answer."""
        with self._storing():
            # In this order: a head never belongs to bytes of another answer.
            self._head.unlink(missing_ok=True)
            os.ftruncate(self._file, 0)
            self._hash, self._hashed, self.size = hashlib.sha256(), 0, 0
            draft = self._head.with_suffix(".draft")
            draft.write_text(json.dumps(kept._asdict()), encoding="utf-8")
            draft.replace(self._head)

    def cut(self, size: int) -> None:
        """Drop all bytes behind the first `size`."""
        with self._storing():
            os.ftruncate(self._file, size)
            self._hash, self._hashed, self.size = hashlib.sha256(), 0, size

    def first(self, count: int) -> bytes:
        """The first `count` bytes, or all there are."""
        with self._storing():
            return self._read(0, count)

    def tail(self, count: int) -> bytes:
        """The last `count` bytes."""
        with self._storing():
            return self._read(max(0, self.size - count), min(count, self.size))

    def append(self, data: bytes) -> None:
        """Write `data` behind the bytes."""
        with self._storing():
            os.lseek(self._file, self.size, os.SEEK_SET)
            left = memoryview(data)
            while left:
                left = left[os.write(self._file, left) :]
        if self._hashed == self.size:
            self._hash.update(data)
            self._hashed += len(data)
        self.size += len(data)

    def digest(self, look: Callable[[], None] = lambda: None) -> str:
        """The SHA-256 of the bytes. `look` is called for each megabyte that has to be read for it."""
        while self._hashed < self.size:
            with self._storing():
                data = self._read(self._hashed, min(CHUNK, self.size - self._hashed))
            if not data:
                raise StorageError(f"{self.folder}: a part became shorter meanwhile: do it again, or `pinpool resume`")
            self._hash.update(data)
            self._hashed += len(data)
            look()
        return self._hash.hexdigest()

    def finish(self) -> str | None:
        """Give it its name as a whole file, safely on disk. None if it was removed meanwhile."""
        name = f"{self._key}-{secrets.token_hex(8)}"
        with self._storing():
            os.fsync(self._file)
            try:
                # The head first: a whole file without one would be of no use to a resume, and is not taken for a part.
                self._head.replace(self.folder / f"{name}.head")
                part_path(self.folder, self._key, self.slot).replace(self.folder / f"{name}.whole")
            except FileNotFoundError:
                if not self.removed:
                    raise
                return None
        return f"{name}.whole"

    def close(self) -> None:
        """Give the slot back. Closing twice is harmless."""
        descriptor, self._file = self._file, -1
        if descriptor >= 0:
            os.close(descriptor)

    @property
    def _head(self) -> Path:
        return part_path(self.folder, self._key, self.slot).with_suffix(".head")

    def _read(self, start: int, count: int) -> bytes:
        os.lseek(self._file, start, os.SEEK_SET)
        return os.read(self._file, count)

    def _storing(self) -> AbstractContextManager[None]:
        return _storing(self.folder)


def make_folder(folder: Path) -> None:
    """Make a folder of parts, and the folder of files around it. Raises OSError; a link in its place is refused."""
    if folder.is_symlink():
        raise FileExistsError(0, "a link stands in its place", str(folder))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def part_path(folder: Path, key: str, slot: int) -> Path:
    """The bytes of a slot; `key` is that of the task, in hexadecimal digits."""
    return folder / f"{key}-{slot}.part"


def boot() -> str:
    """Names the start of this system; empty where it does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False


def _storing(folder: Path) -> AbstractContextManager[None]:
    return storing(shown_path(folder.parent), "look at the folder, then do it again, or `pinpool resume`")
