"""What this machine has room for, and how busy it is. Reads the system's own counters and decides little."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import NamedTuple

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
