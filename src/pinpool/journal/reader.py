"""What a journal says, for those who only read: stats, failures, verify, report, export. Also while a run writes it."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Self

from pinpool.errors import JournalError
from pinpool.journal import sqlite as storage
from pinpool.journal.page_samples import body_of, kind_of, was_read
from pinpool.journal.records import AttemptRow, Mark, Place, ProxyRow, Pulse, RunInfo, SampleRow
from pinpool.journal.schema import COUNT_TASKS, DOUBTS, LIST_OUTPUTS, SELECT_ITEMS
from pinpool.journal.yields import RunYield, run_yield
from pinpool.model import Event, EventKind, Fetched, Task
from pinpool.text import stamp


class Reader:
    """
    The journal as it is at the first question: all answers of one reader agree.

    So use it and close it, and open another one for newer figures: while a reader is open, the writer cannot tidy its
    file. Raises JournalError if there is no journal that can be read, or if it turns out to be damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._db = storage.open_for_reading(self.path)
        with suppress(sqlite3.DatabaseError, JournalError):  # a damaged journal is told when its tables are read
            if not self._has_table("doubts"):
                self._db.execute(f"CREATE TEMP TABLE {DOUBTS}")
        self._db.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Closing twice is harmless."""
        self._db.close()

    def rows(self, query: str, values: tuple[Any, ...] = ()) -> Iterator[Any]:
        """The rows that a query of your own finds. Raises JournalError if the file cannot answer it."""
        try:
            # Not `yield from`: a reader that stops half-way would then close the cursor after the journal, and raise.
            for row in self._db.execute(query, values):  # noqa: UP028
                yield row
        except sqlite3.DatabaseError as error:
            raise JournalError(storage.explain(self.path, error)) from error

    def run_info(self) -> RunInfo:
        """The run as a whole. One that was killed is "interrupted": nobody claims its journal any more."""
        columns = RunInfo._fields[:-3]  # the others are counted
        *values, in_flight = self._row(f"SELECT {', '.join(columns)}, in_flight FROM run")
        run = dict(zip(columns, values, strict=True))
        if run["state"] == "running" and not storage.is_claimed(self.path):
            run["state"], in_flight = "interrupted", 0
        counts = dict.fromkeys(("done", "gone", "failed", "waiting"), 0) | dict(self.rows(COUNT_TASKS))
        counts["in_flight"] = min(in_flight, counts["waiting"])
        counts["waiting"] -= counts["in_flight"]
        items = self._row("SELECT count(*) FROM items")[0]
        return RunInfo(**run, tasks=counts, pages=counts["done"] + counts["gone"], items=items)

    def pulse(self) -> Pulse:
        """How the run says it is doing; one that was killed still says it is running."""
        return Pulse(*self._row(f"SELECT {', '.join(Pulse._fields)} FROM run"))

    def place(self) -> Place:
        """The ids of the last attempt, event and item."""
        last = "SELECT coalesce(max(id), 0) FROM"
        return Place(*self._row(f"SELECT ({last} attempts), ({last} events), ({last} items)"))

    def attempts(self, after: int = 0) -> Iterator[AttemptRow]:
        """Every attempt with an id above `after`, in the order in which they were settled."""
        columns = ", ".join(AttemptRow._fields)
        for row in self.rows(f"SELECT {columns} FROM attempts WHERE id > ? ORDER BY id", (after,)):
            yield AttemptRow._make((*row[:-2], bool(row[-2]), bool(row[-1])))

    def tree(self) -> Iterator[tuple[int, int | None, bool]]:
        """(id, id of the page that asked for it, whether it is a list page) of every task, in order of ids."""
        for task, parent, is_index in self.rows("SELECT id, parent, is_index FROM tasks ORDER BY id"):
            yield task, parent, bool(is_index)

    def proxies(self) -> list[ProxyRow]:
        """Every proxy that was ever listed, in the order in which they joined."""
        rows = self.rows(f"SELECT {', '.join(ProxyRow._fields)} FROM proxies ORDER BY id")
        return [ProxyRow._make((*row[:-1], bool(row[-1]))) for row in rows]

    def charges(self) -> list[tuple[int, int, int]]:
        """(proxy, charged, forgiven): how many failures are charged to each, and how many were but no longer are."""
        charged = "attempts WHERE charged AND proxy IS NOT NULL"
        return list(self.rows(f"SELECT proxy, sum(NOT forgiven), sum(forgiven) FROM {charged} GROUP BY proxy"))

    def pins(self, after: int = 0) -> dict[int, int]:
        """How often each proxy was leased, by proxy id; only in events with ids above `after`."""
        leased = "SELECT proxy, count(*) FROM events WHERE id > ? AND kind = ? GROUP BY proxy"
        return dict(self.rows(leased, (after, EventKind.LEASED)))

    def last(self, kind: EventKind) -> str:
        """The detail of the last event of a kind; empty if there is none."""
        query = "SELECT detail FROM events WHERE kind = ? ORDER BY id DESC LIMIT 1"
        return str(next(self.rows(query, (kind,)), ("",))[0])

    def run_yield(self) -> RunYield:
        """What the run has yielded so far."""
        return run_yield(self.rows)

    def outputs(self) -> list[Mark]:
        """How far each output file of the run has been written."""
        return [Mark(*row) for row in self.rows(LIST_OUTPUTS)]

    def events(self) -> Iterator[Event]:
        """Every event, oldest first."""
        for row in self.rows("SELECT at, kind, proxy, worker, detail FROM events ORDER BY id"):
            yield Event(*row)

    def items(self) -> Iterator[tuple[int, str, str]]:
        """(id, stage, JSON text) of every item, in the order in which they were stored."""
        yield from self.rows(f"{SELECT_ITEMS} ORDER BY items.id")

    def failures(self) -> Iterator[dict[str, Any]]:
        """
        Each task that was given up, in order of ids, as in `failures --json`: `attempts` are all of them, oldest first.

        The `page` of an attempt is the id of the page sample for its kind of failure, perhaps that of another task; the
        `page` of the task is that of its latest attempt that has one.
        """
        rows = self.rows(
            "SELECT tasks.id, stage, url, tasks.reason, label, fault, seconds, status, at, message, size"
            " FROM tasks LEFT JOIN attempts ON attempts.task = tasks.id"
            " LEFT JOIN proxies ON proxies.id = attempts.proxy"
            " WHERE tasks.state = 'failed' ORDER BY tasks.id, n"
        )
        names = ("proxy", "fault", "seconds", "status", "at", "message", "page")
        samples = {sample.kind: sample.id for sample in self.page_samples()}
        for (task, stage, url, reason), history in groupby(rows, key=itemgetter(0, 1, 2, 3)):
            attempts, last_page = [], None
            for *_, proxy, fault, seconds, status, at, message, size in history:
                if at is None:  # a task without attempts
                    continue
                kind = kind_of(stage, fault, message or "", size) if was_read(status) else ""
                page = samples.get(kind)
                last_page = page or last_page
                values = (proxy, fault, seconds, status, stamp(at), message, page)
                attempts.append(dict(zip(names, values, strict=True)))
            failure = {"task": task, "stage": stage, "url": url, "reason": reason}
            yield failure | {"attempts": attempts, "page": last_page}

    def page_samples(self) -> list[SampleRow]:
        """The page samples, one for each kind of failed extraction, oldest first."""
        if not self._has_table("pages"):
            return []
        rows = self.rows(
            "SELECT pages.id, kind, task, stage, pages.url, status, size FROM pages"
            " JOIN tasks ON tasks.id = pages.task ORDER BY pages.id"
        )
        return [SampleRow._make(row) for row in rows]

    def page_sample(self, number: int) -> tuple[Task, Fetched]:
        """
        The page as the spider saw it, with its task. `size` counts the whole body, which may have been cut.

        Raises JournalError if there is no such sample, or it is damaged.
        """
        query = (
            "SELECT stage, tasks.url, key, method, data, pages.url, status, pages.headers, pages.body, size"
            " FROM pages JOIN tasks ON tasks.id = pages.task WHERE pages.id = ?"
        )
        # As text, which SQLite compares as a number: it refuses a number above 2**63.
        row = next(self.rows(query, (str(number),)), None) if self._has_table("pages") else None
        if row is None:
            # Only failed extractions leave one, the first of each kind.
            step = f"`pinpool failures {self.path} --pages` lists the samples"
            again = "`pinpool try SPIDER URL -p PROXIES` asks for any other page again"
            raise JournalError(f"{self.path}: there is no page sample {number}: {step}; {again}")
        stage, url, key, method, data, final_url, status, headers, body, size = row
        try:
            headers = {str(name): str(value) for name, value in json.loads(headers).items()}
            body = body_of(body)
        except (ValueError, TypeError, AttributeError) as error:
            raise JournalError(f"{self.path}: page sample {number} cannot be read: {error}") from None
        task = Task(stage, url, key, method, data=data)
        return task, Fetched(final_url, status, headers, body, 0.0, size)

    def _has_table(self, name: str) -> bool:
        # Reading does not bring a journal up to date, and one of an older pinpool lacks tables.
        query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
        return any(self.rows(query, (name,)))

    def _row(self, query: str) -> Any:
        for row in self.rows(query):
            return row
        raise JournalError(f"{self.path}: it is damaged: it holds no run: --fresh makes a new one")
