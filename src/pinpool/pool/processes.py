"""
The default engine: a stdlib ``multiprocessing.Pool`` whose workers each pin one proxy.

::

    parent                                              | children
    ----------------------------------------------------+---------------------------------------------------
    crawl loop: submit, poll                            |
      Generation: Pool, status board                    | workers: initializer pops a proxy from the queue
        apply_async ------------- task pipe ----------> |   RUN on the board, fetch, extract, IDLE
        callback, error_callback <- result pipe ------- |   a failure: swap, or PARK; then AttemptFailed
          only put the answer into a queue              |
      tick, 10 a second: board, then pids               | Manager: the lease queue
        dead in RUN, PACE, PARK, INIT: resubmit, reap   |
        dead in IDLE: the pool may be jammed, rebuild   | forkserver: forks workers, preloaded

With `threads` each process carries several workers (`shared_process`). What may have crashed one of these is tried
alone then, in a second pool of one process with one worker (`solo`), which there is only as long as it has work.

The pool is disposable transport. It never says that a task is lost, its ``terminate()`` may hang, and its result thread
ends with the first callback that raises. So the caller counts what is complete, deaths are read off the board
(`worker_watch`), and a pool in doubt is killed and replaced. The proxies of the killed are spare again only when they
are surely dead.
"""

import atexit
import multiprocessing
import os
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

from pinpool.errors import AttemptFailed
from pinpool.model import Assignment, Call, Ending, Event, EventKind, Outcome, ProxyState, Sign
from pinpool.policy.reputation import until_judged
from pinpool.pool.child_process import own_folder, starting_children, warm_up
from pinpool.pool.engine import Answered, Census, EngineError, Lost, Noted, Signal
from pinpool.pool.generation import Generation
from pinpool.pool.ground import default_start_method, shortages
from pinpool.pool.job import Job, WorkerConfig, pack_work, unpack
from pinpool.pool.lease_process import LeaseProcess
from pinpool.pool.lease_types import Report, Standing
from pinpool.pool.log_pipe import LogPipe
from pinpool.pool.pids import is_gone
from pinpool.pool.registry import EnginePlan
from pinpool.pool.startup import StoppedTwice, bring_up, end_stopped_servers, lack_of, server_pids
from pinpool.pool.status_board import Activity, Line, StatusBoard
from pinpool.pool.worker import init_worker, run
from pinpool.pool.worker_watch import WorkerWatch
from pinpool.proxies.redaction import Redaction

