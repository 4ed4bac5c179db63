"""
How a run shows itself while it goes: a live view on a terminal, one plain line every 10 s elsewhere.

Everything goes to stderr; stdout belongs to the data.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO, cast

from pinpool.model import ProxyState
from pinpool.stats.snapshot import Speed, spoken
from pinpool.text import one_line

if TYPE_CHECKING:
    from pinpool.stats.snapshot import Snapshot
    from pinpool.terminal.live import Foot

LIVE_SECONDS = 0.5
PLAIN_SECONDS = 10.0


class Progress:
    """
    Called with each view of the run; prints when it is time to. Quiet if `quiet`. Never raises.

    `plain` keeps to lines on a terminal too: for one that the items are written to as well.
    """

    def __init__(self, stream: TextIO, *, quiet: bool = False, plain: bool = False) -> None:
        self._stream = Sink(stream)
        self._quiet = quiet
        self._foot: Foot | None = None
        # An Emacs shell is a terminal, too, but cannot write over what it shows.
        if (
            stream.isatty()
            and os.environ.get("TERM", "dumb") not in ("", "dumb", "unknown")
            and not (quiet or plain)
        ):
            # rich costs 120 ms, and is for nobody but those who see it.
            from pinpool.terminal.live import Foot

            self._foot = Foot(cast(TextIO, self._stream))
        self._period = LIVE_SECONDS if self._foot else PLAIN_SECONDS
        self._began = time.monotonic()
        self._speed = Speed(self._began)
        self._last = self._began if self._foot is None else 0.0
        self._said_stopping = False

    def __call__(self, view: Snapshot) -> None:
        if self._quiet:
            return
        if view.stopping and not self._said_stopping:
            self._said_stopping = True
            self.tell("stopping: what is in flight is finished first; Ctrl-C again ends at once")
        now = time.monotonic()
        self._speed.add(now, view.pages)
        if not self._is_time(now):
            return
        if self._foot is not None:
            self._foot.draw(view, self._speed, now, self._began)
        else:
            self._stream.write(f"{line(view, self._speed)}\n")

    def show(self, text: Callable[[], str]) -> None:
        """The line that `text` makes, if it is time for another: for what is no crawl."""
        if self._quiet or not self._is_time(time.monotonic()):
            return
        if self._foot is not None:
            self._foot.draw_line(text())
        else:
            self._stream.write(f"{text()}\n")

    def _is_time(self, now: float) -> bool:
        if now - self._last < self._period:
            return False
        self._last = now
        return True

    def tell(self, text: str) -> None:
        """A line that stays. Said also if quiet: it is about what the user asked for."""
        if self._foot is not None:
            self._foot.say(text)
        else:
            self._stream.write(f"{text}\n")

    def close(self) -> None:
        """Take the live view away, so that what follows starts on a clean line."""
        if self._foot is not None:
            self._foot.close()


class Sink:
    """A stream for text that swallows every error: if nobody listens any more, it is silent for good."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._broken = False
        self.encoding = getattr(stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write and flush."""
        if not self._broken:
            try:
                # Characters that the terminal's encoding lacks, as one question mark each.
                self._stream.write(text.encode(self.encoding, "replace").decode(self.encoding))
                self._stream.flush()
            except OSError:
                self._broken = True
                with suppress(OSError):  # what is still buffered must not fail again when the program ends
                    os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()


def line(view: Snapshot, speed: Speed) -> str:
    """The run in one line: pages, items, speed, workers, proxies, and when the next proxy wakes if all rest."""
    census = view.census
    parts = [f"{view.ended}/{view.known} pages"]
    waits = view.waiting
    if not waits and not census.usable and census.wakes_in is not None:
        waits = f"all proxies rest, the next wakes in {max(0.0, census.wakes_in):.0f} s"
    if waits:  # near the front, for a narrow terminal cuts off the rest
        parts.append(waits)
    parts += [
        f"{view.items} items",
        f"{speed.per_second:.1f} pages/s",
        f"{census.running} fetching",
    ]
    left = speed.seconds_left(view.known - view.ended)
    if left:
        parts.insert(-1, f"at least {spoken(left)} left")
    if census.parked:
        parts.append(f"{census.parked} waiting for a proxy")
    resting, retired = census.count(ProxyState.COOLING), census.count(ProxyState.RETIRED)
    if resting or retired:
        parts.append(f"{census.usable} proxies good, {resting} resting, {retired} out")
    if view.failed:
        parts.append(f"{view.failed} failed")
    if view.last_fault and not waits:
        parts.append(f"last fault {one_line(view.last_fault)}")
    return ", ".join(parts)
