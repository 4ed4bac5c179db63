"""Where items go, as the user asked for it: ``-o FILE[:FORMAT]``."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pinpool.errors import SettingsError
from pinpool.files import STDOUT
from pinpool.output.registry import FORMATS
from pinpool.text import shown_path


class Target(NamedTuple):
    """Where items go: a path, or ``-`` for stdout. What the file holds stays, unless `overwrite`."""

    path: str
    format: str
    overwrite: bool = False


def parse_target(text: str, *, overwrite: bool = False) -> Target:
    """
    Read ``FILE``, ``FILE:FORMAT`` or ``-``. Without a format the ending decides; stdout gets JSON lines.

    Raises SettingsError, which names the formats. It does not repeat a proxy that was typed by mistake.
    """
    path, _, kind = text.rpartition(":")
    if kind.lower() not in FORMATS or not path:
        path, kind = text, "jsonl" if text == STDOUT else Path(text).suffix[1:]
    if shown_path(path) != path:
        raise SettingsError("an output is a proxy with its login, which belongs into the list that -p names")
    if kind.lower() not in FORMATS:
        raise SettingsError(
            f"output {text!r}: its format is not known: end it in {_any_of('.')}, or add {_any_of(':')}"
        )
    return Target(path, kind.lower(), overwrite)


def _any_of(mark: str) -> str:
    *names, last = (f"{mark}{name}" for name in FORMATS)
    return f"{', '.join(names)} or {last}"
