"""Checks what a TOML spider says by its types and rules, all faults at once. In the parent only: it loads pydantic."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pinpool.spider.toml.keys import KeyPath, known_part, shown_key
from pinpool.spider.toml.rules import faults_in, near
from pinpool.spider.toml.variables import Fault
from pinpool.text import one_line, visible

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_UNKNOWN = "extra_forbidden"
_TYPES = {
    "string_type": "a text in quotes",
    "bool_type": "true or false",
    "dict_type": "a table",
    "model_type": "a table",
    "list_type": "a list",
}
_TOPMOST = "a stage of your own is written [stages.NAME]"


def check(document: Mapping[str, Any], lines: Mapping[KeyPath, int], where: str) -> list[str]:
    """
    What is wrong with a file, a line each: ``movies.toml:7: detail.fields.title: ...``, in the order of the file.

    `lines` are those of its keys, and `where` is its name.
    """
    errors = _errors(document)
    faults = [*map(_fault, errors), *faults_in(document, misspelt=any(error["type"] == _UNKNOWN for error in errors))]
    return reported(faults, lines, where)


def reported(faults: list[Fault], lines: Mapping[KeyPath, int], where: str) -> list[str]:
    """The faults as lines for people. A key that is not in the file has the line of the table that it belongs to."""
    placed = []
    for fault in dict.fromkeys(faults):
        known = known_part(fault.path, lines)
        key = f"{one_line(shown_key(known))}: " if known else ""
        placed.append((lines.get(known, 0), visible(f"{key}{' '.join(fault.text.splitlines())}")))
    placed.sort(key=lambda one: one[0])
    return [f"{where}:{line}: {text}" if line else f"{where}: {text}" for line, text in placed]


def _errors(document: Mapping[str, Any]) -> "list[ErrorDetails]":
    from pydantic import ValidationError

    from pinpool.spider.toml.model import SpiderFile

    try:
        SpiderFile.model_validate(document)
    except ValidationError as errors:
        return errors.errors(include_url=False)
    return []


def _fault(error: "ErrorDetails") -> Fault:
    from pinpool.spider.toml.model import keys_at

    path, kind = error["loc"], error["type"]
    if kind == _UNKNOWN:
        known = keys_at(path[:-1])
        is_stage = len(path) == 1 and isinstance(error["input"], dict)
        hint = near(str(path[-1]), known)
        return Fault(path, f"no such key; {_TOPMOST if is_stage and not hint.startswith('did') else hint}")
    if kind == "missing":
        return Fault(path[:-1], f"needs {path[-1]}")
    if wanted := _TYPES.get(kind):
        return Fault(path, f"is {_named(error['input'])}, not {wanted}")
    if kind == "literal_error":
        return Fault(
            path, f"{str(error['input'])[:40]!r} is not one of {error['ctx']['expected'].replace(chr(39), '')}"
        )
    if kind == "string_too_short":
        return Fault(path, "is empty")
    reason = error.get("ctx", {}).get("error")
    return Fault(path, str(reason) if reason is not None else error["msg"])


def _named(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    kinds = {str: "a text", int: "a number", float: "a number", list: "a list", dict: "a table"}
    return kinds.get(type(value), "a date")
