"""How many workers this machine has memory and open files for, and how many cores."""

import os
import resource
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pinpool.pool.cgroup import cpu_quota, group_limit
from pinpool.text import byte_size, counted

#: What one worker needs of its own while it holds a large page; 100 idle ones measured 3 to 9 MB each.
WORKER_BYTES = 20_000_000
#: What one more worker needs in a process that carries several; with 50 of them it measured 0.2 MB.
THREAD_BYTES = 500_000
#: Descriptors that this process holds for each worker process, measured with forkserver; spawn needs fewer.
WORKER_FILES = 4
#: Descriptors for everything else: the journal, outputs, the Manager, the interpreter.
OTHER_FILES = 100
#: Numbers of threads that a shortage proposes, and the one that the advice after a run names.
_PROPOSED = (5, 10, 25, 50)
ADVISED = 25
#: What a run needs besides its workers: the parent, the Manager and the forkserver.
OTHER_BYTES = 60_000_000


class Capacity(NamedTuple):
    """The memory in bytes and the open files that this machine has for workers, of which `threads` share a process."""

    memory: int
    files: int
    threads: int = 1

    @property
    def workers(self) -> int:
        """How many workers fit, at least one."""
        full, left = divmod(self.memory, _bytes(self.threads, self.threads))
        more = 1 + (left - WORKER_BYTES) // THREAD_BYTES if left >= WORKER_BYTES else 0
        processes = (self.files - OTHER_FILES) // WORKER_FILES
        return max(1, min(full * self.threads + more, processes * self.threads))

    def shortage(self, wanted: int) -> str:
        """Why `wanted` workers do not fit, and how many do, in one line; empty if they fit."""
        if wanted <= self.workers:
            return ""
        needs, needed = [], _bytes(wanted, self.threads)
        if needed > self.memory:
            needs.append(f"{byte_size(needed)} of memory ({byte_size(self.memory)} are free)")
        if (files := -(-wanted // self.threads) * WORKER_FILES + OTHER_FILES) > self.files:
            needs.append(f"{counted(files, 'open file')} ({self.files:,} are allowed)")
        line = f"{counted(wanted, 'worker')} would need {' and '.join(needs)}: {self.workers:,} fit"
        enough = (k for k in _PROPOSED if k > self.threads and self._replace(threads=k).workers >= wanted)
        return f"{line}, and all of them with --threads {threads}" if (threads := next(enough, 0)) else line


def with_threads(memory: int, workers: int) -> int:
    """About how many bytes a run would take, which took `memory`, if `ADVISED` of its workers shared a process."""
    processes = -(-workers // ADVISED)
    return OTHER_BYTES + processes * (memory // workers) + (workers - processes) * THREAD_BYTES


def _bytes(workers: int, threads: int) -> int:
    processes = -(-workers // threads)
    return processes * WORKER_BYTES + (workers - processes) * THREAD_BYTES


def free_capacity(threads: int) -> Capacity:
    """The capacity now, for so many workers a process. Raises this process's limit of open files as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 65_536 if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return Capacity(free_memory(), max(soft, most), threads)


def cores() -> float:
    """How many cores this process may use. A container's quota counts, and may be a fraction."""
    allowed = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    quota = cpu_quota()
    return allowed if quota is None else min(allowed, quota)


def kilobytes(path: str, label: str) -> int:
    """The number in the line of a file of Linux's /proc that begins with `label`; 0 if there is none."""
    with suppress(OSError, ValueError, IndexError):
        for line in Path(path).read_text().splitlines():
            if line.startswith(label):
                return int(line.split()[1])
    return 0


def free_memory() -> int:
    """Bytes of memory that this process and its children may still take."""
    half = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    free = kilobytes("/proc/meminfo", "MemAvailable:") * 1024 or half
    # A container's limit is not in the machine's own figures.
    group = group_limit("memory")
    return free if group is None else min(free, group.left)
