"""Tasks that had ended, or may have, and wait again. Each function works inside a transaction of the caller."""

import sqlite3
from collections.abc import Collection

from pinpool.journal.yields import FRUITLESS

_WAITS_AGAIN = "state = 'waiting', reason = NULL, ended = NULL, charged = 0, not_before = NULL, forgotten = attempts"


def requeue(db: sqlite3.Connection, ids: Collection[int] | None, reason: str | None, url: str | None) -> int:
    """As `Journal.requeue`."""
    wanted: Collection[int | None] = [None] if ids is None else ids
    query = f"""
        UPDATE tasks SET {_WAITS_AGAIN}
        WHERE state = 'failed'
            AND (:id IS NULL OR id = :id)
            AND (:url IS NULL OR url = :url)
            AND (:reason IS NULL OR instr(lower(reason), lower(:reason)) OR EXISTS (
                SELECT 1 FROM attempts WHERE task = tasks.id AND n = tasks.attempts AND fault = :reason))
    """
    filters = [{"id": task, "reason": reason, "url": url} for task in wanted]
    count = max(0, db.executemany(query, filters).rowcount)
    if count:
        db.execute("UPDATE run SET state = 'interrupted'")
    return count


def put_back(db: sqlite3.Connection, ids: Collection[int]) -> int:
    """As `Journal.put_back`."""
    ended = "WHERE id = ? AND items_n + links_n = 0 AND state IN ('failed', 'done')"
    failed: int = sum(db.execute(f"SELECT state = 'failed' FROM tasks {ended}", (task,)).fetchone()[0] for task in ids)
    db.executemany(f"UPDATE tasks SET {_WAITS_AGAIN} {ended}", [(task,) for task in ids])
    return failed


def doubt_gone(db: sqlite3.Connection, proxy: int) -> int:
    """As `Journal.doubt_gone`."""
    doubted = """
        SELECT tasks.id FROM tasks JOIN attempts ON task = tasks.id AND n = tasks.attempts
        WHERE tasks.state = 'gone' AND proxy = :proxy AND ending = 'gone' AND NOT EXISTS (
            SELECT 1 FROM attempts AS other WHERE other.task = tasks.id
            AND (other.proxy <> :proxy AND other.status IN (404, 410) OR other.ending = 'overtaken'))
    """
    tasks = [{"task": task, "proxy": proxy} for (task,) in db.execute(doubted, {"proxy": proxy})]
    not_believed = "ending = 'failed', fault = 'http_error', message = 'said to be gone, and not believed'"
    db.executemany(f"UPDATE attempts SET {not_believed} WHERE task = :task AND ending = 'gone'", tasks)
    db.executemany("UPDATE tasks SET state = 'waiting', ended = NULL WHERE id = :task", tasks)
    return len(tasks)


def ask_again(db: sqlite3.Connection, stages: Collection[str]) -> None:
    """As `Journal.ask_again`."""
    query = f"""
        UPDATE tasks SET {_WAITS_AGAIN}
        WHERE stage = ? AND id IN (SELECT tasks.id FROM {FRUITLESS})
    """
    db.executemany(query, [(stage,) for stage in stages])
    db.execute("UPDATE doubts SET verdict = NULL WHERE verdict = 'unknown' AND sure")
