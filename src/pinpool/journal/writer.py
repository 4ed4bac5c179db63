"""
The one writer of a journal. The crawl loop owns it, in one thread of the parent; workers never see it.

Writes gather in one open transaction, the group, until `commit`. If the process dies, its open group is lost and its
tasks still wait: a resume asks for their pages again.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Self

from pinpool.errors import JournalError
from pinpool.journal import second_looks, waiting_again
from pinpool.journal import sqlite as storage
from pinpool.journal.attempt_rows import add_event
from pinpool.journal.group import Group, committing, storing
from pinpool.journal.records import About, Doubted, Mark, ProxyRow, RunEnd, Settlement, Waiting
from pinpool.journal.schema import ADD_OUTPUT, COUNT_TASKS, LIST_OUTPUTS, SELECT_ITEMS, SELECT_REPLACED, WITHDRAWN
from pinpool.journal.second_looks import Doubt, SecondAnswer, next_item
from pinpool.journal.settling import settle
from pinpool.journal.task_rows import WAITING, add_tasks, storable, task_of
from pinpool.journal.yields import StageYield, stage_yields
from pinpool.model import Event, FailedAttempt, Fault, Outcome, ProxyState, Task, TaskState
from pinpool.text import one_line


class Journal(Group):
    """
    A journal open for writing, claimed for this process until `close`.

    Every method raises StorageError as `Group` says. Then the run can be resumed from the file.
    """

    def __init__(self, path: Path, db: sqlite3.Connection, owned: ExitStack, began: float = 0.0) -> None:
        super().__init__(path, db)
        self._owned = owned  # the claim, the connection and a last commit, ended in the opposite order
        owned.callback(storage.fold, db)
        owned.callback(self.commit)
        self._began = began
        self._has_replaced = bool(db.execute("SELECT EXISTS (SELECT 1 FROM replaced_items)").fetchone()[0])
        self._earlier = (0.0, 0, 0)  # seconds, worker losses and pool rebuilds of the starts before this one

    @classmethod
    def create(
        cls, path: str | Path, about: About, now: float, seeds: Iterable[Task] = (), outputs: Iterable[Mark] = ()
    ) -> Self:
        """
        Make a new journal at `path` for a run that starts `now`, with its seeds and output files. A call that fails, or
        is killed, leaves no journal behind: one without its seeds would look like a run with nothing to do, and one
        without its outputs would be gone on with for no file.

        Raises JournalError if there is a file already, if none can be made there, or if another pinpool claims it.
        """
        path = Path(path)

        def fill(db: sqlite3.Connection) -> None:
            columns = ", ".join((*About._fields, "state", "started", "heartbeat", "pid"))
            values = (*about, "running", now, now, os.getpid())
            db.execute(f"INSERT INTO run ({columns}) VALUES ({', '.join('?' * len(values))})", values)
            add_tasks(db, seeds)
            db.executemany(ADD_OUTPUT, outputs)

        with ExitStack() as owned:
            owned.enter_context(storage.claim(path))
            if path.exists():
                raise JournalError(
                    f"{path}: exists already: `pinpool resume {path}` goes on with it, --fresh makes a new one"
                )
            storage.build(path, fill)
            db = owned.enter_context(closing(storage.open_for_writing(path)))
            return cls(path, db, owned.pop_all(), began=now)

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """
        Open an existing journal. One of an older pinpool is copied beside itself, then brought up to date.

        Raises JournalError if there is no journal, or if it is another kind of file, made by a newer pinpool, or in
        use.
        """
        path = Path(path)
        storage.open_for_reading(path).close()  # raises if there is no journal that we know
        with ExitStack() as owned:
            owned.enter_context(storage.claim(path))
            try:
                db = owned.enter_context(closing(storage.open_for_writing(path)))
                storage.migrate(db, path)
                db.execute("UPDATE run SET pid = ?", (os.getpid(),))
            except sqlite3.Error as error:
                raise storage.unusable(path, error) from error
            return cls(path, db, owned.pop_all())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def about(self) -> About:
        """The settings of the latest start."""
        return About(*self._read(f"SELECT {', '.join(About._fields)} FROM run")[0])

    @committing
    def resume(self, about: About, now: float) -> None:
        """
        Start the run again as `about` says, and commit; its salt stays as it was, and no proxy is pinned any more.

        Raises JournalError if the journal is damaged.
        """
        if damage := storage.damage(self.path):
            raise JournalError(f"{self.path}: it is damaged ({damage}): {storage.DAMAGED}")
        self._began = now
        self._earlier = self._db.execute("SELECT seconds, worker_losses, pool_rebuilds FROM run").fetchone()
        given = {name: value for name, value in about._asdict().items() if name != "salt"}
        columns = ", ".join(f"{name} = :{name}" for name in given)
        restarted = "state = 'running', ended = NULL, heartbeat = :now, starts = starts + 1, in_flight = 0"
        self._db.execute(f"UPDATE run SET {columns}, {restarted}", {**given, "now": now})
        self._unpin()

    @committing
    def enroll(self, entries: Sequence[tuple[str, str]]) -> list[ProxyRow]:
        """
        Make `entries`, (label, fingerprint) each, the list of proxies, and commit; returns their records in its order.

        Proxies that the list no longer names stay in the journal, marked as not listed.
        """
        self._db.execute("UPDATE proxies SET listed = 0")
        query = """
            INSERT INTO proxies (label, fingerprint) VALUES (?, ?)
            ON CONFLICT (label, fingerprint) DO UPDATE SET listed = 1
            RETURNING id, label, state, reason, until, coolings, listed
        """
        return [ProxyRow(*self._db.execute(query, entry).fetchone()) for entry in entries]

    @storing
    def settle(self, settlement: Settlement, now: float) -> int:
        """
        Record one attempt and, if `state` says so, the end of its task; of a done one also its items and children.

        Returns how many of the children were new. A task that has ended already, or is not there, stays as it is, and
        an event "late" is all that is recorded: outcomes are delivered at least once. Raises ValueError for a declined
        or resumed outcome, which is not an attempt.
        """
        self.pending += 1
        self.oldest = now if self.oldest is None else self.oldest
        return settle(self._db, settlement, now, has_replaced=self._has_replaced)

    @storing
    def forgive(self, task_id: int, proxies: Collection[int]) -> None:
        """Take back what these proxies were charged for their failed attempts of this task."""
        query = "UPDATE attempts SET forgiven = 1 WHERE task = ? AND proxy = ? AND charged"
        self._db.executemany(query, [(task_id, proxy) for proxy in proxies])

    @storing
    def excuse(self, task_id: int, proxy: int) -> None:
        """The whole site was silent at this proxy's last failure: it counts for neither the task nor the proxy."""
        last = "SELECT max(id) FROM attempts WHERE task = ? AND proxy = ? AND ending = 'failed'"
        query = f"UPDATE attempts SET excused = 1, forgiven = charged WHERE id = ({last})"
        self._db.execute(query, (task_id, proxy))

    @storing
    def charge(self, task_id: int, proxies: Collection[int]) -> None:
        """Charge these proxies with their failed attempts of this task after all."""
        query = "UPDATE attempts SET charged = 1 WHERE task = ? AND proxy = ? AND ending = 'failed' AND NOT excused"
        self._db.executemany(query, [(task_id, proxy) for proxy in proxies])

    @storing
    def proxy(
        self,
        proxy: int,
        state: ProxyState,
        reason: str | None = None,
        until: float | None = None,
        coolings: int = 0,
    ) -> None:
        """Record the state of a proxy; `until` is the epoch second at which its cooling ends."""
        query = "UPDATE proxies SET state = ?, reason = ?, until = ?, coolings = ? WHERE id = ?"
        self._db.execute(query, (state, storable(reason), until, coolings, proxy))

    @storing
    def event(self, event: Event) -> None:
        """Record an event."""
        self.oldest = event.at if self.oldest is None else self.oldest
        add_event(self._db, event)

    def progress(self, in_flight: int, losses: int, rebuilds: int, now: float) -> None:
        """
        The heartbeat: how many tasks are in flight, how many workers were lost and pools rebuilt since this start.

        Raises StorageError if another program has moved, replaced or damaged the file.
        """
        if self._files.is_suspect(now):
            self.commit()
            self._files.check(now)
        self._beat(in_flight, losses, rebuilds, now)

    @storing
    def _beat(self, in_flight: int, losses: int, rebuilds: int, now: float) -> None:
        self.oldest = now if self.oldest is None else self.oldest
        _, earlier_losses, earlier_rebuilds = self._earlier
        self._db.execute(
            "UPDATE run SET in_flight = ?, worker_losses = ?, pool_rebuilds = ?, heartbeat = ?, seconds = ?",
            (in_flight, earlier_losses + losses, earlier_rebuilds + rebuilds, now, self._seconds(now)),
        )

    def finish(self, state: RunEnd, now: float) -> None:
        """Record how this start of the run ended, with no proxy pinned any more, and commit. Raises as `progress`."""
        self._end(state, now)
        self._files.check(now)  # whether suspect or not: what was damaged while we wrote may look like our own write

    @committing
    def _end(self, state: RunEnd, now: float) -> None:
        query = "UPDATE run SET state = ?, ended = ?, heartbeat = ?, seconds = ?, in_flight = 0"
        self._db.execute(query, (state, now, now, self._seconds(now)))
        self._unpin()

    @committing
    def requeue(self, *, ids: Collection[int] | None = None, reason: str | None = None, url: str | None = None) -> int:
        """
        Make failed tasks wait again with a fresh budget, and commit; returns how many. Their attempts stay on record.

        Without a filter all failed tasks. `reason` finds tasks whose reason contains it, or whose last fault it is.
        """
        return waiting_again.requeue(self._db, ids, reason, url)

    @storing
    def put_back(self, ids: Collection[int]) -> int:
        """
        Make tasks wait again that have ended with nothing in hand, with a fresh budget; returns how many had failed.
        Their attempts stay on record.
        """
        return waiting_again.put_back(self._db, ids)

    @storing
    def doubt_gone(self, proxy: int) -> int:
        """
        The word of this proxy is doubted: the tasks that are gone on it alone wait again; returns how many. Its
        answers become failed attempts, so that others are asked.
        """
        return waiting_again.doubt_gone(self._db, proxy)

    @committing
    def ask_again(self, stages: Collection[str]) -> None:
        """
        Make the pages of these stages that gave nothing wait again, with a fresh budget, and commit: for a spider that
        was mended. Their attempts stay on record.
        """
        waiting_again.ask_again(self._db, stages)

    @storing
    def doubt(self, what: Doubt, why: str) -> int:
        """Ask once more for pages that are done. Returns for how many that had not been asked before."""
        return second_looks.doubt(self._db, what, why)

    @storing
    def answer_again(self, task_id: int, outcome: Outcome, now: float, *, counts: bool = True) -> SecondAnswer | None:
        """
        Record the second answer for a page in doubt, which ends that. What differs replaces what was there, and who
        gave that is charged, unless the difference `counts` for nothing. None if the page is not in doubt.
        """
        self.pending += 1
        self.oldest = now if self.oldest is None else self.oldest
        answer = second_looks.answer_again(self._db, task_id, outcome, counts=counts)
        self._has_replaced |= answer is not None and answer.differs
        return answer

    @storing
    def end_look(self, task_id: int) -> None:
        """No other proxy has an answer for a page in doubt: it stays as it is."""
        second_looks.end_look(self._db, task_id, "unknown")

    @storing
    def output(self, mark: Mark) -> None:
        """Record how far an output file has been written. The file must hold that much already."""
        self._db.execute(ADD_OUTPUT, mark)

    @storing
    def forget_output(self, path: str) -> None:
        """No longer write to an output file; the file stays as it is."""
        self._db.execute("DELETE FROM outputs WHERE path = ?", (path,))

    def outputs(self) -> list[Mark]:
        """The recorded output files, in order of their paths."""
        return [Mark(*row) for row in self._read(LIST_OUTPUTS)]

    def waiting(self, is_index: bool, after: int, limit: int, but: Collection[str] = ()) -> list[Waiting]:
        """
        At most `limit` tasks that have not ended, in flight or not, with ids above `after`, in order of ids; none of
        the stages `but`.
        """
        query = f"""
            SELECT {WAITING} FROM tasks WHERE state = 'waiting' AND is_index = ? AND id > ?
                {f"AND stage NOT IN ({', '.join('?' * len(but))})" if but else ""}
            ORDER BY id LIMIT ?
        """
        rows = self._read(query, (is_index, after, *but, limit))
        return [Waiting(row[0], task_of(row[1:8]), *row[8:]) for row in rows]

    def history(self, task_id: int) -> list[FailedAttempt]:
        """
        The failed attempts of a task since it was last put back, oldest first.

        Raises JournalError for a fault that this pinpool does not know.
        """
        query = """
            SELECT proxy, fault, excused, iif(fault = 'extract', message, ''),
                fault = 'http_error' AND status IN (404, 410)
            FROM attempts WHERE task = ? AND ending = 'failed' AND fault IS NOT NULL
                AND n > (SELECT forgotten FROM tasks WHERE id = attempts.task) ORDER BY n
        """
        rows = self._read(query, (task_id,))
        try:
            return [
                FailedAttempt(proxy, Fault(fault), bool(excused), error or "", bool(gone))
                for proxy, fault, excused, error, gone in rows
            ]
        except ValueError as error:
            raise JournalError(
                f"{self.path}: task {task_id} has an attempt with an unknown fault ({one_line(str(error))}): upgrade"
                f" pinpool if a newer one wrote it, or put a copy back and `pinpool resume {self.path}`"
            ) from None

    def witnesses(self, limit: int) -> list[Task]:
        """The last pages that were fetched, to be asked for once more when the site seems silent."""
        query = """
            SELECT stage, url, key, method, body, headers, data FROM tasks
            WHERE state = 'done' AND method = 'GET' AND reason IS NULL ORDER BY ended DESC LIMIT ?
        """
        return [task_of(row) for row in self._read(query, (limit,))]

    def has_answer(self) -> bool:
        """True if some proxy has fetched a page of the run, or said that it is gone."""
        query = "SELECT EXISTS (SELECT 1 FROM attempts WHERE ending IN ('ok', 'gone') AND proxy IS NOT NULL)"
        return bool(self._read(query)[0][0])

    def task_counts(self) -> dict[TaskState, int]:
        """How many tasks are in each state. Reads every task: for the start and the end, not for each page."""
        return dict.fromkeys(TaskState, 0) | dict(self._read(COUNT_TASKS))

    def doubted(self, after: int, limit: int) -> list[Doubted]:
        """At most `limit` pages that are asked for once more, with ids of doubts above `after`, in order."""
        return [second_looks.doubted(row) for row in self._read(second_looks.DOUBTED, (after, limit))]

    def bodies_given(self) -> list[tuple[int, int, int, bool]]:
        """(proxy, pages, different bodies, whether it was found out) of each that gave pages. Reads every attempt."""
        return self._read(second_looks.BODIES_GIVEN)

    def items_after(self, item: int, limit: int, *, replaced: bool = False) -> list[tuple[int, str, str]]:
        """
        At most `limit` (id, stage, JSON text) above id `item`, in order. Right after `commit` all are durable. With
        `replaced`, those that are no longer the run's, because another proxy gave something else.
        """
        items = SELECT_REPLACED if replaced else SELECT_ITEMS
        return self._read(f"{items} WHERE items.id > ? ORDER BY items.id LIMIT ?", (item, limit))

    def item_count(self) -> int:
        """How many items there are. Reads no more than the last ids: none is left out, or used twice."""
        ((replaced,),) = self._read("SELECT count(*) FROM replaced_items")
        return next_item(self._db) - 1 - int(replaced)

    def stage_yields(self) -> list[StageYield]:
        """What each stage has yielded so far. Reads every task, as `task_counts` does."""
        return stage_yields(self._read)

    def last_item(self) -> int:
        """The id of the newest item, 0 if there is none."""
        return int(self._read("SELECT coalesce(max(id), 0) FROM items")[0][0])

    def close(self) -> None:
        """Commit, close the file and give the claim back, also if the commit fails. Closing twice is harmless."""
        self._owned.close()

    def _seconds(self, now: float) -> float:
        """How long the run has run, earlier starts included."""
        return self._earlier[0] + max(0.0, now - self._began)

    def _unpin(self) -> None:
        # A pinned proxy that is no longer listed was withdrawn, and waited only for its worker to let go.
        self._db.execute(
            "UPDATE proxies SET state = iif(listed, 'spare', 'retired'), reason = iif(listed, reason, ?)"
            " WHERE state = 'pinned'",
            (WITHDRAWN,),
        )
