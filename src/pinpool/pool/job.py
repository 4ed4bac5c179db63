"""What a worker runs, a job, and what it starts with; an outcome as bytes."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from pinpool.model import Assignment, Call, Download, Ending, Evidence, Outcome, PageSample, Task
from pinpool.pool.leases import LeaseQueue
from pinpool.pool.log_pipe import Reporting
from pinpool.pool.pin import Pin
from pinpool.pool.status_board import StatusBoard
from pinpool.settings import Settings


class JobResult(NamedTuple):
    """What came of one assignment. The worker adds the rest of an `Outcome`, whose fields have the same meaning."""

    ending: Ending
    status: int | None = None
    size: int = 0
    evidence: Evidence | None = None
    items: tuple[str, ...] = ()
    tasks: tuple[Task, ...] = ()
    result: bytes | None = None
    unasked: str = ""
    sample: PageSample | None = None
    note: str = ""
    digest: int = 0
    fields: str = ""
    file: Download | None = None


class Job(Protocol):
    """What a pool is for: crawling with a spider, or calling functions. Each worker has one instance."""

    settings: Settings

    def perform(self, pin: Pin, work: Assignment | Call) -> JobResult | None:
        """
        Do the assignment through the pin. May raise anything; must end within the deadline.

        None means that this was only a step towards it, such as a login. The next call waits for the pin's turn again.
        """


class WorkerConfig(NamedTuple):
    """All that a worker process starts with. `job` makes the job, in the worker; it must survive a pickle."""

    leases: LeaseQueue
    generation: int
    board: StatusBoard
    job: Callable[[], Job]
    hang_seconds: float
    stacks: Path
    reporting: Reporting
    logs_prints: bool = False


_ENDING, _TASKS = Outcome._fields.index("ending"), Outcome._fields.index("tasks")
_ENDINGS = {ending.value: ending for ending in Ending}


def pack(outcome: Outcome) -> bytes:
    """
    An outcome as bytes. What nearly every outcome has becomes plain tuples and strings: the parent takes three times as
    long to make an enum, or a named tuple, from a pickle of one.
    """
    fields: list[object] = list(outcome)
    fields[_ENDING], fields[_TASKS] = outcome.ending.value, [*map(tuple, outcome.tasks)]
    return pickle.dumps(fields, protocol=pickle.HIGHEST_PROTOCOL)


def unpack(payload: bytes) -> Outcome:
    """The outcome that `pack` has packed."""
    fields = pickle.loads(payload)
    fields[_ENDING], fields[_TASKS] = _ENDINGS[fields[_ENDING]], tuple(map(Task._make, fields[_TASKS]))
    return Outcome._make(fields)


def pack_work(work: Assignment | Call) -> tuple[Any, ...]:
    """An assignment in plain tuples, for the pool to pickle; a call as it is."""
    return work if isinstance(work, Call) else (tuple(work.task), *work[1:])


def unpack_work(packed: tuple[Any, ...]) -> Assignment | Call:
    """What `pack_work` has packed."""
    return packed if isinstance(packed, Call) else Assignment(Task._make(packed[0]), *packed[1:])
