"""A list of proxies in a file, looked at again and again: when there is a new version of it, and what is new in it."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from pinpool.errors import ProxyListError
from pinpool.proxies.parse import LARGEST_FILE, parse_bytes
from pinpool.proxies.proxy import Proxy, ProxyList
from pinpool.text import shown_path

#: Between two looks. With `SETTLE_SECONDS` and a turn of the loop it keeps the promise of two seconds.
LOOK_SECONDS = 0.8
#: A version is read when it has stood unchanged that long, so that half a list is not taken for one.
SETTLE_SECONDS = 0.3


class Change(NamedTuple):
    """What a new version of a list brings, each in the order of its list."""

    joined: tuple[Proxy, ...]
    withdrawn: tuple[Proxy, ...]


def compare(present: Collection[Proxy], new: ProxyList) -> Change:
    """What is on the new list alone, and what is on the present one alone. Order and comments mean nothing."""
    old, listed = set(present), set(new.proxies)
    return Change(
        tuple(proxy for proxy in new.proxies if proxy not in old),
        tuple(proxy for proxy in present if proxy not in listed),
    )


#: What tells two versions of a file apart without reading it; a number of an error where there is no file.
Mark = tuple[int, ...]


class Listing:
    """
    The file of a list. `look` it over as often as you like, from one thread.

    A file is replaced by renaming, or emptied and written again, or gone for a moment: a version counts only when two
    looks, `SETTLE_SECONDS` apart, find the same one, and the reading of it finds that one still.
    """

    def __init__(self, path: str | Path) -> None:
        self.name = shown_path(str(path))
        self._path = Path(path).absolute()
        self._done: Mark = ()
        self._candidate: Mark = ()
        self._since = self._next_look = 0.0

    def __repr__(self) -> str:
        return f"<Listing {self.name}>"

    def insist(self) -> None:
        """Read the list once more, though it may be the same version."""
        self._done = ()
        self._next_look = 0.0

    def look(self, now: float) -> ProxyList | ProxyListError | None:
        """
        The list if there is a version that was not seen yet, or what is wrong with it; None while nothing is new.

        `now` is time.monotonic() seconds. The first look takes the file as it is for new.
        """
        if now < self._next_look:
            return None
        self._next_look = now + LOOK_SECONDS
        mark = _mark(self._path)
        if mark == self._done:
            self._candidate = ()
            return None
        if mark != self._candidate:
            self._candidate, self._since = mark, now
        if now < self._since + SETTLE_SECONDS:
            self._next_look = self._since + SETTLE_SECONDS
            return None
        try:
            found, data = _contents(self._path)
            if found != mark:
                self._candidate, self._next_look = (), now
                return None
            self._done = mark
            return parse_bytes(data, self.name)
        except OSError as error:
            self._done = mark
            return ProxyListError(f"{self.name}: cannot read this list of proxies ({error.strerror})")
        except ProxyListError as error:
            return error


def _mark(path: Path) -> Mark:
    try:
        return _mark_of(path.stat())
    except OSError as error:
        return (error.errno or 0,)


def _mark_of(found: os.stat_result) -> Mark:
    # The time of change as well: whoever sets the time of modification back cannot set that back.
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _contents(path: Path) -> tuple[Mark, bytes]:
    """What is in the file, and the mark that it has when all is read. Raises OSError; never waits, as a pipe would."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "it is no regular file")
        data = file.read(LARGEST_FILE + 1)
        return _mark_of(os.fstat(descriptor)), data
