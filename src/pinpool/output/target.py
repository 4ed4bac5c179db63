"""Where items go, as somebody asked for it: ``-o FILE[:FORMAT]``."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from pinpool.errors import JournalError, SettingsError
from pinpool.files import STDOUT, storing
from pinpool.journal.records import Mark
from pinpool.text import shown_path

FORMATS = ("jsonl", "csv", "parquet")  # of output files
ItemRow = tuple[int, str]  # id and JSON text


class Target(NamedTuple):
    """Where items go: a path, or ``-`` for stdout. What is there already stays, unless `overwrite`."""

    path: str
    format: str
    overwrite: bool = False


class Kept(Protocol):
    """What outputs need of the journal that is being written."""

    def outputs(self) -> list[Mark]: ...
    def output(self, mark: Mark) -> None: ...
    def forget_output(self, path: str) -> None: ...
    def commit(self) -> None: ...
    def last_item(self) -> int: ...
    def items_after(self, item: int, limit: int) -> list[ItemRow]: ...


def fields_of(number: int, text: str) -> dict[str, Any]:
    """The fields of the item with this id. Raises JournalError if its text is no JSON object."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise JournalError(f"the journal is damaged: its item {number} is no JSON object")
    return fields


def storing_items(path: str) -> AbstractContextManager[None]:
    """Items go to `path` in this block: an OSError becomes a StorageError that tells the next step."""
    return storing(f"output {path}", "make room, then `pinpool resume`, or export again")


def parse_target(text: str, *, overwrite: bool = False) -> Target:
    """
    Read ``FILE``, ``FILE:FORMAT`` or ``-``. Without a format the ending decides; stdout gets JSON lines.

    Raises SettingsError, which names the formats there are; a proxy typed in its place is not repeated.
    """
    path, _, kind = text.rpartition(":")
    if kind.lower() not in FORMATS or not path:
        path, kind = text, "jsonl" if text == STDOUT else Path(text).suffix[1:]
    if shown_path(path) != path:
        raise SettingsError("an output is a proxy with its login, which belongs into the list that -p names")
    if kind.lower() not in FORMATS:
        raise SettingsError(
            f"output {text!r}: its format is not known: "
            "end it in .jsonl, .csv or .parquet, or add :jsonl, :csv or :parquet"
        )
    return Target(path, kind.lower(), overwrite)
