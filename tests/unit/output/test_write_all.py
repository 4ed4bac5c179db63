"""`pinpool export`: all items to one file or stream."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest import CaptureFixture

from journals import item
from pinpool.output.format import ItemRow
from pinpool.output.outputs import write_all
from pinpool.output.target import parse_target


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
