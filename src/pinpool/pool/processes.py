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
import pickle
import queue
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from multiprocessing.context import BaseContext
from pathlib import Path

from pinpool.errors import AttemptFailed, PinpoolError
from pinpool.model import Assignment, Ending, Event, EventKind, Outcome, ProxyState, Sign
from pinpool.pool.child_process import (
    STACK_SIGNAL,
    ignore_terminal,
    keep_signals_from_children,
    never_outlive_parent,
    warm_up,
)
from pinpool.pool.engine import Answered, Census, Lost, Noted, Signal
from pinpool.pool.generation import Generation, is_gone, send, stop_check_kill
from pinpool.pool.job import Job, WorkerConfig, unpack
from pinpool.pool.lease_client import LeaseProxy, Standings
from pinpool.pool.lease_types import Report, Standing
from pinpool.pool.leases import LeaseManager
from pinpool.pool.log_pipe import LogPipe
from pinpool.pool.status_board import Activity, Line, StatusBoard
from pinpool.pool.worker import init_worker, run, stack_file
from pinpool.proxies.redaction import Redaction

TICK_SECONDS = 0.1
#: A pid is looked up in /proc only each so many ticks, in case another process has it by now.
BIRTH_TICKS = 20
#: How long the Manager may take to go; after that it is killed.
MANAGER_PATIENCE = 1.5
#: How often a Manager that dies at its start is started again.
MANAGER_TRIES = 3
UNKILLABLE_REST = 3600.0
#: No worker at all after that long: they cannot come up.
START_PATIENCE = 60.0
#: Workers are missing and nobody has joined for that long: the pool's thread that starts them has ended.
REFILL_PATIENCE = 20.0
#: Characters kept of the stack where a worker hung.
STACK_LENGTH = 4000
#: Deaths without one answer in between, for each worker, before it is called a storm.
STORM = 5
#: Pools built anew in a row without one answer in between.
MANY_REBUILDS = 5
_OUTSIDE_A_TASK = frozenset({Activity.INIT, Activity.IDLE})
_GUARD = (
    "a script that starts a crawl or a PinnedPool must do so under `if __name__ == '__main__':`, "
    "because each worker process imports it"
)


class EngineError(PinpoolError):
    """The workers cannot be kept alive; the run was stopped and can be resumed."""


def default_start_method() -> str:
    """forkserver where it exists: fast, small, and safe beside threads. spawn elsewhere."""
    return "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


