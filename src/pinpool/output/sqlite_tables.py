"""
Items as an SQLite database: a table for each stage, by Python's own sqlite3. Written at the end of the run.

Columns and types are those of `columns.py`, `url` first; lists and nested values are JSON text. The new database is
made beside the file and takes its place when it is whole. One of others stays as it is: its tables cannot be told from
those of the run, so nothing is added to it.
"""

import errno
import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from pinpool.errors import SettingsError, StorageError
from pinpool.files import is_stream_path
from pinpool.journal.schema import APPLICATION_ID
from pinpool.output.columns import Column, Fields, as_text, encodable, quoted, unique
from pinpool.output.format import Items, ItemsAfter, Output, fields_of, no_items

LONGEST_NAME = 100  # characters; 2,000 names of four bytes each still fit into one statement
#: Where a table has more fields than SQLite has columns, the last column holds the others as one JSON object.
OTHER_FIELDS = "other_fields"
_TYPES = {"BOOLEAN": "BOOLEAN", "BIGINT": "INTEGER", "DOUBLE": "REAL"}
_JOURNAL_HEAD = b"SQLite format 3\0"
_ID_AT = 68  # bytes before the application id
_LOGS = ("-wal", "-journal")  # SQLite would play one that lies beside a new database into it


class SqliteTables(Output):
    """An SQLite database with a table for each stage."""

    name = "sqlite"
    title = "a database of items"
    can_append = False

    @classmethod
    def check(cls, path: str) -> None:
        if is_stream_path(path):
            return
        if _is_run(path):
            raise SettingsError(f"output {path}: is the journal of a run: name another file")
        if problem := _in_use(path):
            raise SettingsError(f"output {path}: {problem}, or name another file")

    @classmethod
    def write_file(cls, path: Path, items: Items) -> int:
        try:
            with closing(sqlite3.connect(path, isolation_level=None)) as db:
                # Nobody sees the file before it is whole, and the disk has it before it takes its place.
                db.execute("PRAGMA journal_mode = OFF")
                db.execute("PRAGMA synchronous = OFF")
                db.execute("BEGIN")
                last_item = _fill(db, items)
                db.execute("COMMIT")
        except sqlite3.Error as error:
            is_full = getattr(error, "sqlite_errorname", "") == "SQLITE_FULL"
            raise OSError(errno.ENOSPC if is_full else errno.EIO, f"SQLite says: {error}") from None
        return last_item

    def finish(self, items_after: ItemsAfter, replaced: ItemsAfter = no_items) -> None:
        if not self.is_stream and (problem := _in_use(self.mark.path)):
            self.close()
            raise StorageError(f"output {self.mark.path}: {problem}, then `pinpool resume`, or export again")
        super().finish(items_after, replaced)


class _Table(NamedTuple):
    """
    The table of a stage. `others` are the fields that have no column of their own, or None if all have one.
    """

    name: str
    columns: Sequence[Column]
    others: Sequence[str] | None

    @classmethod
    def of(cls, name: str, columns: list[Column], most: int) -> "_Table":
        columns = sorted(columns or [Column("url", "url", "VARCHAR")], key=lambda column: column.field != "url")
        if len(columns) <= most:
            return cls(name, columns, None)
        own, others = columns[: most - 1], columns[most - 1 :]
        taken = {column.name.casefold() for column in own}
        last = Column("", unique(OTHER_FIELDS, taken), "VARCHAR")
        return cls(name, [*own, last], [column.field for column in others])

    def create(self) -> str:
        columns = ", ".join(f"{quoted(one.name)} {_TYPES.get(one.type, 'TEXT')}" for one in self.columns)
        return f"CREATE TABLE {quoted(self.name)} ({columns})"

    def insert(self) -> str:
        return f"INSERT INTO {quoted(self.name)} VALUES ({', '.join('?' * len(self.columns))})"

    def row(self, fields: Mapping[str, Any]) -> list[Any]:
        if self.others is None:
            return [_cell(fields.get(one.field), one.type) for one in self.columns]
        rest = {field: fields[field] for field in self.others if fields.get(field) is not None}
        row = [_cell(fields.get(one.field), one.type) for one in self.columns[:-1]]
        return [*row, _cell(rest or None, "VARCHAR")]


def _fill(db: sqlite3.Connection, items: Items) -> int:
    """Make the tables and write the items; returns the id of the last one, 0 for none."""
    stages: dict[str, Fields] = {}
    for number, stage, text in items():
        stages.setdefault(stage, Fields()).add(fields_of(number, text))
    most = min(db.getlimit(limit) for limit in (sqlite3.SQLITE_LIMIT_COLUMN, sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER))
    tables, inserts, taken = dict[str, _Table](), dict[str, str](), set[str]()
    for stage, fields in stages.items():
        tables[stage] = table = _Table.of(_table_name(stage, taken), fields.columns(LONGEST_NAME), most)
        inserts[stage] = table.insert()
        db.execute(table.create())
    last_item = 0
    for last_item, stage, text in items():
        db.execute(inserts[stage], tables[stage].row(fields_of(last_item, text)))
    return last_item


def _table_name(stage: str, taken: set[str]) -> str:
    # SQLite keeps names that begin so for itself.
    safe = f"_{stage}" if stage.casefold().startswith("sqlite_") else stage
    return unique(safe[:LONGEST_NAME], taken)


def _cell(value: Any, kind: str) -> Any:
    return value if value is None or kind in _TYPES else encodable(as_text(value))


def _in_use(path: str) -> str | None:
    """Why no database may be put at `path` now, and the next step; None if it may."""
    real = Path(os.path.realpath(path))
    for log in (real.with_name(real.name + end) for end in _LOGS):
        if log.exists():
            return f"{log.name} lies beside it, so another program uses it or has crashed: close the database there"
    return None


def _is_run(path: str) -> bool:
    """Whether the file is a journal of pinpool."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(_ID_AT + 4)
    except OSError:
        return False
    return head.startswith(_JOURNAL_HEAD) and head[_ID_AT:] == APPLICATION_ID.to_bytes(4, "big")
