"""What `pinpool doctor` sees of the machine: processes, memory, files, folders, clock."""

import os
import resource
import secrets
import shutil
import socket
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import pinpool.journal.sqlite as storage
from pinpool.check.row import Row, State, rows_of
from pinpool.errors import PinpoolError
from pinpool.pool import ground
from pinpool.pool.cgroup import group_limit
from pinpool.pool.start_check import StartCheck, start_one
from pinpool.stats.capacity import OTHER_BYTES, WORKER_BYTES, cores, free_capacity
from pinpool.text import byte_size, counted, fine_duration, shown_path

#: With less room on a disk, a crawl of some size would fill it.
_LITTLE_ROOM = 100_000_000
_DAY = 86_400.0
#: The widest offsets from UTC in use are -12 and +14 hours, and all are whole quarters of an hour.
_WIDEST, _QUARTER = 14 * 3600, 900


def process_rows() -> Iterator[Row]:
    yield from started_row(start_one())
    problems = [*rows_of("processes", ground.process_problems()), *rows_of("processes", ground.process_shortages())]
    if problems:
        yield from problems
        return
    most, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    limits = [f"this user has {ground.threads_of_user():,} of {most:,}"] if most != resource.RLIM_INFINITY else []
    if group := group_limit("pids"):
        limits.append(f"this container has {group.used:,} of {group.most:,}")
    yield Row("processes", State.FINE, "; ".join(limits) or "no limit")


def started_row(start: StartCheck) -> Iterator[Row]:
    others = f" (there are also {', '.join(start.others)})" if start.others else ""
    if start.problem:
        found = f"no process comes up by {start.method}: {start.problem}"
        yield Row("start", State.HINDERS, found, "look at processes, memory and shared memory here")
    else:
        yield Row("start", State.FINE, f"by {start.method}{others}; one process took {fine_duration(start.seconds)}")


def memory_rows() -> Iterator[Row]:
    """Memory and open files, and how many workers they are enough for."""
    capacity = free_capacity(1)
    group, room = group_limit("memory"), byte_size(capacity.memory)
    limit = f"; this container may have {byte_size(group.most)}" if group else ""
    if capacity.memory < OTHER_BYTES + WORKER_BYTES:
        needed = byte_size(OTHER_BYTES + WORKER_BYTES)
        yield Row("memory", State.HINDERS, f"{room} are free{limit}, and one worker needs {needed}", "make room")
    else:
        workers = max(1, (capacity.memory - OTHER_BYTES) // WORKER_BYTES)
        more = f"{counted(workers, 'worker')}; --threads takes a tenth"
        yield Row("memory", State.FINE, f"{room} are free{limit}: enough for {more}")
    yield from rows_of("memory", ground.memory_shortages(), State.WARNING)
    yield Row("cores", State.FINE, f"{cores():g}")
    problems = [*rows_of("open files", ground.open_file_problems())]
    enough = capacity._replace(memory=2**60).workers
    fine = Row("open files", State.FINE, f"{capacity.files:,} are allowed: enough for {enough:,} processes of workers")
    yield from problems or [fine]


def shared_memory_rows() -> Iterator[Row]:
    problems = [*rows_of("shared memory", ground.shared_memory_problems())]
    if problems or not ground.SHARED_MEMORY.is_dir():
        yield from problems
        return
    room = shutil.disk_usage(ground.SHARED_MEMORY).free
    yield Row("shared memory", State.FINE, f"{shown_path(ground.SHARED_MEMORY)}, {byte_size(room)} free")


def folder_rows() -> Iterator[Row]:
    """The folder for temporary files, and the current one, where a crawl writes its journal."""
    problems = [*rows_of("temporary files", ground.temporary_folder_problems())]
    yield from problems or [temporary_row(Path(tempfile.gettempdir()))]
    try:
        folder = Path.cwd()
    except OSError:
        yield Row("this folder", State.HINDERS, "it does not exist any more", "change to another one (cd)")
        return
    yield journal_row(folder)


def temporary_row(folder: Path) -> Row:
    """Workers and their parent meet at sockets in this folder, which not every file system has."""
    place = folder / f"pinpool-doctor-{secrets.token_hex(4)}"
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.fspath(place))
    except OSError as error:
        todo = "set TMPDIR to a folder on a local disk, for example TMPDIR=/tmp"
        return Row("temporary files", State.HINDERS, f"no socket can be made in {folder}: {error.strerror}", todo)
    finally:
        with suppress(OSError):
            place.unlink()
    return _with_room("temporary files", folder, "sockets can be made there")


def journal_row(folder: Path) -> Row:
    """Whether a journal can be in a folder: makes one, locks it, writes it and reads it meanwhile, and removes it."""
    what, path = "this folder", folder / f".pinpool-doctor-{secrets.token_hex(4)}.db"
    try:
        held = _try_journal(path)
    except (PinpoolError, sqlite3.Error, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        found, _, todo = (reason or str(error)).removeprefix(f"{path}: ").partition(": ")
        return Row(what, State.HINDERS, f"no journal can be here: {found}", todo or "name a local disk with -j")
    finally:
        for leftover in path.parent.glob(f"*{path.name}*"):
            with suppress(OSError):
                leftover.unlink()
    if not held:
        todo = "name a local disk with -j"
        return Row(what, State.WARNING, "its locks do not hold: two crawls could write one journal", todo)
    return _with_room(what, folder, "a journal can be here (written, locked, read meanwhile)")


def _try_journal(path: Path) -> bool:
    """Whether its lock has held. Raises what a crawl would."""
    storage.build(path, lambda db: None)
    with storage.claim(path):
        held = storage.is_claimed(path)
        with closing(storage.open_for_writing(path)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("CREATE TABLE doctor (looked)")
            with closing(storage.open_for_reading(path)) as reader:
                reader.execute("SELECT count(*) FROM tasks").fetchone()
            writer.execute("COMMIT")
            storage.fold(writer)
    return held


def _with_room(what: str, folder: Path, found: str) -> Row:
    room = shutil.disk_usage(folder).free
    state = State.WARNING if room < _LITTLE_ROOM else State.FINE
    return Row(what, state, f"{found}; {byte_size(room)} free", "make room" if state is State.WARNING else "")


def clock_rows() -> Iterator[Row]:
    newest = Path(storage.__file__).stat().st_mtime
    now = time.time()
    yield clock_row(now, time.localtime(now).tm_gmtoff, newest)


def clock_row(now: float, offset: int, newest: float) -> Row:
    """
    Whether epoch seconds and seconds east of UTC can be right. `newest` is when pinpool's own files were written.

    A clock that jumps is not noticed: only what it says at this moment is seen.
    """
    sign, minutes = "-" if offset < 0 else "+", abs(offset) // 60
    shown = f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M:%S} UTC"
    zone = f"here UTC{sign}{minutes // 60:02}:{minutes % 60:02}"
    if now < newest - _DAY:
        found = f"{shown}, but pinpool's files are from {datetime.fromtimestamp(newest, UTC):%Y-%m-%d}"
        return Row("clock", State.WARNING, found, "set the clock: by a wrong one, certificates are not valid")
    if abs(offset) > _WIDEST or offset % _QUARTER:
        return Row("clock", State.WARNING, f"{zone} is no time zone", "set the time zone (TZ)")
    return Row("clock", State.FINE, f"{shown}, {zone}; later than pinpool's files (whether it jumps is not seen)")
