"""Parquet files: their columns, types and rows."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from journals import START, answered, done
from outputs import journal_of, read_parquet
from pinpool.errors import SettingsError
from pinpool.journal.writer import Journal
from pinpool.output.columns import Column, columns_of
from pinpool.output.format import ItemRow
from pinpool.output.outputs import Outputs, check_targets, write_all
from pinpool.output.target import parse_target


def rows(*items: Any) -> Callable[[], list[ItemRow]]:
    return lambda: [(number, "detail", json.dumps(item)) for number, item in enumerate(items, 1)]


def written(path: Path, *items: Any) -> tuple[list[tuple[str, str]], list[tuple[Any, ...]]]:
    write_all(parse_target(str(path), overwrite=True), rows(*items))
    return read_parquet(path)


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

    with pytest.raises(SettingsError, match="Parquet cannot be added to: name another file, or -O overwrites it"):
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
