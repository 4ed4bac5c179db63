"""The limits that Linux sets to a container or a session: control groups, of version 2 and of version 1."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import NamedTuple

ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
#: The files with a limit and with what is used of it, in either version.
_FILES = {
    "memory": (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")),
    "pids": (("pids.max", "pids.current"),),
}
_COUNTS_FILES = ("memory.current", "memory.usage_in_bytes")
#: What version 1 writes for "no limit" is a little less than 2**63.
_NO_LIMIT = 2**60


class GroupLimit(NamedTuple):
    """
    How much a group may have, and what it has: bytes of memory, without files that the kernel can drop, or processes
    and threads.
    """

    most: int
    used: int

    @property
    def left(self) -> int:
        return max(0, self.most - self.used)


def group_limit(kind: str) -> GroupLimit | None:
    """The limit on "memory" or "pids" that leaves least, of all groups around this process. None if there is none."""
    limits = [
        limit
        for folder in _groups(kind)
        for names in _FILES[kind]
        if (limit := _limit(folder, *names)) is not None and limit.most < _NO_LIMIT
    ]
    return min(limits, key=lambda limit: limit.left, default=None)


def cpu_quota() -> float | None:
    """How many cores the groups around this process may use, perhaps a fraction. None if there is no limit."""
    quotas = []
    for folder in _groups("cpu"):
        with suppress(OSError, ValueError, ZeroDivisionError):  # no quota is written "max"
            quota, period = (folder / "cpu.max").read_text().split()
            quotas.append(int(quota) / int(period))
        with suppress(OSError, ValueError, ZeroDivisionError):  # or -1
            quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
            quotas.append(int(quota) / int(period))
    return min((quota for quota in quotas if quota > 0), default=None)


def _limit(folder: Path, most: str, used: str) -> GroupLimit | None:
    with suppress(OSError, ValueError):  # no such file; no limit is written "max"
        limit = GroupLimit(int((folder / most).read_text()), int((folder / used).read_text()))
        return limit._replace(used=max(0, limit.used - _droppable(folder))) if used in _COUNTS_FILES else limit
    return None


def _droppable(folder: Path) -> int:
    """Bytes of files that the kernel holds for the group and drops when memory gets short."""
    with suppress(OSError, ValueError):
        figures = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        # Version 1 has the figure of the groups below added under the other name.
        return int(figures.get("total_inactive_file") or figures.get("inactive_file") or 0)
    return 0


def _groups(controller: str) -> Iterator[Path]:
    """The folders of the groups that this process is in, and of those around them."""
    own = {"": "/", controller: "/"}
    with suppress(OSError, ValueError):
        for line in OWN.read_text().splitlines():
            _, names, path = line.split(":", 2)
            own |= {name: path for name in names.split(",") if name in own}
    for base, path in ((ROOT, own[""]), (ROOT / controller, own[controller])):
        inner = PurePosixPath(path)
        for group in (inner, *inner.parents):
            # In a container the path may be that of the host, which is not there; its root is.
            yield base / str(group).lstrip("/")
