"""Items as CSV (RFC 4180, UTF-8). Nested values are JSON, missing ones empty."""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pinpool.output.format import ItemRow, Items, ItemsAfter, UnfitFile, fields_of, no_items
from pinpool.output.growing import GrowingFile, Line, quoted_records
from pinpool.text import formula_safe


class CsvTable(GrowingFile):
    """A CSV file. Rows can be added to a file of others, under the columns that are there."""

    name = "csv"
    title = "CSV"
    is_safe: ClassVar[bool] = False  # whether a text that a spreadsheet would run gets an apostrophe in front
    beginning: ClassVar[bytes] = b""

    @classmethod
    def write_file(cls, path: Path, items: Items) -> int:
        columns, last_item = list(_columns(items())), 0
        with path.open("wb") as file:
            file.write(cls.beginning)
            if columns:
                file.write(_row(map(cls._cell, columns)))
            for last_item, row in cls._rows(columns, items()):  # noqa: B007
                file.write(row)
        return last_item

    def add(self, items_after: ItemsAfter, replaced: ItemsAfter = no_items) -> None:
        path = Path(self.mark.path)
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as before:
            header = next(csv.reader(before), [])
        names = {self._cell(name): name for name in _columns(items_after(0))}
        if missing := [name for title, name in names.items() if title not in header]:
            problem = f"has no column for {', '.join(missing)}"
            raise UnfitFile(f"output {path}: {problem}: name another file, or overwrite it with -O")

        columns = [names.get(title, title) for title in header]

        def rows_after(item: int) -> Iterator[Line]:
            return self._rows(columns, items_after(item))

        self.match(rows_after, lambda: self._rows(columns, replaced(0)), quoted_records)
        self.write_lines(rows_after)

    @classmethod
    def _rows(cls, columns: Sequence[str], items: Iterable[ItemRow]) -> Iterator[Line]:
        for number, _, text in items:
            fields = fields_of(number, text)
            yield number, _row([cls._cell(fields.get(name)) for name in columns])

    @classmethod
    def _cell(cls, value: Any) -> str:
        if value is None:
            return ""
        if not isinstance(value, str):
            return json.dumps(value, ensure_ascii=False)
        return formula_safe(value) if cls.is_safe else value


class SafeCsvTable(CsvTable):
    """A CSV file for spreadsheets: they run no cell of it."""

    name = "csv-safe"
    title = "CSV for spreadsheets"
    is_safe = True


class ExcelTable(SafeCsvTable):
    """The same, with the mark by which Excel knows UTF-8."""

    name = "csv-excel"
    title = "CSV for Excel"
    beginning = b"\xef\xbb\xbf"


class _Encoded:
    """In place of a file: hands back each row as bytes."""

    def write(self, text: str) -> Any:
        return text.encode("utf-8", "backslashreplace")


_WRITER = csv.writer(_Encoded())


def _row(cells: Iterable[str]) -> bytes:
    row: bytes = _WRITER.writerow(cells)  # what `write` returns
    return row


def _columns(items: Iterable[ItemRow]) -> dict[str, None]:
    """The names of all fields of all items, in the order in which they came."""
    return {name: None for number, _, text in items for name in fields_of(number, text)}
