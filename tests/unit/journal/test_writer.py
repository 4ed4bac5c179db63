from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest

import journals
from journals import (
    ABOUT,
    LABELS,
    START,
    answered,
    damage,
    done,
    failed,
    finish_work,
    given_up,
    item,
    killed_writer,
    new_journal,
    put_off,
    rows,
    task,
)
from pinpool.errors import JournalError, StorageError
from pinpool.journal import sqlite
from pinpool.journal.reader import Reader
from pinpool.journal.records import Mark, Recorded, Settlement, read_settings, settings_text
from pinpool.journal.verify import coverage
from pinpool.journal.writer import Journal
from pinpool.model import Ending, Event, EventKind, FailedAttempt, Fault, ProxyState, Task, TaskState

# ------------------------------------------------------------------------------------------------- tasks


def test_a_journal_never_stands_without_its_seeds(path: Path) -> None:
    """Found after a kill, it would pass for a run that has nothing to do, and a resume would call it complete."""

    def seeds() -> Iterator[Task]:
        yield task("1", "index")
        raise RuntimeError("killed here")

    with pytest.raises(RuntimeError):
        Journal.create(path, ABOUT, START, seeds())

    assert not path.exists()


def test_a_new_journal_has_nothing_of_a_killed_run_whose_file_somebody_has_removed(path: Path) -> None:
    killed_writer(path, Random(1))
    assert path.with_name(f"{path.name}-wal").exists()
    path.unlink()

    new_journal(path, task("1", "index")).close()

    assert rows(path, "SELECT url FROM tasks") == [(task("1", "index").url,)]
    assert sqlite.damage(path) == ""


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with new_journal(path, task("1", "index")) as journal:
        yield journal


def test_a_task_comes_back_from_the_journal_as_it_was(path: Path) -> None:
    login = Task("detail", "http://films.example/é", b"k" * 16, "POST", b"a=1\0", (("x-token", "é"),), '{"n": 1}')
    with new_journal(path, task("1", "index"), login) as journal:
        (waiting,) = journal.waiting(False, 0, 10)

    assert waiting.task == login
    assert (waiting.attempts, waiting.not_before) == (0, None)


def test_tasks_are_handed_out_in_order_list_pages_apart_from_the_rest(path: Path) -> None:
    lists, others = [task("1", "index"), task("2", "index")], [task("a"), task("b"), task("r", "reviews")]
    with new_journal(path, lists[0], others[0], lists[1], *others[1:]) as journal:
        assert [row.task for row in journal.waiting(True, 0, 9)] == lists
        assert [row.id for row in journal.waiting(False, 0, 2)] == [2, 4]
        assert [row.id for row in journal.waiting(False, 4, 2)] == [5]


def test_a_page_that_its_own_stage_has_asked_for_is_known_as_one_more_of_a_list(path: Path) -> None:
    with new_journal(path, task("1", "reviews")) as journal:
        journal.settle(done(1, answered(tasks=(task("2", "reviews"), task("3")))), START)

        assert [(row.task.stage, row.follows) for row in journal.waiting(False, 0, 9)] == [
            ("reviews", True),
            ("detail", False),
        ]


def test_the_arguments_of_a_spider_and_the_address_of_a_cluster_are_kept_beside_the_settings() -> None:
    text = settings_text({"pace": 1.5}, (("category", "shoes"), ("b", "")), "ray://192.0.2.1:10001")

    assert read_settings(text) == Recorded({"pace": 1.5}, (("category", "shoes"), ("b", "")), "ray://192.0.2.1:10001")
    assert read_settings(settings_text({"headers": {"A": "b"}})) == Recorded({"headers": {"A": "b"}}, (), None)


def test_a_seed_that_is_known_is_not_added_again(path: Path) -> None:
    new_journal(path, task("1", "index"), task("a"), task("1", "index"), task("a")).close()

    assert rows(path, "SELECT seeds, (SELECT count(*) FROM tasks) FROM run") == [(2, 2)]


def test_a_list_of_proxies_is_recorded_all_or_none(path: Path, journal: Journal) -> None:
    unstorable = ("http://192.0.2.8:80", None)
    journal.event(Event(START, EventKind.REBUILT))

    with pytest.raises(StorageError):
        journal.enroll([("http://192.0.2.9:80", "aaaa"), unstorable])  # type: ignore[list-item]

    assert rows(path, "SELECT label, listed FROM proxies") == [(label, 1) for label in LABELS]
    assert rows(path, "SELECT kind FROM events") == [("rebuilt",)]


