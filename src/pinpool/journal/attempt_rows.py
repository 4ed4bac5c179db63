"""Attempts and events as rows of a journal."""

import sqlite3

from pinpool.journal.page_samples import MOST_SAMPLES
from pinpool.journal.schema import ADD_ATTEMPT
from pinpool.journal.task_rows import storable
from pinpool.model import Event, Fault, Outcome

MESSAGE_LIMIT = 1000  # characters of a message that are stored: a hostile site may send megabytes

_ADD_SAMPLE = (
    "INSERT INTO pages (task, n, kind, url, status, headers, body, size)"
    " SELECT ?, ?, ?, ?, ?, ?, ?, ? WHERE (SELECT count(*) FROM pages) < ? ON CONFLICT (kind) DO NOTHING"
)


def add_attempt(
    db: sqlite3.Connection, task: int, n: int, outcome: Outcome, fault: Fault | None, *, charged: bool
) -> None:
    """Add attempt `n` of a task, with its page sample if it has one."""
    _, worker, proxy, ending, at, seconds, status, size, evidence, *_ = outcome
    words = evidence.message if evidence else outcome.note or None
    message = words if words is None else storable(words[:MESSAGE_LIMIT])
    # After a crash nobody may know which proxy the worker held: such an attempt has none.
    via = proxy if proxy > 0 else None
    digest = outcome.digest or None
    db.execute(ADD_ATTEMPT, (task, n, via, worker, at, seconds, ending, fault, status, size, message, charged, digest))
    if outcome.sample is not None:
        db.execute(_ADD_SAMPLE, (task, n, *outcome.sample, MOST_SAMPLES))


def add_event(db: sqlite3.Connection, event: Event) -> None:
    """Add an event."""
    query = "INSERT INTO events (at, kind, proxy, worker, detail) VALUES (?, ?, ?, ?, ?)"
    db.execute(query, (*event[:4], storable(event.detail[:MESSAGE_LIMIT])))
