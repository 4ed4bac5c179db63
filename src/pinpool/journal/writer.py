"""
The one writer of a journal. Its owner is the crawl loop of the parent, in one thread; workers never see it.

Writes gather in one open transaction, the group, until `commit`: fifty outcomes share one fsync. A method
either adds all it has to say to the group or takes the whole group back, so that no task is ever half ended.
Whatever a group held when its process died is asked for again after the resume: those tasks still wait.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from pinpool.errors import JournalError, StorageError
from pinpool.journal import schema
from pinpool.journal import sqlite as storage
from pinpool.journal.page_samples import MOST_SAMPLES
from pinpool.journal.records import About, Mark, ProxyRecord, RunEnd, Settlement, Waiting
from pinpool.model import Ending, Event, EventKind, Fault, Outcome, ProxyState, Task, TaskState

GROUP_OUTCOMES = 50
GROUP_SECONDS = 0.2
MESSAGE_LIMIT = 1000  # characters kept of what a failed attempt says; a hostile site may say megabytes


P = ParamSpec("P")
R = TypeVar("R")


def _storing(write: Callable[Concatenate[Journal, P], R]) -> Callable[Concatenate[Journal, P], R]:
    """Run `write` inside the open group, opening one if need be; whatever it raises takes the group back."""

    @wraps(write)
    def stored(self: Journal, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            if not self._db.in_transaction:
                self._db.execute("BEGIN IMMEDIATE")
            return write(self, *args, **kwargs)
        except BaseException as error:
            self._take_back()
            if isinstance(error, sqlite3.Error):
                raise StorageError(storage.explain(self.path, error)) from error
            raise

    return stored


class Journal:
    """
    A journal open for writing, claimed for this process until `close`.

    Every method raises StorageError when SQLite cannot do it (disk full, locked, read-only, input/output
    error). What was not yet committed is then taken back, the file is sound, and the run can be resumed from
    it.
    """

    def __init__(self, path: Path, claim: storage.Claim, db: sqlite3.Connection, began: float = 0.0) -> None:
        self.path = path
        self.pending = 0  # outcomes in the group
        self.oldest: float | None = None  # when its first write came
        self._claim = claim
        self._db = db
        self._began = began
        self._earlier = (0.0, 0, 0)  # seconds, worker losses and pool rebuilds of the starts before this one

    @classmethod
    def create(cls, path: str | Path, about: About, now: float, seeds: Iterable[Task] = ()) -> Self:
        """
        Make a new journal at `path` for a run that starts `now`, with its seeds. A call that fails, or that is killed
        before its end, leaves no journal behind: one without its seeds would pass for a run with nothing to do.

        Raises JournalError if there is a file already, if none can be made there, or if another pinpool
        claims it.
        """
        path = Path(path)
        with _claimed(path) as claim:
            if path.exists():
                raise JournalError(
                    f"{path}: exists already: `pinpool resume {path}` goes on with it, --fresh starts anew"
                )
            storage.build(path, lambda db: _fill(db, about, now, seeds))
            return cls(path, claim, storage.open_for_writing(path), began=now)

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """
        Open an existing journal. One of an older pinpool is brought up to date, after it was copied beside
        itself.

        Raises JournalError if there is no journal, it is another kind of file, made by a newer pinpool, or in
        use.
        """
        path = Path(path)
        storage.inspect(path)
        with _claimed(path) as claim:
            db = storage.open_for_writing(path)
            try:
                storage.migrate(db, path)
                db.execute("UPDATE run SET pid = ?", (os.getpid(),))
            except BaseException as error:
                db.close()
                if isinstance(error, sqlite3.Error):
                    raise JournalError(storage.explain(path, error)) from error
                raise
            return cls(path, claim, db)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Journal {self.path} {self.pending} pending>"

    @property
    def about(self) -> About:
        """What the run was told at its latest start."""
        return About(*self._read(f"SELECT {', '.join(About._fields)} FROM run")[0])

    def due(self, now: float) -> bool:
        """Whether the group is to be committed: it holds 50 outcomes, or its first write came 200 ms ago."""
        # A clock that was set back must not put the commit off.
        too_old = self.oldest is not None and not 0 <= now - self.oldest < GROUP_SECONDS
        return self.pending >= GROUP_OUTCOMES or too_old

    def resume(self, about: About, now: float) -> None:
        """
        Start the run again as `about` says (its salt stays as it was). No proxy is pinned any more. Commits.

        Raises JournalError if the journal belongs to another spider.
        """
        known = self.about.spider
        if known != about.spider:
            raise JournalError(
                f"{self.path}: belongs to the spider {known}, not {about.spider}: name another journal, "
                f"or name the spider {known} again"
            )
        self._restart(about, now)
        self.commit()

    def add_seeds(self, seeds: Iterable[Task]) -> int:
        """
        Add the tasks that are not known yet, all or none, and commit; returns how many were new.

        All or none, because nobody could tell later which seeds a half-read list still lacks.
        """
        self.commit()
        new = self._add_seeds(seeds)
        self.commit()
        return new

    def enroll(self, entries: Sequence[tuple[str, str]]) -> list[ProxyRecord]:
        """
        Make `entries`, (label, fingerprint) each, the list of proxies, and commit; returns their records in
        its order.

        Those that the list no longer names are kept, marked as not listed.
        """
        records = self._enroll(entries)
        self.commit()
        return records

    @_storing
    def settle(self, settlement: Settlement, now: float) -> int:
        """
        Record one attempt and, if `state` says so, the end of its task: items and children of a done one, and
        counts.

        Returns how many of the children were new. A task that has ended already, or is not known, stays as it
        is: outcomes are delivered at least once, and all that is kept of a second one is an event "late".
        Raises ValueError for a declined or resumed outcome, which is no attempt.
        """
        task_id, outcome, fault, charged, state, reason, not_before = settlement
        if outcome.ending is Ending.DECLINED or outcome.ending is Ending.RESUMED:
            raise ValueError(f"task {task_id}: an outcome that is {outcome.ending} is no attempt")
        self.pending += 1
        self._since(now)
        found = self._db.execute(schema.FIND_WAITING, (task_id,)).fetchone()
        if found is None:
            late = f"task {task_id} does not wait; dropped an attempt that ended as {outcome.ending}"
            self._note(Event(now, EventKind.LATE, outcome.proxy, outcome.worker, late))
            return 0
        n = found[0] + 1
        self._add_attempt(task_id, n, outcome, fault, charged)
        if outcome.sample is not None:
            self._db.execute(schema.ADD_SAMPLE, (task_id, n, *outcome.sample, MOST_SAMPLES))
        if state is None or state is TaskState.WAITING:
            self._db.execute(schema.PUT_OFF, (not_before, n, charged, task_id))
            return 0
        items, links, new = (outcome.items, outcome.tasks, 0) if state is TaskState.DONE else ((), (), 0)
        if items:
            rows = [(task_id, place, _storable(item)) for place, item in enumerate(items)]
            self._db.executemany(schema.ADD_ITEM, rows)
        if links:
            new = _add_tasks(self._db, links, task_id)
        ended = (state, _storable(reason), now, n, charged, len(items), len(links), new, task_id)
        self._db.execute(schema.END_TASK, ended)
        return new

    @_storing
    def forgive(self, task_id: int, proxies: Collection[int]) -> None:
        """Take back what these proxies were charged for their failed attempts of this task."""
        self._db.executemany(schema.FORGIVE, [(task_id, proxy) for proxy in proxies])

    @_storing
    def excuse(self, task_id: int, proxy: int) -> None:
        """This failure tells nothing: the whole site was silent. It counts for neither the task nor the proxy."""
        self._db.execute(schema.EXCUSE, (task_id, proxy))

    @_storing
    def charge(self, task_id: int, proxies: Collection[int]) -> None:
        """Charge these proxies with their failed attempts of this task after all."""
        self._db.executemany(schema.CHARGE, [(task_id, proxy) for proxy in proxies])

    @_storing
    def proxy(
        self,
        proxy: int,
        state: ProxyState,
        reason: str | None = None,
        until: float | None = None,
        coolings: int = 0,
    ) -> None:
        """Record how a proxy stands now; `until` is the epoch second at which its rest ends."""
        self._db.execute(schema.SET_PROXY, (state, _storable(reason), until, coolings, proxy))

    @_storing
    def event(self, event: Event) -> None:
        """Keep an event."""
        self._note(event)

    @_storing
    def progress(self, in_flight: int, losses: int, rebuilds: int, now: float) -> None:
        """
        The heartbeat: how many tasks are in flight, how many workers were lost and pools rebuilt since this
        start.

        Readers take an unclaimed journal that shows no heartbeat for 30 s for interrupted.
        """
        self._since(now)
        seconds, lost, rebuilt = self._earlier
        seconds += max(0.0, now - self._began)
        self._db.execute(schema.HEARTBEAT, (in_flight, lost + losses, rebuilt + rebuilds, now, seconds))

    def finish(self, state: RunEnd, now: float) -> None:
        """Record how this start of the run ended, with no proxy pinned any more, and commit."""
        self._finish(state, now)
        self.commit()

    def requeue(
        self, *, ids: Collection[int] | None = None, reason: str | None = None, url: str | None = None
    ) -> int:
        """
        Put failed tasks back with a fresh budget, and commit; returns how many. Their attempts stay on
        record.

        Without a filter all failed tasks. `reason` finds those whose reason holds it, or whose last fault it
        names.
        """
        wanted = [None] if ids is None else ids
        put_back = self._requeue([{"id": task, "reason": reason, "url": url} for task in wanted])
        self.commit()
        return put_back

    @_storing
    def output(self, mark: Mark) -> None:
        """Record how far an output file has been written. The file must hold that much already."""
        self._db.execute("INSERT OR REPLACE INTO outputs VALUES (?, ?, ?, ?, ?)", mark)

    @_storing
    def forget_output(self, path: str) -> None:
        """No longer go on with an output file; the file stays as it is."""
        self._db.execute("DELETE FROM outputs WHERE path = ?", (path,))

    def outputs(self) -> list[Mark]:
        """The recorded output files, in order of their paths."""
        return [Mark(*row) for row in self._read(schema.LIST_OUTPUTS)]

    def waiting(self, is_index: bool, after: int, limit: int) -> list[Waiting]:
        """
        At most `limit` tasks that have not ended, in flight or not, with ids above `after`, in order of ids.
        """
        return [
            Waiting(row[0], _task(row[1:8]), *row[8:])
            for row in self._read(schema.LIST_WAITING, (is_index, after, limit))
        ]

    def history(self, task_id: int) -> list[tuple[int | None, Fault | None, bool, bool]]:
        """
        (proxy, fault, charged, excused) of each failed attempt of a task since it was last put back, oldest first.
        """
        return [
            (proxy, Fault(fault) if fault else None, bool(charged), bool(excused))
            for proxy, fault, charged, excused in self._read(schema.LIST_HISTORY, (task_id,))
        ]

    def witnesses(self, limit: int) -> list[Task]:
        """The last pages that were fetched, to be asked for once more when the site seems silent."""
        return [_task(row) for row in self._read(schema.FIND_WITNESSES, (limit,))]

    def task_counts(self) -> dict[TaskState, int]:
        """
        How many tasks are in each state. Reads every task: for the start and the end, not for each page.
        """
        rows = self._read("SELECT state, count(*) FROM tasks GROUP BY state")
        return dict.fromkeys(TaskState, 0) | {TaskState(state): number for state, number in rows}

    def items_after(self, item: int, limit: int) -> list[tuple[int, str]]:
        """
        At most `limit` (id, JSON text) above id `item`, in order. Right after `commit` all of them are
        durable.
        """
        return self._read("SELECT id, data FROM items WHERE id > ? ORDER BY id LIMIT ?", (item, limit))

    def last_item(self) -> int:
        """The id of the newest item, 0 if there is none."""
        return int(self._read("SELECT coalesce(max(id), 0) FROM items")[0][0])

    def commit(self) -> None:
        """Make the group durable. Does nothing when there is none."""
        try:
            if self._db.in_transaction:
                self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._take_back()
            raise StorageError(storage.explain(self.path, error)) from error
        self.pending, self.oldest = 0, None

    def close(self) -> None:
        """Commit, and give journal and claim back, also when the commit fails. Closing twice is harmless."""
        if not self._claim.held:
            return
        try:
            self.commit()
        finally:
            self._db.close()
            self._claim.release()

    @_storing
    def _restart(self, about: About, now: float) -> None:
        self._began = now
        self._earlier = self._db.execute("SELECT seconds, worker_losses, pool_rebuilds FROM run").fetchone()
        told = {name: value for name, value in about._asdict().items() if name != "salt"}
        columns = ", ".join(f"{name} = :{name}" for name in told)
        self._db.execute(f"UPDATE run SET {columns}, {schema.RESTARTED}", {**told, "now": now})
        self._db.execute(schema.UNPIN)

    @_storing
    def _add_seeds(self, seeds: Iterable[Task]) -> int:
        return _add_seeds(self._db, seeds)

    @_storing
    def _enroll(self, entries: Sequence[tuple[str, str]]) -> list[ProxyRecord]:
        self._db.execute("UPDATE proxies SET listed = 0")
        rows = [self._db.execute(schema.LIST_PROXY, entry).fetchone() for entry in entries]
        return [ProxyRecord(row[0], row[1], ProxyState(row[2]), *row[3:]) for row in rows]

    @_storing
    def _finish(self, state: RunEnd, now: float) -> None:
        seconds = self._earlier[0] + max(0.0, now - self._began)
        self._db.execute(schema.FINISH, (state, now, now, seconds))
        self._db.execute(schema.UNPIN)

    @_storing
    def _requeue(self, filters: list[dict[str, int | str | None]]) -> int:
        put_back = max(0, self._db.executemany(schema.PUT_BACK, filters).rowcount)
        if put_back:
            self._db.execute("UPDATE run SET state = 'interrupted'")
        return put_back

    def _read(self, query: str, values: tuple[Any, ...] = ()) -> list[Any]:
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise StorageError(storage.explain(self.path, error)) from error

    def _take_back(self) -> None:
        self.pending, self.oldest = 0, None
        with suppress(sqlite3.Error):
            self._db.rollback()

    def _since(self, now: float) -> None:
        if self.oldest is None:
            self.oldest = now

    def _note(self, event: Event) -> None:
        self._since(event.at)
        detail = _storable(event.detail[:MESSAGE_LIMIT])
        self._db.execute(schema.ADD_EVENT, (event.at, event.kind, event.proxy, event.worker, detail))

    def _add_attempt(
        self, task_id: int, n: int, outcome: Outcome, fault: Fault | None, charged: bool
    ) -> None:
        evidence = outcome.evidence
        row = (
            task_id,
            n,
            # A crash may be noticed without knowing who held what: such an attempt belongs to no proxy.
            outcome.proxy if outcome.proxy > 0 else None,
            outcome.worker,
            outcome.at,
            outcome.seconds,
            outcome.ending,
            fault,
            outcome.status,
            outcome.size,
            _storable(evidence.message[:MESSAGE_LIMIT]) if evidence else None,
            charged,
        )
        self._db.execute(schema.ADD_ATTEMPT, row)


@contextmanager
def _claimed(path: Path) -> Iterator[storage.Claim]:
    """A claim that outlives the block, unless the block raises."""
    claim = storage.Claim(path)
    try:
        yield claim
    except BaseException:
        claim.release()
        raise


def _fill(db: sqlite3.Connection, about: About, now: float, seeds: Iterable[Task]) -> None:
    columns = (*About._fields, "state", "started", "heartbeat", "pid")
    values = (*about, "running", now, now, os.getpid())
    db.execute("BEGIN IMMEDIATE")
    db.execute(f"INSERT INTO run ({', '.join(columns)}) VALUES ({', '.join('?' * len(values))})", values)
    _add_seeds(db, seeds)
    db.execute("COMMIT")


def _add_seeds(db: sqlite3.Connection, seeds: Iterable[Task]) -> int:
    new = _add_tasks(db, seeds, None)
    db.execute("UPDATE run SET seeds = seeds + ?", (new,))
    return new


def _add_tasks(db: sqlite3.Connection, tasks: Iterable[Task], parent: int | None) -> int:
    rows = (
        (
            task.stage,
            task.key,
            _storable(task.url),
            task.method,
            task.body,
            json.dumps(task.headers) if task.headers else None,
            _storable(task.data),
            parent,
            task.stage == schema.INDEX_STAGE,
        )
        for task in tasks
    )
    return max(0, db.executemany(schema.ADD_TASK, rows).rowcount)


def _storable(text: str | None) -> str | None:
    # A lone surrogate from a hostile page cannot be stored as UTF-8. Escaped it can, and in JSON means the
    # same.
    return text if text is None or text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _task(row: tuple[Any, ...]) -> Task:
    stage, url, key, method, body, headers, data = row
    pairs = tuple((name, value) for name, value in json.loads(headers)) if headers else ()
    return Task(stage, url, key, method, body, pairs, data)
