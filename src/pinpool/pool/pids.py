"""How to look at a process by its pid, and how to send it a signal."""

import os
from contextlib import suppress
from pathlib import Path


def is_gone(pid: int, birth: int = 0) -> bool:
    """True if the process has ended. `birth` tells it from a later one with the same pid."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):  # the second: the pid belongs to another user's process now
        return True
    # A birth that cannot be read, for want of descriptors for instance, must not pass for a death.
    return birth != 0 and born(pid) not in (0, birth)


def born(pid: int) -> int:
    """
    When the process started, in kernel ticks; 0 where that cannot be read.

    -1 for a zombie: its forkserver is dead or stopped, and perhaps nothing else ever removes it.
    """
    fields = _stat(pid)
    if fields[:1] in ([b"Z"], [b"X"]):
        return -1
    return int(fields[19]) if len(fields) > 19 else 0


def ground_of_pids() -> str:
    """What tells apart the machines, and the containers, that count pids on their own; empty where nothing does."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def is_stopped(pid: int, *, unknown: bool = True) -> bool:
    """True if SIGSTOP has stopped the process; `unknown` where that cannot be read."""
    state = _stat(pid)[:1]
    return state in ([b"T"], [b"t"]) if state else unknown


def send(pid: int, number: int) -> None:
    """Send a signal to a process. No effect if it has ended."""
    with suppress(OSError):
        os.kill(pid, number)


def _stat(pid: int) -> list[bytes]:
    """The fields of /proc/PID/stat from the state on; empty if there is no such file."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return []
