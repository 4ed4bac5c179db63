"""
How a run shows itself while it goes: one line on a terminal that is written over, one line every 10 s elsewhere.

Everything goes to stderr; stdout belongs to the data.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from pinpool.model import ProxyState
from pinpool.wire import one_line

if TYPE_CHECKING:
    from pinpool.loop import View

__all__ = ["Progress", "line"]

TERMINAL_SECONDS = 0.5
PLAIN_SECONDS = 10.0


class Progress:
    """Called with each view of the run; prints when it is time to. Quiet if `quiet`. Never raises."""

    def __init__(self, stream: TextIO, *, quiet: bool = False) -> None:
        self._stream = stream
        self._quiet = quiet
        self._terminal = stream.isatty()
        self._began = time.monotonic()
        self._last = self._began if not self._terminal else 0.0
        self._shown = False
        self._said_stopping = False
        self._broken = False

    def __call__(self, view: View) -> None:
        if self._quiet:
            return
        if view.stopping and not self._said_stopping:
            self._said_stopping = True
            self.tell("stopping: what is in flight is finished first; Ctrl-C again ends at once")
        self.show(lambda: line(view, time.monotonic() - self._began))

    def show(self, text: Callable[[], str]) -> None:
        """The line that `text` makes, if it is time for another."""
        now = time.monotonic()
        if self._quiet or now - self._last < (TERMINAL_SECONDS if self._terminal else PLAIN_SECONDS):
            return
        self._last = now
        if self._terminal:
            self._put(f"\r\x1b[K{text()[: _width()]}")
            self._shown = True
        else:
            self._put(f"{text()}\n")

    def tell(self, text: str) -> None:
        """A line that stays. Said also if quiet: it is about what the user asked for."""
        self.close()
        self._put(f"{text}\n")

    def close(self) -> None:
        """Wipe the line, so that what follows starts on a clean one."""
        if self._shown:
            self._put("\r\x1b[K")
            self._shown = False

    def _put(self, text: str) -> None:
        """The only place that writes. If nobody listens any more, it is silent for good."""
        if self._broken:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            self._broken = True
            with suppress(OSError):  # what is still buffered must not fail again when the program ends
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())


def line(view: View, seconds: float) -> str:
    """The run in one line: pages, items, speed, workers, proxies, and when the next proxy wakes if all rest."""
    census = view.census
    speed = view.pages / seconds if seconds > 0 else 0.0
    parts = [
        f"{view.ended}/{view.known} pages",
        f"{view.items} items",
        f"{speed:.1f} pages/s",
        f"{census.running} fetching",
    ]
    if census.parked:
        parts.append(f"{census.parked} waiting for a proxy")
    resting, retired = census.count(ProxyState.COOLING), census.count(ProxyState.RETIRED)
    if resting or retired:
        parts.append(f"{census.usable} proxies good, {resting} resting, {retired} out")
    if view.failed:
        parts.append(f"{view.failed} failed")
    if not census.usable and census.wakes_in is not None:
        parts.append(f"all proxies rest, the next wakes in {max(0.0, census.wakes_in):.0f} s")
    elif view.last_fault:
        parts.append(f"last fault {one_line(view.last_fault)}")
    return ", ".join(parts)


def _width() -> int:
    import shutil

    return shutil.get_terminal_size().columns - 1
