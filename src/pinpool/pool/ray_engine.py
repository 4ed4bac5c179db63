"""
The engine for several machines: Ray carries the workers, and this process leads them.

::

    engine (here): Dispatch, lease queue    | driver (a process): Ray           | carriers (actors, on any host)
    ----------------------------------------+-----------------------------------+-------------------------------
      Spawn: a carrier with K workers ----> | actor, waits for a host with room | job, K workers, fence closed
                                            |   renews each 2.5 s ------------> |   fence open for 15 s more
      Joined: its workers get proxies <---- | <------------- second answer      |
      Run: task, lease -------------------> | --------------------------------> |   fetch, extract
      Answer: outcome, or Gone <----------- | <-------------------------------- |

A carrier that died is replaced. One that is out of reach, too, but its proxies are held back until its fence has surely
ended it. No page is run again by Ray: each loss is a `Lost`, and the crawl decides.
"""

import logging
import pickle
import secrets
import shutil
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from importlib.metadata import version
from itertools import count
from pathlib import Path

from pinpool.errors import UsageError
from pinpool.model import FILE_STAGE, Assignment, Call, Event, EventKind, Outcome, Sign
from pinpool.policy.reputation import until_judged
from pinpool.pool.child_process import own_folder
from pinpool.pool.clock import SYSTEM_CLOCK
from pinpool.pool.dispatch import Dispatch, Slot, pinned
from pinpool.pool.engine import EngineError, Lost, Noted, Signal
from pinpool.pool.job import Job, pack_work, unpack
from pinpool.pool.leading_engine import LeadingEngine
from pinpool.pool.lease_types import Standing
from pinpool.pool.log_pipe import LogPipe
from pinpool.pool.ray_actor import Kit
from pinpool.pool.ray_cluster import DriverPlan
from pinpool.pool.ray_fence import MARGIN_SECONDS, TTL_SECONDS
from pinpool.pool.ray_link import Link, folder_for_sockets
from pinpool.pool.ray_messages import (
    Answer,
    Board,
    Disband,
    Disbanded,
    Gone,
    Joined,
    Kill,
    Leave,
    LetGo,
    Refused,
    Run,
    Slots,
    Spawn,
)
from pinpool.pool.registry import EnginePlan
from pinpool.pool.status_board import Activity
from pinpool.pool.worker_watch import STACK_LENGTH, START_PATIENCE, STORM
from pinpool.proxies.redaction import Redaction
from pinpool.text import counted

TICK_SECONDS = 0.1
#: How long a worker that declines a task keeps it, and leaves the queue of tasks to others.
DECLINE_SECONDS = 0.02
#: How long Ray has to start, or to connect; and the driver's longest silence.
READY_PATIENCE = 90.0
DRIVER_PATIENCE = 60.0
#: How long carriers have to confirm that they end.
DISBAND_PATIENCE = 5.0

log = logging.getLogger("pinpool")


class _Carrier:
    """The workers of one carrier, by place, and what is known of its end."""

    def __init__(self, slots: list[Slot]) -> None:
        self.slots = slots
        self.hung: dict[int, str] = {}  # serials, and the stacks where they hang
        self.ended: set[int] = set()  # serials of those that were ended on purpose


