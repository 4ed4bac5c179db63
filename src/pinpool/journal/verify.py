"""The proof behind `pinpool verify`: rows that must not exist."""

from __future__ import annotations

from typing import NamedTuple

NAMED_ROWS = 3  # of each kind of fault that `verify` finds


class Coverage(NamedTuple):
    """
    What `verify` found; `_asdict()` is its JSON document. `complete` means that nothing at all was found
    wanting.

    `orphans` counts rows whose owner is missing or never ended well, `duplicates` rows that are there once
    too often.
    """

    complete: bool
    seeds: int
    tasks: int
    ended: int
    open: int
    failed: int
    orphans: int
    items: int
    duplicates: int
    problems: list[str]


class Check(NamedTuple):
    """A query for the ids of rows that must not exist: what a row is, and what is wrong with it."""

    kind: str
    row: str
    say: str
    query: str


CHECKS = (
    Check(
        "orphans",
        "item",
        "of a task that is unknown or not done (item {ids})",
        "SELECT items.id FROM items LEFT JOIN tasks ON tasks.id = items.task"
        " WHERE tasks.state IS NULL OR tasks.state <> 'done'",
    ),
    Check(
        "orphans",
        "attempt",
        "of an unknown task (attempt {ids})",
        "SELECT attempts.id FROM attempts LEFT JOIN tasks ON tasks.id = attempts.task WHERE tasks.id IS NULL",
    ),
    Check(
        "orphans",
        "attempt",
        "through an unknown proxy (attempt {ids})",
        "SELECT attempts.id FROM attempts LEFT JOIN proxies ON proxies.id = attempts.proxy"
        " WHERE attempts.proxy IS NOT NULL AND proxies.id IS NULL",
    ),
    Check(
        "orphans",
        "task",
        "whose parent is unknown or not done (task {ids})",
        "SELECT child.id FROM tasks AS child LEFT JOIN tasks AS parent ON parent.id = child.parent"
        " WHERE child.parent IS NOT NULL AND (parent.state IS NULL OR parent.state <> 'done')",
    ),
    Check(
        "duplicates",
        "item",
        "stored twice (item {ids})",
        "SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY task, n ORDER BY id) AS place FROM items)"
        " WHERE place > 1",
    ),
    Check(
        "duplicates",
        "task",
        "stored twice (task {ids})",
        "SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY key ORDER BY id) AS place FROM tasks)"
        " WHERE place > 1",
    ),
    Check(
        "duplicates",
        "task",
        "answered twice (task {ids})",
        "SELECT task FROM attempts WHERE ending <> 'failed' GROUP BY task HAVING count(*) > 1",
    ),
    Check(
        "counts",
        "task",
        "whose items are not those that their page gave (task {ids})",
        "SELECT tasks.id FROM tasks LEFT JOIN"
        " (SELECT task, count(*) AS there, max(n) + 1 AS numbered FROM items GROUP BY task) AS own"
        " ON own.task = tasks.id"
        " WHERE items_n <> coalesce(there, 0) OR items_n <> coalesce(numbered, 0)",
    ),
    Check(
        "counts",
        "task",
        "whose child tasks are not those that they added (task {ids})",
        "SELECT tasks.id FROM tasks LEFT JOIN"
        " (SELECT parent, count(*) AS there FROM tasks WHERE parent IS NOT NULL GROUP BY parent) AS own"
        " ON own.parent = tasks.id WHERE children_n <> coalesce(there, 0) OR children_n > links_n",
    ),
    Check(
        "counts",
        "task",
        "whose attempts are not as many as were made (task {ids})",
        "SELECT tasks.id FROM tasks LEFT JOIN"
        " (SELECT task, count(*) AS there, max(n) AS numbered FROM attempts GROUP BY task) AS own"
        " ON own.task = tasks.id"
        " WHERE attempts <> coalesce(there, 0) OR attempts <> coalesce(numbered, 0)",
    ),
    Check(
        "endings",
        "task",
        "whose end is not borne out by their last attempt (task {ids})",
        # A done task whose last attempt failed was believed, and says why: an empty list page, for instance.
        "SELECT tasks.id FROM tasks LEFT JOIN attempts ON task = tasks.id AND n = tasks.attempts"
        " WHERE state <> 'waiting' AND NOT coalesce(CASE state WHEN 'gone' THEN ending = 'gone'"
        " WHEN 'failed' THEN ending = 'failed'"
        " ELSE ending = 'ok' OR (ending = 'failed' AND reason IS NOT NULL) END, 0)",
    ),
    Check(
        "endings",
        "task",
        "answered, but not ended (task {ids})",
        "SELECT tasks.id FROM tasks WHERE state IN ('waiting', 'failed')"
        " AND EXISTS (SELECT 1 FROM attempts WHERE task = tasks.id AND ending <> 'failed')",
    ),
    Check(
        "endings",
        "task",
        "that failed without a reason (task {ids})",
        "SELECT id FROM tasks WHERE state = 'failed' AND reason IS NULL",
    ),
)
