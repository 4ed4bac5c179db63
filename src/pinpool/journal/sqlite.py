"""
The SQLite file of a journal: making, opening and migrating it, and claiming it for one writer.

Knows headers, locks and errors of SQLite, and nothing of what the rows mean.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from itertools import chain
from pathlib import Path

from pinpool.errors import JournalError, PinpoolError, StorageError
from pinpool.files import NO_ROOM, SQLITE_SIDES
from pinpool.journal.schema import APPLICATION_ID, MIGRATIONS
from pinpool.text import one_line, shown_path

BUSY_SECONDS = 10.0
#: A group that is larger than this (80 MB) is written before its commit, which then looks like somebody else's write.
_SPILL_PAGES = 20_000
_BUILD_CACHE = 8192  # KiB: the keys of seeds come in no order, and 2 MB hold those of 60,000
_MODE = 0o600  # it may hold headers and login forms; SQLite gives its side files the same mode

DAMAGED = "move it away to start again, or put a copy back and `pinpool resume`"
NEXT_STEPS = {
    "SQLITE_FULL": "the disk is full: free some space, then `pinpool resume {path}`, or crawl again if it is gone",
    "SQLITE_BUSY": "another program keeps it locked: close that one, then `pinpool resume {path}`",
    "SQLITE_READONLY": "it is read-only: allow writing there, then `pinpool resume {path}`",
    "SQLITE_CANTOPEN": "it cannot be opened: look at the permissions of the file and of its directory",
    "SQLITE_NOTADB": "is not a SQLite file: name the .db file that `pinpool crawl` wrote",
    "SQLITE_CORRUPT": f"it is damaged: {DAMAGED}",
}


def explain(path: Path, error: sqlite3.Error) -> str:
    """One line: what SQLite's error means for the file at `path`, and the next step."""
    name, shown = getattr(error, "sqlite_errorname", None) or "", shown_path(path)
    for prefix, step in NEXT_STEPS.items():
        if name.startswith(prefix):
            return f"{shown}: {step.format(path=shown)}"
    step = f"look at the disk, then `pinpool resume {shown}`, or crawl again if it is gone"
    return f"{shown}: SQLite says: {error}: {step}"


def unusable(path: Path, error: sqlite3.Error) -> PinpoolError:
    """SQLite's error while a journal is made or opened: a StorageError if the disk is to blame, else a JournalError."""
    name = getattr(error, "sqlite_errorname", None) or ""
    kind = StorageError if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")) else JournalError
    return kind(explain(path, error))


@contextmanager
def claim(journal: Path) -> Iterator[None]:
    """
    Hold the right to write the journal at a path. At most one process of this machine has it, until the block or the
    process ends.

    It is an exclusive SQLite lock on an empty side file: on the journal itself it would shut readers out. The kernel
    drops a lock of SQLite with the process, however that ends, and unlike a flock it does not pass to a forked worker
    that outlives the parent. The side file ends with the block.

    Raises JournalError if another process has the claim, naming it, or if the side file cannot be made; StorageError if
    the disk is full.
    """
    side = _side_file(journal)
    with ExitStack() as stack:
        try:
            while not _lock(side, stack):
                pass
            stack.callback(_remove, side)
        except OSError as error:
            raise _unwritable(journal, error) from error
        except sqlite3.Error as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise _in_use(journal) from None
            raise unusable(journal, error) from error
        yield


def _lock(side: Path, held: ExitStack) -> bool:
    """Lock a side file until `held` ends. False if its last holder has removed that file meanwhile."""
    with ExitStack() as undo:
        # Open as long as the lock: so no other file gets its inode, and no close drops the lock.
        file = os.open(side, os.O_RDWR | os.O_CREAT, 0o666)
        undo.callback(os.close, file)
        try:
            # A reader locks the claim for microseconds, and must not turn a writer away.
            uri = f"{side.as_uri()}?mode=rw"
            lock = undo.enter_context(closing(sqlite3.connect(uri, uri=True, timeout=0.5, isolation_level=None)))
            lock.execute("PRAGMA journal_mode = MEMORY")  # or a second side file would appear
            lock.execute("BEGIN EXCLUSIVE")
            if os.path.samestat(os.fstat(file), side.stat()):
                held.push(undo.pop_all())
                return True
        except FileNotFoundError:
            pass
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_CANTOPEN or side.exists():
                raise
    return False


def is_claimed(journal: Path) -> bool:
    """Whether a living process of this machine holds the claim to this journal."""
    try:
        with closing(sqlite3.connect(f"{_side_file(journal).as_uri()}?mode=ro", uri=True, timeout=0)) as side:
            side.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.OperationalError as error:
        return error.sqlite_errorcode == sqlite3.SQLITE_BUSY
    return False


def refuse_claimed(journal: Path) -> None:
    """Raise JournalError if a living process is writing this journal."""
    if is_claimed(journal):
        raise _in_use(journal)


def _in_use(journal: Path) -> JournalError:
    holder = ""
    with suppress(sqlite3.Error, PinpoolError), closing(open_for_reading(journal)) as db:
        holder = f" (process {db.execute('SELECT pid FROM run').fetchone()[0]})"
    return JournalError(f"{journal}: another pinpool{holder} is writing it: wait for it, or name another file with -j")


def open_for_writing(path: Path) -> sqlite3.Connection:
    """
    A connection for the one writer, which begins and ends the transactions itself. Never makes a file.

    The write-ahead log lets others read meanwhile. `fold` ends it: to read a journal with one, SQLite makes two files.
    """
    db = _connect(path, "mode=rw")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA foreign_keys = ON")
    db.execute(f"PRAGMA cache_spill = {_SPILL_PAGES}")
    return db


