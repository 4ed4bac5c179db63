"""`pinpool export`: items in files of every format, each item once, whatever the journal or the folder holds."""

from __future__ import annotations

import csv
import errno
import json
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from commands import Desk
from journals import START, answered, done, new_journal, task
from pinpool.errors import JournalError, SettingsError, StorageError
from pinpool.journal.writer import Journal
from pinpool.lab import Lab
from pinpool.output.format import ItemRow
from pinpool.output.outputs import Outputs, check_targets, write_all
from pinpool.output.parquet import Column, columns_of
from pinpool.output.target import parse_target

Call = Callable[..., tuple[int, str, str]]


def rows(*items: Any) -> Callable[[], list[ItemRow]]:
    return lambda: [(number, json.dumps(item)) for number, item in enumerate(items, 1)]


def journal_of(path: Path, *items: Any) -> None:
    """A journal that is not complete, with these items of one page."""
    with new_journal(path, task("1"), task("2")) as journal:
        journal.settle(done(1, answered(*map(json.dumps, items))), START)


def read_parquet(path: Path) -> tuple[list[tuple[str, str]], list[tuple[Any, ...]]]:
    """(name, type) of each column, and the rows."""
    with duckdb.connect() as db:
        shape = db.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(path)]).fetchall()
        return [tuple(one[:2]) for one in shape], db.execute("FROM read_parquet(?)", [str(path)]).fetchall()


def written(path: Path, *items: Any) -> tuple[list[tuple[str, str]], list[tuple[Any, ...]]]:
    write_all(parse_target(str(path), overwrite=True), rows(*items))
    return read_parquet(path)


# ------------------------------------------------------------------------------------------------- Parquet


def test_each_field_becomes_a_column_of_the_type_that_all_items_have_there(tmp_path: Path) -> None:
    shape, told = written(
        tmp_path / "items.parquet",
        {"title": "Heat", "year": 1995, "score": 8, "seen": True, "cast": ["Pacino", None]},
        {"title": "Ran", "year": None, "score": 8.2, "cast": [], "extra": {"a": [1]}},
    )

    assert shape == [
        ("title", "VARCHAR"),
        ("year", "BIGINT"),
        ("score", "DOUBLE"),
        ("seen", "BOOLEAN"),
        ("cast", "VARCHAR[]"),
        ("extra", "VARCHAR"),
    ]
    assert told == [
        ("Heat", 1995, 8.0, True, ["Pacino", None], None),
        ("Ran", None, 8.2, None, [], '{"a": [1]}'),
    ]


@pytest.mark.parametrize(
    ("values", "kind", "told"),
    [
        ([1, "x"], "VARCHAR", ["1", "x"]),
        ([True, 1], "VARCHAR", ["true", "1"]),
        ([["a"], "b"], "VARCHAR", ['["a"]', "b"]),
        ([[1], ["b"]], "VARCHAR[]", [["1"], ["b"]]),
        ([[1, 2], [3]], "BIGINT[]", [[1, 2], [3]]),
        ([[[1]]], "VARCHAR", ["[[1]]"]),
        ([2**63 - 1, -(2**63)], "BIGINT", [2**63 - 1, -(2**63)]),
        ([2**63], "VARCHAR", [str(2**63)]),
        ([2**53 + 1, 0.5], "VARCHAR", [str(2**53 + 1), "0.5"]),
        ([None, None], "VARCHAR", [None, None]),
        (["2024-01-01", "12:00"], "VARCHAR", ["2024-01-01", "12:00"]),
        (["a\0b", "\ud800"], "VARCHAR", ["a\0b", "?"]),
        ([float("inf"), 1.0], "VARCHAR", ["Infinity", "1.0"]),
        (['"quoted" \\ \n', "贾樟柯"], "VARCHAR", ['"quoted" \\ \n', "贾樟柯"]),
    ],
)
def test_what_has_no_type_of_its_own_is_text_and_nothing_is_lost(
    tmp_path: Path, values: list[Any], kind: str, told: list[Any]
) -> None:
    shape, found = written(tmp_path / "items.parquet", *({"x": value} for value in values))

    assert shape == [("x", kind)]
    assert [row[0] for row in found] == told