def test_a_done_task_leaves_its_items_and_its_children_behind(path: Path, journal: Journal) -> None:
    new = journal.settle(done(1, answered(item("x"), item("y"), tasks=(task("a"), task("b"), task("a")))), START)
    journal.commit()

    assert new == 2
    assert rows(path, "SELECT task, n, data FROM items") == [(1, 0, item("x")), (1, 1, item("y"))]
    assert rows(path, "SELECT url, parent FROM tasks WHERE id > 1") == [
        (task("a").url, 1),
        (task("b").url, 1),
    ]
    counts = "SELECT state, attempts, items_n, links_n, children_n, ended FROM tasks WHERE id = 1"
    assert rows(path, counts) == [("done", 1, 2, 3, 2, START)]


def test_a_page_that_links_to_itself_or_to_what_is_known_adds_nothing(journal: Journal) -> None:
    new = journal.settle(done(1, answered(tasks=(task("1", "index"),))), START)

    assert new == 0


def test_an_outcome_that_is_delivered_twice_counts_once(path: Path, journal: Journal) -> None:
    """Delivery is at least once, so the second one must change nothing but leave a note."""
    outcome = answered(item("x"), tasks=(task("a"),))
    journal.settle(done(1, outcome), START)

    again = journal.settle(done(1, outcome), START)
    too_late = journal.settle(given_up(1, failed()), START)
    unknown = journal.settle(done(77, outcome), START)
    journal.commit()

    assert (again, too_late, unknown) == (0, 0, 0)
    assert rows(path, "SELECT count(*) FROM attempts") == [(1,)]
    assert rows(path, "SELECT count(*) FROM items") == [(1,)]
    assert rows(path, "SELECT kind FROM events") == [("late",)] * 3
    assert journal.task_counts()[TaskState.DONE] == 1


def test_a_failed_attempt_leaves_the_task_waiting_and_is_remembered(journal: Journal) -> None:
    journal.settle(put_off(1, failed(proxy=1), not_before=START + 30), START)
    journal.settle(put_off(1, failed(proxy=2)._replace(proxy=0)), START)

    assert journal.history(1) == [FailedAttempt(1, Fault.TIMEOUT), FailedAttempt(None, Fault.TIMEOUT)]
    (waiting,) = journal.waiting(True, 0, 9)
    assert (waiting.attempts, waiting.not_before) == (2, None)


def test_what_was_forgiven_is_noted_in_the_attempt(path: Path, journal: Journal) -> None:
    journal.settle(done(1, answered(item("x"))._replace(note="the gzip data are cut off")), START)
    journal.commit()

    assert rows(path, "SELECT ending, message FROM attempts") == [("ok", "the gzip data are cut off")]


def test_a_fault_that_nobody_knows_is_an_error_and_not_a_traceback(path: Path, journal: Journal) -> None:
    journal.settle(put_off(1, failed()), START)
    journal.commit()
    damage(path, "UPDATE attempts SET fault = 'meteor'")

    with pytest.raises(JournalError, match=r"movies.db: task 1 has .*'meteor'.*: upgrade pinpool"):
        journal.history(1)


def test_only_a_done_task_keeps_items_and_children(path: Path, journal: Journal) -> None:
    outcome = answered(item("x"), tasks=(task("a"),), ending=Ending.GONE)

    new = journal.settle(Settlement(1, outcome, None, False, TaskState.GONE), START)
    journal.commit()

    assert new == 0
    assert rows(path, "SELECT count(*) FROM items") == [(0,)]
    assert rows(path, "SELECT items_n, links_n, children_n FROM tasks") == [(0, 0, 0)]


@pytest.mark.parametrize("ending", [Ending.DECLINED, Ending.RESUMED])
def test_what_was_not_tried_is_not_an_attempt(journal: Journal, ending: Ending) -> None:
    with pytest.raises(ValueError, match=f"{ending} is not an attempt"):
        journal.settle(put_off(1, answered(ending=ending)), START)


def test_text_that_is_no_unicode_is_kept_in_escapes(path: Path, journal: Journal) -> None:
    """
    A hostile page can hold lone surrogates, which SQLite does not store; in JSON the escape means the same.
    """
    hostile = '{"title": "\ud800霸王"}'
    journal.settle(put_off(1, failed(message="\udcff" * 5000)), START)
    journal.settle(done(1, answered(hostile, tasks=(task("a")._replace(url="http://films.example/\ud800"),))), START)
    journal.commit()

    assert rows(path, "SELECT data FROM items") == [('{"title": "\\ud800霸王"}',)]
    assert rows(path, "SELECT message FROM attempts WHERE n = 1") == [("\\udcff" * 1000,)]
    assert journal.waiting(False, 0, 9)[0].task.url.endswith("\\ud800")


