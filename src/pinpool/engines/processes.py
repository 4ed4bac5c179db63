"""
The default engine: a stdlib ``multiprocessing.Pool`` whose workers each pin one proxy.

::

    parent                                              | children
    ----------------------------------------------------+---------------------------------------------------
    crawl loop: submit, poll                            |
      Generation: Pool, flight board                    | workers: initializer pops a proxy from the queue
        apply_async ------------- task pipe ----------> |   RUN on the board, fetch, extract, IDLE
        callback, error_callback <- result pipe ------- |   a failure: swap, or PARK; then AttemptFailed
          only put the answer into a queue              |
      tick, 10 a second: board, then pids               | Manager: the lease queue
        dead in RUN, PACE, PARK, INIT: resubmit, reap   |
        dead in IDLE: the pool may be poisoned, rebuild | forkserver: forks workers, preloaded

The pool is disposable transport. It never says that a task is lost, its ``terminate()`` may hang, its result thread
ends with the first callback that raises; so completion is counted by the caller, deaths are read off the board, and a
pool in doubt is killed and built anew. The proxies of the killed are free again only when they are surely gone.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.context import BaseContext
from multiprocessing.pool import Pool
from pathlib import Path

from pinpool.engines.base import Answered, Census, Lost, Noted, Signal
from pinpool.engines.board import WIDTH, Activity, Board, Line, born
from pinpool.engines.guard import (
    CAN_DUMP,
    STACK_SIGNAL,
    ignore_terminal,
    keep_signals_from_children,
    never_outlive_parent,
    warm_up,
)
from pinpool.engines.leases import LeaseManager, LeaseProxy, Report, Standing
from pinpool.errors import AttemptFailed, PinpoolError
from pinpool.model import Assignment, Event, Outcome, ProxyState, Sign
from pinpool.worker import Arming, Craft, enlist, run, stack_file, unpack

__all__ = ["EngineError", "ProcessEngine", "default_start_method"]

TICK_SECONDS = 0.1
#: A pid is looked up in /proc only each so many ticks, in case another process has it by now.
BIRTH_TICKS = 20
#: How long terminate() may take before the generation is killed: a healthy pool needs 0.02 to 0.14 s.
TERMINATE_PATIENCE = 0.3
KILL_PATIENCE = 5.0
UNKILLABLE_REST = 3600.0
#: No worker at all after that long: they cannot come up.
START_PATIENCE = 60.0
#: Workers are missing and nobody has joined for that long: the pool's thread that starts them has ended.
REFILL_PATIENCE = 10.0
#: Deaths without one answer in between, for each worker, before it is called a storm.
STORM = 5
#: A worker parked without an answer known to the lease queue for that long has lost it.
PARKED_PATIENCE = 2.0
_GUARD = (
    "a script that starts a crawl or a PinnedPool must do so under `if __name__ == '__main__':`, "
    "because each worker process imports it"
)


class EngineError(PinpoolError):
    """The workers cannot be kept alive; the run was stopped and can be resumed."""


def default_start_method() -> str:
    """forkserver where it exists: fast, small, and safe beside threads. spawn elsewhere."""
    return "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


@dataclass
class Generation:
    """One Pool with its board, and the attempts that are in its hands."""

    pool: Pool
    board: Board
    elders: frozenset[int]  # children that are not of this generation
    flight: set[int] = field(default_factory=set)
    parked: dict[int, float] = field(default_factory=dict)
    condemned: set[int] = field(default_factory=set)
    known: set[int] = field(default_factory=set)  # the tokens of all workers that ever joined
    joined: float = 0.0  # when the last one did, or the pool was complete

    def children(self) -> list[multiprocessing.process.BaseProcess]:
        return [child for child in multiprocessing.active_children() if child.pid not in self.elders]

    def strays(self) -> list[int]:
        """Living workers that are nobody's children any more: their forkserver has died."""
        return [line.pid for line in self.board.read() if not _gone(line.pid, line.born)]

    def dispose(self) -> None:
        """End every process of this generation. Never waits for the pool: a poisoned one would not come back."""
        threading.Thread(target=self.pool.terminate, name="pinpool-terminate", daemon=True).start()
        soft, hard = time.monotonic() + TERMINATE_PATIENCE, time.monotonic() + KILL_PATIENCE
        while (
            left := [c.pid for c in self.children() if c.pid] or self.strays()
        ) and time.monotonic() < hard:
            if time.monotonic() >= soft:
                for pid in left:
                    _signal(pid, signal.SIGKILL)
            time.sleep(0.005)


