"""A whole run is proven complete, and every kind of damage is found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from journals import (
    START,
    answered,
    damage,
    done,
    failed,
    given_up,
    item,
    new_journal,
    overtaken,
    put_off,
    task,
    whole_run,
)
from pinpool.journal.reader import Reader
from pinpool.journal.records import Settlement
from pinpool.journal.verify import Coverage, coverage
from pinpool.journal.writer import Journal
from pinpool.model import Ending, Fault, TaskState


def verified(path: Path) -> Coverage:
    with Reader(path) as reader:
        return coverage(reader)


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
        "doubts": [],
        "in_doubt": 0,
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


ITEMS, CHILDREN, ATTEMPTS = (f"whose {rows} do not match their count" for rows in ("items", "child tasks", "attempts"))
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
            [f"DELETE FROM {row} = 4" for row in ("attempts WHERE task", "items WHERE task", "tasks WHERE id")],
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
        (
            ["UPDATE attempts SET ending = 'overtaken' WHERE id = 5"],
            ["1 attempt overtaken, though no other gave the page (attempt 5)", MISMATCH],
        ),
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


def test_a_page_that_a_second_attempt_gave_is_answered_once(path: Path) -> None:
    with new_journal(path, task("1", "index"), task("2", "index")) as journal:
        for number in (1, 2):
            journal.settle(Settlement(number, overtaken(), None, False, None), START)
        journal.settle(done(1, answered(item("a"), proxy=2)), START)
        gone = Settlement(2, answered(ending=Ending.GONE, proxy=2), None, False, TaskState.GONE)
        journal.settle(gone, START)
        history = journal.history(1)

    assert verified(path).complete
    assert history == []


def test_an_unknown_fault_is_a_problem_only_while_a_resume_would_meet_it(path: Path) -> None:
    with new_journal(path, task("1", "index")) as journal:
        journal.settle(put_off(1, failed()), START)
    damage(path, "UPDATE attempts SET fault = 'meteor'")

    problems = verified(path).problems

    assert "1 attempt of an open task, with a fault that this pinpool does not know (attempt 1)" in problems
    with Journal.open(path) as journal:
        journal.settle(done(1, answered(item("a"))), START)
    assert verified(path).complete


def test_an_empty_list_page_that_was_believed_is_complete(path: Path) -> None:
    with new_journal(path, task("1", "index"), task("2", "index")) as journal:
        believed = Settlement(1, failed(), Fault.EMPTY, False, TaskState.DONE, "empty list")
        journal.settle(believed, START)
        journal.settle(done(2, answered(item("2"))), START)

    assert verified(path).complete


def test_a_task_that_was_put_back_and_then_answered_is_complete(path: Path) -> None:
    with new_journal(path, task("1", "index")) as journal:
        journal.settle(given_up(1, failed()), START)
        journal.requeue()
        journal.settle(done(1, answered(item("1"))), START)

    assert verified(path).complete


def test_a_run_without_seeds_proves_nothing(path: Path) -> None:
    new_journal(path).close()

    assert verified(path).problems == ["there are no seeds: nothing was ever asked for"]
