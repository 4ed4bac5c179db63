"""
Pages in doubt, which are asked for once more through another proxy. Each function works inside a transaction of the
caller.

Such a task stays done, with its items. Only another answer takes them out, and puts what that gave in their place, in
the transaction that records the answer. So a kill at any moment leaves one or the other.
"""

import sqlite3
from typing import Any, NamedTuple

from pinpool.journal.attempt_rows import add_attempt
from pinpool.journal.records import Doubted, Waiting
from pinpool.journal.task_rows import WAITING, add_tasks, storable, task_of
from pinpool.model import Fault, Outcome

#: As a condition: the task is open, or done but asked for once more, so that another attempt of it can be recorded.
IS_OPEN = "(state = 'waiting' OR EXISTS (SELECT 1 FROM doubts WHERE doubts.task = tasks.id AND verdict IS NULL))"

DOUBTED = f"""
    SELECT doubt, by_proxy, is_index, {WAITING} FROM tasks JOIN (
        SELECT id AS doubt, proxy AS by_proxy, task AS of_task FROM doubts
        WHERE verdict IS NULL AND id > ? ORDER BY id LIMIT ?
    ) ON of_task = tasks.id ORDER BY doubt
"""
BODIES_GIVEN = """
    SELECT proxy, count(*), count(DISTINCT digest), proxy IN (SELECT proxy FROM doubts WHERE sure) FROM attempts
    WHERE ending = 'ok' AND digest IS NOT NULL AND proxy IS NOT NULL GROUP BY proxy
"""

_DONE = (
    "FROM attempts JOIN tasks ON tasks.id = attempts.task"
    " WHERE attempts.ending = 'ok' AND attempts.proxy IS NOT NULL AND tasks.state = 'done'"
)
# What two proxies gave is settled. What was replaced is the word of one again, who may be found out later.
_NOT_DOUBTED = "NOT EXISTS (SELECT 1 FROM doubts WHERE doubts.task = tasks.id AND coalesce(verdict, 'kept') = 'kept')"

_SHARED_BODY = (
    "attempts.digest IN (SELECT digest FROM attempts WHERE ending = 'ok' AND digest IS NOT NULL"
    " GROUP BY digest HAVING count(DISTINCT task) > 1)"
)


class OfTask(NamedTuple):
    """The page of this task: to see whether its proxy shows what others do, or because that is sure to be wrong."""

    task: int
    sure: bool = False


class OfBody(NamedTuple):
    """All pages that had this body: it is not that of the site."""

    digest: int


class OfLiar(NamedTuple):
    """All pages that this proxy gave with a body that another URL had too: it hands out one page for many."""

    proxy: int


class OfStage(NamedTuple):
    """All pages with items that this proxy gave at a stage: they lack something."""

    proxy: int
    stage: str


Doubt = OfTask | OfBody | OfLiar | OfStage


class SecondAnswer(NamedTuple):
    """How a second answer differs from the first: in how many new `links`, and by how many `items` more or less."""

    differs: bool
    links: int = 0
    items: int = 0


def doubt(db: sqlite3.Connection, what: Doubt, why: str) -> int:
    """As `Journal.doubt`."""
    match what:
        case OfTask(task, sure):
            return _doubt(db, "tasks.id = :of", {"of": task, "sure": sure, "why": why})
        case OfBody(digest):
            return _doubt(db, "attempts.digest = :of", {"of": digest, "sure": 1, "why": why})
        case OfLiar(proxy):
            return _doubt(db, f"attempts.proxy = :of AND {_SHARED_BODY}", {"of": proxy, "sure": 1, "why": why})
        case OfStage(proxy, stage):
            of_stage = "attempts.proxy = :of AND tasks.stage = :stage AND tasks.items_n > 0"
            return _doubt(db, of_stage, {"of": proxy, "stage": stage, "sure": 1, "why": why})


