from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from journals import ABOUT, START, damage, make_older, new_journal, rows, whole_run
from pinpool.errors import JournalError
from pinpool.journal import sqlite
from pinpool.journal.reader import Reader
from pinpool.journal.schema import MIGRATIONS
from pinpool.journal.writer import Journal


def test_a_new_journal_refuses_to_replace_an_old_one(path: Path) -> None:
    new_journal(path).close()

    with pytest.raises(JournalError, match="exists already: `pinpool resume"):
        Journal.create(path, ABOUT, START)


@pytest.mark.parametrize("place", ["missing/movies.db", "file/movies.db"])
def test_a_journal_that_cannot_be_made_leaves_nothing_behind(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("not a directory")

    with pytest.raises(JournalError, match="cannot be written"):
        Journal.create(tmp_path / place, ABOUT, START)

    assert [found.name for found in tmp_path.iterdir()] == ["file"]


def test_a_creation_that_fails_half_way_leaves_no_half_journal(path: Path) -> None:
    unstorable = ABOUT._replace(spider=None)  # type: ignore[arg-type]

    with pytest.raises(JournalError):
        Journal.create(path, unstorable, START)

    assert [found.name for found in path.parent.iterdir()] == []
    new_journal(path).close()


def not_there(path: Path) -> None:
    pass


def a_directory(path: Path) -> None:
    path.mkdir()


def a_text(path: Path) -> None:
    path.write_text("titles and directors, one a line\n" * 100)


def an_empty_file(path: Path) -> None:
    path.touch()


def another_database(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE films (title)")
    db.close()


def from_the_future(path: Path) -> None:
    whole_run(path)
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (not_there, "no such journal"),
        (a_directory, "is a directory"),
        (a_text, "not a SQLite file"),
        (an_empty_file, "not a pinpool journal"),
        (another_database, "not a pinpool journal"),
        (from_the_future, "upgrade pinpool"),
    ],
)
@pytest.mark.parametrize("use", [Journal.open, Reader])
def test_what_is_no_journal_is_refused_in_one_clear_line(
    path: Path, make: Callable[[Path], None], complaint: str, use: Callable[[Path], object]
) -> None:
    make(path)
    before = set(path.parent.glob(".*"))

    with pytest.raises(JournalError) as caught:
        use(path)

    (line,) = caught.value.problems
    assert str(path) in line
    assert complaint in line
    assert set(path.parent.glob(".*")) == before


def test_a_journal_is_for_its_owner_alone(path: Path) -> None:
    """It may hold headers and login forms."""
    with new_journal(path):
        modes = {found.name: found.stat().st_mode & 0o777 for found in path.parent.glob("movies.db*")}

    assert modes == {"movies.db": 0o600, "movies.db-wal": 0o600, "movies.db-shm": 0o600}


def test_two_pinpools_never_write_one_journal(path: Path) -> None:
    with new_journal(path):
        with pytest.raises(JournalError, match=rf"another pinpool \(process {os.getpid()}\) is writing it"):
            Journal.open(path)
        link = path.with_name("link.db")
        link.symlink_to(path)
        with pytest.raises(JournalError, match="is writing it"):
            Journal.open(link)

    Journal.open(path).close()


HOLDER = """
import os, sys
from pinpool.journal.schema import MIGRATIONS
from pinpool.journal.writer import Journal
journal = Journal.open(sys.argv[1])
if os.fork() == 0:
    print("held", os.getpid(), flush=True)
sys.stdin.read()
os._exit(0)
"""


def test_the_claim_goes_with_its_process_even_if_a_forked_worker_lives_on(path: Path) -> None:
    new_journal(path).close()
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        worker = int(holder.stdout.readline().split()[1])
        with pytest.raises(JournalError, match=f"process {holder.pid}"):
            Journal.open(path)

        holder.kill()
        holder.wait(timeout=20)
        os.kill(worker, 0)  # the worker is still there

        Journal.open(path).close()


@pytest.fixture
def next_version(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = ("ALTER TABLE items ADD COLUMN colour TEXT", "UPDATE items SET colour = 'blue'")
    monkeypatch.setattr(sqlite, "MIGRATIONS", (*MIGRATIONS, steps))


@pytest.mark.usefixtures("next_version")
def test_an_older_journal_is_copied_and_then_brought_up_to_date(path: Path) -> None:
    whole_run(path)
    make_older(path, 1)

    Journal.open(path).close()

    assert rows(path, "SELECT DISTINCT colour FROM items") == [("blue",)]
    copy = path.with_name("movies.db.v1")
    assert rows(copy, "PRAGMA user_version") == [(1,)]
    assert rows(copy, "SELECT count(*) FROM items") == [(3,)]


def test_attempts_of_an_older_journal_are_kept_and_new_ones_may_be_overtaken(path: Path) -> None:
    whole_run(path)
    make_older(path, 3)
    before = rows(path, "SELECT *, NULL FROM attempts ORDER BY id")

    Journal.open(path).close()

    assert rows(path, "SELECT * FROM attempts ORDER BY id") == before
    damage(path, "UPDATE attempts SET ending = 'overtaken' WHERE id = 4")
    with pytest.raises(sqlite3.IntegrityError):
        damage(path, "UPDATE attempts SET ending = 'sideways' WHERE id = 4")


def test_a_migration_that_fails_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole_run(path)
    broken = ("DROP TABLE items", "SELECT no_such_column FROM tasks")
    monkeypatch.setattr(sqlite, "MIGRATIONS", (*MIGRATIONS, broken))

    with pytest.raises(JournalError, match="no such column"):
        Journal.open(path)

    assert rows(path, "PRAGMA user_version") == [(len(MIGRATIONS),)]
    assert rows(path, "SELECT count(*) FROM items") == [(3,)]


def test_a_new_journal_is_built_without_care_and_then_handled_with_all(path: Path) -> None:
    """While it is built nobody knows it. From then on a reader must not block the writer, nor a kill lose a commit."""
    with new_journal(path):
        assert rows(path, "PRAGMA journal_mode") == [("wal",)]

    with closing(sqlite.open_for_writing(path)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("PRAGMA synchronous").fetchone() == (2,)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        indexes = db.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL").fetchall()
    assert ("tasks_waiting",) in indexes
