"""
Downloaded files as rows of a journal.

The transaction that ends a task gives its file a name that no other file of the run has. Only then the file moves to
its place: what was not moved before a kill is moved by the next start, from this table.
"""

import hashlib
import json
import sqlite3
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from pinpool.files import folder_of_files
from pinpool.model import Download, EventKind
from pinpool.text import counted, first_few, shown_path

Query = Callable[[str, tuple[Any, ...]], Iterable[Any]]

_ADD = "INSERT INTO files (task, name, folded, part, sha256, size) VALUES (?, ?, ?, ?, ?, ?)"


class FileRow(NamedTuple):
    """A file of the run: `part` is its name among the parts, `name` the one in its folder."""

    task: int
    name: str
    part: str
    sha256: str
    size: int


def add_file(
    db: sqlite3.Connection, task: int, file: Download, names: Iterator[str], folded: Callable[[str], str]
) -> FileRow:
    """Give the file the first of these names that is free, and record it."""
    taken = "SELECT 1 FROM files WHERE folded = ?"
    name = next(name for name in names if not db.execute(taken, (folded(name),)).fetchone())
    db.execute(_ADD, (task, name, folded(name), file.part, file.sha256, file.size))
    return FileRow(task, name, file.part, file.sha256, file.size)


def unplaced_files(db: sqlite3.Connection) -> list[FileRow]:
    """The files that were not in their place yet when the journal was last written, oldest first."""
    query = f"SELECT {', '.join(FileRow._fields)} FROM files WHERE NOT placed ORDER BY task"
    return [FileRow(*row) for row in db.execute(query)]


def set_placed(db: sqlite3.Connection, tasks: Iterable[int]) -> None:
    """The files of these tasks are in their place."""
    db.executemany("UPDATE files SET placed = 1 WHERE task = ?", [(task,) for task in tasks])


def waiting_keys(db: sqlite3.Connection, keys: Iterable[bytes]) -> set[bytes]:
    """Those of these keys whose task waits."""
    waits = "SELECT 1 FROM tasks WHERE key = ? AND state = 'waiting'"
    return {key for key in keys if db.execute(waits, (key,)).fetchone()}


def file_problems(rows: Query, journal: Path, *, hashes: bool) -> list[str]:
    """
    What is wrong with the files of a run, by its tables and on disk. `hashes`: read every file, and compare its hash.
    """
    if not [*rows("SELECT 1 FROM sqlite_master WHERE name = 'files'", ())]:  # made by an older pinpool
        return []
    folder, wrong, unplaced, ownerless = _folder(rows, journal), [], 0, []
    query = "SELECT name, sha256, size, placed, state = 'done' FROM files LEFT JOIN tasks ON tasks.id = task"
    for name, digest, size, placed, is_done in rows(query, ()):
        if not is_done:
            ownerless.append(name)
        elif not placed:
            unplaced += 1
        elif not _is_whole(folder / name, size, digest if hashes else None):
            wrong.append(name)
    found = []
    if ownerless:
        found.append(f"{counted(len(ownerless), 'file')} of a task that is not done ({first_few(ownerless, 3)})")
    if unplaced:
        found.append(f"{counted(unplaced, 'file')} not in place yet: `pinpool resume {journal}` moves them there")
    if wrong:
        where = shown_path(folder)
        found.append(f"{counted(len(wrong), 'file')} missing in {where}, or changed: {first_few(wrong, 3)}")
    return found


def _folder(rows: Query, journal: Path) -> Path:
    """The folder that the latest start has named."""
    query = "SELECT detail FROM events WHERE kind = ? ORDER BY id DESC LIMIT 1"
    for (detail,) in rows(query, (EventKind.RULES,)):
        with suppress(ValueError, AttributeError):
            named = json.loads(detail).get("files")
            return folder_of_files(journal, named if isinstance(named, str) else None)
    return folder_of_files(journal, None)


def _is_whole(path: Path, size: int, digest: str | None) -> bool:
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_size != size:
            return False
        if digest is None:
            return True
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == digest
    except OSError:
        return False
