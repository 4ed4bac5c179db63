"""A proxy that called pages gone is found out: what ended on its word alone waits again, and still ends once."""

from __future__ import annotations

from pathlib import Path

from journals import START, answered, done, item, new_journal, overtaken, task
from pinpool.journal.reader import Reader
from pinpool.journal.records import Settlement
from pinpool.journal.verify import coverage
from pinpool.model import Ending, Evidence, Fault, Outcome, Sign, Step, TaskState

LIAR, OTHER = 1, 2


def gone(task_id: int, proxy: int) -> Settlement:
    outcome = answered(ending=Ending.GONE, proxy=proxy)._replace(status=404)
    return Settlement(task_id, outcome, None, False, TaskState.GONE)


def not_believed(task_id: int, proxy: int) -> Settlement:
    evidence = Evidence(Step.PAGE, Sign.STATUS, "says 404", 404)
    outcome = Outcome(1, 7, proxy, Ending.FAILED, START, 0.2, 404, 0, evidence)
    return Settlement(task_id, outcome, Fault.HTTP_ERROR, False, None)


def test_what_ended_on_its_word_alone_waits_again_and_others_know_that_it_was_asked(path: Path) -> None:
    with new_journal(path, *(task(str(n)) for n in range(1, 6))) as journal:
        journal.settle(gone(1, LIAR), START)
        journal.settle(gone(2, OTHER), START)
        journal.settle(not_believed(3, OTHER), START)
        journal.settle(gone(3, LIAR), START)
        journal.settle(Settlement(4, overtaken(OTHER), None, False, None), START)
        journal.settle(gone(4, LIAR), START)

        put_back = journal.doubt_gone(LIAR)

        assert put_back == 1
        assert [row.id for row in journal.waiting(False, 0, 9)] == [1, 5]
        assert [(one.proxy, one.fault, one.gone) for one in journal.history(1)] == [(LIAR, Fault.HTTP_ERROR, True)]
        assert journal.doubt_gone(LIAR) == 0


def test_a_page_that_was_put_back_is_proven_to_end_once(path: Path) -> None:
    with new_journal(path, task("1"), task("2")) as journal:
        journal.settle(gone(1, LIAR), START)
        journal.settle(gone(2, LIAR), START)
        journal.doubt_gone(LIAR)
        journal.settle(done(1, answered(item("1"), proxy=OTHER)), START)
        journal.settle(gone(2, OTHER), START)

    with Reader(path) as reader:
        found = coverage(reader)
    assert found.complete, found.problems
