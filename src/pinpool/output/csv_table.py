"""Items as CSV (RFC 4180, UTF-8). Nested values are JSON, missing ones empty."""

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pinpool.output.format import ItemRow, Items, ItemsAfter, Output, UnfitFile, fields_of
from pinpool.output.streams import closing, cut_at, open_output, size_of, storing_items


class CsvTable(Output):
    """A CSV file. Rows can be added to a file of others, under the columns that are there."""

    name = "csv"
    title = "CSV"

    @classmethod
    def write_file(cls, path: Path, items: Items) -> int:
        return _write_rows(path, "w", list(_columns(items())), items())

    def finish(self, items_after: ItemsAfter) -> None:
        path = Path(self.mark.path)
        if not self.mark.base or not path.exists():
            super().finish(items_after)
            return
        # Behind what others wrote there, in place of the rows that an earlier start of the run added.
        with storing_items(self.mark.path):
            with path.open(encoding="utf-8-sig", errors="replace", newline="") as before:
                header = next(csv.reader(before), [])
            if missing := [name for name in _columns(items_after(0)) if name not in header]:
                problem = f"has no column for {', '.join(missing)}"
                raise UnfitFile(f"output {path}: {problem}: name another file, or overwrite it with -O")
            with open_output(self.mark.path) as before_rows:
                cut_at(before_rows, min(self.mark.base, size_of(before_rows)))
            last_item = _write_rows(path, "a", header, items_after(0))
        self.mark = self.mark._replace(bytes=path.stat().st_size, last_item=last_item)


def _columns(items: Iterable[ItemRow]) -> dict[str, None]:
    """The names of all fields of all items, in the order in which they came."""
    return {name: None for number, text in items for name in fields_of(number, text)}


def _write_rows(path: Path, mode: str, columns: list[str], items: Iterable[ItemRow]) -> int:
    """Returns the id of the last item, 0 for none."""
    last_item = 0
    file = path.open(mode, encoding="utf-8", errors="backslashreplace", newline="")
    with closing(file, is_stream=False):
        rows = csv.writer(file)
        if columns and mode == "w":
            rows.writerow(columns)
        for last_item, text in items:
            fields = fields_of(last_item, text)
            rows.writerow([_cell(fields.get(name)) for name in columns])
    return last_item


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
