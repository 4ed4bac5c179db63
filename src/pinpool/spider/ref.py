"""Where a spider stands: a file or an importable module, and the name in it."""

from __future__ import annotations

from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

from pinpool.errors import SpiderError
from pinpool.text import shown_path

# Set while a spider's file is being imported: a crawl that starts then would start again in each worker.
loading: ContextVar[bool] = ContextVar("loading", default=False)


class SpiderRef(NamedTuple):
    """Where a spider stands: a file or an importable module, and the name in it. `str` of it can be parsed again."""

    path: str | None = None
    module: str | None = None
    attribute: str | None = None

    def __str__(self) -> str:
        home = self.path or self.module or ""
        return f"{home}:{self.attribute}" if self.attribute else home


def parse_ref(text: str) -> SpiderRef:
    """
    ``movies.py``, ``package.module``, either with ``:name`` behind it, as a ref. The file need not exist yet.

    Raises SpiderError if it can be neither a file nor a module.
    """
    home, colon, attribute = text.strip().rpartition(":")
    # A colon that belongs to the path, as in C:\movies.py, has no name behind it.
    if not (colon and attribute.isidentifier()):
        home, attribute = text.strip(), ""
    if Path(home).suffix in (".py", ".toml") or set(home) & set("/\\"):
        return SpiderRef(path=home, attribute=attribute or None)
    if home and all(part.isidentifier() for part in home.split(".")):
        return SpiderRef(module=home, attribute=attribute or None)
    raise SpiderError(
        f"{shown_path(text)!r} is no spider: name a file such as movies.py, or a module such as package.movies"
    )


def home_of(module: dict[str, Any], name: str) -> SpiderRef:
    spec, file = module.get("__spec__"), module.get("__file__")
    if module.get("__package__"):
        # Only as part of its package can such a file import its siblings.
        return SpiderRef(module=spec.name if spec else module["__name__"])
    if not file or not Path(file).is_file():
        raise SpiderError(
            f"the spider {name} was typed in, so worker processes cannot load it: "
            f"save it in a file, {name}.py, and start that"
        )
    return SpiderRef(path=str(Path(file).absolute()))


def shown_file(path: str) -> str:
    """The path as short as it can be: relative where it lies below the current folder."""
    try:
        return str(Path(path).absolute().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return path
