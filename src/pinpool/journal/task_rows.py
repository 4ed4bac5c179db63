"""Tasks as rows of a journal, and text as SQLite can store it."""

import json
import sqlite3
from collections.abc import Iterable
from itertools import groupby, islice
from operator import itemgetter
from typing import Any

from pinpool.journal.schema import INDEX_STAGE
from pinpool.model import Task

_SHARED = Task._fields.index("stage"), Task._fields.index("method")
#: The columns of `Waiting`; those from the second to the eighth are of `task_of`.
WAITING = """
    id, stage, url, key, method, body, headers, data, attempts - forgotten, not_before, parent IS NULL,
    EXISTS (SELECT 1 FROM tasks AS asker WHERE asker.id = tasks.parent AND asker.stage = tasks.stage)
"""
_ROWS = 50  # tasks added by one statement: each number is a statement of its own, and SQLite keeps 128


def add_tasks(db: sqlite3.Connection, tasks: Iterable[Task], parent: int | None = None) -> int:
    """Add the tasks whose keys are not there yet; returns how many. Those without a parent count as seeds."""
    new = 0
    for (stage, method), alike in groupby(tasks, key=itemgetter(*_SHARED)):
        while batch := list(islice(alike, _ROWS)):
            # Many rows a statement take half the time.
            query = (
                "INSERT INTO tasks (stage, method, parent, is_index, key, url, body, headers, data)"
                " SELECT ?, ?, ?, ?, column1, column2, column3, column4, column5"
                f" FROM (VALUES {', '.join(['(?, ?, ?, ?, ?)'] * len(batch))}) WHERE true ON CONFLICT (key) DO NOTHING"
            )
            values: list[object] = [stage, method, parent, stage == INDEX_STAGE]
            for _, url, key, _, body, headers, data in batch:
                values += (key, storable(url), body, json.dumps(headers) if headers else None, storable(data))
            new += db.execute(query, values).rowcount
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
