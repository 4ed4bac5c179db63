"""
A carrier: the process on a host that carries workers, as an actor of Ray. It is led by the parent, never asks for
anything, and uses a proxy only as long as its fence is open.

Ray calls `run` in as many threads as there are workers, and everything else in a thread of its own. So a renewal is
answered while pages are fetched. Nothing here raises: Ray would send the exception, and a host may lack its class.
"""

import os
import pickle
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from pinpool.model import FILE_STAGE, Assignment, Call
from pinpool.pool.job import Job, pack, unpack_work
from pinpool.pool.lease_types import Lease
from pinpool.pool.log_pipe import Levels, LogPipe
from pinpool.pool.pids import ground_of_pids
from pinpool.pool.pinned_worker import LedWorker, describe
from pinpool.pool.prints import log_prints
from pinpool.pool.ray_fence import Fence, now
from pinpool.pool.ray_messages import Ran, Renewed, WorkerLine
from pinpool.pool.status_board import WIDTH, Activity, Line, StatusBoard
from pinpool.pool.this_worker import whereabouts
from pinpool.text import shown_path

#: From the promise of a carrier to end to its end: the time that its answer needs to leave.
_FAREWELL_SECONDS = 0.1
#: The innermost frames of a stack: those before are Ray's and ours.
_STACK_FRAMES = 12


class Kit(NamedTuple):
    """
    What a carrier starts with. `job` is the pickled function that makes the job. `mark` is a file of the parent's that
    is seen by those who share its disk. `levels` are those of the parent's loggers. An attempt that runs for more than
    `hang_seconds` hangs.
    """

    version: str
    job: bytes
    levels: Levels
    logs_prints: bool
    hang_seconds: float
    mark: str | None = None


class Carrier:
    """See the module's docstring."""

    def __init__(self, kit: bytes, numbers: tuple[int, ...]) -> None:
        """`kit` is a pickled `Kit`, `numbers` what journal and log call the workers."""
        self._fence = Fence()
        self._board = StatusBoard([0] * (len(numbers) * WIDTH))
        self._turns = [_Turns() for _ in numbers]
        self._logs = LogPipe(str)
        self._complaint = ""
        self._workers: list[LedWorker] = []
        self._alone = [threading.Lock() for _ in numbers]
        self._threads = [0] * len(numbers)  # where each makes its attempts
        try:
            self._unpack(kit, numbers)
        except BaseException as error:  # noqa: BLE001  the spider may raise anything
            self._complaint = describe(error)

    def _unpack(self, kit: bytes, numbers: tuple[int, ...]) -> None:
        self._kit = Kit(*pickle.loads(kit))
        if self._kit.version != (own := version("pinpool")):
            self._complaint = f"it has pinpool {own}, and the run is one of pinpool {self._kit.version}"
            return
        reporting = self._logs.reporting()._replace(levels=self._kit.levels)
        reporting.begin(whereabouts)
        if self._kit.logs_prints:
            log_prints(lambda: whereabouts().worker or os.getpid())
        make: Callable[[], Job] = pickle.loads(self._kit.job)
        job = make()
        rate = job.settings.site_rate
        self._turn_seconds = 1 / rate if rate else 0.0
        for place, number in enumerate(numbers):
            turn = self._turns[place].take
            self._workers.append(LedWorker(number, job, self._board.seat(place), site_turn=turn))

    # ------------------------------------------------------------------ what the parent calls

    def renew(self, until: float, leaving: frozenset[int]) -> tuple[Any, ...]:
        """
        Keep the proxies until then, by the clock of the fence; 0 for the first time, when the parent does not know that
        clock. Returns the fields of a `Renewed`.
        """
        if until:
            self._fence.extend(until)
        lines, moment = self._board.read(), time.monotonic()
        for line in lines:
            self._board.ask_to_leave(line.seat, line.proxy if line.proxy in leaving else 0)
        shown = [
            WorkerLine(line.seat, int(line.activity), line.serial, ago, self._stack(line, ago))
            for line, ago in ((line, moment - line.since) for line in lines)
        ]
        return tuple(
            Renewed(
                now(),
                socket.gethostname(),
                _own_address(),
                ground_of_pids(),
                os.getpid(),
                tuple(shown),
                self._logs.take(),
                self._complaint,
            )
        )

    def run(
        self, place: int, serial: int, packed: tuple[Any, ...], lease: Lease, pins: int, wait: float
    ) -> tuple[Any, ...]:
        """Make an attempt. Returns the fields of a `Ran`."""
        with self._alone[place]:
            self._fence.check()
            self._threads[place] = threading.get_ident()
            work = unpack_work(packed)
            if complaint := self._cannot(work):
                return tuple(Ran(b"", 0.0, complaint))
            self._turns[place].begin(wait, self._turn_seconds)
            outcome = self._workers[place].run(serial, work, lease, pins)
            return tuple(Ran(pack(outcome), self._turns[place].owed))

    def let_go(self, place: int, pins: int) -> None:
        """The pin of this number is over. No effect if another has taken its place."""
        with self._alone[place]:
            if self._workers[place].pins == pins:
                self._workers[place].let_go()

    def leave(self) -> int:
        """End this process. Returns its pid: once that has arrived, no proxy is used here any more."""
        for worker in self._workers:
            with suppress(Exception):  # it may be in the middle of a page
                worker.let_go()
        self._fence.end_in(_FAREWELL_SECONDS)
        return os.getpid()

    def _stack(self, line: Line, ago: float) -> str:
        """Where a worker hangs; empty if it does not."""
        if line.activity is not Activity.RUN or ago <= self._kit.hang_seconds:
            return ""
        frame = sys._current_frames().get(self._threads[line.seat])
        return "".join(traceback.format_stack(frame)[-_STACK_FRAMES:]) if frame else ""

    def _cannot(self, work: Assignment | Call) -> str:
        """Why this work cannot be done here; empty if it can."""
        mark = self._kit.mark
        if isinstance(work, Call) or work.task.stage != FILE_STAGE or work.task.method == "HEAD" or mark is None:
            return ""
        if Path(mark).exists():
            return ""
        folder = shown_path(str(Path(mark).parent))
        return f"it does not see the folder {folder}, where files go: use a disk that all hosts share, at the same path"


class _Turns:
    """The turns at the site of one worker. The parent gives one with each task; others are paid for afterwards."""

    def __init__(self) -> None:
        self.owed = self._wait = self._paid = 0.0

    def begin(self, wait: float, paid: float) -> None:
        """An attempt begins, with a turn of `paid` seconds in `wait` seconds."""
        self.owed, self._wait, self._paid = 0.0, wait, paid

    def take(self, seconds: float) -> float:
        """Seconds until its turn, which takes `seconds`."""
        self.owed += max(0.0, seconds - self._paid)
        wait = self._wait if self._paid else seconds
        self._paid = 0.0
        return wait


def _own_address() -> str:
    """The address of this host in the cluster; empty outside of one."""
    ray = sys.modules.get("ray")
    return str(ray.util.get_node_ip_address()) if ray else ""
