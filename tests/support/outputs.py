"""Items in journals and files, for tests of outputs."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import duckdb

from journals import START, answered, done, item, new_journal, task
from pinpool.journal.writer import Journal


def store(journal: Journal, number: int) -> None:
    """Scrape the film of this number, by the task of this id."""
    journal.settle(done(number, answered(item(f"film {number}"))), START)
    journal.commit()


def store_all(journal: Journal, *items: dict[str, object]) -> None:
    journal.settle(done(1, answered(*(json.dumps(one) for one in items))), START)
    journal.commit()


def journal_of(path: Path, *items: Any) -> None:
    """A journal that is not complete, with these items of one page."""
    with new_journal(path, task("1"), task("2")) as journal:
        journal.settle(done(1, answered(*map(json.dumps, items))), START)


def films(*numbers: int) -> str:
    """These films as JSON lines."""
    return "".join(item(f"film {number}") + "\n" for number in numbers)


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def read_parquet(path: Path) -> tuple[list[tuple[str, str]], list[tuple[Any, ...]]]:
    """(name, type) of each column, and the rows."""
    with duckdb.connect() as db:
        shape = db.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(path)]).fetchall()
        return [tuple(one[:2]) for one in shape], db.execute("FROM read_parquet(?)", [str(path)]).fetchall()
