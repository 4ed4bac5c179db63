"""An SQLite database with a table for each stage: its columns, types and rows, and what stands at its place before."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pytest import CaptureFixture

from journals import START, answered, done, finish_work, item, killed_writer, new_journal, rows, task
from outputs import journal_of, store
from pinpool.errors import SettingsError, StorageError
from pinpool.journal.reader import Reader
from pinpool.journal.writer import Journal
from pinpool.output.format import ItemRow
from pinpool.output.outputs import Outputs, check_targets, write_all
from pinpool.output.target import parse_target


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "films.sqlite"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with new_journal(tmp_path / "movies.db", *(task(str(n)) for n in range(1, 20))) as journal:
        yield journal


def of_stages(*items: tuple[str, Any]) -> Callable[[], list[ItemRow]]:
    return lambda: [(number, stage, json.dumps(fields)) for number, (stage, fields) in enumerate(items, 1)]


def written(path: Path, *items: Any) -> tuple[list[tuple[str, str]], list[tuple[Any, ...]]]:
    """(name, type) of each column of a table of these items, and its rows."""
    write_all(parse_target(str(path), overwrite=True), of_stages(*(("detail", one) for one in items)))
    return shape(path, "detail"), rows(path, "SELECT * FROM detail ORDER BY rowid")


def shape(path: Path, table: str) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT name, type FROM pragma_table_info(?)", (table,)).fetchall()


def tables(path: Path) -> list[str]:
    return [str(name) for (name,) in rows(path, "SELECT name FROM sqlite_master ORDER BY rowid")]


def test_each_stage_has_a_table_with_its_own_columns_and_the_url_first(path: Path) -> None:
    items = of_stages(
        ("detail", {"title": "Heat", "url": "/1", "year": 1995}),
        ("reviews", {"stars": 4.5}),
        ("detail", {"title": "Ran", "score": 8, "url": "/2"}),
    )

    write_all(parse_target(str(path)), items)

    assert tables(path) == ["detail", "reviews"]
    assert shape(path, "detail") == [("url", "TEXT"), ("title", "TEXT"), ("year", "INTEGER"), ("score", "INTEGER")]
    assert rows(path, "SELECT * FROM detail") == [("/1", "Heat", 1995, None), ("/2", "Ran", None, 8)]
    assert rows(path, "SELECT * FROM reviews") == [(4.5,)]


@pytest.mark.parametrize(
    ("values", "kind", "told"),
    [
        ([True, False, None], "BOOLEAN", [1, 0, None]),
        ([1, -5], "INTEGER", [1, -5]),
        ([2**63 - 1, -(2**63)], "INTEGER", [2**63 - 1, -(2**63)]),
        ([2**63, 10**40], "TEXT", [str(2**63), str(10**40)]),
        ([1, 0.5], "REAL", [1.0, 0.5]),
        ([2**53 + 1, 0.5], "TEXT", [str(2**53 + 1), "0.5"]),
        ([float("nan"), float("inf"), 1.0], "TEXT", ["NaN", "Infinity", "1.0"]),
        (["1995", "007"], "TEXT", ["1995", "007"]),
        ([1, "x", True], "TEXT", ["1", "x", "true"]),
        ([["a", 1], []], "TEXT", ['["a", 1]', "[]"]),
        ([[1, 2]], "TEXT", ["[1, 2]"]),
        ([{"a": ["é"]}], "TEXT", ['{"a": ["é"]}']),
        ([None], "TEXT", [None]),
        (["a\0b", "\ud800", "贾樟柯"], "TEXT", ["a\0b", "?", "贾樟柯"]),
    ],
)
def test_a_column_has_the_type_that_fits_all_its_values_and_nothing_is_lost(
    path: Path, values: list[Any], kind: str, told: list[Any]
) -> None:
    found_shape, found = written(path, *({"x": value} for value in values))

    assert found_shape == [("x", kind)]
    assert [row[0] for row in found] == told
    assert [type(row[0]) for row in found] == [type(value) for value in told]


def test_fields_and_stages_may_be_called_anything(path: Path) -> None:
    names = ["Name", "name", "", "\0", "\ud800", 'x"); DROP TABLE detail; --', "select", "贾", "n" * 5000]

    write_all(
        parse_target(str(path)),
        of_stages(*((stage, dict.fromkeys(names, 1)) for stage in ("detail", "DETAIL", "sqlite_master", "table"))),
    )

    assert tables(path) == ["detail", "DETAIL_2", "_sqlite_master", "table"]
    for table in tables(path):
        columns = [name for name, _ in shape(path, table)]
        assert columns == ["Name", "name_2", "_", "__2", "?", 'x"); DROP TABLE detail; --', "select", "贾", "n" * 100]
        assert rows(path, f'SELECT * FROM "{table}"') == [(1,) * len(names)]


@pytest.mark.parametrize("count", [2000, 2001, 5000])
def test_fields_beyond_the_columns_that_sqlite_has_stand_together_in_the_last_one(path: Path, count: int) -> None:
    first = {f"{number} {'é' * 200}": number for number in range(count)}

    columns, found = written(path, first, {"other_fields": "own", "url": "/2"})

    with closing(sqlite3.connect(":memory:")) as db:
        most = db.getlimit(sqlite3.SQLITE_LIMIT_COLUMN)
    names = [name for name, _ in columns]
    assert (len(columns), names[0]) == (min(count + 2, most), "url")
    assert found[0][1:10] == tuple(range(9))
    if count + 2 > most:
        rest = json.loads(found[0][-1])
        assert (names[-1], found[0][-2], len(rest)) == ("other_fields", most - 3, count - (most - 2))
        assert json.loads(found[1][-1]) == {"other_fields": "own"}


@pytest.mark.parametrize(("items", "told"), [((), []), (({}, {}), [(None,), (None,)])])
def test_items_without_a_field_have_a_table_all_the_same(path: Path, items: tuple[Any, ...], told: list[Any]) -> None:
    write_all(parse_target(str(path)), of_stages(*(("detail", one) for one in items)))

    assert tables(path) == (["detail"] if items else [])
    assert not items or rows(path, "SELECT url FROM detail") == told


def test_the_database_of_a_run_is_written_at_its_end_and_again_after_a_resume(path: Path, journal: Journal) -> None:
    with Outputs(journal, [parse_target(str(path))]) as outputs:
        store(journal, 1)
        outputs.advance()
        during = path.stat().st_size
        outputs.finish()
    first = rows(path, "SELECT title FROM detail")
    with Outputs(journal) as outputs:
        store(journal, 2)
        outputs.finish()

    assert (during, first) == (0, [("film 1",)])
    assert rows(path, "SELECT title FROM detail") == [("film 1",), ("film 2",)]
    assert [left.name for left in path.parent.iterdir() if "sqlite" in left.name] == [path.name]


def test_a_kill_and_a_resume_leave_each_item_in_it_once(tmp_path: Path, path: Path) -> None:
    killed_writer(tmp_path / "movies.db", Random(2), path)

    finish_work(tmp_path / "movies.db", path)

    with Reader(tmp_path / "movies.db") as reader:
        items = [json.loads(text)["title"] for _, _, text in reader.items()]
    assert len(items) == 400
    assert rows(path, "SELECT title FROM detail ORDER BY rowid") == [(title,) for title in items]


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE detail AS SELECT 'precious' AS title")


def test_a_database_of_others_is_refused_and_stays_as_it_is(path: Path) -> None:
    foreign(path)

    with pytest.raises(SettingsError) as caught:
        check_targets([parse_target(str(path))])

    told = "exists already, and a database of items cannot be added to: name another file, or -O overwrites it"
    assert caught.value.problems == (f"output {path}: {told}",)
    assert rows(path, "SELECT * FROM detail") == [("precious",)]


def test_a_database_that_others_wrote_to_meanwhile_stays_as_it_is(path: Path, journal: Journal) -> None:
    store(journal, 1)
    with (
        pytest.raises(StorageError, match="another program has written to it, and a database of items cannot be added"),
        Outputs(journal, [parse_target(str(path))]) as outputs,
    ):
        foreign(path)
        outputs.finish()

    assert rows(path, "SELECT * FROM detail") == [("precious",)]


def test_no_database_is_put_beside_the_log_of_another_one(path: Path, journal: Journal) -> None:
    """SQLite would play that log into the new database."""
    store(journal, 1)
    log = path.with_name("films.sqlite-wal")
    complaint = r"films\.sqlite-wal lies beside it, so another program uses it or has crashed: close the database there"
    log.write_bytes(b"frames")
    with pytest.raises(SettingsError, match=f"{complaint}, or name another file"):
        check_targets([parse_target(str(path), overwrite=True)])
    log.unlink()

    with (
        pytest.raises(StorageError, match=f"{complaint}, then `pinpool resume`, or export again"),
        Outputs(journal, [parse_target(str(path))]) as outputs,
    ):
        log.write_bytes(b"frames")
        outputs.finish()
    log.unlink()
    with Outputs(journal) as outputs:
        outputs.finish()

    assert rows(path, "SELECT title FROM detail") == [("film 1",)]


def test_the_journal_of_another_run_is_not_overwritten(tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    journal_of(other, {"title": "Heat"})

    with pytest.raises(SettingsError, match=r"other\.db: is the journal of a run: name another file"):
        check_targets([parse_target(f"{other}:sqlite", overwrite=True)])


def test_what_sqlite_refuses_is_told_and_nothing_is_left_behind(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(name: str, **options: Any) -> sqlite3.Connection:
        db = sqlite3.Connection(name, **options)
        db.execute("PRAGMA max_page_count = 2")
        return db

    monkeypatch.setattr("pinpool.output.sqlite_tables.sqlite3.connect", full)

    with pytest.raises(StorageError, match=r"films\.sqlite: cannot be written .*database or disk is full"):
        write_all(parse_target(str(path), overwrite=True), of_stages(*([("detail", {"text": "x" * 9999})] * 99)))

    assert [left.name for left in path.parent.iterdir()] in ([], [path.name])


def test_stdout_gets_the_whole_database(path: Path, capfdbinary: CaptureFixture[bytes]) -> None:
    write_all(parse_target("-:sqlite"), lambda: [(1, "detail", item("a"))])

    path.write_bytes(capfdbinary.readouterr().out)
    assert rows(path, "SELECT * FROM detail") == [("a",)]


def test_items_know_the_stage_that_gave_them_whatever_the_journal_holds(tmp_path: Path) -> None:
    with new_journal(tmp_path / "movies.db", task("1", "index"), task("2", "reviews")) as journal:
        journal.settle(done(1, answered(item("a"))), START)
        journal.settle(done(2, answered(item("b"), item("c"))), START)
        journal.commit()

        found = journal.items_after(0, 9)
        later = journal.items_after(1, 1)

    assert found == [(1, "index", item("a")), (2, "reviews", item("b")), (3, "reviews", item("c"))]
    assert later == found[1:2]
    with Reader(tmp_path / "movies.db") as reader:
        assert list(reader.items()) == found
