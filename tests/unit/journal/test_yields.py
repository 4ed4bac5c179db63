"""What a run has in hand, by the journal alone."""

from __future__ import annotations

import json
from pathlib import Path

from journals import START, answered, done, item, new_journal, task, whole_run
from pinpool.journal.reader import Reader
from pinpool.journal.records import Settlement
from pinpool.journal.verify import coverage
from pinpool.journal.writer import Journal
from pinpool.journal.yields import RunYield
from pinpool.model import Ending, Event, EventKind, Evidence, Fault, Outcome, Sign, Step, TaskState


def empty(proxy: int = 1) -> Outcome:
    evidence = Evidence(Step.PAGE, Sign.EMPTY, "nothing extracted", 200)
    return Outcome(1, 7, proxy, Ending.FAILED, START, 0.2, 200, 900, evidence)


def nothing(task_id: int, state: TaskState | None, proxy: int = 1) -> Settlement:
    return Settlement(task_id, empty(proxy), Fault.EMPTY, True, state, "nothing extracted" if state else None)


def found(path: Path) -> RunYield:
    with Reader(path) as reader:
        return reader.run_yield()


def barren_run(path: Path) -> Journal:
    """A list page with three films: one came to nothing, one did once and waits, one was not asked for."""
    journal = new_journal(path, task("1", "index"))
    journal.settle(done(1, answered(tasks=(task("a"), task("b"), task("c")))), START)
    journal.settle(nothing(2, None), START)
    journal.settle(nothing(2, TaskState.FAILED, proxy=2), START)
    journal.settle(nothing(3, None), START)
    return journal


def test_a_run_with_items_lacks_nothing(path: Path) -> None:
    whole_run(path)

    assert found(path).problems() == []


def test_a_stage_whose_pages_gave_nothing_is_named_with_what_was_seen(path: Path) -> None:
    barren_run(path).close()

    index, detail = found(path).stages

    assert not index.is_barren
    assert (detail.fruitless, detail.settled, detail.waiting, detail.proxies) == (2, 1, 2, 2)
    assert found(path).problems() == ["stage detail yielded nothing from 2 pages on 2 proxies: nothing extracted"]


def test_a_stopped_run_is_not_proven_complete(path: Path) -> None:
    with new_journal(path, task("1", "index")) as journal:
        journal.settle(nothing(1, TaskState.DONE), START)
        journal.finish("stopped", START)

    with Reader(path) as reader:
        proof = coverage(reader)
    assert not proof.complete
    assert proof.problems == ["stage index yielded nothing from 1 page on 1 proxy: nothing extracted"]


def test_seeds_that_are_all_gone_are_no_success(path: Path) -> None:
    with new_journal(path, task("1", "index")) as journal:
        journal.settle(Settlement(1, answered(ending=Ending.GONE), None, False, TaskState.GONE), START)

    assert found(path).problems() == ["every seed is gone (404 or 410): 1 page"]


def test_no_items_are_fine_where_the_spider_says_so(path: Path) -> None:
    with new_journal(path, task("1", "index")) as journal:
        journal.settle(done(1, answered()), START)
        journal.commit()
        without = found(path).problems()
        journal.event(Event(START, EventKind.RULES, detail=json.dumps({"empty_ok": True})))

    assert without == ["there are no items: no page gave one"]
    assert found(path).problems() == []


def test_the_pages_that_gave_nothing_wait_again_with_a_fresh_budget(path: Path) -> None:
    with barren_run(path) as journal:
        journal.ask_again(["detail"])
        waiting = journal.waiting(False, 0, 10)
        history = [journal.history(row.id) for row in waiting]

    assert [(row.id, row.attempts) for row in waiting] == [(2, 0), (3, 0), (4, 0)]
    assert history == [[], [], []]
    assert found(path).barren == []


def test_pages_asked_again_end_exactly_once(path: Path) -> None:
    with barren_run(path) as journal:
        journal.ask_again(["detail"])
        for number in (2, 3, 4):
            journal.settle(done(number, answered(item(str(number)))), START)

    with Reader(path) as reader:
        assert coverage(reader).complete


def test_tasks_of_a_held_stage_are_left_out(path: Path) -> None:
    with barren_run(path) as journal:
        assert journal.waiting(False, 0, 10, {"detail"}) == []
        assert len(journal.waiting(False, 0, 10, {"reviews", "index"})) == 2