def test_failed_tasks_come_back_with_a_fresh_budget(journal: Journal) -> None:
    journal.settle(put_off(1, failed()), START)
    journal.settle(given_up(1, failed(proxy=2)), START)

    put_back = journal.requeue()

    assert put_back == 1
    (waiting,) = journal.waiting(True, 0, 9)
    assert waiting.attempts == 0
    assert journal.history(1) == []
    journal.settle(put_off(1, failed()), START)
    assert journal.history(1) == [FailedAttempt(1, Fault.TIMEOUT)]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, 2),
        ({"reason": "Quarantined"}, 1),
        ({"reason": "timeout"}, 2),
        ({"reason": "banned"}, 0),
        ({"ids": [2, 3, 4]}, 1),
        ({"ids": []}, 0),
        ({"url": task("a").url}, 1),
        ({"url": task("1", "index").url}, 0),
    ],
)
def test_failed_tasks_are_found_by_id_reason_fault_or_url(journal: Journal, wanted: dict[str, Any], found: int) -> None:
    journal.settle(done(1, answered(tasks=(task("a"), task("b")))), START)
    journal.settle(given_up(2, failed()), START)
    journal.settle(given_up(3, failed(), "quarantined after 3 crashes"), START)
    if wanted.get("ids"):
        journal.settle(put_off(4, failed()), START)
        wanted = {"ids": [1, 2]}

    assert journal.requeue(**wanted) == found


# ----------------------------------------------------------------------------------------- proxies and the
# run


def test_the_list_of_proxies_keeps_its_order_and_what_is_known_of_each(journal: Journal) -> None:
    journal.proxy(2, ProxyState.COOLING, "refused", START + 30, 1)

    records = journal.enroll([("http://192.0.2.9:80", "aaaa"), ("socks5h://192.0.2.2:1080", "abcd")])

    assert [record.id for record in records] == [3, 2]
    assert records[0][2:] == ("spare", None, None, 0, True)
    assert records[1][2:] == ("cooling", "refused", START + 30, 1, True)


def test_a_proxy_with_a_new_password_is_another_proxy(path: Path, journal: Journal) -> None:
    records = journal.enroll([("http://alice@192.0.2.1:8080", "beef"), (LABELS[1], "abcd")])

    assert [record.id for record in records] == [3, 2]
    assert rows(path, "SELECT id, listed FROM proxies") == [(1, 0), (2, 1), (3, 1)]


def test_a_resume_adds_up_and_leaves_no_proxy_pinned(path: Path, journal: Journal) -> None:
    journal.progress(5, 2, 1, START - 99)  # a clock that was set back
    journal.commit()
    assert rows(path, "SELECT seconds FROM run") == [(0.0,)]
    journal.progress(5, 2, 1, START + 10)
    journal.proxy(1, ProxyState.PINNED)
    journal.proxy(2, ProxyState.RETIRED, "it refuses our login")
    journal.close()

    with Journal.open(path) as again:
        again.resume(ABOUT._replace(workers=9, salt=b""), START + 1000)
        again.progress(5, 1, 1, START + 1005)
        again.finish("interrupted", START + 1006)

        assert again.about == ABOUT._replace(workers=9)
    assert rows(path, "SELECT seconds, worker_losses, pool_rebuilds, starts FROM run") == [(16.0, 3, 2, 2)]
    assert rows(path, "SELECT state FROM proxies") == [("spare",), ("retired",)]


def test_forgiving_takes_a_charge_back(path: Path, journal: Journal) -> None:
    for proxy in (1, 2, 1):
        journal.settle(put_off(1, failed(proxy=proxy)), START)
    journal.settle(put_off(1, failed(proxy=1))._replace(charged=False), START)

    journal.forgive(1, {1})
    journal.commit()

    assert rows(path, "SELECT proxy, forgiven FROM attempts") == [(1, 1), (2, 0), (1, 1), (1, 0)]


# ------------------------------------------------------------------------------------- groups, faults, kills


def test_an_output_that_is_forgotten_is_not_gone_on_with(path: Path, journal: Journal) -> None:
    kept, lost = (Mark(name, "jsonl", 0, 9, 1) for name in ("/kept.jsonl", "/lost.jsonl"))
    journal.output(kept)
    journal.output(lost)

    journal.forget_output("/lost.jsonl")
    journal.commit()

    assert journal.outputs() == [kept]
    assert rows(path, "SELECT path FROM outputs") == [("/kept.jsonl",)]


def test_a_group_is_due_when_it_is_large_or_old(journal: Journal) -> None:
    assert not journal.due(START)

    journal.settle(put_off(1, failed()), START)
    assert not journal.due(START + 0.1)
    assert journal.due(START + 0.2)
    assert journal.due(START - 60), "a clock that was set back must not put the commit off"

    for _ in range(49):
        journal.settle(put_off(1, failed()), START)
    assert (journal.pending, journal.oldest, journal.due(START)) == (50, START, True)

    journal.commit()
    assert (journal.pending, journal.oldest, journal.due(START + 9)) == (0, None, False)


