"""CSV files: their columns, cells, and rows behind those of others."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest import MonkeyPatch

from journals import new_journal, task
from outputs import full_disk, store_all
from pinpool.errors import StorageError
from pinpool.journal.writer import Journal
from pinpool.output.outputs import Outputs
from pinpool.output.target import Target


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with new_journal(tmp_path / "movies.db", *(task(str(n)) for n in range(1, 20))) as journal:
        yield journal


def write_csv(journal: Journal, path: Path, *, overwrite: bool = False) -> str:
    with Outputs(journal, [Target(str(path), "csv", overwrite)]) as outputs:
        outputs.finish()
    return path.read_bytes().decode()


def test_the_columns_are_all_fields_in_the_order_in_which_they_came(tmp_path: Path, journal: Journal) -> None:
    store_all(journal, {"title": "a", "year": 1994}, {"title": "b", "score": 8.5}, {"good": True, "year": None})

    text = write_csv(journal, tmp_path / "items.csv")

    assert text == "title,year,score,good\r\na,1994,,\r\nb,,8.5,\r\n,,,true\r\n"


def test_a_csv_reader_gets_back_what_the_page_gave(tmp_path: Path, journal: Journal) -> None:
    hostile: dict[str, object] = {"title": 'a "b", c\r\nd\n', "directors": ["张", {"n": 1}], "note": "\ud800"}
    store_all(journal, hostile)

    text = write_csv(journal, tmp_path / "items.csv")

    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert row == {"title": hostile["title"], "directors": '["张", {"n": 1}]', "note": "\\ud800"}


def test_a_table_is_replaced_only_when_the_new_one_is_whole(
    tmp_path: Path, journal: Journal, monkeypatch: MonkeyPatch
) -> None:
    path = tmp_path / "items.csv"
    path.write_text("old\n")
    store_all(journal, {"title": "a"})

    with monkeypatch.context() as broken, pytest.raises(StorageError, match="No space left on device"):
        broken.setattr(os, "fsync", full_disk)
        write_csv(journal, path, overwrite=True)

    assert path.read_text() == "old\n"
    assert {found.name for found in tmp_path.iterdir() if "csv" in found.name} == {"items.csv"}
    assert write_csv(journal, path, overwrite=True) == "title\r\na\r\n"


def test_rows_are_added_under_the_columns_that_are_there(tmp_path: Path, journal: Journal) -> None:
    path = tmp_path / "items.csv"
    path.write_bytes(b"\xef\xbb\xbfyear,title\r\n1993,x")
    store_all(journal, {"title": "a", "year": 1994})

    first = write_csv(journal, path)
    again = write_csv(journal, path)

    assert first.splitlines() == ["\ufeffyear,title", "1993,x", "1994,a"]
    assert again == first, "a resume writes its table anew, and adds none a second time"


def test_a_column_that_is_not_there_is_told_and_nothing_is_lost(tmp_path: Path, journal: Journal) -> None:
    path = tmp_path / "items.csv"
    path.write_text("title\nx\n")
    store_all(journal, {"title": "a", "year": 1994})

    with pytest.raises(StorageError, match=r"has no column for year: name another file"):
        write_csv(journal, path)

    assert path.read_text() == "title\nx\n"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝"])
def test_no_cell_of_safe_csv_is_a_formula_and_numbers_stay(tmp_path: Path, journal: Journal, start: str) -> None:
    hostile = f"{start}cmd|' /C calc'!A0"
    store_all(journal, {hostile: hostile, "n": -5, "text": "-5.5", "plain": "a=b"})

    for kind, beginning in (("csv-safe", b""), ("csv-excel", b"\xef\xbb\xbf")):
        with Outputs(journal, [Target(str(tmp_path / kind), kind)]) as outputs:
            outputs.finish()
        data = (tmp_path / kind).read_bytes()
        assert data.startswith(beginning)
        (row,) = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
        assert row == {f"'{hostile}": f"'{hostile}", "n": "-5", "text": "-5.5", "plain": "a=b"}


def test_a_run_without_items_gives_an_empty_table(tmp_path: Path, journal: Journal) -> None:
    assert write_csv(journal, tmp_path / "items.csv") == ""
