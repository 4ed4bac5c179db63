"""`pinpool export`: items in files of every format, whatever the journal or the folder holds."""

from __future__ import annotations

import csv
import sqlite3

import pytest

from commands import Desk
from journals import START, answered, done, new_journal, task
from outputs import journal_of, read_parquet
from pinpool.journal.writer import Journal
from pinpool.lab import Lab
from pinpool.output.outputs import Outputs
from pinpool.output.target import parse_target


def test_items_go_to_several_files_at_once_and_to_stdout(desk: Desk) -> None:
    journal_of(desk / "films.db", {"title": "Heat", "cast": ["A", "B"]}, {"title": "é", "year": 1995})

    said = desk.run("export", "films.db", "-o", "a.jsonl", "-o", "b.csv", "-O", "c.parquet", "-o", "-")

    assert said.code == 0
    assert said.items() == desk.lines("a.jsonl")
    with (desk / "b.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [
            ["title", "cast", "year"],
            ["Heat", '["A", "B"]', ""],
            ["é", "", "1995"],
        ]
    assert read_parquet(desk / "c.parquet")[1] == [("Heat", ["A", "B"], None), ("é", None, 1995)]
    assert said.err.splitlines() == ["a.jsonl: 2 items", "b.csv: 2 items", "c.parquet: 2 items"]


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "parquet", "sqlite"])
def test_a_journal_without_items_gives_a_file_without_items(desk: Desk, kind: str) -> None:
    new_journal(desk / "films.db", task("1")).close()

    said = desk.run("export", "films.db", "-o", f"items:{kind}")

    assert said.code == 0
    assert said.err == "items: 0 items\n"
    assert (desk / "items").exists()


def test_wrong_targets_are_reported_all_at_once_and_nothing_is_written(desk: Desk) -> None:
    journal_of(desk / "films.db", {"title": "Heat"})
    desk.write("old.parquet", "old")

    none = desk.run("export", "films.db")
    wrong = desk.run(
        "export",
        "films.db",
        "-o",
        "new.csv",
        "-o",
        "no/items.csv",
        "-o",
        "old.parquet",
        "-O",
        "films.db:jsonl",
    )
    missing = desk.run("export", "no.db", "-o", "new.csv")

    assert (none.code, "name a file with -o" in none.err) == (2, True)
    assert wrong.code == 2
    folder, old, journal = sorted(wrong.err.splitlines(), key=lambda line: "films.db" in line or "old" in line)
    assert "No such file or directory" in folder
    assert "-O overwrites it" in old
    assert "is the journal" in journal
    assert missing.code == 2
    assert not (desk / "new.csv").exists()


def test_the_runs_own_output_is_not_written_while_the_run_is_not_complete(desk: Desk) -> None:
    journal_of(desk / "films.db", {"title": "Heat"})
    with (
        Journal.open(desk / "films.db") as journal,
        Outputs(journal, [parse_target(str(desk / "a.jsonl"))]) as out,
    ):
        out.finish()

    said = desk.run("export", "films.db", "-O", "a.jsonl")

    assert said.code == 2
    assert "the run's own" in said.err
    assert desk.lines("a.jsonl") == [{"title": "Heat"}]


def test_a_journal_that_is_being_written_can_be_exported(desk: Desk) -> None:
    with new_journal(desk / "films.db", task("1"), task("2")) as journal:
        journal.settle(done(1, answered('{"n": 1}')), START)
        journal.commit()
        journal.settle(done(2, answered('{"n": 2}')), START)

        said = desk.run("export", "films.db", "-o", "-")

    assert said.items() == [{"n": 1}]


def test_a_damaged_item_is_reported_without_a_traceback(desk: Desk) -> None:
    journal_of(desk / "films.db", {"title": "Heat"})
    with sqlite3.connect(desk / "films.db") as db:
        db.execute("UPDATE items SET data = '[]'")
    db.close()

    said = desk.run("export", "films.db", "-o", "a.csv")

    assert said.code == 2
    assert said.err == "the journal is damaged: its item 1 is not a JSON object\n"


@pytest.mark.processes
def test_a_crawl_writes_parquet_when_it_ends(desk: Desk) -> None:
    with Lab(pages=1, proxies=3) as lab:
        desk.prepare(lab)

        crawled = desk.run("crawl", "films.py", "-p", "proxies.txt", "-q", "-o", "films.parquet")
        again = desk.run("crawl", "films.py", "-p", "proxies.txt", "-q", "-o", "films.parquet")
        told = read_parquet(desk / "films.parquet")[1]

        assert crawled.code == 0
        assert sorted(row[0] for row in told) == sorted(lab.films(lab.named_url))
        assert (again.code, "-O overwrites it" in again.err) == (2, True)
