"""
The watch over the worker processes: finds the dead, the hung and a jammed pool, from the status board and the pids.

What a death means is read off the worker's last activity; see `status_board`. Where a process carries several workers,
a crash may be the fault of any page that was in work there. So none is charged, and each is tried alone next.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path

from pinpool.model import Event, EventKind, Sign
from pinpool.pool.child_process import STACK_SIGNAL
from pinpool.pool.engine import UNGUARDED, EngineError, Lost, Noted, Signal
from pinpool.pool.generation import stop_check_kill
from pinpool.pool.ground import shortages
from pinpool.pool.pids import is_gone, send
from pinpool.pool.status_board import Activity, Line, StatusBoard
from pinpool.pool.worker import stack_file
from pinpool.text import counted

#: A pid is looked up in /proc only every so many ticks, in case another process has it now.
BIRTH_TICKS = 20
#: No worker at all after that long: they cannot start.
START_PATIENCE = 60.0
#: Workers are missing and none has joined for that long: the pool's thread that starts them has ended.
REFILL_PATIENCE = 20.0
#: Characters kept of the stack where a worker hung.
STACK_LENGTH = 4000
#: Deaths without one answer in between, for each process, that stop the run.
STORM = 5
#: No sign of life from a process for that long, or half the time after which a page hangs: it runs no Python code.
FROZEN_SECONDS = 2.0
_IN_A_TASK = (Activity.RUN, Activity.PACE, Activity.PARK)


class WorkerWatch:
    """Watches the workers of one pool after the other. The engine calls it at each tick."""

    def __init__(self, size: int, processes: int, flight: set[int], hang_seconds: float, stacks: Path) -> None:
        """
        `size` is the number of workers, in so many `processes`; `flight` the serials of the attempts that are not
        answered yet, `stacks` the folder where hung workers write their stacks.
        """
        self._size = size
        self._most_deaths = STORM * (processes + 2)
        self._flight = flight
        self._hang_seconds = hang_seconds
        self._stacks = stacks
        self.losses = 0
        self._deaths_in_a_row = 0
        self._ticks = 0

    def begin(self, board: StatusBoard) -> None:
        """A new pool has started."""
        self._board = board
        self._started = self._last_answer = self._last_joined = time.monotonic()
        self._hung: dict[int, bool] = {}  # serials, and whether the whole process hung with it
        self._ended: set[int] = set()  # serials of those whose worker was ended on purpose
        self._seen: set[int] = set()  # tokens of all workers that ever joined
        self._is_poisoned = False

    def answered(self) -> None:
        """A worker has answered."""
        self._last_answer = time.monotonic()
        self._deaths_in_a_row = 0

    def bury(self, lines: list[Line], signals: list[Signal]) -> list[int]:
        """
        Clear the seats of dead workers and report their attempts as lost. Returns their tokens.

        `lines` is the board; it must be read before this is called, or a worker that has just started looks dead.
        """
        self._ticks += 1
        by_process: dict[int, list[Line]] = defaultdict(list)
        for line in lines:
            by_process[line.pid].append(line)
        tokens: list[int] = []
        for pid, seen in by_process.items():
            if is_gone(pid, seen[0].born if self._ticks % BIRTH_TICKS == 0 else 0):
                # They may have taken tasks since the board was read. The dead write no more: this look is the last.
                dead = [self._board.look(line.seat) for line in seen]
                self._bury_process(dead, signals)
                tokens += [line.token for line in dead]
        return tokens

    def _bury_process(self, dead: list[Line], signals: list[Signal]) -> None:
        self._deaths_in_a_row += 1
        for line in dead:
            self._board.clear(line.seat)
            self.losses += 1
            activity = line.activity.name.lower()
            signals.append(Noted(Event(time.time(), EventKind.WORKER_LOST, None, line.worker, activity)))
            self._is_poisoned |= line.activity is Activity.IDLE
        lost = [line for line in dead if line.activity in _IN_A_TASK and line.serial in self._flight]
        self._flight.difference_update(line.serial for line in lost)
        signals += self._attribute(lost)
        stack_file(self._stacks, dead[0].pid).unlink(missing_ok=True)

    def end_hung(self, lines: list[Line]) -> None:
        """Ask workers that hang for their stack, and kill them at the next call."""
        now = time.monotonic()
        for line in lines:
            if line.activity not in (Activity.RUN, Activity.PACE) or now - line.since <= self._hang_seconds:
                continue
            if is_gone(line.pid, line.born):
                continue
            if line.activity is Activity.RUN and STACK_SIGNAL and line.serial not in self._hung:
                send(line.pid, STACK_SIGNAL)
            else:
                self.kill(line)
            # In a process that runs no code at all, all hang with the one that has stopped it.
            is_frozen = line.thread != 0 and now - line.beat > min(FROZEN_SECONDS, self._hang_seconds / 2)
            self._hung.setdefault(line.serial, is_frozen)

    def kill(self, line: Line) -> None:
        """Kill the worker's process if the worker is still in that task."""
        self._ended.add(line.serial)
        stop_check_kill(self._board, line)

    def trouble(self, lines: list[Line]) -> str:
        """Why the pool has to be replaced; empty if it is well. Raises EngineError if that would not help either."""
        now, activities = time.monotonic(), {line.activity for line in lines}
        if not lines and not self._seen and now - self._started > START_PATIENCE:
            raise EngineError(f"no worker process came up; {'; '.join(shortages() or [UNGUARDED])}")
        if self._deaths_in_a_row > self._most_deaths:
            raise EngineError(
                f"{self._deaths_in_a_row} worker processes died in a row without one answer: the machine may be out "
                f"of memory, or the spider crashes its process; look at `pinpool failures`"
            )
        busy = activities & {Activity.RUN, Activity.PACE}
        if not self._flight or Activity.IDLE not in activities or busy:
            self._last_answer = now
        if self._is_poisoned:
            return "a worker died between two tasks, the pool may be jammed"
        if now - self._last_answer > self._hang_seconds + 2:
            return "tasks are in flight and workers idle, but no answer comes"
        if self._is_short_of_workers({line.token for line in lines}, now):
            return "workers are missing, and the pool starts none"
        return ""

    def _is_short_of_workers(self, tokens: Collection[int], now: float) -> bool:
        # A forkserver that dies while it starts a worker ends the thread of the pool that had asked for one.
        if not self._seen.issuperset(tokens) or not self._seen or len(tokens) >= self._size:
            self._last_joined = now
        self._seen.update(tokens)
        return now - self._last_joined > REFILL_PATIENCE

    def _attribute(self, lost: Sequence[Line]) -> list[Signal]:
        """What a death means for the attempts of one process."""
        running = [line for line in lost if line.activity is Activity.RUN]
        hung = {
            one.serial for one in running if one.serial in self._hung and not (self._hung[one.serial] and running[1:])
        }
        on_purpose = any(one.serial in self._ended and not self._hung.get(one.serial) for one in lost)
        others = f"its process ended, with {counted(len(running), 'page')} in work there"
        signals: list[Signal] = []
        for line in lost:
            where, is_shared = (line.worker, line.proxy), line.thread != 0
            if line.activity is not Activity.RUN:
                signals.append(Lost(line.serial, None, "the worker process died while waiting", *where))
            elif line.serial in hung:
                message = f"hung for more than {self._hang_seconds:g} s\n{self._stack(line)}".strip()
                signals.append(Lost(line.serial, Sign.HANG, message, *where, suspect=is_shared))
            elif not is_shared:
                signals.append(Lost(line.serial, Sign.CRASH, "the worker process died", *where))
            else:
                signals.append(Lost(line.serial, None, others, *where, suspect=not on_purpose))
        return signals

    def _stack(self, line: Line) -> str:
        try:
            text = stack_file(self._stacks, line.pid).read_text(errors="replace")
        except OSError:
            return ""
        return stack_of(text, line.thread)[:STACK_LENGTH]


def stack_of(text: str, thread: int) -> str:
    """The part of a faulthandler's text that is about one thread; all of it for thread 0."""
    parts = text.split("\n\n") if thread else [text]
    return next((part for part in parts if f"0x{thread:016x} " in part), text)