def fold(db: sqlite3.Connection) -> None:
    """Bring all into the one file, so that no side file stays behind. No effect while somebody reads it."""
    with suppress(sqlite3.Error):
        db.execute("PRAGMA busy_timeout = 0")
        db.execute("PRAGMA journal_mode = DELETE")


def damage(path: Path) -> str:
    """What is wrong with the file as readers find it; empty if nothing is."""
    try:
        with closing(_connect(path, "mode=ro")) as db:
            if _pragma(db, "application_id") != APPLICATION_ID:
                return "its beginning is gone"
            (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        return one_line(str(error))
    return "" if found == "ok" else one_line(found)


def open_for_reading(path: Path) -> sqlite3.Connection:
    """
    A connection that can only read, also while another process writes. Raises JournalError if there is no journal at
    `path`, or if it is another kind of file, or of a newer pinpool.
    """
    if path.is_dir():
        raise JournalError(f"{path}: is a directory: name the .db file that `pinpool crawl` wrote")
    if not path.exists():
        name = shown_path(path)
        raise JournalError(f"{name}: no such journal: `pinpool crawl SPIDER -p PROXIES -j {name}` makes one")
    try:
        try:
            return _inspected(path, "mode=ro")
        except sqlite3.OperationalError:
            # Even for reading, SQLite puts a -shm file beside a journal in WAL mode. Where it may not, and there is no
            # -wal of a writer, nobody can be writing: then the file can be read as it is.
            if path.with_name(f"{path.name}-wal").exists():
                raise
            return _inspected(path, "mode=ro&immutable=1")
    except sqlite3.DatabaseError as error:
        raise unusable(path, error) from error


def build(path: Path, fill: Callable[[sqlite3.Connection], None]) -> None:
    """
    Make a journal with the newest tables and what `fill` adds, whole or not at all.

    It is written under another name and renamed at the end, so that a kill leaves no half journal. So nothing of it
    needs to be safe before that, and a million seeds are added at a speed that only this allows. Side files of an
    earlier journal of this name go. Raises JournalError if it cannot be made there.
    """
    draft = path.with_name(f".{path.name}.new")
    try:
        draft.unlink(missing_ok=True)
        draft.touch(_MODE, exist_ok=False)
        with closing(_connect(draft, "mode=rw")) as db:
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            for fast in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{_BUILD_CACHE}"):
                db.execute(f"PRAGMA {fast}")
            _apply(db, 0, fill)
            if db.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
                raise JournalError(f"{path}: cannot be on this file system: name a local disk with -j")
        with draft.open("rb+") as whole:
            os.fsync(whole.fileno())
        # SQLite would play the log of a journal that somebody has removed into the new one.
        for side in SQLITE_SIDES:
            path.with_name(path.name + side).unlink(missing_ok=True)
        draft.rename(path)
    except sqlite3.Error as error:
        raise unusable(path, error) from error
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        for leftover in ("", *SQLITE_SIDES):
            draft.with_name(draft.name + leftover).unlink(missing_ok=True)


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """Bring an older journal up to date in one transaction. A copy of it stays beside it as ``NAME.vN``."""
    version = _pragma(db, "user_version")
    if version == len(MIGRATIONS):
        return
    kept = path.with_name(f"{path.name}.v{version}")
    kept.unlink(missing_ok=True)
    copy(db, kept)
    _apply(db, version, lambda db: None)


def copy(db: sqlite3.Connection, path: Path) -> None:
    path.touch(_MODE, exist_ok=False)
    with closing(sqlite3.connect(path)) as kept:
        db.backup(kept)
        fold(kept)


def _apply(db: sqlite3.Connection, version: int, fill: Callable[[sqlite3.Connection], None]) -> None:
    statements = list(chain.from_iterable(MIGRATIONS[version:]))
    indexes = [statement for statement in statements if statement.startswith("CREATE INDEX")]
    with db:
        db.execute("BEGIN IMMEDIATE")
        for statement in statements:
            if statement not in indexes:
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        fill(db)
        for statement in indexes:  # made in one go, they cost a tenth
            db.execute(statement)


def _inspected(path: Path, mode: str) -> sqlite3.Connection:
    with ExitStack() as undo:
        db = undo.enter_context(closing(_connect(path, mode)))
        if _pragma(db, "application_id") != APPLICATION_ID:
            raise JournalError(
                f"{path}: is SQLite, but not a pinpool journal: name the .db file that `pinpool crawl` wrote"
            )
        version = _pragma(db, "user_version")
        if version > len(MIGRATIONS):
            raise JournalError(
                f"{path}: made by a newer pinpool (journal version {version}; this one reads up to"
                f" {len(MIGRATIONS)}): upgrade pinpool"
            )
        undo.pop_all()
    return db


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.resolve().as_uri()}?{mode}"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"PRAGMA {name}").fetchone()[0])


def _side_file(journal: Path) -> Path:
    real = journal.resolve()  # two names of one journal share one claim
    return real.with_name(f".{real.name}.claim")


def _remove(side: Path) -> None:
    with suppress(OSError):  # where an open file cannot be removed
        side.unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> PinpoolError:
    name = shown_path(path)
    if error.errno in NO_ROOM:
        return StorageError(f"{name}: cannot be written ({error.strerror}): make room on the disk, then do it again")
    step = "allow writing in its directory, or name another file with -j"
    return JournalError(f"{name}: cannot be written ({error.strerror}): {step}")
