"""
Items as Parquet, written by duckdb. Only this file loads duckdb, and only when it writes.

Each field of any item is a column. Its type follows from the values of all items: true and false BOOLEAN, whole numbers
BIGINT, numbers DOUBLE, text VARCHAR, lists of one of these a list of that type. Values that are mixed, nested or too
large for their type are text, as in CSV. Parquet needs a column, so items without any field get an empty `url`.
"""

import errno
import json
import math
import tempfile
from collections.abc import Iterable
from glob import escape
from importlib.util import find_spec
from itertools import chain, count
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from pinpool.errors import SettingsError
from pinpool.output.format import ItemRow, Items, Output, fields_of

MEMORY = "1GB"  # duckdb's limit; a row group of small items needs a tenth of it
ROW_GROUP = 20_480  # rows; the process takes 128 MB, and 211 MB with duckdb's own 122,880 (measured)
GROUP_BYTES = 32_000_000  # so a row group holds fewer items if they are large
LARGEST_ROW = 4_000_000  # bytes; an item has at most 1 MB, and nested in text its quotes double
_EXACT = 2**53  # a DOUBLE holds every whole number up to it
_LARGEST = 2**63


class Column(NamedTuple):
    """A field of the items, with its name and type in the file. Names in the file differ not only in case."""

    field: str
    name: str
    type: str


class ParquetTable(Output):
    """A Parquet file. Parquet cannot be appended to."""

    name = "parquet"
    title = "Parquet"
    can_append = False

    @classmethod
    def check_package(cls, path: str) -> None:
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


def columns_of(items: Iterable[ItemRow]) -> list[Column]:
    """A column for each field of any item, in the order in which they came."""
    seen: dict[str, set[str]] = {}
    for number, text in items:
        for field, value in fields_of(number, text).items():
            seen.setdefault(field, set()).update(_kinds(value))
    columns, taken = [], set[str]()
    for field, kinds in seen.items():
        plain = field.replace("\0", "") or "_"
        names = chain([plain], (f"{plain}_{number}" for number in count(2)))
        name = next(name for name in names if name.casefold() not in taken)
        taken.add(name.casefold())
        columns.append(Column(field, name, _type(kinds)))
    return columns


def _kinds(value: Any) -> set[str]:
    if isinstance(value, list):
        return {"[]", *(f"[{_kind(element)}]" for element in value if element is not None)}
    return set() if value is None else {_kind(value)}


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "BOOLEAN"
    if isinstance(value, int) and -_LARGEST <= value < _LARGEST:
        return "BIGINT" if abs(value) <= _EXACT else "wide"
    if isinstance(value, float) and math.isfinite(value):
        return "DOUBLE"
    return "nested" if isinstance(value, list | dict) else "VARCHAR"


def _type(kinds: set[str]) -> str:
    if "[]" in kinds:
        inner = {kind[1:-1] for kind in kinds if kind != "[]"}
        if "nested" in inner or any(not kind.startswith("[") for kind in kinds):
            return "VARCHAR"
        return f"{_type(inner)}[]"
    fitting = {"BOOLEAN": {"BOOLEAN"}, "BIGINT": {"BIGINT", "wide"}, "DOUBLE": {"DOUBLE", "BIGINT"}}
    return next((kind for kind, fit in fitting.items() if kinds and kinds <= fit), "VARCHAR")


def _write_rows(file: BinaryIO, columns: list[Column], items: Iterable[ItemRow]) -> tuple[int, int]:
    """Returns the id of the last item, 0 for none, and how many there are."""
    last_item = total = 0
    for total, (last_item, text) in enumerate(items, 1):  # noqa: B007
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
    if kind != "VARCHAR" or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _copy(columns: list[Column], source: Path, target: Path, group: int) -> str:
    # With names of our own in between: JSON tells "Name" from "name", and SQL does not.
    columns = columns or [Column("url", "url", "VARCHAR")]
    shape = ", ".join(f"c{number}: {_quoted(column.type)}" for number, column in enumerate(columns))
    names = ", ".join(f"""c{number} AS {_quoted(column.name, '"')}""" for number, column in enumerate(columns))
    return (
        f"COPY (SELECT {names} FROM read_json({_quoted(escape(str(source)))},"
        f" format = 'newline_delimited', records = 'true', maximum_object_size = {LARGEST_ROW}, columns = {{{shape}}}))"
        f" TO {_quoted(str(target))} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {group})"
    )


def _quoted(text: str, mark: str = "'") -> str:
    return f"{mark}{text.replace(mark, mark + mark)}{mark}"
