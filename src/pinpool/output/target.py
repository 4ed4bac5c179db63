"""Where items go, as the user asked for it: ``-o FILE[:FORMAT]``."""

from pathlib import Path
from typing import NamedTuple

from pinpool.errors import SettingsError
from pinpool.files import STDOUT
from pinpool.output.registry import ENDINGS, FORMATS
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
        *names, last = FORMATS
        raise SettingsError(
            f"output {text!r}: its format is not known: end it in .{', .'.join(ENDINGS[:-1])} or .{ENDINGS[-1]},"
            f" or add :{', :'.join(names)} or :{last}"
        )
    return Target(path, kind.lower(), overwrite)
