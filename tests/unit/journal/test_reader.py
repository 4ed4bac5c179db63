from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import pytest

from journals import (
    ABOUT,
    LABELS,
    START,
    answered,
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
from pinpool.journal.reader import Reader, failure_document
from pinpool.journal.records import Settlement
from pinpool.journal.verify import Coverage, coverage
from pinpool.journal.writer import Journal
from pinpool.model import Ending, Event, EventKind, Fault, TaskState


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "movies.db"


def damage(path: Path, *statements: str) -> None:
    """What a hand, a bad disk or a bug could do: no foreign keys, no transactions of ours."""
    db = sqlite3.connect(path)
    for statement in statements:
        db.execute(statement)
    db.commit()
    db.close()


def verified(path: Path) -> Coverage:
    with Reader(path) as reader:
        return coverage(reader)


# ------------------------------------------------------------------------------------------------ coverage


def test_a_run_in_which_all_ended_once_is_proven_complete(path: Path) -> None:
    whole_run(path)

    found = verified(path)

    assert json.loads(json.dumps(found._asdict())) == {
        "complete": True,
        "seeds": 1,
        "tasks": 4,
        "ended": 4,
        "open": 0,
        "failed": 0,
        "orphans": 0,
        "items": 3,
        "duplicates": 0,
        "problems": [],
    }


UNGUARDED_ITEMS = (
    "CREATE TABLE loose (id INTEGER PRIMARY KEY, task INTEGER, n INTEGER, data TEXT)",
    "INSERT INTO loose SELECT * FROM items",
    "DROP TABLE items",
    "ALTER TABLE loose RENAME TO items",
)
UNGUARDED_TASKS = (
    "CREATE TABLE loose AS SELECT * FROM tasks",
    "DROP TABLE tasks",
    "ALTER TABLE loose RENAME TO tasks",
)
NEW_ITEM = "INSERT INTO items (task, n, data) VALUES"


ITEMS, CHILDREN, ATTEMPTS = (
    f"whose {rows} do not match their count" for rows in ("items", "child tasks", "attempts")
)
MISMATCH, NOT_ENDED = "whose last attempt does not match how they ended", "answered, but not ended"
ORPHANED_ITEMS, ORPHANED_TASKS = "of a task that is unknown", "whose parent is unknown or not done"


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        (["DELETE FROM items WHERE id = 2"], [f"1 task {ITEMS} (task 2)"]),
        ([f"{NEW_ITEM} (2, 2, '')"], [f"1 task {ITEMS} (task 2)"]),
        (["UPDATE items SET n = 5 WHERE id = 2"], [f"1 task {ITEMS} (task 2)"]),
        ([*UNGUARDED_ITEMS, f"{NEW_ITEM} (2, 0, '')"], ["1 item stored twice (item 4)", ITEMS]),
        ([f"{NEW_ITEM} (77, 0, '')"], [f"1 item {ORPHANED_ITEMS} or not done (item 4)"]),
        (["DELETE FROM tasks WHERE id = 3"], [f"1 task {CHILDREN} (task 1)"]),
        (
            ["DELETE FROM tasks WHERE id = 1"],
            ["1 seed was given, 0 in the journal", f"3 tasks {ORPHANED_TASKS}"],
        ),
        (
            [
                f"DELETE FROM {row} = 4"
                for row in ("attempts WHERE task", "items WHERE task", "tasks WHERE id")
            ],
            [f"1 task {CHILDREN} (task 1)"],
        ),
        (
            [*UNGUARDED_TASKS, "INSERT INTO tasks SELECT * FROM tasks WHERE id = 3"],
            ["1 task stored twice (task 3)", CHILDREN],
        ),
        (["UPDATE tasks SET parent = 77 WHERE id = 3"], [f"1 task {ORPHANED_TASKS} (task 3)"]),
        (["UPDATE tasks SET links_n = 2 WHERE id = 1"], [f"1 task {CHILDREN}"]),
        (["UPDATE tasks SET state = 'waiting' WHERE id = 3"], [f"1 task {NOT_ENDED} (task 3)"]),
        (["UPDATE tasks SET state = 'waiting' WHERE id = 2"], [f"2 items {ORPHANED_ITEMS}"]),
        (["UPDATE tasks SET state = 'waiting' WHERE id = 1"], [f"3 tasks {ORPHANED_TASKS}"]),
        (["UPDATE tasks SET state = 'done' WHERE id = 3"], [f"{MISMATCH} (task 3)"]),
        (["UPDATE tasks SET state = 'gone' WHERE id = 4"], [f"{MISMATCH} (task 4)"]),
        (["UPDATE tasks SET state = 'failed', reason = 'x' WHERE id = 3"], [NOT_ENDED, "1 task failed:"]),
        (
            ["UPDATE tasks SET state = 'failed' WHERE id = 3"],
            ["1 task that failed without a reason (task 3)"],
        ),
        (
            ["DELETE FROM attempts WHERE task = 3"],
            [f"{ATTEMPTS} (task 3)", MISMATCH],
        ),
        (["DELETE FROM attempts WHERE n = 2"], [f"1 task {ATTEMPTS} (task 4)"]),
        (["UPDATE attempts SET task = 77 WHERE task = 3"], ["1 attempt of an unknown task (attempt 3)"]),
        (
            ["UPDATE attempts SET proxy = 77 WHERE task = 3"],
            ["1 attempt through an unknown proxy (attempt 3)"],
        ),
        (["UPDATE attempts SET ending = 'ok' WHERE id = 4"], ["1 task answered twice (task 4)"]),
        (["UPDATE run SET seeds = 0"], ["no seeds: nothing was ever asked for"]),
        (["DELETE FROM run"], ["no seeds: nothing was ever asked for"]),
        (["DROP TABLE items"], ["no such table: items"]),
    ],
)
def test_every_kind_of_damage_is_found(path: Path, statements: list[str], said: list[str]) -> None:
    whole_run(path)

    damage(path, *statements)

    found = verified(path)
    assert not found.complete
    for penalty in said:
        assert any(penalty in problem for problem in found.problems), found.problems