def test_fields_may_be_called_anything() -> None:
    fields = {"Name": 1, "name": 2, "NAME_2": 3, "": 4, "\0": 5, '"; DROP': 6}

    names = [column.name for column in columns_of(rows(fields)())]

    assert names == ["Name", "name_2", "NAME_2_2", "_", "__2", '"; DROP']
    assert columns_of([]) == []
    assert columns_of(rows({"a": 1})()) == [Column("a", "a", "BIGINT")]


def test_any_name_of_field_or_file_can_be_written(tmp_path: Path) -> None:
    fields = {"Name": 1, "name": 2, "": 3, '"; DROP TABLE x; --': 4, "a'b": 5, "ü": 6}

    shape, told = written(tmp_path / "it's [a] *film*?.parquet", fields)

    assert [name for name, _ in shape] == ["Name", "name_2", "_", '"; DROP TABLE x; --', "a'b", "ü"]
    assert told == [(1, 2, 3, 4, 5, 6)]
    assert [path.name for path in tmp_path.iterdir()] == ["it's [a] *film*?.parquet"]


@pytest.mark.parametrize(("items", "count"), [((), 0), (({}, {}), 2)])
def test_without_any_field_there_is_one_column(tmp_path: Path, items: tuple[Any, ...], count: int) -> None:
    shape, told = written(tmp_path / "items.parquet", *items)

    assert shape == [("url", "VARCHAR")]
    assert told == [(None,)] * count


def test_rows_stand_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    _, told = written(tmp_path / "items.parquet", *({"n": number} for number in range(20_000)))

    assert [row[0] for row in told] == list(range(20_000))


def test_nothing_is_added_to_a_parquet_file_that_is_not_the_runs_own(tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    path.write_bytes(b"PAR1 of somebody else")

    with pytest.raises(SettingsError, match="Parquet cannot be added to: -O overwrites it"):
        check_targets([parse_target(str(path))])

    check_targets([parse_target(str(path), overwrite=True)])
    assert path.read_bytes() == b"PAR1 of somebody else"


def test_without_duckdb_the_way_to_it_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)

    with pytest.raises(SettingsError, match=r"pip install 'pinpool\[parquet\]'"):
        check_targets([parse_target(str(tmp_path / "items.parquet"))])

    assert list(tmp_path.iterdir()) == []


def test_a_parquet_file_of_the_run_is_written_at_its_end_and_again_after_a_resume(tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    journal_of(tmp_path / "movies.db", {"n": 1})
    with Journal.open(tmp_path / "movies.db") as journal:
        with Outputs(journal, [parse_target(str(path))]) as outputs:
            outputs.advance()
            before = path.stat().st_size
            outputs.finish()
        first = read_parquet(path)[1]
        journal.settle(done(2, answered('{"n": 2}')), START)
        journal.commit()
        with Outputs(journal) as outputs:
            outputs.finish()

    assert before == 0
    assert first == [(1,)]
    assert read_parquet(path)[1] == [(1,), (2,)]


# ------------------------------------------------------------------------------------------------- whole files


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_what_is_overwritten_stays_until_the_new_file_is_whole(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"items.{ending}"
    path.write_text("old")
    reads = iter(range(2))

    def breaking() -> Iterator[ItemRow]:
        yield 1, '{"n": 1}'
        if ending == "jsonl" or next(reads):  # a table is read for its columns first
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(StorageError, match="cannot be written"):
        write_all(parse_target(str(path), overwrite=True), breaking)

    assert path.read_text() == "old"
    assert [left.name for left in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("text", ["[1]", "7", "{", '{"a":' * 20_000])
def test_an_item_that_is_no_object_is_told_as_damage(tmp_path: Path, ending: str, text: str) -> None:
    with pytest.raises(JournalError, match="its item 1 is not a JSON object"):
        write_all(parse_target(str(tmp_path / f"items.{ending}")), lambda: [(1, text)])


# ------------------------------------------------------------------------------------------------- the command


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


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_a_journal_without_items_gives_a_file_without_items(desk: Desk, kind: str) -> None:
    new_journal(desk / "films.db", task("1")).close()

    said = desk.run("export", "films.db", "-o", f"items:{kind}")

    assert said.code == 0
    assert said.err == "items: 0 items\n"
    assert (desk / "items").exists()


def test_wrong_targets_are_told_all_at_once_and_nothing_is_written(desk: Desk) -> None:
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
    folder, old, journal = sorted(
        wrong.err.splitlines(), key=lambda line: "films.db" in line or "old" in line
    )
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


def test_a_damaged_item_is_told_without_a_traceback(desk: Desk) -> None:
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
