"""
Items as Parquet, written by duckdb. Only this file loads duckdb, and only when it writes.

Columns and types are those of `columns.py`. Parquet needs a column, so items without any field get an empty `url`.
"""

import errno
import json
import tempfile
from collections.abc import Iterable
from glob import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

from pinpool.errors import SettingsError
from pinpool.output.columns import Column, as_text, columns_of, quoted
from pinpool.output.format import ItemRow, Items, Output, fields_of

MEMORY = "1GB"  # duckdb's limit; a row group of small items needs a tenth of it
ROW_GROUP = 20_480  # rows; the process takes 128 MB, and 211 MB with duckdb's own 122,880 (measured)
GROUP_BYTES = 32_000_000  # so a row group holds fewer items if they are large
LARGEST_ROW = 4_000_000  # bytes; an item has at most 1 MB, and nested in text its quotes double


class ParquetTable(Output):
    """A Parquet file. Parquet cannot be appended to."""

    name = "parquet"
    title = "Parquet"
    can_append = False

    @classmethod
    def check(cls, path: str) -> None:
        if find_spec("duckdb") is None:
            raise SettingsError(f"output {path}: Parquet needs duckdb: pip install 'pinpool[parquet]', or use .jsonl")

    @classmethod
    def write_file(cls, path: Path, items: Items) -> int:
        import duckdb

        columns = columns_of(items())
        # duckdb takes a file of JSON lines fifty times as fast as it takes rows from Python.
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f"{path.name}.", suffix=".jsonl") as rows:
            last_item, total = _write_rows(rows, columns, items())  # type: ignore[arg-type]
            group = max(1, min(ROW_GROUP, GROUP_BYTES * total // max(1, rows.tell())))
            rows.flush()
            config = {"memory_limit": MEMORY, "threads": "1", "autoload_known_extensions": "false"}
            try:
                with duckdb.connect(":memory:", config={**config, "temp_directory": str(path.parent)}) as db:
                    db.execute(_copy(columns, Path(rows.name), path, group))
            except duckdb.Error as error:
                raise OSError(errno.EIO, str(error).partition("\n")[0]) from None
        return last_item


def _write_rows(file: BinaryIO, columns: list[Column], items: Iterable[ItemRow]) -> tuple[int, int]:
    """Returns the id of the last item, 0 for none, and how many there are."""
    last_item = total = 0
    for total, (last_item, _, text) in enumerate(items, 1):  # noqa: B007
        fields = fields_of(last_item, text)
        row = {
            f"c{number}": _cell(fields[column.field], column.type)
            for number, column in enumerate(columns)
            if fields.get(column.field) is not None
        }
        file.write(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
    return last_item, total


def _cell(value: Any, kind: str) -> Any:
    if kind == "VARCHAR[]":
        return [None if element is None else _cell(element, "VARCHAR") for element in value]
    return as_text(value) if kind == "VARCHAR" else value


def _copy(columns: list[Column], source: Path, target: Path, group: int) -> str:
    # With names of our own in between: JSON tells "Name" from "name", and SQL does not.
    columns = columns or [Column("url", "url", "VARCHAR")]
    shape = ", ".join(f"c{number}: {_literal(column.type)}" for number, column in enumerate(columns))
    names = ", ".join(f"c{number} AS {quoted(column.name)}" for number, column in enumerate(columns))
    return (
        f"COPY (SELECT {names} FROM read_json({_literal(escape(str(source)))},"
        f" format = 'newline_delimited', records = 'true', maximum_object_size = {LARGEST_ROW}, columns = {{{shape}}}))"
        f" TO {_literal(str(target))} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {group})"
    )


def _literal(text: str) -> str:
    return quoted(text, "'")
