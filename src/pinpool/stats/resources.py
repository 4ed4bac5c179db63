"""
CPU and memory of a run, read off Linux's /proc for the whole tree of processes, and kept as one event of the journal.

It knows no engine: whatever this process has started counts, and what its dead children used counts with their parents.
Elsewhere than on Linux there is nothing to read, and the journal then has no such event.
"""

from __future__ import annotations

import json
import math
import os
import resource
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pinpool.model import Event, EventKind


class Reading(NamedTuple):
    """
    CPU seconds and bytes (shared memory counted once), of this process and of all that it has started. `queued` is
    seconds for which one of them was ready to run and no core was free.
    """

    own_cpu: float
    tree_cpu: float
    queued: float
    own_memory: int
    tree_memory: int


class Used(NamedTuple):
    """
    What some `pages` cost that took `seconds` in all: CPU seconds of the parent and of the whole tree on `cores`,
    seconds `queued` for a core, and bytes at the end, with `workers` of them alive.
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

    @property
    def load(self) -> float:
        """How much of the processors that they may use they used, 0 to 1."""
        return self.tree_cpu / (self.seconds * self.cores) if self.seconds else 0.0


class Meter:
    """Measures a start of a run from the moment when its workers are at work: what came before is no page's cost."""

    def __init__(self, clock: Callable[[], float], read: Callable[[], Reading | None] | None = None) -> None:
        self._clock = clock
        self._read = read or read_tree
        self._begin: tuple[float, int, Reading] | None = None
        self._pages = self._workers = 0

    def __repr__(self) -> str:
        return f"<Meter {self._pages} pages>"

    def look(self, pages: int, workers: int) -> None:
        """So many pages have ended so far, and so many workers live. May be called as often as one likes."""
        self._pages, self._workers = pages, workers
        if self._begin is None and pages and pages >= workers:
            reading = self._read()
            if reading is not None:
                self._begin = (self._clock(), pages, reading)

    def event(self, now: float) -> Event | None:
        """What the pages since then cost, for the journal; None if there were none, or nothing can be read."""
        if self._begin is None or self._pages == self._begin[1] or (end := self._read()) is None:
            return None
        at, pages, start = self._begin
        used = Used(
            self._pages - pages,
            round(self._clock() - at, 3),
            round(end.own_cpu - start.own_cpu, 3),
            round(end.tree_cpu - start.tree_cpu, 3),
            # Of those that live: one that died takes its share along.
            round(max(0.0, end.queued - start.queued), 3),
            end.own_memory,
            end.tree_memory,
            self._workers,
            cores(),
        )
        return Event(now, EventKind.MEASURED, detail=json.dumps(used._asdict()))


def used_in(event: Event) -> Used | None:
    """What the event says; None if it is of another kind, or not as we write it."""
    return parse_used(event.detail) if event.kind == EventKind.MEASURED else None


def parse_used(text: str) -> Used | None:
    """What the detail of such an event says; None if it is not as we write it."""
    try:
        told = json.loads(text)
        numbers = [told[name] for name in Used._fields]
    except (ValueError, TypeError, KeyError):
        return None
    sound = all(isinstance(number, int | float) and 0 <= number < math.inf for number in numbers)
    return Used._make(numbers) if sound and told["pages"] and told["cores"] else None


def read_tree() -> Reading | None:
    """The tree of this process as it stands; None where /proc is not Linux's."""
    stats = dict(_stats())
    if os.getpid() not in stats:
        return None
    tree, grown = {os.getpid()}, True
    while grown:
        found = {pid for pid, (parent, _) in stats.items() if parent in tree} - tree
        tree |= found
        grown = bool(found)
    tick = os.sysconf("SC_CLK_TCK")
    memory = {pid: _memory(pid) for pid in tree}
    return Reading(
        stats[os.getpid()][1] / tick,
        sum(stats[pid][1] for pid in tree) / tick,
        sum(_queued(pid) for pid in tree),
        memory[os.getpid()],
        sum(memory.values()),
    )


def _stats() -> list[tuple[int, tuple[int, int]]]:
    """Every process with its parent and its CPU in ticks, that of children it has buried included."""
    found = []
    with suppress(OSError):
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                with suppress(OSError, ValueError, IndexError):
                    # The name in brackets may hold anything, also brackets.
                    fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
                    found.append((int(entry.name), (int(fields[1]), sum(map(int, fields[11:15])))))
    return found


def _queued(pid: int) -> float:
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/schedstat").read_bytes().split()[1]) / 1e9
    return 0.0


def _memory(pid: int) -> int:
    with suppress(OSError, ValueError, IndexError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    return 0


#: What one worker needs of its own with a large page in its hands; 100 idle ones measured 3 to 9 MB each.
WORKER_BYTES = 20_000_000
#: Descriptors that this process holds for each worker, measured with forkserver; spawn needs fewer.
WORKER_FILES = 4
#: Descriptors for everything else: the journal, outputs, the Manager, the interpreter.
OTHER_FILES = 100
_CGROUP = Path("/sys/fs/cgroup")


class Room(NamedTuple):
    """Memory in bytes, and open files, that this machine has for workers."""

    memory: int
    files: int

    @property
    def workers(self) -> int:
        """How many fit, at least one."""
        return max(1, min(self.memory // WORKER_BYTES, (self.files - OTHER_FILES) // WORKER_FILES))

    def refusal(self, wanted: int) -> str:
        """Why so many workers do not fit, and how many do, in one line for people; empty if they fit."""
        if wanted <= self.workers:
            return ""
        needs = []
        if wanted * WORKER_BYTES > self.memory:
            needs.append(
                f"{wanted * WORKER_BYTES / 1e9:.1f} GB of memory ({self.memory / 1e9:.1f} GB are free)"
            )
        if wanted * WORKER_FILES + OTHER_FILES > self.files:
            needs.append(f"{wanted * WORKER_FILES + OTHER_FILES} open files ({self.files} are allowed)")
        return f"{wanted} workers would need {' and '.join(needs)}: {self.workers} fit, so many are started"


def room() -> Room:
    """What is there now. Raises the limit of open files as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard or hard == resource.RLIM_INFINITY:
        soft = 65_536 if hard == resource.RLIM_INFINITY else hard
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return Room(_free_memory(), soft)


def cores() -> float:
    """How many cores this process may use, a container's quota considered."""
    allowed = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    try:
        quota, period = (_CGROUP / "cpu.max").read_text().split()
        return min(allowed, int(quota) / int(period))
    except (OSError, ValueError):  # no quota is written "max"
        return allowed


def _free_memory() -> int:
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                free = int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return min(free, _allowed_memory(free))


def _allowed_memory(otherwise: int) -> int:
    """What a container's limit leaves; it is not seen in the machine's own figures."""
    try:
        most, used = (int((_CGROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
    except (OSError, ValueError):  # no limit is written "max"
        return otherwise
    return max(0, most - used)
