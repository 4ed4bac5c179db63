"""What a run needs of its machine. The one place that looks, before any process is started or anything is written."""

import errno
import multiprocessing
import os
import resource
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pinpool.errors import UsageError
from pinpool.pool.cgroup import group_limit
from pinpool.pool.registry import Where
from pinpool.text import byte_size, shown_path

#: With fewer open files not even one worker comes up; 28 are enough, measured.
FEWEST_FILES = 40
#: A socket's path may have 107 bytes on Linux, and 103 on other systems. Ours and that of Python add 35 to the folder.
LONGEST_FOLDER = (107 if sys.platform == "linux" else 103) - 35
#: Where Linux has the shared memory of Python's processes.
SHARED_MEMORY = Path("/dev/shm")
#: With fewer processes or less memory left, their lack is the likely reason for a failed start.
_FEW_PROCESSES = 8
_LITTLE_MEMORY = 2_000_000_000  # of addresses, which threads reserve generously


def check_ground(where: Where = "processes") -> None:
    """Raises UsageError with a line for each thing that would keep workers from starting there, and the next step."""
    if problems := [*_problems(where)]:
        raise UsageError(problems)


def _problems(where: Where) -> Iterator[str]:
    if where == "processes":
        yield from process_problems()
    try:
        Path.cwd()
    except OSError:
        yield "the current folder does not exist any more: change to another one (cd)"
        return  # hardly anything works there
    if where == "caller":
        return
    yield from temporary_folder_problems()
    if where == "processes":
        yield from shared_memory_problems()
    yield from open_file_problems()


def process_problems() -> Iterator[str]:
    """Why this process can have no workers, with the next step."""
    if multiprocessing.current_process().daemon:
        yield (
            "a daemonic process may not have children, so no worker can start in it: "
            "make it with Process(..., daemon=False), or use a thread"
        )
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    if file == "<stdin>":
        yield (
            "a script that comes from stdin cannot have workers, because each of them imports it: "
            "save it in a file, script.py, and run that"
        )


def open_file_problems() -> Iterator[str]:
    """Whether too few open files are allowed, with the next step."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < FEWEST_FILES:
        yield f"only {most} open files are allowed, and a run needs {FEWEST_FILES}: raise the limit (ulimit -n 1024)"


def temporary_folder_problems() -> Iterator[str]:
    """What is wrong with the folder for temporary files, with the next step."""
    try:
        temporary = tempfile.gettempdir()
    except OSError:
        yield "no folder for temporary files can be written: make room in /tmp, or set TMPDIR to a folder that can"
        return
    if len(os.fsencode(temporary)) > LONGEST_FOLDER:
        yield (
            f"the folder for temporary files has too long a name for a socket ({len(temporary)} characters, at most "
            f"{LONGEST_FOLDER}): set TMPDIR to another one, for example TMPDIR=/tmp"
        )


def shared_memory_problems() -> Iterator[str]:
    """What is wrong with the folder for shared memory, with the next step. Only Linux has one."""
    if sys.platform != "linux":
        return
    where = shown_path(SHARED_MEMORY)
    try:
        with tempfile.TemporaryFile(dir=SHARED_MEMORY):
            pass
    except OSError as error:
        if error.errno == errno.ENOSPC:
            return  # the stdlib takes the folder for temporary files then
        reason = "is missing" if error.errno == errno.ENOENT else f"cannot be written ({error.strerror})"
        yield (
            f"{where} {reason}, and the processes of a run share memory there: mount it "
            f"(mount -t tmpfs tmpfs {where}; in a container: --shm-size 64m)"
        )


def shortages() -> list[str]:
    """What this process is about to run out of, and what to do: the likely reason why another one has died."""
    return [*process_shortages(), *memory_shortages()]


def process_shortages() -> Iterator[str]:
    """Whether hardly any process may be started, with the next step."""
    most, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    if most != resource.RLIM_INFINITY and (used := threads_of_user()) > most - _FEW_PROCESSES:
        yield f"this user has {used} of {most} processes and threads: raise the limit (ulimit -u)"
    if (group := group_limit("pids")) and group.left < _FEW_PROCESSES:
        yield f"this container has {group.used} of {group.most} processes and threads: raise its limit (pids.max)"


def threads_of_user() -> int:
    """How many processes and threads this user has; 0 where there is no /proc."""
    threads = 0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is hidden
            if process.stat().st_uid == os.getuid():
                threads += len([*(process / "task").iterdir()])
    return threads


def memory_shortages() -> Iterator[str]:
    """Whether a process may have hardly any memory, with the next step."""
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    if most != resource.RLIM_INFINITY and most < _LITTLE_MEMORY:
        yield f"each process may have {byte_size(most)} of memory: raise the limit (ulimit -v)"


def default_start_method() -> str:
    """forkserver where it exists: fast, small, and safe beside threads. spawn elsewhere."""
    return "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
