"""What the manual says of the journal's tables is so."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib.resources import files
from pathlib import Path

import pytest

from pinpool.journal import sqlite

PAGE = (files("pinpool") / "manual" / "journal.md").read_text(encoding="utf-8")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    sqlite.build(tmp_path / "movies.db", lambda db: None)
    with closing(sqlite3.connect(tmp_path / "movies.db")) as opened:
        yield opened


def test_each_column_of_each_table_is_told_and_no_other(db: sqlite3.Connection) -> None:
    tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    there = {
        (table, column[1])
        for table in tables
        if not table.startswith("sqlite_")
        for column in db.execute(f"PRAGMA table_info({table})")
        if column[1] != "id"
    }

    assert set(told()) == there


def told() -> Iterator[tuple[str, str]]:
    """(table, column) for each that the page names."""
    _, *sections = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    for section in sections:
        heading, _, body = section.partition("\n")
        tables = re.findall(r"`(\w+)`", heading)
        for row in re.findall(r"^\| (`.+?) \|(.*)$", body, flags=re.MULTILINE):
            names = re.findall(r"`(\w+)`", row[0])
            if tables:
                yield from ((table, name) for table in tables for name in names)
            else:
                yield from ((names[0], name) for name in re.findall(r"`(\w+)`", row[1].partition("|")[0]))


def test_each_query_that_is_shown_runs(db: sqlite3.Connection) -> None:
    (block,) = re.findall(r"```sql\n(.*?)```", PAGE, flags=re.DOTALL)
    queries = [query for query in block.split(";") if query.strip()]

    for query in queries:
        db.execute(query).fetchall()

    assert len(queries) == 5