class ProcessEngine:
    """See the module's docstring. Everything here happens in the thread that calls it."""

    name = "processes"

    def __init__(
        self,
        craft: Callable[[], Craft],
        proxies: Sequence[Standing],
        *,
        workers: int,
        hang_seconds: float,
        cooling: float,
        start_method: str | None = None,
    ) -> None:
        """`hang_seconds` is the age at which a running attempt counts as hung; `cooling` the provisional rest."""
        self._craft = craft
        self._standings = {standing.proxy: standing for standing in proxies}
        self._size = workers
        self._hang_seconds = hang_seconds
        self._cooling = cooling
        self.start_method = start_method or default_start_method()
        self._context: BaseContext = multiprocessing.get_context(self.start_method)
        self._answers: queue.SimpleQueue[tuple[int, object]] = queue.SimpleQueue()
        self._next_tick, self._ticks = 0.0, 0
        self._census = Census(workers, states={one.proxy: one.state for one in proxies})
        self._losses = self._rebuilds = self._deaths_in_a_row = 0
        # Room for the dead whose seats are not cleared yet.
        self._seats = 2 * workers + 8
        self._last_answer = self._built = 0.0
        self._stacks: Path | None = None
        self._manager: LeaseManager | None = None
        self._leases: LeaseProxy
        self._generation: Generation | None = None

    # ------------------------------------------------------------------ the surface

    def start(self) -> None:
        self._stacks = Path(tempfile.mkdtemp(prefix="pinpool-"))
        try:
            self._start_manager()
            self._build()
        except BaseException:
            self.close()
            raise

    def submit(self, serial: int, work: Assignment | bytes) -> None:
        blob = pickle.dumps(work, protocol=pickle.HIGHEST_PROTOCOL)
        generation = self._standing_generation()
        generation.flight.add(serial)
        # The callbacks do nothing but post: one that raises, or takes its time, stalls the pool for good.
        post = partial(_post, self._answers, serial)
        generation.pool.apply_async(run, (serial, blob), callback=post, error_callback=post)

    def poll(self, timeout: float) -> list[Signal]:
        signals: list[Signal] = []
        wait = max(0.0, min(timeout, self._next_tick - time.monotonic()))
        with suppress(queue.Empty):
            self._take(*self._answers.get(timeout=wait), signals)
        self._drain(signals)
        if time.monotonic() >= self._next_tick:
            self._tick(signals)
            self._next_tick = time.monotonic() + TICK_SECONDS
        return signals

    def census(self) -> Census:
        return self._census

    def cool(self, proxy: int, seconds: float) -> None:
        self._stand(proxy, ProxyState.COOLING, seconds)
        self._on_leases(lambda leases: leases.cool(proxy, seconds))

    def retire(self, proxy: int, reason: str) -> None:
        self._stand(proxy, ProxyState.RETIRED, 0.0)
        self._on_leases(lambda leases: leases.retire(proxy, reason))

    def kill(self, worker: int) -> None:
        for line in self._standing_generation().board.read():
            if line.pid == worker:
                self._stop_check_kill(line)

    def close(self) -> None:
        if self._generation is not None:
            self._generation.dispose()
            self._generation = None
        self._discard_manager()
        if self._stacks is not None:
            shutil.rmtree(self._stacks, ignore_errors=True)

    # ------------------------------------------------------------------ answers

    def _take(self, serial: int, answer: object, signals: list[Signal]) -> None:
        if isinstance(answer, AttemptFailed):
            answer = answer.payload
        if isinstance(answer, bytes) and answer:
            self._settle(unpack(answer), signals)
        elif serial in self._flight:
            # The pool itself could not carry it; nothing is known of whose fault that was.
            self._flight.discard(serial)
            signals.append(Lost(serial, Sign.CRASH, f"the pool said {type(answer).__name__}"))

    def _settle(self, outcome: Outcome, signals: list[Signal]) -> None:
        self._last_answer = time.monotonic()
        self._deaths_in_a_row = 0
        if outcome.serial in self._flight:
            self._flight.discard(outcome.serial)
            signals.append(Answered(outcome))

    @property
    def _flight(self) -> set[int]:
        return self._generation.flight if self._generation else set()

    def _standing_generation(self) -> Generation:
        if self._generation is None:
            raise RuntimeError("this engine is not started, or closed")
        return self._generation

    # ------------------------------------------------------------------ the tick

    def _tick(self, signals: list[Signal]) -> None:
        generation = self._standing_generation()
        self._ticks += 1
        # The board first, the pids afterwards: the other way round a newborn worker looks dead.
        lines = generation.board.read()
        report = self._read_leases(signals)
        if report is None:
            return
        for payload in report.answers:
            self._settle(unpack(payload), signals)
        poisoned = self._bury(generation, lines, report, signals)
        self._watch_hangs(generation, lines, signals)
        self._count(lines, report)
        if not lines and time.monotonic() - self._built > START_PATIENCE:
            raise EngineError(f"no worker process came up; {_GUARD}")
        if self._deaths_in_a_row > STORM * (self._size + 2):
            raise EngineError(
                f"{self._deaths_in_a_row} worker processes died in a row without one answer: the machine may be out "
                f"of memory, or the spider crashes its process; look at `pinpool failures`"
            )
        if poisoned:
            self._rebuild("a worker died between two tasks, the pool may be jammed", signals)
        elif self._stalled(lines):
            self._rebuild("tasks are in flight and workers idle, but no answer comes", signals)
        elif self._short_of_workers(generation, lines):
            self._rebuild("workers are missing, and the pool starts none", signals)

    def _bury(self, generation: Generation, lines: list[Line], report: Report, signals: list[Signal]) -> bool:
        """Resubmit what the dead were doing and free what they held. True if one died where it may hold a lock."""
        poisoned, tokens = False, []
        for seen in lines:
            if not _gone(seen.pid, seen.born if self._ticks % BIRTH_TICKS == 0 else 0):
                continue
            # It may have taken a task since the board was read; the dead write no more, so this look is the last word.
            line = generation.board.look(seen.seat)
            tokens.append(line.token)
            generation.board.clear(line.seat)
            self._losses += 1
            self._deaths_in_a_row += 1
            signals.append(
                Noted(Event(time.time(), "worker_lost", None, line.pid, line.activity.name.lower()))
            )
            poisoned |= line.activity is Activity.IDLE
            if (
                line.activity in (Activity.RUN, Activity.PACE, Activity.PARK)
                and line.serial in generation.flight
            ):
                generation.flight.discard(line.serial)
                signals.append(self._obituary(generation, line))
        seated = {line.token for line in lines}
        tokens += [h.token for h in report.holders if h.token not in seated and _gone(h.pid)]
        if tokens:
            self._on_leases(lambda leases: leases.reap(tokens))
        return poisoned

    def _obituary(self, generation: Generation, line: Line) -> Lost:
        stack = self._stack_of(line.pid)
        if line.activity is Activity.RUN and (line.token in generation.condemned or stack):
            told = f"hung for more than {self._hang_seconds:g} s"
            return Lost(line.serial, Sign.HANG, f"{told}\n{stack}".strip(), line.pid, line.proxy)
        if line.activity is Activity.RUN:
            return Lost(line.serial, Sign.CRASH, "the worker process died", line.pid, line.proxy)
        return Lost(line.serial, None, "the worker process died while waiting", line.pid, line.proxy)

    def _watch_hangs(self, generation: Generation, lines: list[Line], signals: list[Signal]) -> None:
        now = time.monotonic()
        parked = {line.serial for line in lines if line.activity is Activity.PARK} & generation.flight
        generation.parked = {serial: generation.parked.get(serial, now) for serial in parked}
        for serial, since in generation.parked.items():
            if now - since > PARKED_PATIENCE:
                generation.flight.discard(serial)
                signals.append(Lost(serial, None, "the answer of a parked worker got lost"))
        for line in lines:
            if line.activity not in (Activity.RUN, Activity.PACE) or now - line.since <= self._hang_seconds:
                continue
            if line.activity is Activity.RUN and CAN_DUMP and line.token not in generation.condemned:
                _signal(line.pid, STACK_SIGNAL)  # a tick later it is killed, stack or no stack
            else:
                self._stop_check_kill(line)
            generation.condemned.add(line.token)

    def _stop_check_kill(self, line: Line) -> None:
        """
        Kill a worker, but only inside the task function, where it holds no lock of the pool.

        Stopped first, it cannot leave the function between the look and the kill; without that one of the first 200
        kills jams the pool (hazard 2c).
        """
        _signal(line.pid, signal.SIGSTOP)
        give_up = time.monotonic() + 0.5
        while not _is_stopped(line.pid) and time.monotonic() < give_up:
            time.sleep(0.001)
        again = self._standing_generation().board.look(line.seat)
        same = (again.token, again.serial) == (line.token, line.serial)
        if same and again.activity is not Activity.IDLE:
            _signal(line.pid, signal.SIGKILL)
        else:
            _signal(line.pid, signal.SIGCONT)

    def _stalled(self, lines: list[Line]) -> bool:
        acts = {line.activity for line in lines}
        waits = bool(self._flight) and Activity.IDLE in acts and not acts & {Activity.RUN, Activity.PACE}
        if not waits:
            self._last_answer = time.monotonic()
        return time.monotonic() - self._last_answer > self._hang_seconds + 2

    def _short_of_workers(self, generation: Generation, lines: list[Line]) -> bool:
        # A forkserver that dies while it starts a worker ends the thread of the pool that had asked for one.
        now, tokens = time.monotonic(), {line.token for line in lines}
        if tokens - generation.known or not generation.known or len(tokens) >= self._size:
            generation.joined = now
        generation.known |= tokens
        return now - generation.joined > REFILL_PATIENCE

    def _count(self, lines: list[Line], report: Report) -> None:
        acts = [line.activity for line in lines]
        self._census = Census(
            workers=len(acts),
            running=acts.count(Activity.RUN),
            pacing=acts.count(Activity.PACE),
            parked=acts.count(Activity.PARK) + acts.count(Activity.INIT),
            losses=self._losses,
            rebuilds=self._rebuilds,
            states=report.states,
            wakes_in=min(report.rests.values(), default=None),
        )

    def _stack_of(self, pid: int) -> str:
        if self._stacks is None:
            return ""
        path = stack_file(self._stacks, pid)
        try:
            return path.read_text(errors="replace")[:4000]
        except OSError:
            return ""

    # ------------------------------------------------------------------ the lease queue

    def _read_leases(self, signals: list[Signal]) -> Report | None:
        """The Manager's report, or None after the Manager was found dead and everything was built anew."""
        try:
            report = self._leases.report()
        except (OSError, EOFError):
            self._rebuild("the Manager died", signals, new_manager=True)
            return None
        if report.complaints:
            raise EngineError(f"a worker cannot start: {report.complaints[0]}")
        signals.extend(Noted(event) for event in report.moves)
        for proxy, state in report.states.items():
            self._stand(proxy, state, report.rests.get(proxy, 0.0))
        return report

    def _stand(self, proxy: int, state: ProxyState, rest: float) -> None:
        # What a new Manager would start from.
        self._standings[proxy] = self._standings[proxy]._replace(state=state, rest_seconds=rest)

    def _on_leases(self, call: Callable[[LeaseProxy], None]) -> None:
        try:
            call(self._leases)
        except (OSError, EOFError):
            return  # the next tick finds the Manager dead and begins anew from the standings

    # ------------------------------------------------------------------ building, and building anew

    def _start_manager(self) -> None:
        if self.start_method == "forkserver":
            warm_up()
        manager = LeaseManager(ctx=self._context)
        try:
            with keep_signals_from_children():
                manager.start(initializer=_enter_manager)
        except EOFError:
            raise EngineError(f"no process came up; {_GUARD}") from None
        self._manager = manager
        self._leases = manager.leases(tuple(self._standings.values()), self._seats, self._cooling)

    def _build(self) -> None:
        elders = frozenset(child.pid or 0 for child in multiprocessing.active_children())
        board = Board(self._context.RawArray("q", self._seats * WIDTH))
        assert self._stacks is not None
        arming = Arming(self._leases, board, self._craft, self._hang_seconds, self._stacks)
        with keep_signals_from_children():
            pool = self._context.Pool(self._size, enlist, (arming,))
        self._generation = Generation(pool, board, elders)
        self._built = self._last_answer = time.monotonic()

    def _rebuild(self, reason: str, signals: list[Signal], *, new_manager: bool = False) -> None:
        generation = self._standing_generation()
        start = time.monotonic()
        generation.dispose()
        self._drain(signals)
        signals.extend(Lost(serial, None, reason) for serial in generation.flight)
        generation.flight.clear()
        if new_manager:
            self._discard_manager()
            for line in generation.board.read():
                if not _gone(line.pid, line.born) and line.proxy >= 0:
                    # A process that cannot be killed may still use its proxy: long out of everybody's reach.
                    self._stand(line.proxy, ProxyState.COOLING, UNKILLABLE_REST)
            self._start_manager()
        else:
            report = self._read_leases(signals)
            if report is None:
                return  # the Manager was dead as well, and all is built by now
            gone = [holder.token for holder in report.holders if _gone(holder.pid)]
            self._on_leases(lambda leases: leases.reap(gone))
        self._build()
        self._rebuilds += 1
        states = {one.proxy: _after_all_died(one.state) for one in self._standings.values()}
        self._census = Census(self._size, losses=self._losses, rebuilds=self._rebuilds, states=states)
        took = time.monotonic() - start
        signals.append(Noted(Event(time.time(), "rebuilt", detail=f"{reason}; took {took:.2f} s")))

    def _drain(self, signals: list[Signal]) -> None:
        try:
            while True:
                self._take(*self._answers.get_nowait(), signals)
        except queue.Empty:
            return

    def _discard_manager(self) -> None:
        if self._manager is not None:
            self._manager.shutdown()
            self._manager = None


def _post(answers: queue.SimpleQueue[tuple[int, object]], serial: int, answer: object) -> None:
    answers.put((serial, answer))


def _after_all_died(state: ProxyState) -> ProxyState:
    return ProxyState.SPARE if state is ProxyState.PINNED else state


def _enter_manager() -> None:
    ignore_terminal(also_sigterm=True)
    never_outlive_parent()


def _gone(pid: int, birth: int = 0) -> bool:
    """True if the process has ended. `birth` tells it from another one that was given its pid since."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return True  # somebody else's process: the pid was given anew
    return birth != 0 and born(pid) != birth


def _signal(pid: int, number: int | None) -> None:
    with suppress(ProcessLookupError):
        if number is not None:
            os.kill(pid, number)


def _is_stopped(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[:1] in ([b"T"], [b"t"])
    except OSError:
        return True  # no /proc, or no process: the board is looked at in any case
