"""Watching the file of a list of proxies: whether there is a new version, and what has changed in it."""

import os
import stat
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from pinpool.errors import ProxyListError
from pinpool.proxies.parse import LARGEST_FILE, parse_bytes
from pinpool.proxies.proxy import Proxy, ProxyList
from pinpool.text import shown_path

#: Between looks. With `SETTLE_SECONDS` and a turn of the loop, a new version counts within the promised two seconds.
LOOK_SECONDS = 0.8
#: A version is read after it did not change for this long, so that half a list is not read as a whole one.
SETTLE_SECONDS = 0.3


class Change(NamedTuple):
    """What a new version changes: `joined` in the order of the new list, `withdrawn` in that of the present one."""

    joined: tuple[Proxy, ...]
    withdrawn: tuple[Proxy, ...]


def compare(present: Collection[Proxy], new: ProxyList) -> Change:
    """The proxies only on the new list, and those only on the present one. Order and comments do not count."""
    old, listed = set(present), set(new.proxies)
    return Change(
        tuple(proxy for proxy in new.proxies if proxy not in old),
        tuple(proxy for proxy in present if proxy not in listed),
    )


#: Distinguishes two versions of a file without reading them; for a missing file, the number of the error.
Version = tuple[int, ...]


class WatchedList:
    """
    The file of a list, to `look` at as often as you like, from one thread.

    A file may be replaced by renaming, emptied and written again, or missing for a moment. So a version counts only if
    two looks, `SETTLE_SECONDS` apart, find the same one, and it is still the same after it was read.
    """

    def __init__(self, path: str | Path) -> None:
        self.name = shown_path(str(path))
        self._path = Path(path).absolute()
        self._done: Version = ()
        self._candidate: Version = ()
        self._since = self._next_look = 0.0

    def insist(self) -> None:
        """Read the list at the next look, even if it is the same version."""
        self._done = ()
        self._next_look = 0.0

    def look(self, now: float) -> ProxyList | ProxyListError | None:
        """
        The list if there is a new version, or what is wrong with it; None if nothing is new.

        `now` is monotonic seconds. For the first look, any version is new.
        """
        if now < self._next_look:
            return None
        self._next_look = now + LOOK_SECONDS
        try:
            version = _version(self._path.stat())
        except OSError as error:
            version = (error.errno or 0,)
        if version == self._done:
            self._candidate = ()
            return None
        if version != self._candidate:
            self._candidate, self._since = version, now
        if now < self._since + SETTLE_SECONDS:
            self._next_look = self._since + SETTLE_SECONDS
            return None
        try:
            found, data = _contents(self._path)
            if found != version:
                self._candidate, self._next_look = (), now
                return None
            self._done = version
            return parse_bytes(data, self.name)
        except OSError as error:
            self._done = version
            return ProxyListError(f"{self.name}: cannot read this list of proxies ({error.strerror})")
        except ProxyListError as error:
            return error


def _version(found: os.stat_result) -> Version:
    # The time of change too: a program can set the time of modification back, but not this one.
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _contents(path: Path) -> tuple[Version, bytes]:
    """The version of the file after reading it, and its bytes. Raises OSError; never waits, as reading a pipe would."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "not a regular file")
        data = file.read(LARGEST_FILE + 1)
        return _version(os.fstat(descriptor)), data
