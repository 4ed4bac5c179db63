"""The list of proxies that `pinpool check --alive` writes: with passwords, so for the owner's eyes only."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from pinpool.errors import SettingsError, StorageError
from pinpool.text import shown_path

#: The first line of such a list. Only a file that begins with it is replaced.
MARK = "# Working proxies, written by `pinpool check --alive`, which will replace this file.\n"


def refuse(path: Path, source: str | None) -> None:
    """
    Raise SettingsError if `path` is the list of proxies `source` itself, holds anything that `write` has not
    written, or cannot be written. Nothing is left behind.
    """
    if problem := _problem(path, source):
        raise SettingsError(f"--alive {shown_path(path)}: {problem}")


def _problem(path: Path, source: str | None) -> str | None:
    try:
        if str(path) == "-":
            return "would print passwords; name a file"
        if path.exists():
            if source and _is_same(path, source):
                return "is the list of proxies itself; name another file"
            if not path.is_file():
                return "is no file; name one"
            with path.open("rb") as file:
                head = file.read(len(MARK))
            if head not in (b"", MARK.encode()):
                return "holds something that `pinpool check` has not written; delete it, or name another file"
        folder = path.resolve().parent
        if not folder.is_dir():
            return f"there is no folder {shown_path(folder)}; make it, or name another file"
        if not os.access(folder, os.W_OK | os.X_OK):
            return "its folder cannot be written; name a file in another"
    except (OSError, ValueError) as error:
        return (
            f"cannot be used ({getattr(error, 'strerror', None) or 'no name of a file'}); name another file"
        )
    return None


def _is_same(path: Path, source: str) -> bool:
    try:
        return path.samefile(source)
    except (OSError, ValueError):  # no name of a file: stdin, or a variable that holds the list itself
        return False


def write(path: Path, entries: Iterable[str]) -> None:
    """Put a list of `entries` in the place of `path`, whole or not at all, mode 0600. Raises StorageError."""
    real = path.resolve()  # a link stays a link
    part = None
    try:
        number, part = tempfile.mkstemp(prefix=f".{real.name[:100]}.", suffix=".part", dir=real.parent)
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.writelines([MARK, *(f"{entry}\n" for entry in entries)])
            file.flush()
            os.fsync(number)
        Path(part).replace(real)
        part = None
    except OSError as error:
        raise StorageError(
            f"{shown_path(path)}: cannot be written ({error.strerror}); make room, or name another with --alive"
        ) from error
    finally:
        if part is not None:
            Path(part).unlink(missing_ok=True)
