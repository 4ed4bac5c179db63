"""Passwords that are easy to recognise in any spelling, and a haul of all that a run shows or leaves."""

from __future__ import annotations

import os
import stat
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from crawling import Start, players

__all__ = ["HEAD", "KEY", "PASSWORD", "TAIL", "Haul", "traces"]

#: A password's first and last part, without anything that is ever escaped; and between them all that is.
HEAD, TAIL = "Xq7pWv3rNtZk", "Jm5bHc8sLdYf"
PASSWORD = f"{HEAD}-Ünï p@ss:/%20?#\"'<&\\{{1}}{TAIL}"
#: A user name without a password, which is a secret itself.
KEY = "Kg4xRy9uQnSe"


def spellings(word: str) -> Iterator[bytes]:
    """How a word looks in bytes, in lower case: plain, in hex, and within a longer text in Base64, three ways."""
    plain = word.encode()
    yield plain.lower()
    yield plain.hex().encode()
    for shift in range(3):
        # Without the characters that its neighbours have a part in.
        coded = b64encode(bytes(shift) + plain).rstrip(b"=")
        yield coded[-(-shift * 8 // 6) : -1].lower()


def traces(data: bytes, *words: str) -> list[str]:
    """Those of the words (or all that are planted) that are in the data in any spelling."""
    lower = data.lower()
    return [word for word in words or (HEAD, TAIL, KEY) if any(one in lower for one in spellings(word))]


def everything_below(folder: Path) -> Iterator[Path]:
    """All files and folders below. A folder that its owner removes meanwhile is no error, as it is for `rglob`."""
    for place, folders, files in os.walk(folder):
        yield from (Path(place, name) for name in (*folders, *files))


class Haul(dict[str, bytes]):
    """What was seen last, by where; and which of the planted words were ever seen there."""

    def __init__(self) -> None:
        super().__init__()
        self.leaks: dict[str, set[str]] = {}

    def add(self, where: str, data: bytes) -> None:
        if data and data != self.get(where):
            self[where] = data
            if found := traces(data):
                self.leaks.setdefault(where, set()).update(found)

    def of(self, part: str) -> bytes:
        """All whose place has this in its name."""
        return b"\n".join(data for where, data in self.items() if part in where)

    def look_at(self, folder: Path, *but: str) -> None:
        """Every file below, but those that are there to hold passwords. Nobody else may look into it."""
        for path in everything_below(folder):
            with suppress(OSError):  # it is gone
                mode = path.stat().st_mode
                if stat.S_ISREG(mode) and path.name not in but:
                    self.add(f"{path.relative_to(folder)} {stat.S_IMODE(mode):o}", path.read_bytes())
                elif stat.S_ISDIR(mode) or stat.S_ISSOCK(mode):
                    self.add(f"{path.relative_to(folder)}/ {stat.S_IMODE(mode):o}", b".")

    def watch(self, start: Start, folders: list[Path], *but: str, seconds: float = 60.0) -> None:
        """Look at its processes and at these folders, again and again until it has ended."""
        for _ in range(int(seconds / 0.02)):
            for player in players(start.pid):
                for what in ("cmdline", "environ"):
                    with suppress(OSError):
                        self.add(f"{player.pid} {what}", (Path(f"/proc/{player.pid}") / what).read_bytes())
            for folder in folders:
                self.look_at(folder, *but)
            if not start.runs_for(0.02):
                return
