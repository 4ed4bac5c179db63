"""Names a spider: a file or an importable module, and the variable in it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pinpool.errors import SpiderError
from pinpool.text import shown_path


class SpiderRef(NamedTuple):
    """Where a spider is: a file or an importable module, and the variable in it. `parse_ref` reads its `str`."""

    path: str | None = None
    module: str | None = None
    attribute: str | None = None

    def __str__(self) -> str:
        home = self.path or self.module or ""
        return f"{home}:{self.attribute}" if self.attribute else home


def parse_ref(text: str) -> SpiderRef:
    """
    The ref in ``movies.py`` or ``package.module``, either with ``:name`` after it. The file need not exist yet.

    Raises SpiderError if it can be neither a file nor a module.
    """
    home, colon, attribute = text.strip().rpartition(":")
    # A colon that belongs to the path, as in C:\movies.py, has no name after it.
    if not (colon and attribute.isidentifier()):
        home, attribute = text.strip(), ""
    if Path(home).suffix in (".py", ".toml") or set(home) & set("/\\"):
        return SpiderRef(path=home, attribute=attribute or None)
    if home and all(part.isidentifier() for part in home.split(".")):
        return SpiderRef(module=home, attribute=attribute or None)
    raise SpiderError(
        f"{shown_path(text)!r} is not a spider: name a file such as movies.py, or a module such as package.movies"
    )
