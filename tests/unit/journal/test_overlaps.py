"""A listing that shifts while it is crawled: noticed by links that the page before has shown, and told as a doubt."""

from __future__ import annotations

from pathlib import Path

import pytest

from journals import START, answered, done, new_journal, task
from pinpool.journal.reader import Reader
from pinpool.journal.verify import coverage
from pinpool.model import Task
from pinpool.tasks import request
from pinpool.terminal.summary import coverage_line

PER_PAGE = 10


def films(first: int, count: int = PER_PAGE) -> tuple[Task, ...]:
    return tuple(task(str(number)) for number in range(first, first + count))


def doubts_of(path: Path) -> list[str]:
    with Reader(path) as reader:
        found = coverage(reader)
    assert all(doubt in coverage_line(found) for doubt in found.doubts)
    return found.doubts


def crawled(path: Path, *pages: tuple[Task, ...], seeds: tuple[Task, ...] | None = None) -> list[str]:
    """The doubts about a run over list pages, the seeds, that show these films."""
    lists = seeds or tuple(task(str(number), "index") for number in range(1, len(pages) + 1))
    with new_journal(path, *lists) as journal:
        for number, shown in enumerate(pages, 1):
            journal.settle(done(number, answered(tasks=shown)), START)
    return doubts_of(path)


def test_a_listing_that_stands_still_is_not_doubted(path: Path) -> None:
    assert crawled(path, films(1), films(11), films(21)) == []


def test_a_list_page_that_begins_with_what_the_last_one_ended_with_is_a_doubt(path: Path) -> None:
    pages = [films(1), films(11), films(19), *(films(number) for number in range(29, 60, 10))]

    assert crawled(path, *pages) == [
        "1 page of the stage index (the first is http://films.example/index/3 with 2 of 10 links) shows some of what"
        " the page before has shown: the list has shifted while it was crawled, and may have lost as much; a second"
        " crawl would find it"
    ]


def test_a_list_that_goes_on_shifting_is_a_doubt(path: Path) -> None:
    (doubt,) = crawled(path, *(films(number) for number in range(1, 80, 9)))

    assert doubt.startswith("8 pages of the stage index (the first is http://films.example/index/2 with 1 of 10 links)")


def test_films_that_every_page_shows_are_no_doubt(path: Path) -> None:
    """The best of the week, beside each list."""
    assert crawled(path, *((*films(number), *films(900, 3)) for number in range(1, 80, 10))) == []


@pytest.mark.parametrize("known", [6, 10])
def test_a_page_that_shows_mostly_what_the_last_one_has_shown_is_a_doubt_however_many_do(
    path: Path, known: int
) -> None:
    (doubt,) = crawled(path, films(1), films(11 - known), films(11 - known), films(11 - known))

    assert doubt.startswith("3 pages of the stage index (the first is http://films.example/index/2 with")
    assert "show mostly what earlier pages have shown: the list has shifted, or the site gives the same" in doubt


def test_two_categories_may_share_films(path: Path) -> None:
    seeds = tuple(task(name, "index") for name in ("drama", "crime"))

    assert crawled(path, films(1), films(1), seeds=seeds) == []


def test_pages_that_are_not_neighbours_may_share_a_few_films(path: Path) -> None:
    assert crawled(path, films(1), films(11), (*films(21), *films(1, 3))) == []


def test_the_page_behind_a_next_link_is_a_neighbour_whatever_its_address(path: Path) -> None:
    following = request("http://films.example/index/?cursor=abc")
    with new_journal(path, task("1", "index")) as journal:
        journal.settle(done(1, answered(tasks=(*films(1), following))), START)
        (page,) = [row.id for row in journal.waiting(True, 0, 9)]
        journal.settle(done(page, answered(tasks=films(3))), START)

    assert len(doubts_of(path)) == 1


def test_links_that_stand_twice_on_a_page_or_lead_back_are_no_doubt(path: Path) -> None:
    back = task("1", "index")

    assert crawled(path, (*films(1), *films(1)), (*films(11), *films(11), back)) == []


def test_a_doubt_does_not_make_a_run_incomplete(path: Path) -> None:
    crawled(path, films(1), films(1))

    with Reader(path) as reader:
        found = coverage(reader)

    assert not any("shown" in problem for problem in found.problems)
