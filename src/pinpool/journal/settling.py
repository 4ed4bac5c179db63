"""One attempt becomes rows of a journal: itself, the end of its task, and what its page gave."""

import sqlite3

from pinpool.journal.attempt_rows import add_attempt, add_event
from pinpool.journal.overlaps import overlap_of
from pinpool.journal.records import Settlement
from pinpool.journal.second_looks import IS_OPEN, add_items, next_item
from pinpool.journal.task_rows import add_tasks, storable
from pinpool.model import Ending, Event, EventKind, TaskState

_PUT_OFF = f"""
    UPDATE tasks SET attempts = attempts + 1, charged = charged + ?, not_before = ?
    WHERE id = ? AND {IS_OPEN} RETURNING attempts
"""
_END = """
    UPDATE tasks SET attempts = attempts + 1, charged = charged + ?, not_before = NULL,
        state = ?, reason = ?, ended = ?, items_n = ?, links_n = ?
    WHERE id = ? AND state = 'waiting' RETURNING attempts
"""


def settle(db: sqlite3.Connection, settlement: Settlement, now: float, *, has_replaced: bool) -> int:
    """
    As `Journal.settle`, inside a transaction of the caller. `has_replaced`: some items are no longer the run's, so that
    the last id is not that of the last item.
    """
    task_id, outcome, fault, charged, state, reason, not_before = settlement
    if outcome.ending is Ending.DECLINED or outcome.ending is Ending.RESUMED:
        raise ValueError(f"task {task_id}: an outcome that is {outcome.ending} is not an attempt")
    items, links = (outcome.items, outcome.tasks) if state is TaskState.DONE else ((), ())
    # First, because it tells whether the task waits, and which attempt this is.
    if state is None or state is TaskState.WAITING:
        found = db.execute(_PUT_OFF, (charged, not_before, task_id)).fetchone()
    else:
        values = (charged, state, storable(reason), now, len(items), len(links), task_id)
        found = db.execute(_END, values).fetchone()
    if found is None:
        late = f"task {task_id} does not wait; dropped an attempt that ended as {outcome.ending}"
        add_event(db, Event(now, EventKind.LATE, outcome.proxy, outcome.worker, late))
        return 0
    (n,) = found
    add_attempt(db, task_id, n, outcome, fault, charged=charged)
    if items:
        add_items(db, task_id, items, next_item(db) if has_replaced else None)
    new = add_tasks(db, links, task_id) if links else 0
    if new < len(links) and (overlap := overlap_of(db, task_id, links, now)) is not None:
        add_event(db, overlap)
    if new:
        db.execute("UPDATE tasks SET children_n = ? WHERE id = ?", (new, task_id))
    return new