def test_nothing_of_a_group_is_seen_before_its_commit(path: Path, journal: Journal) -> None:
    journal.settle(done(1, answered(item("x"), tasks=(task("a"),))), START)
    with Reader(path) as before:
        assert coverage(before).open == 1
        assert list(before.items()) == []

    journal.commit()

    with Reader(path) as after:
        assert [text for _, _, text in after.items()] == [item("x")]


def test_an_interruption_in_the_middle_takes_the_whole_group_back(path: Path, journal: Journal) -> None:
    journal.settle(put_off(1, failed()), START)

    class Interrupted(tuple[Task, ...]):
        def __iter__(self) -> Iterator[Task]:
            yield from super().__iter__()
            raise KeyboardInterrupt

    outcome = answered(item("x"))._replace(tasks=Interrupted([task("a")]))
    with pytest.raises(KeyboardInterrupt):
        journal.settle(done(1, outcome), START)
    journal.commit()

    assert rows(path, "SELECT (SELECT count(*) FROM attempts), (SELECT count(*) FROM items)") == [(0, 0)]
    assert journal.task_counts()[TaskState.WAITING] == 1


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[sqlite3.Connection]:
    """The connections of the writers that a test opens, for faults that only SQLite can make."""
    opened: list[sqlite3.Connection] = []

    def open_for_writing(path: Path) -> sqlite3.Connection:
        opened.append(real(path))
        return opened[-1]

    real = sqlite.open_for_writing
    monkeypatch.setattr(sqlite, "open_for_writing", open_for_writing)
    return opened


def test_a_full_disk_is_reported_and_leaves_a_sound_journal(path: Path, connections: list[sqlite3.Connection]) -> None:
    journal = new_journal(path, task("1", "index"))
    journal.settle(done(1, answered(tasks=(task("a"), task("b")))), START)
    journal.commit()
    connections[-1].execute(f"PRAGMA max_page_count = {rows(path, 'PRAGMA page_count')[0][0]}")

    with pytest.raises(StorageError, match="the disk is full: free some space, then `pinpool resume"):
        journal.settle(done(2, answered(*(item("x" * 1000) for _ in range(50)))), START)
        journal.commit()

    assert journal.pending == 0
    journal.close()
    with Reader(path) as reader:
        found = coverage(reader)
    assert (found.open, found.items, found.orphans) == (2, 0, 0)
    with Journal.open(path) as again:
        again.settle(done(2, answered(item("x" * 1000))), START)


STARVED = """
import resource, signal, sys
sys.path.insert(0, sys.argv[2])
from journals import *
from pinpool.errors import StorageError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with Journal.open(sys.argv[1]) as journal:
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    try:
        while True:
            for _ in range(20):
                journal.settle(put_off(1, failed()), START)
            journal.commit()
    except StorageError as error:
        print(error)
"""


def test_a_file_that_may_not_grow_is_reported_and_leaves_a_sound_journal(path: Path) -> None:
    new_journal(path, task("1", "index")).close()
    command = [sys.executable, "-c", STARVED, str(path), str(Path(journals.__file__).parent)]

    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    assert f"{path}: " in said.stdout
    assert "pinpool resume" in said.stdout
    assert said.stderr == ""
    with Reader(path) as reader:
        found = coverage(reader)
    assert len(found.problems) == 1
    assert "still open" in found.problems[0]


def test_a_journal_that_another_program_locks_is_reported(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.001)
    with new_journal(path) as journal:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")

            with pytest.raises(StorageError, match="another program keeps it locked"):
                journal.event(Event(START, EventKind.REBUILT))

        journal.event(Event(START, EventKind.REBUILT))


def test_a_close_whose_commit_fails_still_gives_the_journal_back(
    path: Path, connections: list[sqlite3.Connection]
) -> None:
    journal = new_journal(path, task("1", "index"))
    journal.settle(put_off(1, failed()), START)
    connections[-1].set_authorizer(lambda action, *rest: 1 if action == sqlite3.SQLITE_TRANSACTION else 0)

    with pytest.raises(StorageError):
        journal.close()

    Journal.open(path).close()


@pytest.mark.parametrize("moment", range(5))
def test_a_kill_at_any_moment_loses_nothing_that_was_said_to_be_kept(path: Path, moment: int) -> None:
    """Promise 2: after signal 9 the journal is whole, and the resume makes it complete, each item once."""
    kept = killed_writer(path, Random(moment))

    with Reader(path) as reader:
        found = coverage(reader)
        assert found.ended >= kept
        assert (found.orphans, found.duplicates) == (0, 0)
        assert [problem for problem in found.problems if "still open" not in problem] == []

    finish_work(path)

    with Reader(path) as reader:
        found = coverage(reader)
        assert found.problems == []
        assert (found.tasks, found.items) == (440, 400)
