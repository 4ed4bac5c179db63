"""Notices what other programs do to the files of a journal while it is written: nobody else has business there."""

import os
import sqlite3
from itertools import chain, count
from pathlib import Path

from pinpool.errors import StorageError
from pinpool.journal.sqlite import DAMAGED, copy, damage

CHECK_SECONDS = 5.0  # between two searches for damage, which read the whole file

_Look = list[tuple[int, ...] | None]


class FileWatch:
    """The file of an open journal and its write-ahead log, as the last write of ours left them."""

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self._path = path
        self._db = db
        real = os.fspath(path.resolve())
        self._paths = real, f"{real}-wal"
        self._seen = self._look()
        self._home: _Look = []
        self._doubtful = False  # somebody has written there
        self._next_check = 0.0

    def before_write(self) -> None:
        """Call it before each write of ours."""
        self._doubtful |= self._look() != self._seen

    def after_write(self) -> None:
        """Call it after each write of ours."""
        self._seen = self._look()
        self._home = self._home or _inodes(self._seen)

    def is_suspect(self, now: float) -> bool:
        """Whether it is time to `check`, because somebody has written there; not too often."""
        self.before_write()
        # What was moved while we wrote looks as our own write left it.
        return self._has_moved or (self._doubtful and now >= self._next_check)

    def check(self, now: float) -> None:
        """
        Raise StorageError, with the next step, if the journal is damaged or no longer in its place: then all that it
        holds is saved beside it. Nothing may be uncommitted.
        """
        if self._has_moved:
            raise StorageError(_rescued(self._db, self._path))
        self._doubtful = False
        self._next_check = now + CHECK_SECONDS
        if found := damage(self._path):
            raise StorageError(f"{self._path}: another program has damaged it ({found}): {DAMAGED}")

    @property
    def _has_moved(self) -> bool:
        """Whether a file is no longer in its place: what is written to it then reaches no reader."""
        return bool(self._home) and _inodes(self._look()) != self._home

    def _look(self) -> _Look:
        looks: _Look = []
        for path in self._paths:
            try:
                found = os.stat(path)  # noqa: PTH116  at every commit
                looks.append((found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns))
            except OSError:
                looks.append(None)
        return looks


def _inodes(looks: _Look) -> _Look:
    return [look and look[:2] for look in looks]


def _rescued(db: sqlite3.Connection, path: Path) -> str:
    """Save all that an open journal holds, as its file has left `path`. Returns what happened, and the next step."""
    names = chain([f"{path.stem}.saved"], (f"{path.stem}.saved-{number}" for number in count(2)))
    saved = next(new for name in names if not (new := path.with_name(name + path.suffix)).exists())
    happened = f"{path}: another program has moved, replaced or deleted it"
    try:
        copy(db, saved)
    except (OSError, sqlite3.Error) as error:
        saved.unlink(missing_ok=True)
        return f"{happened}, and what it held cannot be saved beside it ({error}): put a copy back, or start again"
    return f"{happened}: all it held is saved as {saved}: `pinpool resume {saved}`"