class RayEngine(LeadingEngine):
    """See the module's docstring. Everything here happens in the thread that calls it."""

    name = "ray"

    def __init__(
        self,
        job: Callable[[], Job],
        proxies: Sequence[Standing],
        *,
        workers: int,
        hang_seconds: float,
        cooling: float,
        swap_after: int = 3,
        site_rate: float | None = None,
        threads: int = 1,
        address: str | None = None,
        files: Path | None = None,
        parts: Path | None = None,
        logs_prints: bool = False,
    ) -> None:
        """
        As `ProcessEngine`, but `threads` workers share a carrier. `address` is that of a cluster; without one, a Ray
        starts on this machine, and ends with the engine. `files` is a folder with the files of the spider: carriers
        start there. `parts` is a folder that they must share with this process before they download anything.
        """
        self._job = job
        self._standings = list(proxies)
        self._size = workers
        self._threads = max(1, min(threads, workers))
        self._hang_seconds = hang_seconds
        self._turn_seconds = 1 / site_rate if site_rate else 0.0
        self._address, self._files = address, files
        self._mark = parts / f".seen-{secrets.token_hex(8)}" if parts else None
        self._is_marked = False
        self._logs_prints = logs_prints
        super().__init__(Dispatch(self._standings, workers, cooling, swap_after, SYSTEM_CLOCK))
        self._redaction = Redaction(standing.address for standing in proxies)
        self._logs: LogPipe | None = None
        self._link: Link | None = None
        self._temporary: Path | None = None
        self._numbers = count(1)
        self._spawned: dict[int, tuple[int, ...]] = {}  # carriers that have not joined: the numbers of their workers
        self._carriers: dict[int, _Carrier] = {}
        self._declined: list[tuple[float, Slot, Outcome]] = []
        self._leaving: frozenset[int] = frozenset()
        self._next_tick = 0.0
        self._deaths_in_a_row = 0
        self._slots = Slots(0, 0, 0)
        self._said_at = self._had_worker_at = 0.0

    # ------------------------------------------------------------------ the protocol

    def start(self) -> None:
        self._logs = LogPipe(self._redaction)
        levels = self._logs.reporting().levels
        mark = str(self._mark) if self._mark else None
        kit = Kit(version("pinpool"), pickle.dumps(self._job), levels, self._logs_prints, self._hang_seconds, mark)
        folder = own_folder()
        self._temporary = folder_for_sockets(folder / "ray")
        files = str(self._files) if self._files else None
        plan = DriverPlan(self._address, self._size, files, str(self._temporary), pickle.dumps(tuple(kit)))
        self._link = Link(folder, plan)
        try:
            self._await_ready()
        except BaseException:
            self.close()
            raise
        # They may still be in use by carriers of a parent that was killed: their fences are open for so long.
        self._dispatch.queue.hold_back(pinned(self._standings), TTL_SECONDS + MARGIN_SECONDS)
        for first in range(0, self._size, self._threads):
            self._spawn(min(self._threads, self._size - first))

    def submit(self, serial: int, work: Assignment | Call, *, alone: bool = False) -> None:
        if self._link is None:
            raise RuntimeError("this engine is not started, or closed")
        super().submit(serial, work, alone=alone)

    def poll(self, timeout: float) -> list[Signal]:
        self._start_attempts()
        due = min([self._next_tick, *(moment for moment, _, _ in self._declined)])
        wait = 0.0 if self._dispatch.has_signals else max(0.0, min(timeout, due - time.monotonic()))
        self._hear(wait)
        now = time.monotonic()
        for decline in [one for one in self._declined if one[0] <= now]:
            self._declined.remove(decline)
            self._dispatch.answered(*decline[1:])
        if now >= self._next_tick:
            self._tick(now)
            self._next_tick = time.monotonic() + TICK_SECONDS
        self._start_attempts()
        return self._dispatch.take_signals()

    def wake(self) -> None:
        if self._link is not None:
            self._link.wake()

    def join(self, standings: Collection[Standing]) -> None:
        self._redaction.learn(standing.address for standing in standings)
        super().join(standings)

    def withdraw(self, proxies: Collection[int], reason: str) -> None:
        super().withdraw(proxies, reason)
        self._tell_leaving()

    def kill(self, worker: int) -> None:
        for number, carrier in self._carriers.items():
            for slot in carrier.slots:
                if slot.number == worker and slot.serial:
                    carrier.ended.add(slot.serial)
                    self._present.send(Kill(number))

    def close(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            self._disband(link)
            until = time.monotonic() + TTL_SECONDS + MARGIN_SECONDS
            link.end()
            if self._carriers and self._address is not None:
                # A Ray of our own is gone by now. But the next start takes it that no proxy is in use any more.
                log.warning("some workers cannot be reached: in %g s they have surely ended", until - time.monotonic())
                time.sleep(max(0.0, until - time.monotonic()))
        if self._logs is not None:
            self._logs.close()
            self._logs = None
        if self._mark is not None and self._is_marked:
            with suppress(OSError):
                self._mark.unlink()
                self._mark.parent.rmdir()  # stays if there are parts of files in it
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
        self._carriers.clear()
        self._spawned.clear()

    # ------------------------------------------------------------------ for those who watch

    @property
    def driver_pid(self) -> int | None:
        """The process that uses Ray, None if there is none."""
        return self._link.pid if self._link is not None else None

    @property
    def worker_pids(self) -> list[int]:
        """The processes of the carriers that have joined, each on its host."""
        return [carrier.slots[0].pid for carrier in self._carriers.values()]

    # ------------------------------------------------------------------ tasks

    def _start_attempts(self) -> None:
        while (start := self._dispatch.next()) is not None:
            slot = start.worker
            if start.declined is not None:
                self._declined.append((time.monotonic() + DECLINE_SECONDS, slot, start.declined))
                continue
            if isinstance(start.work, Assignment) and start.work.task.stage == FILE_STAGE:
                self._leave_mark()
            wait = self._dispatch.queue.turn(self._turn_seconds) if self._turn_seconds else 0.0
            number, place = self._place(slot)
            work = pack_work(start.work)
            self._present.send(Run(number, place, start.serial, work, slot.lease, slot.pins, wait))

    def _leave_mark(self) -> None:
        """Leave the mark that carriers look for before they download anything."""
        if self._mark is not None and not self._is_marked:
            with suppress(OSError):  # the crawl says so when it wants to put the file there
                self._mark.parent.mkdir(parents=True, exist_ok=True)
                self._mark.touch()
                self._is_marked = True

    def _place(self, slot: Slot) -> tuple[int, int]:
        assert isinstance(slot.process, int)
        return slot.process, self._carriers[slot.process].slots.index(slot)

    def _take_answer(self, answer: Answer) -> None:
        carrier = self._carriers.get(answer.carrier)
        if carrier is None:
            return
        slot = carrier.slots[answer.place]
        self._deaths_in_a_row = 0
        if answer.owed:
            self._dispatch.queue.turn(answer.owed)
        before = slot.pins
        if answer.payload:
            self._dispatch.answered(slot, unpack(answer.payload))
        else:
            failure = Lost(answer.serial, Sign.CRASH, answer.trouble, slot.number, slot.proxy)
            self._dispatch.abandoned(slot)
            self._dispatch.tell(failure)
        if slot.pin is None or slot.pins != before:
            self._present.send(LetGo(answer.carrier, answer.place, before))

    # ------------------------------------------------------------------ what the driver says

    @property
    def _present(self) -> Link:
        if self._link is None:
            raise RuntimeError("this engine is not started, or closed")
        return self._link

    def _hear(self, timeout: float) -> list[object]:
        """Take what the driver says. Returns it. Raises EngineError if it is dead, UsageError if it refuses."""
        try:
            messages = self._present.receive(timeout)
        except EOFError:
            said = self._present.last_words()
            raise EngineError(f"the connection to Ray was lost{f': {said}' if said else ''}") from None
        if messages:
            self._said_at = time.monotonic()
        for message in messages:
            self._take(message)
        return messages

    def _take(self, message: object) -> None:
        if isinstance(message, Answer):
            self._take_answer(message)
        elif isinstance(message, Board):
            self._take_board(message)
        elif isinstance(message, Joined):
            self._take_joined(message)
        elif isinstance(message, Gone):
            self._take_gone(message)
        elif isinstance(message, Slots):
            self._slots = message
        elif isinstance(message, Refused):
            raise (UsageError if message.wrong else EngineError)(message.text)

    def _await_ready(self) -> None:
        until = time.monotonic() + READY_PATIENCE
        while time.monotonic() < until:
            self._hear(0.5)
            if self._present.is_ready:
                self._had_worker_at = self._said_at = time.monotonic()
                return
        raise EngineError(f"Ray did not start, or connect, within {READY_PATIENCE:g} s")

    def _take_joined(self, joined: Joined) -> None:
        numbers = self._spawned.pop(joined.carrier, None)
        if numbers is not None:
            add, pid = self._dispatch.add, joined.pid
            slots = [add(number, number=number, pid=pid, process=joined.carrier) for number in numbers]
            self._carriers[joined.carrier] = _Carrier(slots)

    def _take_board(self, board: Board) -> None:
        if board.log and self._logs is not None:
            self._logs.log(board.log)
        carrier, now = self._carriers.get(board.carrier), time.monotonic()
        for line in board.lines if carrier is not None else ():
            assert carrier is not None
            slot, activity = carrier.slots[line.place], Activity(line.activity)
            if slot.serial and slot.serial == line.serial and activity in (Activity.RUN, Activity.PACE):
                slot.activity, slot.since = activity, now - line.ago
                if line.ago > self._hang_seconds and line.serial not in carrier.hung:
                    carrier.hung[line.serial] = line.stack
                    self._present.send(Kill(board.carrier))

    # ------------------------------------------------------------------ losses

    def _spawn(self, workers: int) -> None:
        carrier, numbers = next(self._numbers), tuple(next(self._numbers) for _ in range(workers))
        self._spawned[carrier] = numbers
        self._present.send(Spawn(carrier, numbers))

    def _take_gone(self, gone: Gone) -> None:
        numbers = self._spawned.pop(gone.carrier, None)
        carrier = self._carriers.pop(gone.carrier, None)
        self._deaths_in_a_row += gone.loss == "died"
        if carrier is not None:
            busy = [slot for slot in carrier.slots if slot.serial]
            for slot in busy:
                self._dispatch.tell(self._lost(gone, carrier, slot, len(busy)))
            for slot in carrier.slots:
                detail = f"{slot.activity.name.lower()}, {gone.loss}"
                self._declined = [one for one in self._declined if one[1] is not slot]
                self._dispatch.lost(slot, hold=gone.hold)
                event = Event(time.time(), EventKind.WORKER_LOST, None, slot.number, detail)
                self._dispatch.tell(Noted(event))
        if self._deaths_in_a_row > STORM * (len(self._carriers) + len(self._spawned) + 2):
            raise EngineError(
                f"{self._deaths_in_a_row} worker processes died in a row without one answer: hosts may be out of "
                "memory, or the spider crashes its process; look at `pinpool failures`"
            )
        if carrier is not None or numbers is not None:
            self._spawn(len(carrier.slots) if carrier is not None else len(numbers or ()))

    def _lost(self, gone: Gone, carrier: _Carrier, slot: Slot, busy: int) -> Lost:
        """What the loss of a carrier means for an attempt."""
        serial, where, is_shared = slot.serial, (slot.number, slot.proxy), self._threads > 1
        if serial in carrier.hung:
            message = f"hung for more than {self._hang_seconds:g} s\n{carrier.hung[serial]}".strip()[:STACK_LENGTH]
            return Lost(serial, Sign.HANG, message, *where, suspect=is_shared)
        if carrier.hung or (carrier.ended and serial not in carrier.ended):
            return Lost(serial, None, "its process was ended for another page", *where)
        if serial in carrier.ended:
            return Lost(serial, None if is_shared else Sign.CRASH, "the worker process was ended", *where)
        if gone.loss != "died":
            return Lost(serial, None, f"its host was lost: {gone.text}", *where)
        if slot.activity is not Activity.RUN:
            return Lost(serial, None, "the worker process died while waiting", *where)
        # The fence ends a process that does not answer: one call has kept the interpreter's lock.
        is_frozen = gone.silent > TTL_SECONDS - 2 * MARGIN_SECONDS
        hung = f"hung for more than {min(self._hang_seconds, int(gone.silent)):g} s, in a call that runs no Python"
        sign, how = (Sign.HANG, hung) if is_frozen else (Sign.CRASH, "died")
        if busy == 1:
            return Lost(serial, sign, f"the worker process {how}", *where)
        return Lost(
            serial, None, f"its process {how}, with {counted(busy, 'page')} in work there", *where, suspect=True
        )

    def _disband(self, link: Link) -> None:
        """End all carriers. Those who may still use their proxies remain in `_carriers`."""
        if not self._carriers:
            return
        link.send(Disband())
        until = time.monotonic() + DISBAND_PATIENCE
        while time.monotonic() < until:
            try:
                messages = link.receive(0.2)
            except EOFError:
                return
            for message in messages:
                if isinstance(message, Disbanded):
                    for number in message.carriers:
                        self._carriers.pop(number, None)
                    return

    # ------------------------------------------------------------------ the tick

    def _tick(self, now: float) -> None:
        self._dispatch.tick()
        self._tell_leaving()
        if self._carriers:
            self._had_worker_at = now
        if now - self._said_at > DRIVER_PATIENCE:
            raise EngineError(f"the process that uses Ray has said nothing for {DRIVER_PATIENCE:g} s")
        if now - self._had_worker_at > START_PATIENCE:
            raise EngineError(self._why_no_worker())

    def _tell_leaving(self) -> None:
        leaving = frozenset(self._dispatch.leaving)
        if leaving != self._leaving and self._link is not None:
            self._leaving = leaving
            self._link.send(Leave(leaving))

    def _why_no_worker(self) -> str:
        waited = f"no worker has come up for {START_PATIENCE:g} s"
        slots, hosts, most = self._slots
        start = "start hosts with  ray start --resources='{\"proxy\": N}'"
        if not slots:
            have = "has" if hosts == 1 else "have"
            return f"{waited}: the {counted(hosts, 'host')} of the cluster {have} no slot for workers: {start}"
        if most < self._threads:
            needs = f"a process with {self._threads} workers needs a host with {self._threads} slots"
            return f"{waited}: {needs}, and the largest has {most}: {start}, or take fewer --threads"
        return f"{waited}, though the cluster has {counted(slots, 'slot')} for them: see `ray status` and Ray's logs"


def engine_for(plan: EnginePlan) -> RayEngine:
    """The engine of a run."""
    return RayEngine(
        plan.job,
        plan.proxies,
        workers=plan.workers,
        hang_seconds=plan.hang_seconds,
        cooling=until_judged(plan.settings.cooling),
        swap_after=plan.settings.swap_after,
        site_rate=plan.settings.site_rate,
        threads=plan.settings.threads,
        address=plan.choice.address,
        files=plan.files,
        parts=plan.parts,
        logs_prints=plan.logs_prints,
    )