TICK_SECONDS = 0.1
#: How often the log of the workers is read.
LOG_SECONDS = 0.02
#: Answers that come within this time are taken together: a turn of the loop for each costs the parent twice the CPU.
#: The workers have their next tasks by then, and with few in flight nothing waits.
TURN_SECONDS = 0.002
MANY_IN_FLIGHT = 8
#: Pools replaced in a row without one answer in between.
MANY_REBUILDS = 5
#: Tasks or answers in a row that could not be received.
MANY_MISLAID = 20
#: How long the solo pool waits for more work.
SOLO_PATIENCE = 5.0


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
        threads: int = 1,
        start_method: str | None = None,
        preload: Sequence[str] = (),
        logs_prints: bool = False,
    ) -> None:
        """
        A process carries `threads` workers. `job` makes the job in each process; it must survive a pickle. An attempt
        that runs for more than `hang_seconds` hangs. A swapped proxy rests for `cooling` seconds until it is judged. A
        forkserver imports the modules `preload` once for all workers. With `logs_prints`, what workers print is logged.
        """
        self._job = job
        self._size = workers
        self._threads = min(threads, workers)
        self._hang_seconds = hang_seconds
        self._preload = tuple(preload)
        self._logs_prints = logs_prints
        self.start_method = start_method or default_start_method()
        self._context: BaseContext = multiprocessing.get_context(self.start_method)
        self._answers: queue.SimpleQueue[tuple[int, object]] = queue.SimpleQueue()
        self._flight: set[int] = set()  # serials of attempts that are not answered yet
        self._alone: set[int] = set()  # of those in the solo pool
        self._next_tick = self._next_log = 0.0
        self._census = Census(workers, states={one.proxy: one.state for one in proxies})
        self._rebuilds = self._rebuilds_in_a_row = self._mislaid_in_a_row = 0
        self._seats = 2 * workers + 10  # room for the dead whose seats are not cleared yet
        self._leases = LeaseProcess(proxies, self._context, seats=self._seats, cooling=cooling)
        self._stacks: Path | None = None
        self._logs: LogPipe | None = None
        self._generation: Generation | None = None
        self._solo: Generation | None = None
        self._solo_until = 0.0

    # ------------------------------------------------------------------ the protocol

    def start(self) -> None:
        self._stacks = Path(tempfile.mkdtemp(prefix="stacks-", dir=own_folder()))
        # An engine that nobody closes, or whose end is interrupted, would end with multiprocessing: by SIGTERM, which
        # workers leave to their parent, and a wait for them that has no end.
        self._owner = os.getpid()
        atexit.register(self._close_at_exit)
        shared = self._hang_seconds, self._stacks
        self._watch = WorkerWatch(self._size, -(-self._size // self._threads), self._flight, *shared)
        self._solo_watch = WorkerWatch(1, self._size, self._alone, *shared)  # it dies once for each crash of all others
        self._redaction = Redaction(standing.address for standing in self._leases.standings)
        self._logs = LogPipe(self._redaction)
        try:
            self._bring_up(new_manager=True)
        except BaseException:
            self.close()
            raise

    def submit(self, serial: int, work: Assignment | Call, *, alone: bool = False) -> None:
        if alone and self._threads > 1 and (self._solo or self._census.count(ProxyState.SPARE)):
            self._keep_solo()
            generation, flight = self._solo, self._alone
        else:  # alone by itself, or no proxy can be had now; if it crashes here, its worker's proxy is spare
            generation, flight = self._present(), self._flight
        assert generation is not None
        pool = generation.pool
        assert pool is not None
        flight.add(serial)
        # The callbacks do nothing else: one that raises, or takes its time, stalls the pool for good.
        post = partial(self.post, serial)
        pool.apply_async(run, (serial, pack_work(work)), callback=post, error_callback=post)

    def post(self, serial: int, answer: object) -> None:
        """Put down what the pool answers to an attempt, for the next `poll`. Any thread may call this."""
        self._answers.put((serial, answer))

    def poll(self, timeout: float) -> list[Signal]:
        signals: list[Signal] = []
        wait = max(0.0, min(timeout, self._next_tick - time.monotonic()))
        with suppress(queue.Empty):
            self._take(*self._answers.get(timeout=wait), signals)
            if len(self._flight) >= MANY_IN_FLIGHT:
                time.sleep(TURN_SECONDS)
        self._drain(signals)
        now = time.monotonic()
        if self._logs is not None and now >= self._next_log:
            self._logs.drain()
            self._next_log = now + LOG_SECONDS
        if now >= self._next_tick:
            self._tick(signals)
            self._next_tick = time.monotonic() + TICK_SECONDS
        return signals

    def wake(self) -> None:
        self.post(0, b"")

    def census(self) -> Census:
        return self._census

    def cool(self, proxy: int, seconds: float) -> None:
        self._leases.cool(proxy, seconds)

    def retire(self, proxy: int, reason: str) -> None:
        self._leases.retire(proxy, reason)

    def join(self, standings: Collection[Standing]) -> None:
        self._redaction.learn(standing.address for standing in standings)
        self._leases.join(standings)
        # Shown at once: a run whose last proxy has just retired must not end for that.
        states = {standing.proxy: standing.state for standing in self._leases.standings}
        self._census = replace(self._census, states=states)

    def withdraw(self, proxies: Collection[int], reason: str) -> None:
        self._leases.withdraw(proxies, reason)
        for generation, _ in self._pools():
            self._ask_to_leave(generation.board, generation.board.read())

    def ask_to_swap(self, proxy: int) -> None:
        self._leases.ask_to_swap(proxy)

    def kill(self, worker: int) -> None:
        for generation, watch in self._pools():
            for line in generation.board.read():
                if line.worker == worker:
                    watch.kill(line)

    def flush(self) -> list[Signal]:
        report = self._leases.report()
        return [Noted(event) for event in report.moves] if report else []

    def close(self) -> None:
        for generation, _ in self._pools() if self._generation is not None else ():
            generation.dispose()
        self._generation = self._solo = None
        end_stopped_servers()
        self._leases.end()
        if self._logs is not None:
            self._logs.close()
            self._logs = None
        if self._stacks is not None:
            shutil.rmtree(self._stacks, ignore_errors=True)
        end_stopped_servers()  # they would outlive this process
        atexit.unregister(self._close_at_exit)

    def _close_at_exit(self) -> None:
        if os.getpid() == self._owner:  # not in a child that was forked
            self.close()

    # ------------------------------------------------------------------ for those who watch

    def workers(self) -> list[Line]:
        """The workers that have checked in, as the status board shows them now. RuntimeError before the start."""
        return [line for generation, _ in self._pools() for line in generation.board.read()]

    @property
    def worker_pids(self) -> list[int]:
        """The living worker processes, also those that have not checked in; empty before the start and at the end."""
        children = (
            [child for generation, _ in self._pools() for child in generation.children()] if self._generation else []
        )
        return [child.pid for child in children if child.pid is not None]

    @property
    def manager_pid(self) -> int | None:
        """The process of the lease queue, None if there is none."""
        return self._leases.pid

    # ------------------------------------------------------------------ answers

    def _take(self, serial: int, answer: object, signals: list[Signal]) -> None:
        if isinstance(answer, AttemptFailed):
            answer = answer.payload
        if isinstance(answer, bytes) and answer:
            self._settle(unpack(answer), signals)
        elif isinstance(answer, OSError):
            self._mislay(serial, answer, signals)
        elif self._lands(serial):
            # The pool itself could not carry it; nothing is known of whose fault that was.
            signals.append(Lost(serial, Sign.CRASH, f"the pool said {type(answer).__name__}"))

    def _mislay(self, serial: int, error: OSError, signals: list[Signal]) -> None:
        """This process or a worker was too short of files to receive it: nobody's fault, and it is done again."""
        if self._lands(serial):
            self._mislaid_in_a_row += 1
            if self._mislaid_in_a_row > MANY_MISLAID:
                raise EngineError(f"{MANY_MISLAID} pages in a row were lost between the processes: {lack_of(error)}")
            signals.append(Lost(serial, None, f"the pool said {error.strerror}"))

    def _settle(self, outcome: Outcome, signals: list[Signal]) -> None:
        self._rebuilds_in_a_row = self._mislaid_in_a_row = 0
        if outcome.ending is Ending.RESUMED:
            return  # the answer itself comes, or came, with the lease queue's report
        if self._lands(outcome.serial):
            signals.append(Answered(outcome))

    def _lands(self, serial: int) -> bool:
        """The attempt is answered. False if it was before."""
        for flight, watch in ((self._flight, self._watch), (self._alone, self._solo_watch)):
            if serial in flight:
                flight.discard(serial)
                watch.answered()
                return True
        return False

    def _drain(self, signals: list[Signal]) -> None:
        with suppress(queue.Empty):
            while True:
                self._take(*self._answers.get_nowait(), signals)

    def _pools(self) -> list[tuple[Generation, WorkerWatch]]:
        """The pool and, if there is one, the solo pool."""
        solo = [(self._solo, self._solo_watch)] if self._solo is not None else []
        return [(self._present(), self._watch), *solo]

    def _present(self) -> Generation:
        if self._generation is None:
            raise RuntimeError("this engine is not started, or closed")
        return self._generation

    # ------------------------------------------------------------------ the tick

    def _tick(self, signals: list[Signal]) -> None:
        # The boards first, the pids afterwards: the other way round a worker that has just started looks dead.
        boards = [generation.board.read() for generation, _ in self._pools()]
        lines = [line for board in boards for line in board]
        report = self._read_leases(signals)
        if report is None:
            return
        for payload in report.answers:
            self._settle(unpack(payload), signals)
        seated, before = {line.token for line in lines}, len(signals)
        dead = [holder.token for holder in report.holders if holder.token not in seated and is_gone(holder.pid)]
        for (generation, watch), own in zip(self._pools(), boards, strict=True):
            dead += watch.bury(own, signals)
            self._ask_to_leave(generation.board, own)
            watch.end_hung(own)
        if self._threads > 1 and any(isinstance(one, Lost) and one.suspect for one in signals[before:]):
            self._keep_solo()  # now: one of the proxies that are free again is for it
        self._leases.reap(dead)
        self._count(lines, report)
        if self._solo is not None and (self._solo_is_over() or self._solo_watch.trouble(boards[-1])):
            self._end_solo(signals)
        if trouble := self._watch.trouble(boards[0]):
            self._rebuild(trouble, signals)

    def _read_leases(self, signals: list[Signal]) -> Report | None:
        """The lease queue's report; None if its Manager was dead. Everything is rebuilt by then."""
        report = self._leases.report()
        if report is None:
            self._rebuild("the Manager died", signals, new_manager=True)
            return None
        if report.complaints:
            raise EngineError(f"a worker cannot start: {report.complaints[0]}")
        signals.extend(map(Noted, report.moves))
        return report

    def _ask_to_leave(self, board: StatusBoard, lines: list[Line]) -> None:
        for line in lines:
            if line.leave != (wanted := self._leases.standings.to_leave(line.proxy)):
                board.ask_to_leave(line.seat, wanted)

    def _count(self, lines: list[Line], report: Report) -> None:
        activities = [line.activity for line in lines]
        self._census = Census(
            workers=len(lines),
            running=activities.count(Activity.RUN),
            pacing=activities.count(Activity.PACE),
            parked=activities.count(Activity.PARK) + activities.count(Activity.INIT),
            losses=self._losses,
            rebuilds=self._rebuilds,
            states=report.states,
            wakes_in=min(report.rests.values(), default=None),
            lines=lines,
        )

    @property
    def _losses(self) -> int:
        return self._watch.losses + self._solo_watch.losses

    # ------------------------------------------------------------------ the solo pool

    def _keep_solo(self) -> None:
        """Start the solo pool if there is none."""
        self._solo_until = time.monotonic() + SOLO_PATIENCE
        if self._solo is None:
            self._solo = Generation.prepare(self._context, self._seats)
            self._leases.begin(self._present().number, self._solo.number)
            self._try(partial(self._start, self._solo, 1, 1), self._solo.dispose)
            self._solo_watch.begin(self._solo.board)

    def _solo_is_over(self) -> bool:
        if self._alone:
            self._solo_until = time.monotonic() + SOLO_PATIENCE
        return time.monotonic() > self._solo_until

    def _end_solo(self, signals: list[Signal]) -> None:
        """End the solo pool. Its proxy is spare at the next tick, when its worker is found dead."""
        solo, self._solo = self._solo, None
        if solo is None:
            return
        self._leases.begin(self._present().number)
        solo.dispose()
        self._drain(signals)
        signals += [Lost(serial, None, "the solo pool ended", suspect=True) for serial in self._alone]
        self._alone.clear()

    # ------------------------------------------------------------------ build and rebuild

    def _warm_up(self) -> None:
        if self.start_method == "forkserver":
            warm_up(self._preload)

    def _bring_up(self, *, new_manager: bool) -> None:
        """Start a pool, and before it a forkserver and a Manager if need be. Raises EngineError."""

        def start() -> None:
            if new_manager:
                self._warm_up()
                self._leases.start()
            self._build()

        def undo() -> None:
            if self._generation is not None:
                self._generation.dispose()
            self._generation = None
            if new_manager:
                self._leases.end()

        self._try(start, undo)

    def _try(self, start: Callable[[], None], undo: Callable[[], None]) -> None:
        stopped = StoppedTwice()
        bring_up(start, undo, lambda: stopped.look(*server_pids(), self._leases.pid))

    def _build(self) -> None:
        generation = Generation.prepare(self._context, self._seats)
        self._leases.begin(generation.number, self._solo.number if self._solo else 0)
        self._generation = generation
        self._start(generation, self._size, self._threads)
        self._watch.begin(generation.board)

    def _start(self, generation: Generation, workers: int, threads: int) -> None:
        assert self._stacks is not None
        assert self._logs is not None
        config = WorkerConfig(
            self._leases.queue,
            generation.number,
            generation.board,
            self._job,
            self._hang_seconds,
            self._stacks,
            self._logs.reporting(),
            self._logs_prints,
        )
        with starting_children():
            generation.start(self._context, workers, threads, init_worker, config)

    def _rebuild(self, reason: str, signals: list[Signal], *, new_manager: bool = False) -> None:
        # With nothing in hand there is no answer to come in between; `WorkerWatch` counts the deaths.
        self._rebuilds_in_a_row += bool(self._flight or self._alone)
        if self._rebuilds_in_a_row > MANY_REBUILDS:
            raise EngineError(
                f"the pool was rebuilt {MANY_REBUILDS} times in a row without one answer, the last time "
                f"because {'; '.join((reason, *shortages()))}"
            )
        generation, start = self._present(), time.monotonic()
        # From now on no worker of the old pool gets a proxy, however late it starts.
        if new_manager:
            self._leases.kill()
            self._end_solo(signals)
        else:
            self._leases.begin(0, self._solo.number if self._solo else 0)
        generation.dispose()
        self._drain(signals)
        signals.extend(Lost(serial, None, reason) for serial in self._flight)
        self._flight.clear()
        if new_manager:
            in_use = [line.proxy for line in generation.survivors() if line.proxy >= 0]
            signals.extend(map(Noted, self._leases.bury(in_use)))
        else:
            report = self._read_leases(signals)
            if report is None:
                return  # the Manager was dead as well, and all is rebuilt by now
            self._leases.reap([holder.token for holder in report.holders if is_gone(holder.pid)])
        self._bring_up(new_manager=new_manager)
        self._rebuilds += 1
        states = {one.proxy: one.state_without_worker for one in self._leases.standings}
        self._census = Census(self._size, losses=self._losses, rebuilds=self._rebuilds, states=states)
        took = time.monotonic() - start
        signals.append(Noted(Event(time.time(), EventKind.REBUILT, detail=f"{reason}; took {took:.2f} s")))


def engine_for(plan: EnginePlan) -> ProcessEngine:
    """The engine of a run."""
    return ProcessEngine(
        plan.job,
        plan.proxies,
        workers=plan.workers,
        threads=plan.settings.threads,
        hang_seconds=plan.hang_seconds,
        cooling=until_judged(plan.settings.cooling),
        start_method=plan.choice.start_method,
        preload=plan.preload,
        logs_prints=plan.logs_prints,
    )
