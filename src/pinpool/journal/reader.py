"""
What a journal says, for those who only look: stats, failures, verify, report, export. Also while the run
writes it.

`Reader.coverage` is the proof behind `pinpool verify`: it holds every count that a task's end wrote down
against the rows themselves, so that whatever is missing, left over or there twice shows.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pinpool.errors import JournalError
from pinpool.journal import schema
from pinpool.journal import sqlite as storage
from pinpool.journal.page_samples import body_of, kind_of, was_read
from pinpool.journal.records import AttemptRow, Failure, Kept, Mark, Place, ProxyRow, Pulse, RunInfo, Try
from pinpool.journal.verify import CHECKS, NAMED_ROWS, Coverage
from pinpool.model import Event, EventKind, Fetched, Task
from pinpool.text import counted, stamp

SILENT_SECONDS = 30.0  # without a heartbeat, and with nobody holding the claim: the run has been killed

RUN_COLUMNS = (
    "spider, spider_ref, version, workers, engine, start_method, settings, proxies, state, started, ended,"
    " heartbeat, seconds, starts, seeds, worker_losses, pool_rebuilds"
)


class Reader:
    """
    The journal as it stands at the first question, and not a moment later: all answers of one reader agree.

    So use it and close it: for newer figures open another; one that stays open keeps the writer from tidying
    its file. Raises JournalError if there is no journal that can be read, or if it turns out to be damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._db = storage.open_for_reading(self.path)
        self._db.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Reader {self.path}>"

    def close(self) -> None:
        """Let the journal go. Closing twice is harmless."""
        self._db.close()

    def run_info(self, now: float) -> RunInfo:
        """
        The run as a whole. One that says it is running, but was killed before `now`, is told as interrupted.
        """
        row = dict(zip(RUN_COLUMNS.split(", "), self._row(f"SELECT {RUN_COLUMNS} FROM run"), strict=True))
        in_flight = self._row("SELECT in_flight FROM run")[0]
        silent = row["state"] == "running" and now - row["heartbeat"] > SILENT_SECONDS
        if silent and not storage.is_claimed(self.path):
            row["state"], in_flight = "interrupted", 0
        counts = dict.fromkeys(("done", "gone", "failed", "waiting"), 0)
        counts |= dict(self._rows("SELECT state, count(*) FROM tasks GROUP BY state"))
        counts["in_flight"] = min(in_flight, counts["waiting"])
        counts["waiting"] -= counts["in_flight"]
        items = self._row("SELECT count(*) FROM items")[0]
        return RunInfo(**row, tasks=counts, pages=counts["done"] + counts["gone"], items=items)

    def pulse(self) -> Pulse:
        """How the run stands by its own word, a killed one too."""
        return Pulse(*self._row(f"SELECT {', '.join(Pulse._fields)} FROM run"))

    def place(self) -> Place:
        """Where everything ends now."""
        last = "SELECT coalesce(max(id), 0) FROM"
        return Place(*self._row(f"SELECT ({last} attempts), ({last} events), ({last} items)"))

    def attempts(self, after: int = 0) -> Iterator[AttemptRow]:
        """Every attempt with an id above `after`, in the order in which they were settled."""
        columns = ", ".join(AttemptRow._fields)
        for row in self._rows(f"SELECT {columns} FROM attempts WHERE id > {after:d} ORDER BY id"):
            yield AttemptRow._make((*row[:-2], bool(row[-2]), bool(row[-1])))

    def tree(self) -> Iterator[tuple[int, int | None, bool]]:
        """(id, id of the page that asked for it, whether it is a list page) of every task, in order of ids."""
        for task, parent, is_index in self._rows("SELECT id, parent, is_index FROM tasks ORDER BY id"):
            yield task, parent, bool(is_index)

    def proxies(self) -> list[ProxyRow]:
        """Every proxy that was ever listed, in the order in which they joined."""
        rows = self._rows(f"SELECT {', '.join(ProxyRow._fields)} FROM proxies ORDER BY id")
        return [ProxyRow._make((*row[:-1], bool(row[-1]))) for row in rows]

    def charges(self) -> list[tuple[int, int, int]]:
        """(proxy, charged, forgiven): how many failures are held against each, and how many were and no longer are."""
        query = (
            "SELECT proxy, sum(NOT forgiven), sum(forgiven) FROM attempts"
            " WHERE charged AND proxy IS NOT NULL GROUP BY proxy"
        )
        return list(self._rows(query))

    def pins(self, after: int = 0) -> dict[int, int]:
        """How often each proxy was leased, by proxy id; only in events with ids above `after`."""
        leased = "SELECT proxy, count(*) FROM events WHERE id > ? AND kind = ? GROUP BY proxy"
        return dict(self._rows(leased, (after, EventKind.LEASED)))

    def items_since(self, after: int) -> int:
        """How many items have ids above `after`."""
        return int(self._row(f"SELECT count(*) FROM items WHERE id > {after:d}")[0])

    def last(self, kind: EventKind) -> str:
        """The detail of the last event of that kind; empty if there is none."""
        rows = list(self._rows("SELECT detail FROM events WHERE kind = ? ORDER BY id DESC LIMIT 1", (kind,)))
        return str(rows[0][0]) if rows else ""

    def outputs(self) -> list[Mark]:
        """How far each output file of the run has been written."""
        return [Mark(*row) for row in self._rows(schema.LIST_OUTPUTS)]

    def events(self) -> Iterator[Event]:
        """Every event, in the order in which they were kept."""
        for row in self._rows("SELECT at, kind, proxy, worker, detail FROM events ORDER BY id"):
            yield Event(*row)

    def items(self) -> Iterator[tuple[int, str]]:
        """(id, JSON text) of every item, in the order in which they were stored."""
        yield from self._rows("SELECT id, data FROM items ORDER BY id")

    def failures(self) -> Iterator[Failure]:
        """Each task that was given up, in order of ids, with its whole history."""
        rows = self._rows(
            "SELECT tasks.id, stage, url, tasks.reason, label, fault, seconds, status, at, message, size"
            " FROM tasks LEFT JOIN attempts ON attempts.task = tasks.id"
            " LEFT JOIN proxies ON proxies.id = attempts.proxy"
            " WHERE tasks.state = 'failed' ORDER BY tasks.id, n"
        )
        kept = {page.kind: page.id for page in self.pages()}
        for task, tries in groupby(rows, key=itemgetter(0, 1, 2, 3)):
            yield Failure._make(
                (*task, [_try(task[1], row[4:], kept) for row in tries if row[8] is not None])
            )

    def pages(self) -> list[Kept]:
        """The pages that were kept, one for each kind of failed extraction, in the order in which they came."""
        if not self._keeps_pages:
            return []
        rows = self._rows(
            "SELECT pages.id, kind, task, stage, pages.url, status, size FROM pages"
            " JOIN tasks ON tasks.id = pages.task ORDER BY pages.id"
        )
        return [Kept._make(row) for row in rows]

    def page(self, number: int) -> tuple[Task, Fetched]:
        """
        A kept page as the spider saw it, with its task. `size` of the answer counts the whole body, which may have
        been cut. Raises JournalError if there is no such page, or it is damaged.
        """
        found = self._rows(
            "SELECT stage, tasks.url, key, method, data, pages.url, status, pages.headers, pages.body, size"
            " FROM pages JOIN tasks ON tasks.id = pages.task WHERE pages.id = ?",
            (number,),
        )
        row = next(found, None) if self._keeps_pages else None
        if row is None:
            known = f"`pinpool failures {self.path} --pages` lists those that there are"
            raise JournalError(f"{self.path}: no page {number} was kept: {known}")
        try:
            headers = {str(name): str(value) for name, value in json.loads(row[7]).items()}
            body = body_of(row[8])
        except (ValueError, TypeError, AttributeError) as error:
            raise JournalError(f"{self.path}: page {number} cannot be read: {error}") from None
        task = Task(row[0], row[1], row[2], row[3], data=row[4])
        return task, Fetched(row[5], row[6], headers, body, 0.0, row[9])

    @property
    def _keeps_pages(self) -> bool:
        # Reading does not bring a journal up to date, and one of an older pinpool has no such table.
        return any(self._rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'pages'"))

    def coverage(self) -> Coverage:
        """
        Whether every task that was ever asked for ended exactly once, and all that pages gave is there
        exactly once.
        """
        problems: list[str] = []
        found = {"orphans": 0, "duplicates": 0}
        damage = [text for (text,) in self._safely("PRAGMA integrity_check(10)", problems) if text != "ok"]
        problems += [f"{self.path}: the file is damaged: {text}" for text in damage]
        for kind, row, say, query in CHECKS:
            ids = [found_id for (found_id,) in self._safely(query, problems)]
            if ids:
                named = ", ".join(map(str, ids[:NAMED_ROWS])) + (", …" if len(ids) > NAMED_ROWS else "")
                problems.append(f"{counted(len(ids), row)} {say.format(ids=named)}")
                found[kind] = found.get(kind, 0) + len(ids)
        counts = dict(self._safely("SELECT state, count(*) FROM tasks GROUP BY state", problems))
        seeds, listed, items = self._sizes(problems)
        open_, failed, tasks = counts.get("waiting", 0), counts.get("failed", 0), sum(counts.values())
        problems += self._wanting(seeds, listed, open_, failed)
        return Coverage(
            complete=not problems,
            seeds=seeds,
            tasks=tasks,
            ended=tasks - open_,
            open=open_,
            failed=failed,
            orphans=found["orphans"],
            items=items,
            duplicates=found["duplicates"],
            problems=problems,
        )

    def _sizes(self, problems: list[str]) -> tuple[int, int, int]:
        listed, items = "SELECT count(*) FROM tasks WHERE parent IS NULL", "SELECT count(*) FROM items"
        rows = self._safely(f"SELECT seeds, ({listed}), ({items}) FROM run", problems)
        return rows[0] if rows else (0, 0, 0)

    def _wanting(self, seeds: int, listed: int, open_: int, failed: int) -> Iterator[str]:
        if not seeds:
            yield "there are no seeds: nothing was ever asked for"
        if seeds != listed:
            yield f"{counted(seeds, 'seed was', 'seeds were')} given, {listed:,} in the journal"
        if open_:
            yield f"{counted(open_, 'task is', 'tasks are')} still open: `pinpool resume {self.path}` goes on"
        if failed:
            yield (
                f"{counted(failed, 'task')} failed: `pinpool failures {self.path}` says why,"
                f" `pinpool retry {self.path}` puts them back"
            )

    def _safely(self, query: str, problems: list[str]) -> list[Any]:
        try:
            return list(self._rows(query))
        except JournalError as error:
            problems += [problem for problem in error.problems if problem not in problems]
            return []

    def _row(self, query: str) -> Any:
        for row in self._rows(query):
            return row
        raise JournalError(f"{self.path}: it is damaged: it holds no run: --fresh starts anew")

    def _rows(self, query: str, values: tuple[Any, ...] = ()) -> Iterator[Any]:
        try:
            # Not `yield from`: a reader that stops half-way would then close the cursor after the journal, and raise.
            for row in self._db.execute(query, values):  # noqa: UP028
                yield row
        except sqlite3.DatabaseError as error:
            raise JournalError(storage.explain(self.path, error)) from error


def failure_document(failure: Failure) -> dict[str, Any]:
    """One entry of `failures --json`; its `page` is that of its latest attempt that has one."""
    tries = [attempt._asdict() | {"at": stamp(attempt.at)} for attempt in failure.attempts]
    pages = [attempt.page for attempt in failure.attempts if attempt.page is not None]
    return failure._asdict() | {"attempts": tries, "page": pages[-1] if pages else None}


def _try(stage: str, row: tuple[Any, ...], kept: Mapping[str, int]) -> Try:
    proxy, fault, seconds, status, at, message, size = row
    page = kept.get(kind_of(stage, fault, message or "", size)) if was_read(fault, status) else None
    return Try(proxy, fault, seconds, status, at, message, page)
