"""
Items as JSON lines, in a file that grows, and as a CSV table, written in one go.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self

from pinpool.errors import StorageError
from pinpool.files import (
    absolute,
    closing,
    cut_at,
    open_file,
    open_stream,
    replacing,
    size_of,
)
from pinpool.journal.records import Mark
from pinpool.output.target import ItemRow, Target, fields_of, storing_items


class CsvTable:
    """
    A CSV file (RFC 4180, UTF-8), written in one go: its columns are all fields of all items, as first seen.

    Nested values are JSON, missing ones empty. A file of the run's own is replaced at once when the new one
    is whole; behind what `mark` says was there before, rows are added under the columns that are there.
    """

    def __init__(self, mark: Mark, *, is_stream: bool = False) -> None:
        self.mark = mark
        self.is_stream = is_stream

    def __repr__(self) -> str:
        return f"<CsvTable {self.mark.path}>"

    @classmethod
    def open(cls, target: Target) -> Self:
        """Raises SettingsError if the file cannot be opened."""
        with open_file(target.path) as file:
            base = 0 if target.overwrite else size_of(file)
        return cls(Mark(absolute(target.path), "csv", base, base, 0))

    @classmethod
    def stream(cls, path: str, last_item: int) -> Self:
        """The table of the items after `last_item`, to stdout, a pipe or a device."""
        return cls(Mark(path, "csv", 0, 0, last_item), is_stream=True)

    def write(self, items: Callable[[], Iterable[ItemRow]]) -> None:
        """
        Write the table of `items`, which is read twice: for the columns, then for the rows.

        Raises StorageError if the file cannot be written, or has other columns than the items.
        """
        columns = columns_of(items())
        with storing_items(self.mark.path):
            if self.is_stream:
                with closing(open_stream(self.mark.path), is_stream=True) as file:
                    _write_rows(file, columns, items(), header=True)
            elif self.mark.base and Path(self.mark.path).exists():
                self._add(columns, items())
            else:
                self._replace(columns, items())

    def lacks(self, columns: list[str]) -> list[str]:
        """Those of `columns` that are not in the file to which rows are to be added."""
        header = self._header() if self.mark.base and Path(self.mark.path).exists() else columns
        return [name for name in columns if name not in header]

    def _header(self) -> list[str]:
        with Path(self.mark.path).open(encoding="utf-8-sig", errors="replace", newline="") as before:
            return next(csv.reader(before), [])

    def _add(self, columns: list[str], items: Iterable[ItemRow]) -> None:
        path = Path(self.mark.path)
        if missing := self.lacks(columns):
            raise StorageError(
                f"output {path}: has no column for {', '.join(missing)}: name another file with -O instead"
            )
        header = self._header()
        file = path.open("r+b")
        cut_at(file, min(self.mark.base, size_of(file)))
        self._fill(file, header, items, has_header=True)

    def _replace(self, columns: list[str], items: Iterable[ItemRow]) -> None:
        with replacing(self.mark.path) as part:
            self._fill(part.open("wb"), columns, items, has_header=False)
        self.mark = self.mark._replace(base=0)

    def _fill(
        self, file: BinaryIO, columns: list[str], items: Iterable[ItemRow], *, has_header: bool
    ) -> None:
        with closing(file, is_stream=False):
            last_item = _write_rows(file, columns, items, header=not has_header)
            self.mark = self.mark._replace(bytes=file.tell(), last_item=last_item)


class _Encoder(NamedTuple):
    """What `csv.writer` writes to: a text file without a buffer of its own that could be left unwritten."""

    file: BinaryIO

    def write(self, text: str) -> int:
        return self.file.write(text.encode("utf-8", "backslashreplace"))


def _write_rows(file: BinaryIO, columns: list[str], items: Iterable[ItemRow], *, header: bool) -> int:
    """Returns the id of the last item, 0 for none."""
    last_item = 0
    rows = csv.writer(_Encoder(file))
    if header and columns:
        rows.writerow(columns)
    for last_item, text in items:
        fields = fields_of(last_item, text)
        rows.writerow([_cell(fields.get(name)) for name in columns])
    return last_item


def columns_of(items: Iterable[ItemRow]) -> list[str]:
    """The names of all fields of all items, as first seen."""
    return list(dict.fromkeys(name for number, text in items for name in fields_of(number, text)))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def holds(file: BinaryIO, position: int, items: Iterable[ItemRow], *, alone: bool = True) -> bool:
    """Whether lines of `items` follow, from the first on, the last perhaps cut; if `alone`, nothing else."""
    file.seek(position)
    for _, text in items:
        line = f"{text}\n".encode()
        if (there := file.read(len(line))) != line:
            return line.startswith(there)
    return not alone or not file.read(1)
