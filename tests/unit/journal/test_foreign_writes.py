"""What other programs do to the files of a journal while a run writes it, and what is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from journals import ABOUT, START, answered, done, item, new_journal, rows, task
from pinpool.errors import JournalError, StorageError
from pinpool.journal.reader import Reader
from pinpool.journal.sqlite import is_claimed
from pinpool.journal.writer import Journal

FILMS = 200


def wal(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def settle(journal: Journal, numbers: range) -> None:
    for number in numbers:
        journal.settle(done(number, answered(item(f"film {number}" + "x" * 500))), START)
        if number % 10 == 0:
            journal.commit()


def at_work(path: Path) -> Journal:
    """A journal in which half of the work is committed, and an outcome is not."""
    journal = new_journal(path, *(task(str(n)) for n in range(FILMS)))
    settle(journal, range(1, FILMS // 2 + 2))
    return journal


def journal_deleted(path: Path) -> None:
    path.unlink()


def journal_renamed(path: Path) -> None:
    path.rename(path.with_name("moved.db"))


def journal_replaced(path: Path) -> None:
    path.with_name("new.db").write_bytes(path.read_bytes())
    path.with_name("new.db").rename(path)


def log_deleted(path: Path) -> None:
    wal(path).unlink()


@pytest.mark.parametrize("attack", [journal_deleted, journal_renamed, journal_replaced, log_deleted])
@pytest.mark.parametrize("at_the_end", [False, True], ids=["heartbeat", "end"])
def test_a_journal_that_left_its_place_stops_the_run_and_all_it_held_is_saved(
    path: Path, attack: Callable[[Path], None], at_the_end: bool
) -> None:
    with at_work(path) as journal:
        attack(path)

        saved = r"moved, replaced or deleted it: all it held is saved as .*movies\.saved\.db: `pinpool resume"
        with pytest.raises(StorageError, match=saved):
            journal.finish("complete", START) if at_the_end else journal.progress(0, 0, 0, START)

    assert {left.name for left in path.parent.iterdir()} <= {"movies.db", "movies.saved.db", "moved.db"}
    with Journal.open(path.with_name("movies.saved.db")) as again:
        again.resume(ABOUT, START)
        assert again.last_item() == FILMS // 2 + 1
        settle(again, range(FILMS // 2 + 2, FILMS + 1))
        again.finish("complete", START)


def test_what_is_saved_never_takes_the_place_of_another_file(path: Path) -> None:
    other = path.with_name("movies.saved.db")
    other.write_text("precious")

    with at_work(path) as journal:
        path.unlink()
        with pytest.raises(StorageError, match=r"saved as .*movies\.saved-2\.db"):
            journal.progress(0, 0, 0, START)

    assert other.read_text() == "precious"


def pages_overwritten(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096 * 20)


def journal_truncated(path: Path) -> None:
    os.truncate(path, 0)


def log_overwritten(path: Path) -> None:
    with wal(path).open("r+b") as file:
        file.seek(32)
        file.write(b"\xff" * wal(path).stat().st_size)


def log_truncated(path: Path) -> None:
    os.truncate(wal(path), 100)


ATTACKS = [pages_overwritten, journal_truncated, log_overwritten, log_truncated]


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("at_the_end", [False, True], ids=["heartbeat", "end"])
def test_damage_stops_the_run_which_is_never_complete(
    path: Path, attack: Callable[[Path], None], at_the_end: bool
) -> None:
    with at_work(path) as journal:
        attack(path)

        with pytest.raises(StorageError, match=r"damage|malformed|not a SQLite file"):
            if at_the_end:
                settle(journal, range(FILMS // 2 + 2, FILMS + 1))
                journal.finish("complete", START)
            else:
                journal.progress(0, 0, 0, START)


@pytest.mark.parametrize("attack", [log_overwritten, log_truncated])
def test_a_log_that_is_damaged_after_a_kill_costs_work_but_never_gives_a_wrong_completeness(
    path: Path, attack: Callable[[Path], None]
) -> None:
    with at_work(path) as journal:
        settle(journal, range(FILMS // 2 + 2, FILMS + 1))
        journal.commit()
        copies = {name: Path(name).read_bytes() for name in (str(path), str(wal(path)))}
    for name, data in copies.items():  # as a kill leaves them
        Path(name).write_bytes(data)
    attack(path)

    with Reader(path) as reader:
        run = reader.run_info()
    assert run.state == "interrupted"
    assert run.tasks["waiting"] > 0


def test_a_damaged_journal_is_not_gone_on_with(path: Path) -> None:
    at_work(path).close()
    pages_overwritten(path)

    with pytest.raises((JournalError, StorageError), match="damaged"), Journal.open(path) as journal:
        journal.resume(ABOUT, START)


def test_what_happens_while_a_commit_is_written_is_noticed_too(path: Path) -> None:
    with at_work(path) as journal:
        journal.commit()
        journal_renamed(path)
        journal._files.after_write()

        with pytest.raises(StorageError, match="all it held is saved"):
            journal.progress(0, 0, 0, START)

    saved = path.with_name("movies.saved.db")
    with Journal.open(saved) as again:
        pages_overwritten(saved)
        again._files.after_write()
        with pytest.raises(StorageError, match=r"damage|malformed"):
            again.finish("complete", START)


def test_a_file_that_is_only_touched_is_looked_at_and_no_reason_to_stop(path: Path) -> None:
    with at_work(path) as journal:
        os.utime(path)
        journal.progress(0, 0, 0, START)
        settle(journal, range(FILMS // 2 + 2, FILMS + 1))
        journal.finish("complete", START)


def test_readers_are_no_reason_to_stop(path: Path) -> None:
    with at_work(path) as journal:
        with Reader(path) as reader:
            reader.run_info()
        rows(path, "SELECT count(*) FROM items")
        journal.commit()
        assert not journal._files.is_suspect(START)
        journal.finish("interrupted", START)


def test_nothing_is_left_beside_a_journal_that_was_closed_not_even_by_its_readers(path: Path) -> None:
    with at_work(path) as journal:
        assert is_claimed(path)
        journal.finish("interrupted", START)

    with Reader(path) as reader:
        reader.run_info()

    assert not is_claimed(path)
    assert list(path.parent.iterdir()) == [path]


def test_while_somebody_reads_the_journal_is_closed_and_opened_all_the_same(path: Path) -> None:
    journal = at_work(path)
    with Reader(path) as reader:
        reader.run_info()
        journal.close()
        assert len(list(reader.items())) == FILMS // 2  # what was there at its first question

    with Journal.open(path) as again:
        assert again.last_item() == FILMS // 2 + 1


CLAIMER = """
import os, sys, time
from pathlib import Path
from pinpool.errors import JournalError
from pinpool.journal.sqlite import claim
journal, alone = map(Path, sys.argv[1:])
claimed = 0
while claimed < 100:
    try:
        with claim(journal):
            os.close(os.open(alone, os.O_CREAT | os.O_EXCL))
            alone.unlink()
            claimed += 1
    except JournalError:
        pass
"""


def test_a_claim_is_for_one_at_a_time_though_its_file_goes_with_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CLAIMER, str(tmp_path / "movies.db"), str(tmp_path / "alone")]
    claimers = [subprocess.Popen(command) for _ in range(3)]

    assert [claimer.wait(timeout=60) for claimer in claimers] == [0, 0, 0]
    assert list(tmp_path.iterdir()) == []