class ProcessEngine:
    """See the module's docstring. Everything here happens in the thread that calls it."""

    name = "processes"

    def __init__(
        self,
        job: Callable[[], Job],
        proxies: Sequence[Standing],
        *,
        workers: int,
        hang_seconds: float,
        cooling: float,
        start_method: str | None = None,
        preload: Sequence[str] = (),
    ) -> None:
        """
        `hang_seconds` is the age at which a running attempt counts as hung; `cooling` the provisional rest.
        `preload` names the modules that a forkserver imports once for all workers.
        """
        self._job = job
        self._standings = Standings(proxies)
        self._size = workers
        self._hang_seconds = hang_seconds
        self._cooling = cooling
        self._preload = tuple(preload)
        self.start_method = start_method or default_start_method()
        self._context: BaseContext = multiprocessing.get_context(self.start_method)
        self._answers: queue.SimpleQueue[tuple[int, object]] = queue.SimpleQueue()
        self._next_tick, self._ticks = 0.0, 0
        self._census = Census(workers, states={one.proxy: one.state for one in proxies})
        self._losses = self._rebuilds = self._deaths_in_a_row = self._rebuilds_in_a_row = 0
        # Room for the dead whose seats are not cleared yet.
        self._seats = 2 * workers + 8
        self._last_answer = self._built = 0.0
        self._stacks: Path | None = None
        self._logs: LogPipe | None = None
        self._manager: LeaseManager | None = None
        self._leases: LeaseProxy
        self._generation: Generation | None = None

    # ------------------------------------------------------------------ the surface

    def start(self) -> None:
        self._stacks = Path(tempfile.mkdtemp(prefix="pinpool-"))
        self._redaction = Redaction(standing.address for standing in self._standings)
        self._logs = LogPipe(self._redaction)
        try:
            self._start_manager()
            self._build()
        except BaseException:
            self.close()
            raise

    def submit(self, serial: int, work: Assignment | bytes) -> None:
        blob = pickle.dumps(work, protocol=pickle.HIGHEST_PROTOCOL)
        generation = self._present()
        assert generation.pool is not None
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
        if self._logs is not None:
            self._logs.drain()
        if time.monotonic() >= self._next_tick:
            self._tick(signals)
            self._next_tick = time.monotonic() + TICK_SECONDS
        return signals

    def wake(self) -> None:
        self._answers.put((0, b""))

    def census(self) -> Census:
        return self._census

    def cool(self, proxy: int, seconds: float) -> None:
        self._standings.stand(proxy, ProxyState.COOLING, seconds)
        self._on_leases(lambda leases: leases.cool(proxy, seconds))

    def retire(self, proxy: int, reason: str) -> None:
        self._standings.stand(proxy, ProxyState.RETIRED)
        self._on_leases(lambda leases: leases.retire(proxy, reason))

    def join(self, standings: Collection[Standing]) -> None:
        self._redaction.learn(one.address for one in standings)
        self._standings.join(standings)
        self._on_leases(lambda leases: leases.join(standings))
        # Seen at once: a run whose last proxy has just retired must not end for it.
        states = {one.proxy: one.state for one in self._standings}
        self._census = replace(self._census, states=states)

    def withdraw(self, proxies: Collection[int], reason: str) -> None:
        self._standings.withdraw(proxies, reason)
        self._on_leases(lambda leases: leases.withdraw(proxies, reason))
        board = self._present().board
        self._ask_to_leave(board, board.read())

    def kill(self, worker: int) -> None:
        board = self._present().board
        for line in board.read():
            if line.pid == worker:
                stop_check_kill(board, line, _OUTSIDE_A_TASK)

    def flush(self) -> list[Signal]:
        with suppress(OSError, EOFError):
            return [Noted(event) for event in self._leases.report().moves]
        return []

    def close(self) -> None:
        if self._generation is not None:
            self._generation.dispose()
            self._generation = None
        self._discard_manager()
        if self._logs is not None:
            self._logs.close()
            self._logs = None
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
        self._deaths_in_a_row = self._rebuilds_in_a_row = 0
        if outcome.ending is Ending.RESUMED:
            return  # the answer itself comes, or came, with the lease queue's report
        if outcome.serial in self._flight:
            self._flight.discard(outcome.serial)
            signals.append(Answered(outcome))

    @property
    def _flight(self) -> set[int]:
        return self._generation.flight if self._generation else set()

    def _present(self) -> Generation:
        if self._generation is None:
            raise RuntimeError("this engine is not started, or closed")
        return self._generation

    # ------------------------------------------------------------------ the tick

    def _tick(self, signals: list[Signal]) -> None:
        generation = self._present()
        self._ticks += 1
        # The board first, the pids afterwards: the other way round a newborn worker looks dead.
        lines = generation.board.read()
        report = self._read_leases(signals)
        if report is None:
            return
        for payload in report.answers:
            self._settle(unpack(payload), signals)
        poisoned = self._bury(generation, lines, report, signals)
        self._ask_to_leave(generation.board, lines)
        self._watch_hangs(generation, lines)
        self._count(lines, report)
        if not lines and not generation.known and time.monotonic() - self._built > START_PATIENCE:
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
            if not is_gone(seen.pid, seen.born if self._ticks % BIRTH_TICKS == 0 else 0):
                continue
            # It may have taken a task since the board was read; the dead write no more, so this look is the last word.
            line = generation.board.look(seen.seat)
            tokens.append(line.token)
            generation.board.clear(line.seat)
            self._losses += 1
            self._deaths_in_a_row += 1
            signals.append(
                Noted(Event(time.time(), EventKind.WORKER_LOST, None, line.pid, line.activity.name.lower()))
            )
            poisoned |= line.activity is Activity.IDLE
            if (
                line.activity in (Activity.RUN, Activity.PACE, Activity.PARK)
                and line.serial in generation.flight
            ):
                generation.flight.discard(line.serial)
                signals.append(self._obituary(generation, line))
        seated = {line.token for line in lines}
        tokens += [h.token for h in report.holders if h.token not in seated and is_gone(h.pid)]
        if tokens:
            self._on_leases(lambda leases: leases.reap(tokens))
        return poisoned

    def _ask_to_leave(self, board: StatusBoard, lines: list[Line]) -> None:
        for line in lines:
            if line.leave != (wanted := self._standings.to_leave(line.proxy)):
                board.ask_to_leave(line.seat, wanted)

    def _obituary(self, generation: Generation, line: Line) -> Lost:
        stack = self._take_stack(line.pid)
        if line.activity is not Activity.RUN:
            return Lost(line.serial, None, "the worker process died while waiting", line.pid, line.proxy)
        if line.serial not in generation.condemned:
            return Lost(line.serial, Sign.CRASH, "the worker process died", line.pid, line.proxy)
        told = f"hung for more than {self._hang_seconds:g} s\n{stack}".strip()
        return Lost(line.serial, Sign.HANG, told, line.pid, line.proxy)

    def _watch_hangs(self, generation: Generation, lines: list[Line]) -> None:
        now = time.monotonic()
        for line in lines:
            if line.activity not in (Activity.RUN, Activity.PACE) or now - line.since <= self._hang_seconds:
                continue
            if is_gone(line.pid, line.born):
                continue
            if line.activity is Activity.RUN and STACK_SIGNAL and line.serial not in generation.condemned:
                send(line.pid, STACK_SIGNAL)  # a tick later it is killed, stack or no stack
            else:
                stop_check_kill(generation.board, line, _OUTSIDE_A_TASK)
            generation.condemned.add(line.serial)

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

    def _take_stack(self, pid: int) -> str:
        assert self._stacks is not None
        path = stack_file(self._stacks, pid)
        try:
            return path.read_text(errors="replace")[:STACK_LENGTH]
        except OSError:
            return ""
        finally:
            path.unlink(missing_ok=True)

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
        self._standings.update(report)
        return report

    def _on_leases(self, call: Callable[[LeaseProxy], None]) -> None:
        try:
            call(self._leases)
        except (OSError, EOFError):
            return  # the next tick finds the Manager dead and begins anew from the standings

    # ------------------------------------------------------------------ building, and building anew

    def _start_manager(self) -> None:
        if self.start_method == "forkserver":
            warm_up(self._preload)
        for _ in range(MANAGER_TRIES):
            try:
                with keep_signals_from_children():
                    # Known before the signals come through again, so that close() ends it in any case.
                    self._manager = LeaseManager(ctx=self._context)
                    self._manager.start(initializer=_enter_manager)
                standings = tuple(self._standings)
                self._leases = self._manager.leases(standings, self._seats, self._cooling)
                return
            except (OSError, EOFError):  # it died at once; whoever did that may do it again
                self._discard_manager()
        raise EngineError(f"no process came up; {_GUARD}")

    def _build(self) -> None:
        assert self._stacks is not None
        assert self._logs is not None
        generation = Generation.prepare(self._context, self._seats)
        self._on_leases(lambda leases: leases.begin(generation.number))
        config = WorkerConfig(
            self._leases,
            generation.number,
            generation.board,
            self._job,
            self._hang_seconds,
            self._stacks,
            self._logs.reporting(),
        )
        with keep_signals_from_children():
            self._generation = generation
            generation.start(self._context, self._size, init_worker, config)
        self._built = self._last_answer = time.monotonic()

    def _rebuild(self, reason: str, signals: list[Signal], *, new_manager: bool = False) -> None:
        self._rebuilds_in_a_row += 1
        if self._rebuilds_in_a_row > MANY_REBUILDS:
            raise EngineError(
                f"the pool was built anew {MANY_REBUILDS} times in a row without one answer, the last time "
                f"because {reason}"
            )
        generation, start = self._present(), time.monotonic()
        # From now on no worker of the old pool is given a proxy, however late it comes up.
        if not new_manager:
            self._on_leases(lambda leases: leases.begin(0))
        elif self._manager is not None:
            self._manager.kill()
        generation.dispose()
        self._drain(signals)
        signals.extend(Lost(serial, None, reason) for serial in generation.flight)
        generation.flight.clear()
        if new_manager:
            self._discard_manager()
            for line in generation.board.read():
                if not is_gone(line.pid, line.born) and line.proxy >= 0:
                    # A process that cannot be killed may still use its proxy: long out of everybody's reach.
                    self._standings.stand(line.proxy, ProxyState.COOLING, UNKILLABLE_REST)
            signals.extend(map(Noted, self._standings.reborn()))
            self._start_manager()
        else:
            report = self._read_leases(signals)
            if report is None:
                return  # the Manager was dead as well, and all is built by now
            gone = [holder.token for holder in report.holders if is_gone(holder.pid)]
            self._on_leases(lambda leases: leases.reap(gone))
        self._build()
        self._rebuilds += 1
        states = {one.proxy: _after_all_died(one.state) for one in self._standings}
        self._census = Census(self._size, losses=self._losses, rebuilds=self._rebuilds, states=states)
        took = time.monotonic() - start
        signals.append(Noted(Event(time.time(), EventKind.REBUILT, detail=f"{reason}; took {took:.2f} s")))

    def _drain(self, signals: list[Signal]) -> None:
        try:
            while True:
                self._take(*self._answers.get_nowait(), signals)
        except queue.Empty:
            return

    def _discard_manager(self) -> None:
        if self._manager is not None:
            manager, self._manager = self._manager, None
            manager.end(MANAGER_PATIENCE)


def _post(answers: queue.SimpleQueue[tuple[int, object]], serial: int, answer: object) -> None:
    answers.put((serial, answer))


def _after_all_died(state: ProxyState) -> ProxyState:
    return ProxyState.SPARE if state is ProxyState.PINNED else state


def _enter_manager() -> None:
    ignore_terminal(also_sigterm=True)
    never_outlive_parent()
