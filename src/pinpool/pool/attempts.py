"""
The attempts that an engine has: one of each task, or two while a second one is under way (`policy.hedging`).

Shared by pages and calls. The first good answer settles the task; the other attempt is overtaken, and what it still
answers is dropped. An attempt that fails, or is lost, leaves its task to the other one.
"""

from collections.abc import Collection, Hashable
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

from pinpool.model import Ending, Fault, Outcome, ProxyState
from pinpool.policy.backoff import backoff
from pinpool.policy.hedging import LARGE, Hedging
from pinpool.pool.engine import Census, Engine
from pinpool.pool.settle import Settler
from pinpool.pool.status_board import Activity, Line

#: Seconds until a page is asked for a second time again if no worker would take it, or if that failed; then twice that.
BREAK_SECONDS = 1.0


class Attempted(Hashable, Protocol):
    """A task. `tried` are the proxies that have failed it. Only a `repeatable` one is asked for twice at a time."""

    @property
    def id(self) -> int: ...

    @property
    def tried(self) -> Collection[int]: ...

    @property
    def repeatable(self) -> bool: ...


T = TypeVar("T", bound=Attempted)


class Second(NamedTuple, Generic[T]):
    """A second attempt to send: its task, and the proxies that must not have it."""

    task: T
    avoid: tuple[int, ...]


@dataclass(slots=True)
class _Pause:
    """Why a task has no second attempt before `until`: how often one was declined in a row, and how many failed."""

    declined: int = 0
    failed: int = 0
    until: float = 0.0


class Attempts(Generic[T]):
    """The attempts under way, by serial, and those that were overtaken but still keep a worker busy."""

    def __init__(self, engine: Engine, settler: Settler) -> None:
        self._engine = engine
        self._settler = settler
        self._hedging = Hedging()
        self._tasks: dict[int, T] = {}
        self._serials: dict[T, list[int]] = {}
        self._overtaken: dict[int, T] = {}
        self._pauses: dict[T, _Pause] = {}
        self._seen: Census | None = None

    def __len__(self) -> int:
        """Tasks that have an attempt under way."""
        return len(self._serials)

    def __contains__(self, task: object) -> bool:
        """True if an attempt of this task is under way."""
        return task in self._serials

    def held(self) -> list[tuple[T, Line]]:
        """Each task that a worker has in hand, with the worker that has had it for longest; the oldest first."""
        found: dict[T, Line] = {}
        for line in sorted(self._engine.census().held.values(), key=lambda line: line.since):
            if (task := self._tasks.get(line.serial)) is not None:
                found.setdefault(task, line)
        return list(found.items())

    def tasks(self) -> Collection[T]:
        """The tasks that have an attempt under way."""
        return self._serials.keys()

    def sent(self, serial: int, task: T) -> None:
        """The engine has an attempt of this task."""
        self._tasks[serial] = task
        self._serials.setdefault(task, []).append(serial)
        self._hedging.attempts += 1
        self._hedging.second_attempts += len(self._serials[task]) > 1

    def ended(self, serial: int) -> T | None:
        """The attempt is over. None if it is unknown: its answer came twice, or its task was overtaken."""
        task = self._tasks.pop(serial, None)
        if task is not None:
            serials = self._serials[task]
            serials.remove(serial)
            if not serials:
                del self._serials[task]
                if self._pauses:
                    self._pauses.pop(task, None)
        return task

    def ended_late(self, outcome: Outcome) -> None:
        """The attempt is over, but of no task under way. If it was overtaken and has failed, its proxy is judged."""
        task = self._overtaken.pop(outcome.serial, None)
        if task is not None and outcome.evidence is not None:
            self._settler.failed_late(task.id, outcome)

    def declined(self, task: T, now: float, pinned: int) -> bool:
        """
        No worker has taken an attempt of this task. True if another one is under way, so that nothing is to be done.

        Each of the `pinned` proxies gets the offer once, for the last in the queue may be the one that can have it.
        """
        self._hedging.attempts -= 1
        if task not in self._serials:
            return False
        self._hedging.second_attempts -= 1
        pause = self._pauses.setdefault(task, _Pause())
        pause.declined += 1
        if pause.declined > pinned:
            pause.declined, pause.until = 0, now + BREAK_SECONDS
        self._seen = None
        return True

    def failed(self, task: T, now: float) -> bool:
        """An attempt of this task has failed. True if another one is under way, and decides what becomes of it."""
        if task not in self._serials:
            return False
        pause = self._pauses.setdefault(task, _Pause())
        pause.until = now + backoff(BREAK_SECONDS, pause.failed, 0.5)
        pause.failed += 1
        return True

    def answered(self, task: T, outcome: Outcome, now: float) -> tuple[Outcome, Fault | None] | None:
        """
        A good answer settles the task. Returns the other attempt, if a worker has it in hand, to be recorded before the
        good one: as an outcome, and with the fault if it makes its proxy slow. `now` is monotonic seconds.
        """
        if not outcome.unasked and (outcome.file is None or outcome.size < LARGE):
            self._hedging.answered(outcome.proxy, outcome.seconds)
        if task not in self._serials:
            return None
        (serial,) = self._serials[task]
        self.ended(serial)
        self._overtaken[serial] = task
        line = self._engine.census().held.get(serial)
        if line is None or line.activity is not Activity.RUN:
            return None
        seconds = now - line.since
        # One that came second because it began later says nothing of its proxy.
        is_slow = seconds > outcome.seconds and self._settler.overtaken(task.id, line.proxy)
        at = outcome.at + outcome.seconds - seconds
        overtaken = Outcome(serial, line.worker, line.proxy, Ending.OVERTAKEN, at, seconds)
        return overtaken, Fault.SLOW if is_slow else None

    def overdue(self, now: float, *, closing: bool) -> list[Second[T]]:
        """
        The second attempts to send now, that of the page that hangs longest first. `now` is monotonic seconds.

        `closing`: nothing else is left, so that their share of all requests is not limited. The answer changes only
        with the census, or once a second attempt was declined.
        """
        census = self._engine.census()
        if census is self._seen or not census.idle:
            return []
        self._seen, held, since = census, census.held, now - self._hedging.patience
        late = [line for line in held.values() if line.since <= since and self._may_repeat(line, now)]
        if not late:
            return []
        # What no worker has in hand yet is in the queue, and keeps a worker that was idle.
        queued = sum(serial not in held for serial in (*self._tasks, *self._overtaken))
        room = census.idle - queued
        room = room if closing else min(room, self._hedging.allowed)
        pinned = [proxy for proxy, state in census.states.items() if state is ProxyState.PINNED]
        groups = self._hedging.ranked(pinned, self._settler.reputation)
        busy = {line.proxy for line in held.values()}
        found: list[Second[T]] = []
        for line in sorted(late, key=lambda line: line.since)[: max(0, room)]:
            task = self._tasks[line.serial]
            barred = {line.proxy, *task.tried}
            wanted = next((group - barred for group in groups if group - barred), set[int]())
            if len(wanted - busy) > len(found):
                found.append(Second(task, tuple(census.states.keys() - wanted)))
        return found

    def _may_repeat(self, line: Line, now: float) -> bool:
        task = self._tasks.get(line.serial)
        if line.activity is not Activity.RUN or task is None or not task.repeatable or len(self._serials[task]) > 1:
            return False
        return task not in self._pauses or self._pauses[task].until <= now
