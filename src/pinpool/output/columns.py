"""
The columns of a table of items, for formats whose columns have types. Pure.

Each field of any item is a column. Its type follows from the values of all items: true and false BOOLEAN, whole numbers
BIGINT, numbers DOUBLE, text VARCHAR, lists of one of these a list of that type. Values that are mixed, nested or too
large for their type are text, as in CSV.
"""

import json
import math
from collections.abc import Iterable, Mapping
from itertools import chain, count
from typing import Any, NamedTuple

from pinpool.output.format import ItemRow, fields_of

_EXACT = 2**53  # a DOUBLE holds every whole number up to it
_LARGEST = 2**63


class Column(NamedTuple):
    """A field of the items, with its name and type in the file. Names in the file differ not only in case."""

    field: str
    name: str
    type: str


class Fields:
    """What the items of one table hold: `add` the fields of each, then read the `columns`."""

    def __init__(self) -> None:
        self._kinds: dict[str, set[str]] = {}

    def add(self, fields: Mapping[str, Any]) -> None:
        """Note the fields of one item."""
        for field, value in fields.items():
            self._kinds.setdefault(field, set()).update(_kinds(value))

    def columns(self, longest: int | None = None) -> list[Column]:
        """A column for each field, in the order in which they came. `longest` is the most characters of a name."""
        taken = set[str]()
        return [Column(field, unique(field[:longest], taken), _type(kinds)) for field, kinds in self._kinds.items()]


def columns_of(items: Iterable[ItemRow]) -> list[Column]:
    """A column for each field of any item, in the order in which they came."""
    fields = Fields()
    for number, _, text in items:
        fields.add(fields_of(number, text))
    return fields.columns()


def unique(name: str, taken: set[str]) -> str:
    """`name` as SQL can have it, with a number behind it if one in `taken` differs in case only. It joins them."""
    plain = encodable(name.replace("\0", "")) or "_"
    names = chain([plain], (f"{plain}_{number}" for number in count(2)))
    free = next(name for name in names if name.casefold() not in taken)
    taken.add(free.casefold())
    return free


def encodable(text: str) -> str:
    """`text` with question marks for lone surrogates, which no file can hold."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def as_text(value: Any) -> str:
    """A value in a column of text: text as it is, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def quoted(name: str, mark: str = '"') -> str:
    """A name, or another text between `mark`s, in SQL."""
    return f"{mark}{name.replace(mark, mark + mark)}{mark}"


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
