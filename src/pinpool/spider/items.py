"""Turns items into JSON text, in the worker: whatever reaches the parent can be stored."""

import math
import re
from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal
from enum import Enum
from json import dumps

from pinpool.spider.item_objects import fields_of
from pinpool.text import cut

MAX_ITEM = 1_000_000  # bytes of JSON
MAX_DEPTH = 50  # lists in lists

#: The path to a field, innermost step first, as nested pairs: adding a step costs the same at any depth.
_Path = tuple["_Path", str | int] | None

_SURROGATE = re.compile(r"[\ud800-\udfff]")


def item_text(item: Mapping[str, object]) -> str:
    """
    The item as JSON text that is valid UTF-8, at most `MAX_ITEM` bytes long.

    Dates and Decimals become text, tuples and sets lists (a set's in a stable order), an object with fields becomes
    these (see `item_objects`), an enum its value. Raises ValueError that names the field if a value is anything else
    that JSON does not have: bytes, NaN, a function.
    """
    text = dumps(_Walk().mapping(item, None, 0), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    if not text.isascii():
        text = _SURROGATE.sub("\ufffd", text)
    if len(text) > MAX_ITEM or (not text.isascii() and len(text.encode()) > MAX_ITEM):
        raise _too_large()
    return text


def is_empty(value: object) -> bool:
    """Whether a value is None, blank text, or a container of only such values. Zero and False are not empty."""
    if isinstance(value, str):
        return not value.strip()
    if isinstance(value, Mapping):
        return all(is_empty(part) for part in value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return all(is_empty(part) for part in value)
    return value is None or ((inner := fields_of(value)) is not None and is_empty(inner))


class _Walk:
    """One pass over an item. It counts the size as it goes: a list that is used many times could fill the memory."""

    def __init__(self) -> None:
        self.left = MAX_ITEM

    def value(self, value: object, path: _Path, depth: int) -> object:
        self._spend(len(value) if isinstance(value, str) else 1)
        if value is None or isinstance(value, str | int):
            return value
        if isinstance(value, float):
            if not math.isfinite(value):
                raise ValueError(f"{_field(path)} is {value}, which JSON does not have; use None")
            return value
        if isinstance(value, date | time):
            return value.isoformat()
        if isinstance(value, Decimal):
            if not value.is_finite():
                raise ValueError(f"{_field(path)} is the Decimal {value}, which is not a number; use None")
            return str(value)
        if depth >= MAX_DEPTH:
            raise ValueError(f"{_field(path)} is nested deeper than {MAX_DEPTH} levels")
        if isinstance(value, list) or (isinstance(value, tuple) and not hasattr(value, "_fields")):
            return [self.value(part, (path, number), depth + 1) for number, part in enumerate(value)]
        if isinstance(value, Mapping):
            return self.mapping(value, path, depth + 1)
        if isinstance(value, set | frozenset):
            return [self.value(part, (path, "{}"), depth + 1) for part in sorted(value, key=repr)]
        if isinstance(value, Enum):
            return self.value(value.value, path, depth + 1)
        if (inner := fields_of(value)) is not None:
            return self.mapping(inner, path, depth + 1)
        hint = "decode it first" if isinstance(value, bytes | bytearray) else "make it text or a number"
        raise ValueError(f"{_field(path)} is {type(value).__name__}, which JSON does not have; {hint}")

    def mapping(self, value: Mapping[str, object], path: _Path, depth: int) -> dict[str, object]:
        plain = {}
        for key, part in value.items():
            if not isinstance(key, str):
                raise ValueError(f"a key of {_field(path)} is {type(key).__name__}, not text")
            self._spend(len(key))
            plain[key] = self.value(part, (path, f".{key}"), depth)
        return plain

    def _spend(self, characters: int) -> None:
        # One more for the bracket, comma or quotes that come with it.
        self.left -= characters + 1
        if self.left < 0:
            raise _too_large()


def _field(path: _Path) -> str:
    """The path to a field as text, such as images[2].data."""
    steps: list[str] = []
    while path is not None:
        path, step = path
        steps.append(f"[{step}]" if isinstance(step, int) else step)
    text = "".join(reversed(steps)).removeprefix(".")
    return f"field {cut(text, 60)}" if text else "the item"


def _too_large() -> ValueError:
    return ValueError(f"an item is larger than {MAX_ITEM:,} bytes of JSON")
