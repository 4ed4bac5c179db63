"""
The watch over the worker processes: finds the dead, the hung and a jammed pool, from the status board and the pids.

What a death means is read off the worker's last activity; see `status_board`.
"""

import time
from collections.abc import Collection, Iterable
from pathlib import Path

from pinpool.model import Event, EventKind, Sign
from pinpool.pool.child_process import STACK_SIGNAL
from pinpool.pool.engine import UNGUARDED, EngineError, Lost, Noted, Signal
from pinpool.pool.generation import stop_check_kill
from pinpool.pool.lease_types import Holder
from pinpool.pool.pids import is_gone, send
from pinpool.pool.status_board import Activity, Line, StatusBoard
from pinpool.pool.worker import stack_file

#: A pid is looked up in /proc only every so many ticks, in case another process has it now.
BIRTH_TICKS = 20
#: No worker at all after that long: they cannot start.
START_PATIENCE = 60.0
#: Workers are missing and none has joined for that long: the pool's thread that starts them has ended.
REFILL_PATIENCE = 20.0
#: Characters kept of the stack where a worker hung.
STACK_LENGTH = 4000
#: Deaths without one answer in between, for each worker, that stop the run.
STORM = 5
_IN_A_TASK = (Activity.RUN, Activity.PACE, Activity.PARK)


class WorkerWatch:
    """Watches the workers of one pool after the other. The engine calls it at each tick."""

    def __init__(self, size: int, flight: set[int], hang_seconds: float, stacks: Path) -> None:
        """
        `size` is the number of workers, `flight` the serials of the attempts that are not answered yet, `stacks` the
        folder where hung workers write their stacks.
        """
        self._size = size
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
        self._hung: set[int] = set()  # serials
        self._seen: set[int] = set()  # tokens of all workers that ever joined
        self._is_poisoned = False

    def answered(self) -> None:
        """A worker has answered."""
        self._last_answer = time.monotonic()
        self._deaths_in_a_row = 0

    def bury(self, lines: list[Line], holders: Iterable[Holder], signals: list[Signal]) -> list[int]:
        """
        Clear the seats of dead workers and report their attempts as lost. Returns their tokens.

        `lines` is the board; it must be read before this is called, or a worker that has just started looks dead.
        """
        self._ticks += 1
        board, tokens = self._board, []
        for seen in lines:
            if not is_gone(seen.pid, seen.born if self._ticks % BIRTH_TICKS == 0 else 0):
                continue
            # It may have taken a task since the board was read. The dead write no more, so this look is the last.
            line = board.look(seen.seat)
            tokens.append(line.token)
            board.clear(line.seat)
            self.losses += 1
            self._deaths_in_a_row += 1
            activity = line.activity.name.lower()
            signals.append(Noted(Event(time.time(), EventKind.WORKER_LOST, None, line.pid, activity)))
            self._is_poisoned |= line.activity is Activity.IDLE
            if line.activity in _IN_A_TASK and line.serial in self._flight:
                self._flight.discard(line.serial)
                signals.append(self._lost(line))
        seated = {line.token for line in lines}
        return tokens + [h.token for h in holders if h.token not in seated and is_gone(h.pid)]

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
                stop_check_kill(self._board, line)
            self._hung.add(line.serial)

    def trouble(self, lines: list[Line]) -> str:
        """Why the pool has to be replaced; empty if it is well. Raises EngineError if that would not help either."""
        now, activities = time.monotonic(), {line.activity for line in lines}
        if not lines and not self._seen and now - self._started > START_PATIENCE:
            raise EngineError(f"no worker process came up; {UNGUARDED}")
        if self._deaths_in_a_row > STORM * (self._size + 2):
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

    def _lost(self, line: Line) -> Lost:
        stack = self._take_stack(line.pid)
        if line.activity is not Activity.RUN:
            return Lost(line.serial, None, "the worker process died while waiting", line.pid, line.proxy)
        if line.serial not in self._hung:
            return Lost(line.serial, Sign.CRASH, "the worker process died", line.pid, line.proxy)
        message = f"hung for more than {self._hang_seconds:g} s\n{stack}".strip()
        return Lost(line.serial, Sign.HANG, message, line.pid, line.proxy)

    def _take_stack(self, pid: int) -> str:
        path = stack_file(self._stacks, pid)
        try:
            return path.read_text(errors="replace")[:STACK_LENGTH]
        except OSError:
            return ""
        finally:
            path.unlink(missing_ok=True)
