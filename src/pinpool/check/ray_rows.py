"""What `pinpool doctor --engine ray` sees of Ray on this machine: versions, shared memory, open files, old clusters."""

import os
import platform
import re
import resource
import shutil
import socket
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from pinpool.check.environment_rows import installed_version, wrong_packages
from pinpool.check.row import Row, State
from pinpool.errors import UsageError
from pinpool.pool import ground
from pinpool.pool.ray_address import endpoint
from pinpool.pool.ray_look import RayLook, look
from pinpool.text import byte_size, one_line, shown_path

INSTALL = "pip install 'pinpool[ray]'"
#: Ray does not start with less memory for its objects.
OBJECT_STORE_BYTES = 75 * 2**20
#: Ray itself asks for as many open files.
FEWEST_FILES = 8192
#: Loading Ray takes half a second.
_PATIENCE = 30.0
_SHORT = 1.0
_NAME = re.compile(r"ray(?![\w.-])")


def software_rows(address: str | None) -> list[Row]:
    """Whether Ray is installed and can be loaded, and the version of Python that all hosts must share."""
    wrong = wrong_versions(_declared(), installed_version("ray"))
    return wrong or [*loaded_rows(look(None, _PATIENCE)), python_row(platform.python_version(), os.environ)]


def _declared() -> list[str]:
    try:
        return requires("pinpool") or []
    except PackageNotFoundError:
        return []


def wrong_versions(declared: Iterable[str], have: str | None) -> list[Row]:
    """A row if Ray is missing, or is not a version that pinpool's extra declares."""
    if have is None:
        return [Row("Ray", State.HINDERS, "is not installed", INSTALL)]
    extra = [line.partition(";")[0] for line in declared if _NAME.match(line)]
    return [row._replace(what="Ray", todo=INSTALL) for row in wrong_packages(extra, lambda name: have)]


def loaded_rows(seen: RayLook) -> Iterator[Row]:
    """Whether Ray could be loaded."""
    if seen.problem:
        yield Row("Ray", State.HINDERS, f"cannot be loaded: {one_line(seen.problem)}", INSTALL)
    else:
        yield Row("Ray", State.FINE, f"{seen.ray}: every host of a cluster needs exactly this version")


def python_row(number: str, environ: Mapping[str, str]) -> Row:
    """The version of Python, to its last number."""
    level = environ.get("RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL", "patch")
    if level == "patch":
        return Row("Python for Ray", State.FINE, f"{number}: every host of a cluster needs exactly this version")
    if level == "minor":
        found = f"{number}: hosts may differ in its last number, as RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL says"
        return Row("Python for Ray", State.NOTE, found)
    found = "RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL is neither patch nor minor"
    return Row("Python for Ray", State.HINDERS, found, "unset it")


def machine_rows(address: str | None) -> Iterator[Row]:
    """Shared memory and open files."""
    if ground.SHARED_MEMORY.is_dir():
        yield memory_row(shutil.disk_usage(ground.SHARED_MEMORY).free)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield files_row(soft)


def memory_row(free: int) -> Row:
    """Whether `free` bytes of shared memory are enough. Ray takes a third of the memory unless it is told how much."""
    what, found = "memory for Ray", f"{byte_size(free)} are free in {shown_path(ground.SHARED_MEMORY)}"
    if free < OBJECT_STORE_BYTES:
        found += f", and Ray needs {byte_size(OBJECT_STORE_BYTES)}"
        return Row(what, State.WARNING, found, "make room, or start a container with --shm-size 256m")
    return Row(what, State.FINE, f"{found}; `ray start --object-store-memory=100000000` takes 100 MB of it")


def files_row(soft: int) -> Row:
    """Whether so many open files are enough for a host of Ray."""
    what = "files for Ray"
    if soft != resource.RLIM_INFINITY and soft < FEWEST_FILES:
        found = f"{soft:,} open files are allowed, and Ray asks for {FEWEST_FILES:,}"
        return Row(what, State.WARNING, found, "`ulimit -n 65536` before `ray start`, or LimitNOFILE=65536 in its unit")
    return Row(what, State.FINE, "as many open files are allowed as Ray asks for")


def leftover_rows(address: str | None) -> Iterator[Row]:
    """What makes programs of Ray join a cluster that nobody has named."""
    named = os.environ.get("RAY_ADDRESS")
    if named and named != address:
        found = "set, and ignored: pinpool joins the cluster of --address, or starts its own"
        yield Row("RAY_ADDRESS", State.NOTE, found, "unset it: `ray status` and `ray.init()` go there")
    yield from leftover_row(_ray_folder(os.environ) / "ray_current_cluster")


def _ray_folder(environ: Mapping[str, str]) -> Path:
    """Where Ray keeps its sessions."""
    return Path(environ.get("RAY_TMPDIR") or environ.get("TMPDIR") or "/tmp", "ray")


def leftover_row(path: Path) -> Iterator[Row]:
    """Whether this file names a cluster that is no more: programs of Ray that name none join that one, and hang."""
    try:
        named = path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return
    try:
        with socket.create_connection(endpoint(named), timeout=_SHORT):
            return
    except (OSError, UsageError):
        found = f"{shown_path(path)} names a cluster that does not answer: {one_line(named)}"
        yield Row("old cluster", State.WARNING, found, f"rm {shown_path(path)}")
