"""The list of proxies that `pinpool check --alive` writes: with passwords, so only its owner may read it."""

from collections.abc import Iterable
from pathlib import Path

from pinpool.errors import SettingsError
from pinpool.files import STDOUT, refusal, replacing, storing
from pinpool.text import shown_path

#: The first line of such a list. Only a file that begins with it is replaced.
MARK = "# Working proxies, written by `pinpool check --alive`, which will replace this file.\n"


def refuse(path: Path, source: str | None) -> None:
    """
    Raise SettingsError if `path` is the list of proxies `source`, holds anything that `write` did not write, or cannot
    be written. Nothing is left behind.
    """
    used = {"the list of proxies itself": source} if source else {}
    printed = "would print passwords: name a file" if str(path) == STDOUT else None
    if problem := printed or refusal(path, MARK.encode(), used=used):
        raise SettingsError(f"--alive {shown_path(path)}: {problem}")


def write(path: Path, entries: Iterable[str]) -> None:
    """Replace the file at `path` by a list of `entries`, whole or not at all, mode 0600. Raises StorageError."""
    with (
        storing(shown_path(path), "make room, or name another file with --alive"),
        replacing(path, mode=0o600) as part,
    ):
        part.write_text("".join([MARK, *(f"{entry}\n" for entry in entries)]), encoding="utf-8")
