"""Tasks as rows of a journal, and back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from typing import Any

from pinpool.journal.schema import INDEX_STAGE
from pinpool.model import Task


def add_tasks(db: sqlite3.Connection, tasks: Iterable[Task], parent: int | None = None) -> int:
    """Add the tasks whose keys are not there yet; returns how many. Those without a parent count as seeds."""
    rows = (
        (
            task.stage,
            task.key,
            storable(task.url),
            task.method,
            task.body,
            json.dumps(task.headers) if task.headers else None,
            storable(task.data),
            parent,
            task.stage == INDEX_STAGE,
        )
        for task in tasks
    )
    query = (
        "INSERT INTO tasks (stage, key, url, method, body, headers, data, parent, is_index)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING"
    )
    new = max(0, db.executemany(query, rows).rowcount)
    if parent is None:
        db.execute("UPDATE run SET seeds = seeds + ?", (new,))
    return new


def storable(text: str | None) -> str | None:
    """The text with lone surrogates escaped: SQLite cannot store one from a hostile page, and JSON reads both alike."""
    return text if text is None or text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def task_of(row: tuple[Any, ...]) -> Task:
    """The task of a row with the columns `Task._fields`."""
    stage, url, key, method, body, headers, data = row
    pairs = tuple((name, value) for name, value in json.loads(headers)) if headers else ()
    return Task(stage, url, key, method, body, pairs, data)
