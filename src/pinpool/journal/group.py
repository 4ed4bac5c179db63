"""
The open transaction of the one writer of a journal.

Writes gather in it until `commit`: fifty outcomes share one fsync. A method either adds all of its writes to the group
or takes the whole group back, so no task is ever half ended.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from pinpool.errors import StorageError
from pinpool.journal import sqlite as storage
from pinpool.journal.file_watch import FileWatch

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
G = TypeVar("G", bound="Group")


def storing(write: Callable[Concatenate[G, P], R]) -> Callable[Concatenate[G, P], R]:
    """Run `write` inside the open group, and open one if there is none; any error takes the group back."""

    @wraps(write)
    def stored(self: G, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            if not self._db.in_transaction:
                self._files.before_write()
                self._db.execute("BEGIN IMMEDIATE")
            return write(self, *args, **kwargs)
        except BaseException as error:
            self._take_back()
            if isinstance(error, sqlite3.Error):
                raise StorageError(storage.explain(self.path, error)) from error
            raise

    return stored


def committing(write: Callable[Concatenate[G, P], R]) -> Callable[Concatenate[G, P], R]:
    """Commit the group, run `write` as a group of its own, and commit that."""
    store = storing(write)

    @wraps(write)
    def committed(self: G, /, *args: P.args, **kwargs: P.kwargs) -> R:
        self.commit()
        result = store(self, *args, **kwargs)
        self.commit()
        return result

    return committed


class Group:
    """
    The writes to the journal at `path` that are not durable yet.

    Every method raises StorageError when SQLite cannot do its work (disk full, locked, read-only, input/output error).
    Then the group is taken back, and the file is sound.
    """

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self.path = path
        self.pending = 0  # outcomes in the group
        self.oldest: float | None = None  # when its first write came
        self._db = db
        self._files = FileWatch(path, db)

    def due(self, now: float) -> bool:
        """Whether it is time to commit the group: it holds 50 outcomes, or its first write came 200 ms ago."""
        # A clock that was set back must not put the commit off.
        return self.pending >= 50 or (self.oldest is not None and not 0 <= now - self.oldest < 0.2)

    @storing
    def write(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """What `change` returns, which writes as part of the group."""
        return change(self._db)

    def commit(self) -> None:
        """Make the group durable. Does nothing when there is none."""
        try:
            if self._db.in_transaction:
                self._files.before_write()
                self._db.execute("COMMIT")
                self._files.after_write()
        except sqlite3.Error as error:
            self._take_back()
            raise StorageError(storage.explain(self.path, error)) from error
        self.pending, self.oldest = 0, None

    def _read(self, query: str, values: tuple[Any, ...] = ()) -> list[Any]:
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise StorageError(storage.explain(self.path, error)) from error

    def _take_back(self) -> None:
        self.pending, self.oldest = 0, None
        with suppress(sqlite3.Error):
            self._db.rollback()
