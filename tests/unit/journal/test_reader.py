"""A journal as its readers see it."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from journals import (
    ABOUT,
    LABELS,
    START,
    answered,
    damage,
    done,
    failed,
    given_up,
    item,
    new_journal,
    put_off,
    task,
    whole_run,
)
from pinpool.errors import JournalError
from pinpool.journal.reader import Reader
from pinpool.journal.records import Settlement
from pinpool.journal.verify import coverage
from pinpool.journal.writer import Journal
from pinpool.model import Ending, Event, EventKind, TaskState


def test_the_run_is_shown_as_it_is(path: Path) -> None:
    with new_journal(path, *(task(str(n), "index") for n in range(9))) as journal:
        journal.settle(done(1, answered(item("x"))), START)
        journal.settle(Settlement(2, answered(ending=Ending.GONE), None, False, TaskState.GONE), START)
        journal.settle(given_up(3, failed()), START)
        journal.progress(4, 1, 0, START + 12)
        journal.commit()

        with Reader(path) as reader:
            run = reader.run_info()

    assert (run.spider, run.state, run.workers, run.seconds) == ("movies", "running", 6, 12.0)
    assert (run.pages, run.items, run.seeds, run.worker_losses) == (2, 1, 9, 1)
    assert run.tasks == {"done": 1, "gone": 1, "failed": 1, "waiting": 2, "in_flight": 4}


def test_a_run_that_was_killed_is_shown_as_interrupted_at_once(path: Path) -> None:
    with new_journal(path, task("1", "index")) as journal:
        journal.progress(1, 0, 0, START)
        journal.commit()
        with Reader(path) as reader:
            assert reader.run_info().state == "running"

    with Reader(path) as reader:
        run = reader.run_info()

    assert run.state == "interrupted"
    assert (run.tasks["waiting"], run.tasks["in_flight"]) == (1, 0)


def test_a_look_at_a_running_journal_does_not_disturb_its_writer(path: Path) -> None:
    with new_journal(path, task("1", "index"), task("2", "index")) as journal:
        journal.settle(done(1, answered(item("x"))), START)
        with Reader(path) as reader:
            assert coverage(reader).open == 2
            journal.commit()
            journal.settle(done(2, answered(item("y"))), START)
            journal.commit()

            assert coverage(reader).open == 2, "one reader tells one moment"

        with Reader(path) as reader:
            assert coverage(reader).open == 0


def test_a_reader_cannot_write(path: Path) -> None:
    whole_run(path)

    with Reader(path) as reader, pytest.raises(JournalError, match="read-only"):
        list(reader.rows("DELETE FROM items"))


def test_rows_come_back_in_order_and_in_kind(path: Path) -> None:
    whole_run(path)
    with Journal.open(path) as journal:
        for _ in range(2):
            journal.event(Event(START, EventKind.LEASED, 2, 7))
        journal.event(Event(START, EventKind.REBUILT, detail="a worker hung"))

    with Reader(path) as reader:
        attempts = list(reader.attempts())

        assert [(row.task, row.n, row.ending) for row in attempts] == [
            (1, 1, "ok"),
            (2, 1, "ok"),
            (3, 1, "gone"),
            (4, 1, "failed"),
            (4, 2, "ok"),
        ]
        assert attempts[3][5:] == (5.0, "failed", "timeout", None, 0, "no answer", True, False)
        assert [text for _, _, text in reader.items()] == [item("a"), item("a, the sequel"), item("c")]
        assert [row.label for row in reader.proxies()] == list(LABELS)
        assert reader.pins() == {2: 2}
        assert list(reader.events())[2] == Event(START, EventKind.REBUILT, None, None, "a worker hung")


def test_each_failure_comes_with_its_whole_history(path: Path) -> None:
    with new_journal(path, task("1", "index"), task("2", "index")) as journal:
        journal.settle(put_off(1, failed(proxy=1)), START)
        journal.settle(done(2, answered()), START)
        journal.settle(given_up(1, failed(proxy=0, message="")), START)

    with Reader(path) as reader:
        (failure,) = reader.failures()

    common = {"fault": "timeout", "seconds": 5.0, "status": None, "at": "2023-11-14T22:13:20Z", "page": None}
    assert failure == {
        "task": 1,
        "stage": "index",
        "url": "http://films.example/index/1",
        "reason": "timeout on 2 proxies",
        "attempts": [
            {"proxy": "http://alice@192.0.2.1:8080", **common, "message": "no answer"},
            {"proxy": None, **common, "message": ""},
        ],
        "page": None,
    }


def test_a_journal_without_its_side_files_can_be_read(path: Path) -> None:
    whole_run(path)
    assert not list(path.parent.glob("movies.db-*"))

    with Reader(path) as reader:
        assert coverage(reader).complete


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_journal_in_a_directory_that_may_not_be_written_can_be_read(path: Path) -> None:
    whole_run(path)
    path.parent.chmod(0o555)
    try:
        with Reader(path) as reader:
            assert coverage(reader).complete
            assert reader.run_info().state == "complete"
        with pytest.raises(JournalError, match="cannot be written"):
            Journal.open(path)
    finally:
        path.parent.chmod(0o755)


def test_a_path_with_signs_that_mean_something_in_an_address_is_only_a_path(tmp_path: Path) -> None:
    path = tmp_path / "50% of films?mode=rw#1.db"
    whole_run(path)

    with Reader(path) as reader:
        assert coverage(reader).complete
    assert all(path.name in found.name for found in tmp_path.iterdir())


def test_a_damaged_run_is_an_error_and_not_a_traceback(path: Path) -> None:
    whole_run(path)
    damage(path, "DELETE FROM run")

    with Reader(path) as reader, pytest.raises(JournalError, match="damaged"):
        reader.run_info()


def test_no_table_has_room_for_a_password(path: Path) -> None:
    new_journal(path).close()
    db = sqlite3.connect(path)
    columns = {row[1] for row in db.execute("PRAGMA table_info (proxies)")}
    db.close()

    assert columns == {"id", "label", "fingerprint", "state", "reason", "until", "coolings", "listed"}
    assert ABOUT._fields == (
        "spider",
        "spider_ref",
        "version",
        "workers",
        "engine",
        "start_method",
        "settings",
        "proxies",
        "salt",
    )