def test_orphans_and_duplicates_are_counted(path: Path) -> None:
    whole_run(path)

    damage(path, *UNGUARDED_ITEMS, f"{NEW_ITEM} (2, 0, ''), (2, 0, ''), (77, 0, ''), (3, 0, '')")

    found = verified(path)
    assert (found.duplicates, found.orphans, found.items) == (2, 2, 7)


def test_many_damaged_rows_are_named_by_their_first_three(path: Path) -> None:
    whole_run(path)

    damage(path, f"{NEW_ITEM} (70, 0, ''), (71, 0, ''), (72, 0, ''), (73, 0, ''), (74, 0, '')")

    assert "5 items of a task that is unknown or not done (item 4, 5, 6, …)" in verified(path).problems


@pytest.mark.parametrize("page", range(1, 13))
def test_a_file_with_an_overwritten_page_is_never_called_complete(path: Path, page: int) -> None:
    whole_run(path)
    with path.open("r+b") as file:
        file.seek(4096 * page)
        file.write(b"\xa5" * 4096)

    assert not verified(path).complete


def test_open_and_failed_tasks_are_missing_with_the_next_step(path: Path) -> None:
    with new_journal(path, task("1", "index"), task("2", "index")) as journal:
        journal.settle(given_up(1, failed()), START)

    found = verified(path)

    assert (found.complete, found.open, found.failed, found.ended) == (False, 1, 1, 1)
    assert found.problems == [
        f"1 task is still open: `pinpool resume {path}` goes on",
        f"1 task failed: `pinpool failures {path}` says why, `pinpool retry {path}` puts them back",
    ]


def test_an_empty_list_page_that_was_believed_is_complete(path: Path) -> None:
    with new_journal(path, task("1", "index")) as journal:
        believed = Settlement(1, failed(), Fault.EMPTY, False, TaskState.DONE, "empty list")
        journal.settle(believed, START)

    assert verified(path).complete


def test_a_task_that_was_put_back_and_then_answered_is_complete(path: Path) -> None:
    with new_journal(path, task("1", "index")) as journal:
        journal.settle(given_up(1, failed()), START)
        journal.requeue()
        journal.settle(done(1, answered()), START)

    assert verified(path).complete


