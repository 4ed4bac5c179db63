"""Pages in doubt stay done, with their items, until another proxy has answered; then each item is still there once."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from journals import START, answered, done, failed, item, make_older, new_journal, overtaken, put_off, rows, task
from pinpool.journal.reader import Reader
from pinpool.journal.schema import MIGRATIONS
from pinpool.journal.second_looks import OfBody, OfLiar, OfStage, OfTask, SecondAnswer
from pinpool.journal.verify import Coverage, coverage
from pinpool.journal.writer import Journal
from pinpool.model import Outcome, TaskState

LIAR, OTHER = 1, 2
BODY = 7


def gave(*items: str, proxy: int = LIAR, digest: int = BODY) -> Outcome:
    return answered(*items, proxy=proxy)._replace(digest=digest)


def doubtful(path: Path) -> Journal:
    """Three films; the liar has given one body for the first two."""
    journal = new_journal(path, *(task(str(n)) for n in range(1, 4)))
    journal.settle(done(1, gave(item("lie"))), START)
    journal.settle(done(2, gave(item("lie"))), START)
    journal.settle(done(3, gave(item("3"), proxy=OTHER, digest=8)), START)
    return journal


def checked(path: Path) -> Coverage:
    with Reader(path) as reader:
        return coverage(reader)


def items(path: Path) -> list[str]:
    with Reader(path) as reader:
        return [text for _, _, text in reader.items()]


def test_all_pages_with_a_body_are_asked_for_once_more_and_stay_done(path: Path) -> None:
    with doubtful(path) as journal:
        assert journal.doubt(OfBody(BODY), "one page for many") == 2
        assert journal.doubt(OfBody(BODY), "one page for many") == 0

        found = journal.doubted(0, 9)
        assert [(one.proxy, one.waiting.id, one.is_index) for one in found] == [(LIAR, 1, False), (LIAR, 2, False)]
        assert journal.doubted(found[0].id, 9) == found[1:]
        assert journal.task_counts()[TaskState.DONE] == 3

    proof = checked(path)
    assert (proof.complete, proof.in_doubt, proof.open, proof.items) == (False, 2, 0, 3)
    assert proof.problems == [
        "2 pages are in doubt: the proxy that gave them was found out, and no other has given them yet"
    ]


def test_another_answer_takes_the_place_of_the_first_in_one_transaction(path: Path) -> None:
    with doubtful(path) as journal:
        journal.doubt(OfBody(BODY), "")
        first = journal.answer_again(1, gave(item("1"), item("1, the sequel"), proxy=OTHER, digest=9), START)
        journal.answer_again(2, gave(item("2"), proxy=OTHER, digest=10), START)

        assert first == SecondAnswer(differs=True, items=1)
        assert journal.item_count() == 4

    assert items(path) == [item("3"), item("1"), item("1, the sequel"), item("2")]
    assert rows(path, "SELECT data FROM replaced_items ORDER BY id") == [(item("lie"),)] * 2
    assert rows(path, "SELECT task, proxy, ending, fault, charged FROM attempts WHERE task = 1 ORDER BY n") == [
        (1, LIAR, "failed", "banned", 1),
        (1, OTHER, "ok", None, 0),
    ]
    assert checked(path).complete, checked(path).problems


def test_the_same_answer_changes_nothing_and_clears_the_proxy_for_this_page(path: Path) -> None:
    with doubtful(path) as journal:
        before = journal.items_after(0, 9)
        journal.doubt(OfBody(BODY), "")
        for number in (1, 2):
            assert journal.answer_again(number, gave(item("lie"), proxy=OTHER), START) == SecondAnswer(differs=False)
        assert journal.items_after(0, 9) == before
        assert journal.doubt(OfBody(BODY), "") == 0

    assert rows(path, "SELECT count(*) FROM attempts WHERE charged") == [(0,)]
    assert checked(path).complete, checked(path).problems


def test_a_difference_that_is_not_what_it_was_about_changes_nothing(path: Path) -> None:
    with doubtful(path) as journal:
        journal.doubt(OfTask(1), "")
        other = gave(item("1"), proxy=OTHER, digest=9)
        assert journal.answer_again(1, other, START, counts=False) == SecondAnswer(differs=False)

    assert items(path) == [item("lie"), item("lie"), item("3")]
    assert checked(path).complete, checked(path).problems


def test_a_page_without_another_answer_keeps_its_items_and_is_counted(path: Path) -> None:
    with doubtful(path) as journal:
        journal.doubt(OfBody(BODY), "")
        journal.settle(put_off(1, failed(OTHER)), START)
        journal.settle(put_off(1, overtaken(OTHER)), START)
        assert [one.fault for one in journal.history(1)] == ["timeout"]
        journal.end_look(1)
        journal.answer_again(2, gave(item("2"), proxy=OTHER, digest=10), START)
        assert journal.doubted(0, 9) == []

    assert items(path) == [item("lie"), item("3"), item("2")]
    proof = checked(path)
    assert (proof.in_doubt, len(proof.problems)) == (1, 1)

    with Journal.open(path) as journal:  # a resume asks for it again
        journal.ask_again([])
        ((again,),) = [[one.waiting for one in journal.doubted(0, 9)]]
        assert (again.id, again.attempts) == (1, 2)
        journal.answer_again(1, gave(item("1"), proxy=OTHER, digest=11), START)
    assert checked(path).complete, checked(path).problems


def test_one_page_on_trial_is_not_in_doubt_until_its_proxy_is_found_out(path: Path) -> None:
    with doubtful(path) as journal:
        assert journal.doubt(OfTask(2), "") == 1
        journal.commit()
        assert checked(path).complete
        journal.end_look(2)
        assert journal.doubt(OfTask(2), "") == 1  # once more, through others
        assert journal.doubt(OfBody(BODY), "") == 1  # the other one

        assert [one.waiting.id for one in journal.doubted(0, 9)] == [2, 1]

    assert checked(path).in_doubt == 2


def test_of_a_liar_all_pages_are_asked_for_once_more_whose_body_another_url_had_too(path: Path) -> None:
    with new_journal(path, *(task(str(n)) for n in range(1, 6))) as journal:
        for number, proxy, digest in ((1, OTHER, 1), (2, LIAR, 1), (3, LIAR, 2), (4, LIAR, 3), (5, OTHER, 3)):
            journal.settle(done(number, gave(item(str(number)), proxy=proxy, digest=digest)), START)

        assert journal.doubt(OfLiar(LIAR), "") == 2
        assert [one.waiting.id for one in journal.doubted(0, 9)] == [2, 4]


def test_only_pages_with_items_of_one_proxy_and_stage_are_asked_for_once_more(path: Path) -> None:
    with new_journal(path, task("1", "index"), task("2"), task("3")) as journal:
        journal.settle(done(1, gave(item("list"))), START)
        journal.settle(done(2, gave(item("film"))), START)
        journal.settle(done(3, gave(item("film"), proxy=OTHER)), START)

        assert journal.doubt(OfStage(LIAR, "detail"), "") == 1
        assert [one.waiting.id for one in journal.doubted(0, 9)] == [2]


def test_a_second_answer_is_in_doubt_too_when_its_proxy_is_found_out_later(path: Path) -> None:
    with doubtful(path) as journal:
        journal.doubt(OfBody(BODY), "")
        journal.answer_again(1, gave(item("half of it"), proxy=OTHER, digest=9), START)
        journal.answer_again(2, gave(item("lie"), proxy=OTHER, digest=9), START)

        assert journal.doubt(OfStage(LIAR, "detail"), "") == 0
        assert journal.doubt(OfStage(OTHER, "detail"), "") == 2
        assert {(one.proxy, one.waiting.id) for one in journal.doubted(0, 9)} == {(OTHER, 1), (OTHER, 3)}
        journal.enroll([("http://third", "abcd")])
        for number in (1, 3):
            journal.answer_again(number, gave(item(str(number)), proxy=3, digest=number), START)

    assert items(path) == [item("lie"), item("3"), item("1")]
    assert checked(path).complete, checked(path).problems


def test_links_of_the_second_answer_are_followed_beside_those_of_the_first(path: Path) -> None:
    lists = answered(tasks=(task("a"),))._replace(digest=BODY)
    more = answered(tasks=(task("a"), task("b"), task("c")), proxy=OTHER)._replace(digest=8)
    with new_journal(path, task("1", "index")) as journal:
        journal.settle(done(1, lists), START)
        journal.doubt(OfBody(BODY), "")
        assert journal.answer_again(1, more, START) == SecondAnswer(differs=True, links=2)
        for number in (2, 3, 4):
            journal.settle(done(number, gave(item(str(number)), proxy=OTHER, digest=number + 90)), START)

    assert checked(path).complete, checked(path).problems


def test_an_answer_for_a_page_that_is_not_in_doubt_is_dropped(path: Path) -> None:
    with doubtful(path) as journal:
        assert journal.answer_again(3, gave(item("other")), START) is None
        journal.doubt(OfBody(BODY), "")
        journal.answer_again(1, gave(item("1"), proxy=OTHER), START)
        assert journal.answer_again(1, gave(item("1, late"), proxy=OTHER), START) is None

    assert items(path) == [item("lie"), item("3"), item("1")]


def test_no_id_of_an_item_is_used_twice_even_if_nothing_takes_its_place(path: Path) -> None:
    with new_journal(path, task("1"), task("2")) as journal:
        journal.settle(done(1, gave(item("lie"))), START)
        journal.doubt(OfBody(BODY), "")
        journal.answer_again(1, answered(tasks=(task("a"),), proxy=OTHER), START)
    with Journal.open(path) as journal:
        journal.settle(done(2, gave(item("2"), proxy=OTHER, digest=8)), START)
        journal.settle(done(3, gave(item("a"), proxy=OTHER, digest=9)), START)
        assert journal.items_after(0, 9) == [(2, "detail", item("2")), (3, "detail", item("a"))]
        assert journal.items_after(0, 9, replaced=True) == [(1, "detail", item("lie"))]
        assert journal.item_count() == 2

    assert checked(path).complete, checked(path).problems


def test_a_kill_leaves_the_first_answer_or_the_second(path: Path) -> None:
    journal = doubtful(path)
    journal.doubt(OfBody(BODY), "")
    journal.commit()
    journal.answer_again(1, gave(item("1"), proxy=OTHER), START)

    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as other:  # what a resume would find
        assert other.execute("SELECT data FROM items WHERE task = 1").fetchall() == [(item("lie"),)]
        assert other.execute("SELECT count(*) FROM doubts WHERE verdict IS NULL").fetchall() == [(2,)]
    journal.close()

    assert items(path) == [item("lie"), item("3"), item("1")]


def test_what_proxies_gave_is_known_to_a_resume(path: Path) -> None:
    with doubtful(path) as journal:
        assert journal.bodies_given() == [(LIAR, 2, 1, 0), (OTHER, 1, 1, 0)]
        journal.doubt(OfBody(BODY), "")
        assert journal.bodies_given() == [(LIAR, 2, 1, 1), (OTHER, 1, 1, 0)]


def test_a_journal_from_before_there_were_doubts_is_read_and_gone_on_with(path: Path) -> None:
    new_journal(path, task("1")).close()
    make_older(path, len(MIGRATIONS) - 1)

    assert checked(path).open == 1
    with Journal.open(path) as journal:
        journal.settle(done(1, gave(item("1"))), START)
        assert journal.doubt(OfBody(BODY), "") == 1
    assert checked(path).in_doubt == 1
