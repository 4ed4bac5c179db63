"""
What a run uses: its workers' time, and CPU time and memory from Linux's /proc. Each is one event of the journal.

The meter knows no engine: all processes that this one has started count, and dead ones count with their parents. On
other systems there is nothing to read, and the journal has no such event.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from pinpool.model import Event, EventKind
from pinpool.pool.clock import Clock
from pinpool.stats.capacity import cores, kilobytes

#: Processes that started first: this one, forkserver, Manager and others.
_FIRST = 6
_SAMPLE = 20


@dataclass
class Utilization:
    """
    `seconds` is the time of the run. The others are seconds added up over all workers: `present` is all of their time,
    `running` at a page, `pacing` until the proxy may be used again, `parked` without a proxy. In the rest of `present`
    they had nothing to do.

    By Little's law the pages in work at a time are pages a second times seconds a page: workers beyond that number
    wait, and what they wait for shows what to change.
    """

    seconds: float = 0.0
    present: float = 0.0
    running: float = 0.0
    pacing: float = 0.0
    parked: float = 0.0

    def add(self, seconds: float, workers: int, running: int, pacing: int, parked: int) -> None:
        """Count `seconds` with so many workers at each activity."""
        self.seconds += seconds
        self.present += seconds * workers
        self.running += seconds * running
        self.pacing += seconds * pacing
        self.parked += seconds * parked

    def text(self) -> str:
        """As JSON, for the journal."""
        return json.dumps({name: round(value, 3) for name, value in asdict(self).items()})

    @classmethod
    def parse(cls, text: str) -> Utilization | None:
        """The inverse of `text`. None if the text is something else."""
        try:
            read = json.loads(text)
            return cls(**{name: float(read[name]) for name in cls.__dataclass_fields__})
        except (ValueError, TypeError, KeyError):
            return None


class Reading(NamedTuple):
    """
    CPU seconds and bytes of this process (`own_`), and of all its tree; shared memory counts once. `queued` is how
    many seconds processes of the tree were ready to run, but no core was free.
    """

    own_cpu: float
    tree_cpu: float
    queued: float
    own_memory: int
    tree_memory: int


class Usage(NamedTuple):
    """
    What `pages` took in `seconds`, named as in `Reading`: CPU seconds on `cores`, seconds in which no core was free,
    and at the end bytes and the living `workers`, of which `threads` share a process.
    """

    pages: int
    seconds: float
    own_cpu: float
    tree_cpu: float
    queued: float
    own_memory: int
    tree_memory: int
    workers: int
    cores: float
    threads: int = 1

    @property
    def load(self) -> float:
        """The share of the cores that was used, from 0 to 1."""
        return self.tree_cpu / (self.seconds * self.cores) if self.seconds else 0.0

    @classmethod
    def parse(cls, text: str) -> Usage | None:
        """What the detail of a MEASURED event says. None if it is not as we write it."""
        try:
            read = {"threads": 1, **json.loads(text)}  # an older journal does not say
            numbers = [read[name] for name in cls._fields]
        except (ValueError, TypeError, KeyError):
            return None
        sound = all(isinstance(number, int | float) and 0 <= number < math.inf for number in numbers)
        return cls._make(numbers) if sound and read["pages"] and read["cores"] else None


class Meter:
    """Measures one start of a run, from the first pages of its workers on: the start-up is no page's cost."""

    def __init__(self, clock: Clock, read: Callable[[], Reading | None] | None = None, *, threads: int = 1) -> None:
        self._clock = clock
        self._threads = threads
        self._read = read or read_tree
        self._begin: tuple[float, int, Reading] | None = None
        self._pages = self._workers = 0

    def look(self, pages: int, workers: int) -> None:
        """Note how many pages have ended and how many workers live. Cheap: call it as often as you like."""
        self._pages, self._workers = pages, workers
        if self._begin is None and pages >= max(workers, 1) and (reading := self._read()):
            self._begin = (self._clock.monotonic(), pages, reading)

    def event(self) -> Event | None:
        """The usage since then, for the journal. None if no page has ended since, or nothing can be read."""
        if self._begin is None or self._pages == self._begin[1] or (end := self._read()) is None:
            return None
        begin, pages, start = self._begin
        seconds = round(self._clock.monotonic() - begin, 3)
        # A process that died takes its share along, so a sum may shrink.
        spent = (round(max(0.0, now - then), 3) for then, now in zip(start[:3], end[:3], strict=True))
        usage = Usage._make((self._pages - pages, seconds, *spent, *end[3:], self._workers, cores(), self._threads))
        return Event(self._clock.epoch(), EventKind.MEASURED, detail=json.dumps(usage._asdict()))


def read_tree() -> Reading | None:
    """What this process and its tree have used so far. None without Linux's /proc."""
    own = os.getpid()
    stats = _stats()
    if own not in stats:
        return None
    tree, found = {own}, {own}
    while found:
        found = {pid for pid, (parent, _) in stats.items() if parent in found} - tree
        tree |= found
    tick = os.sysconf("SC_CLK_TCK")
    return Reading(
        own_cpu=stats[own][1] / tick,
        tree_cpu=sum(stats[pid][1] for pid in tree) / tick,
        queued=sum(_queued(pid) for pid in tree),
        own_memory=_memory(own),
        tree_memory=_memory_of_all(sorted(tree)),
    )


def _memory_of_all(pids: Sequence[int]) -> int:
    """All workers are alike, so of many only some are looked at: a look takes the kernel a third of a millisecond."""
    first, workers = pids[:_FIRST], pids[_FIRST:]
    sample = workers[:: 1 + len(workers) // _SAMPLE]
    scale = len(workers) / max(1, len(sample))
    return sum(map(_memory, first)) + round(scale * sum(map(_memory, sample)))


def _memory(pid: int) -> int:
    return kilobytes(f"/proc/{pid}/smaps_rollup", "Pss:") * 1024


def _stats() -> dict[int, tuple[int, int]]:
    """The parent of every process, and the CPU ticks that it and its dead children used."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            # The name in brackets may hold anything, also brackets.
            fields = path.read_bytes().rpartition(b")")[2].split()
            found[int(path.parent.name)] = int(fields[1]), sum(map(int, fields[11:15]))
    return found


def _queued(pid: int) -> float:
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/schedstat").read_bytes().split()[1]) / 1e9
    return 0.0
