"""An item that another proxy showed to be wrong goes from every file, and what others wrote there stays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from journals import ABOUT, START, answered, done, item, new_journal, rows, task
from outputs import films, read_parquet
from pinpool.journal.second_looks import OfTask
from pinpool.journal.writer import Journal
from pinpool.output.outputs import Outputs
from pinpool.output.target import Target

LIAR, OTHER = 1, 2


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with new_journal(path, *(task(str(n)) for n in range(1, 20))) as journal:
        yield journal


def store_lie(journal: Journal, number: int, text: str = "lie") -> None:
    journal.settle(done(number, answered(item(text), proxy=LIAR)), START)
    journal.commit()


def store(journal: Journal, number: int) -> None:
    journal.settle(done(number, answered(item(f"film {number}"), proxy=OTHER)), START)
    journal.commit()


def answer_again(journal: Journal, number: int, *items: str) -> None:
    assert journal.doubt(OfTask(number), "") == 1
    assert journal.answer_again(number, answered(*items, proxy=OTHER), START) is not None
    journal.commit()


@pytest.mark.parametrize("before", ["", "stranger\n"])
def test_a_line_goes_when_the_file_is_finished_and_those_of_others_stay(
    tmp_path: Path, journal: Journal, before: str
) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text(before)
    with Outputs(journal, [Target(str(path), "jsonl")]) as outputs:
        store(journal, 1)
        store_lie(journal, 2)
        outputs.advance()
        with path.open("a") as file:
            file.write("another stranger\n")
        store(journal, 3)
        outputs.advance()
        answer_again(journal, 2, item("film 2"))
        outputs.advance()
        store(journal, 4)
        outputs.finish()

    assert path.read_text() == f"{before}another stranger\n{films(1, 3, 2, 4)}"


def test_a_resume_takes_out_what_a_killed_start_had_written(tmp_path: Path, path: Path) -> None:
    file = tmp_path / "items.jsonl"
    journal = new_journal(path, *(task(str(n)) for n in range(1, 20)))
    with journal, Outputs(journal, [Target(str(file), "jsonl")]) as outputs:
        store_lie(journal, 1)
        store(journal, 2)
        outputs.advance()
        answer_again(journal, 1, item("film 1"))
    assert file.read_text() == item("lie") + "\n" + films(2)

    with Journal.open(path) as journal:
        journal.resume(ABOUT, START)
        with Outputs(journal) as outputs:
            outputs.advance()
            assert file.read_text() == films(2, 1)
            outputs.finish()

    assert file.read_text() == films(2, 1)


def test_the_same_text_that_another_page_gave_rightly_stays_once(tmp_path: Path, journal: Journal) -> None:
    file = tmp_path / "items.jsonl"
    with Outputs(journal, [Target(str(file), "jsonl")]) as outputs:
        store(journal, 1)
        store_lie(journal, 2, "film 1")
        outputs.advance()
        answer_again(journal, 2, item("film 2"))
        outputs.finish()

    assert file.read_text() == films(1, 2)


def test_a_page_that_gave_nothing_the_second_time_leaves_no_line_and_later_items_are_written(
    tmp_path: Path, journal: Journal
) -> None:
    file = tmp_path / "items.jsonl"
    with Outputs(journal, [Target(str(file), "jsonl")]) as outputs:
        store_lie(journal, 1)
        outputs.advance()
        answer_again(journal, 1)
        store(journal, 2)
        outputs.advance()
        store(journal, 3)
        outputs.finish()

    assert file.read_text() == films(2, 3)


@pytest.mark.parametrize("stranger", ["", "a stranger\r\n"])
def test_a_row_of_a_table_goes_when_the_run_goes_on(tmp_path: Path, journal: Journal, stranger: str) -> None:
    file = tmp_path / "items.csv"
    store_lie(journal, 1)
    store(journal, 2)
    with Outputs(journal, [Target(str(file), "csv")]) as outputs:
        outputs.finish()
    assert file.read_bytes() == b"title\r\nlie\r\nfilm 2\r\n"
    with file.open("ab") as more:
        more.write(stranger.encode())

    answer_again(journal, 1, item("film 1"))
    with Outputs(journal) as outputs:
        outputs.finish()

    assert sorted(file.read_bytes().decode().splitlines(keepends=True)) == sorted(
        ["title\r\n", "film 2\r\n", "film 1\r\n", *([stranger] if stranger else [])]
    )


def test_a_parquet_file_holds_what_the_run_has(tmp_path: Path, journal: Journal) -> None:
    file = tmp_path / "items.parquet"
    store_lie(journal, 1)
    store(journal, 2)
    with Outputs(journal, [Target(str(file), "parquet")]) as outputs:
        outputs.advance()
        answer_again(journal, 1, item("film 1"))
        outputs.finish()

    assert read_parquet(file)[1] == [("film 2",), ("film 1",)]


def test_a_database_and_an_array_hold_what_the_run_has(tmp_path: Path, journal: Journal) -> None:
    array, database = tmp_path / "items.json", tmp_path / "items.sqlite"
    store_lie(journal, 1)
    store(journal, 2)
    with Outputs(journal, [Target(str(array), "json"), Target(str(database), "sqlite")]) as outputs:
        outputs.advance()
        answer_again(journal, 1, item("film 1"))
        outputs.finish()

    assert json.loads(array.read_text()) == [{"title": "film 2"}, {"title": "film 1"}]
    assert rows(database, "SELECT title FROM detail") == [("film 2",), ("film 1",)]