def _doubt(db: sqlite3.Connection, which: str, values: dict[str, object]) -> int:
    newest = db.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'doubts'").fetchone()[0]
    query = (
        "INSERT OR REPLACE INTO doubts (task, proxy, sure, why)"
        f" SELECT tasks.id, attempts.proxy, :sure, :why {_DONE} AND {which} AND {_NOT_DOUBTED}"
    )
    count = db.execute(query, values).rowcount
    # What is asked for at present to see whether the proxy is right stays so, and now is in doubt.
    still = (
        f"UPDATE doubts SET sure = 1 WHERE verdict IS NULL AND :sure AND task IN (SELECT tasks.id {_DONE} AND {which})"
    )
    db.execute(still, values)
    # Failures from before the page was done are settled.
    fresh = "UPDATE tasks SET forgotten = attempts WHERE id IN (SELECT task FROM doubts WHERE id > ?)"
    db.execute(fresh, (newest,))
    return count


def doubted(row: tuple[Any, ...]) -> Doubted:
    """A row of the query `DOUBTED`."""
    return Doubted(row[0], row[1], bool(row[2]), Waiting(row[3], task_of(row[4:11]), *row[11:]))


def answer_again(db: sqlite3.Connection, task: int, outcome: Outcome, *, counts: bool) -> SecondAnswer | None:
    """As `Journal.answer_again`."""
    if db.execute("SELECT 1 FROM doubts WHERE task = ? AND verdict IS NULL", (task,)).fetchone() is None:
        return None
    count = "UPDATE tasks SET attempts = attempts + 1, not_before = NULL WHERE id = ? RETURNING attempts"
    (n,) = db.execute(count, (task,)).fetchone()
    add_attempt(db, task, n, outcome, None, charged=False)
    answer = _compare(db, task, outcome) if counts else SecondAnswer(differs=False)
    if answer.differs:
        db.execute(
            "UPDATE attempts SET ending = 'failed', fault = ?, charged = 1, forgiven = 0, message = ?"
            " WHERE task = ? AND ending = 'ok' AND n < ?",
            (Fault.BANNED, "another proxy shows something else", task, n),
        )
    end_look(db, task, "replaced" if answer.differs else "kept")
    return answer


def end_look(db: sqlite3.Connection, task: int, verdict: str) -> None:
    """The second look at a page is over."""
    db.execute("UPDATE doubts SET verdict = ? WHERE task = ? AND verdict IS NULL", (verdict, task))


def next_item(db: sqlite3.Connection) -> int:
    """The id of the next item: above all that ever were, for output files may hold those."""
    query = "SELECT max(coalesce((SELECT max(id) FROM items), 0), coalesce((SELECT max(id) FROM replaced_items), 0))"
    return int(db.execute(query).fetchone()[0]) + 1


def add_items(db: sqlite3.Connection, task: int, items: tuple[str, ...], first: int | None = None) -> None:
    """Add the items of a task, with ids from `first` on; those that SQLite chooses without it."""
    rows = [(first and first + n, task, n, storable(item)) for n, item in enumerate(items)]
    db.executemany("INSERT INTO items (id, task, n, data) VALUES (?, ?, ?, ?)", rows)


def _compare(db: sqlite3.Connection, task: int, outcome: Outcome) -> SecondAnswer:
    """Put what another proxy gave in the place of what is there, where it is not the same."""
    before = [data for (data,) in db.execute("SELECT data FROM items WHERE task = ? ORDER BY n", (task,))]
    links = add_tasks(db, outcome.tasks, task)
    if links:  # what the first answer linked to stays: those pages may be done by now
        more = "UPDATE tasks SET children_n = children_n + ?, links_n = links_n + ? WHERE id = ?"
        db.execute(more, (links, links, task))
    if before == [storable(item) for item in outcome.items]:
        return SecondAnswer(bool(links), links)
    first = next_item(db)
    db.execute("INSERT INTO replaced_items SELECT id, task, n, data FROM items WHERE task = ?", (task,))
    db.execute("DELETE FROM items WHERE task = ?", (task,))
    add_items(db, task, outcome.items, first)
    db.execute("UPDATE tasks SET items_n = ? WHERE id = ?", (len(outcome.items), task))
    return SecondAnswer(True, links, len(outcome.items) - len(before))
