"""`pinpool export`: all items to one file or stream."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest import CaptureFixture

from journals import item
from pinpool.errors import JournalError, StorageError
from pinpool.output.format import ItemRow
from pinpool.output.outputs import write_all
from pinpool.output.target import Target, parse_target

FULL_DISK = Path("/dev/full")


def many() -> Iterator[ItemRow]:
    return ((number, "detail", item(f"film {number}")) for number in range(1, 2501))


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_an_export_writes_all_and_appends_or_overwrites(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"items.{ending}"

    write_all(parse_target(str(path), overwrite=True), many)
    write_all(parse_target(str(path), overwrite=True), many)
    once = path.read_text().splitlines()
    write_all(parse_target(str(path)), many)
    twice = path.read_text().splitlines()

    header = 1 if ending == "csv" else 0
    assert len(once) == 2500 + header
    assert twice == once + once[header:]


@pytest.mark.parametrize("text", ["-", "-:csv"])
def test_an_export_to_stdout_leaves_stdout_open(text: str, capfdbinary: CaptureFixture[bytes]) -> None:
    write_all(parse_target(text), lambda: [(1, "detail", item("x"))])
    sys.stdout.write("more\n")
    sys.stdout.flush()

    lines = capfdbinary.readouterr().out.decode().splitlines()

    assert lines in ([item("x"), "more"], ["title", "x", "more"])


@pytest.mark.skipif(not FULL_DISK.exists(), reason="no device that is always full")
@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_full_disk_is_told_with_the_file_and_the_next_step(kind: str) -> None:
    complaint = r"output /dev/full: .*No space left on device.*pinpool resume"

    with pytest.raises(StorageError, match=complaint):
        write_all(Target(str(FULL_DISK), kind), many)


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv", "parquet", "sqlite"])
def test_what_is_overwritten_stays_until_the_new_file_is_whole(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"items.{ending}"
    path.write_text("old")
    reads = iter(range(2))

    def breaking() -> Iterator[ItemRow]:
        yield 1, "detail", '{"n": 1}'
        if ending in ("jsonl", "json") or next(reads):  # a table is read for its columns first
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(StorageError, match="cannot be written"):
        write_all(parse_target(str(path), overwrite=True), breaking)

    assert path.read_text() == "old"
    assert [left.name for left in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", ["json", "csv", "parquet", "sqlite"])
@pytest.mark.parametrize("text", ["[1]", "7", "{", '{"a":' * 20_000])
def test_an_item_that_is_no_object_is_told_as_damage(tmp_path: Path, ending: str, text: str) -> None:
    with pytest.raises(JournalError, match="its item 1 is not a JSON object"):
        write_all(parse_target(str(tmp_path / f"items.{ending}")), lambda: [(1, "detail", text)])