def test_a_run_without_seeds_proves_nothing(path: Path) -> None:
    new_journal(path).close()

    assert verified(path).problems == ["there are no seeds: nothing was ever asked for"]


# --------------------------------------------------------------------------------------------- the run, its
# rows


def test_the_run_is_told_as_it_stands(path: Path) -> None:
    with new_journal(path, *(task(str(n), "index") for n in range(9))) as journal:
        journal.settle(done(1, answered(item("x"))), START)
        journal.settle(Settlement(2, answered(ending=Ending.GONE), None, False, TaskState.GONE), START)
        journal.settle(given_up(3, failed()), START)
        journal.progress(4, 1, 0, START + 12)
        journal.commit()

        with Reader(path) as reader:
            run = reader.run_info(START + 13)

    assert (run.spider, run.state, run.workers, run.seconds) == ("movies", "running", 6, 12.0)
    assert (run.pages, run.items, run.seeds, run.worker_losses) == (2, 1, 9, 1)
    assert run.tasks == {"done": 1, "gone": 1, "failed": 1, "waiting": 2, "in_flight": 4}


def test_a_run_that_was_killed_is_told_as_interrupted(path: Path) -> None:
    """
    Only when its last heartbeat is old and nobody holds the claim: a run may be slow, or have just begun.
    """
    with new_journal(path, task("1", "index")) as journal:
        journal.progress(1, 0, 0, START)
        journal.commit()
        with Reader(path) as reader:
            assert reader.run_info(START + 999).state == "running"

    with Reader(path) as reader:
        assert reader.run_info(START + 29).state == "running"
        run = reader.run_info(START + 31)

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

    with Reader(path) as reader, pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader._db.execute("DELETE FROM items")


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
        assert [text for _, text in reader.items()] == [item("a"), item("a, the sequel"), item("c")]
        assert [row.label for row in reader.proxies()] == list(LABELS)
        assert reader.pins() == {2: 2}
        assert list(reader.events())[2] == Event(START, EventKind.REBUILT, None, None, "a worker hung")


def test_each_failure_comes_with_its_whole_history(path: Path) -> None:
    with new_journal(path, task("1", "index"), task("2", "index")) as journal:
        journal.settle(put_off(1, failed(proxy=1)), START)
        journal.settle(done(2, answered()), START)
        journal.settle(given_up(1, failed(proxy=0, message="")), START)

    with Reader(path) as reader:
        (failure,) = [failure_document(failure) for failure in reader.failures()]

    told = {"fault": "timeout", "seconds": 5.0, "status": None, "at": "2023-11-14T22:13:20Z", "page": None}
    assert failure == {
        "task": 1,
        "stage": "index",
        "url": "http://films.example/index/1",
        "reason": "timeout on 2 proxies",
        "attempts": [
            {"proxy": "http://alice@192.0.2.1:8080", **told, "message": "no answer"},
            {"proxy": None, **told, "message": ""},
        ],
        "page": None,
    }


def test_a_journal_without_its_side_files_can_be_read(path: Path) -> None:
    whole_run(path)
    assert not list(path.parent.glob("movies.db-*"))

    assert verified(path).complete


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_journal_in_a_directory_that_may_not_be_written_can_be_read(path: Path) -> None:
    whole_run(path)
    path.parent.chmod(0o555)
    try:
        assert verified(path).complete
        with Reader(path) as reader:
            assert reader.run_info(START).state == "complete"
        with pytest.raises(JournalError, match="cannot be written"):
            Journal.open(path)
    finally:
        path.parent.chmod(0o755)


def test_a_path_with_signs_that_mean_something_in_an_address_is_only_a_path(tmp_path: Path) -> None:
    path = tmp_path / "50% of films?mode=rw#1.db"
    whole_run(path)

    assert verified(path).complete
    assert all(path.name in found.name for found in tmp_path.iterdir())


def test_a_damaged_run_is_told_and_not_a_traceback(path: Path) -> None:
    whole_run(path)
    damage(path, "DELETE FROM run")

    with Reader(path) as reader, pytest.raises(JournalError, match="damaged"):
        reader.run_info(START)


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
