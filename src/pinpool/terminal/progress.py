"""
What a run shows while it goes on: a live view on a terminal, one plain line every 10 s elsewhere.

Everything goes to stderr; stdout belongs to the data.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from pinpool.files import discard
from pinpool.pool.clock import SYSTEM_CLOCK, Clock
from pinpool.stats.snapshot import Snapshot, Throughput
from pinpool.terminal.status import Row, status_line, status_rows
from pinpool.text import visible

if TYPE_CHECKING:
    from pinpool.terminal.live import LiveView

PLAIN_SECONDS = 10.0
#: Characters written at a time. A pipe with room takes 4096 bytes at least.
_PIECE = 1000
#: How long a slow reader gets to make room, until it has read again.
_FULL_SECONDS = 0.5


class Progress:
    """
    Call it with each snapshot of a run; it prints when it is time to, and never raises.

    `quiet` prints only messages. `plain` prints lines on a terminal, too: for one to which the items go as well.
    """

    def __init__(
        self, stream: TextIO, *, quiet: bool = False, plain: bool = False, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._stream = stream
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self._quiet = quiet
        self._clock = clock
        self._is_full = False
        self._live: LiveView | None = None
        # An Emacs shell is a terminal, too, but cannot write over what it shows.
        can_overwrite = stream.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb", "unknown")
        if can_overwrite and not (quiet or plain):
            # rich costs 120 ms, so only a live view imports it.
            from pinpool.terminal.live import LiveView, Tty

            self._live = LiveView(self._write, Tty(stream))
        self._began = clock.monotonic()
        self._throughput = Throughput(self._began)
        self._last = self._began if self._live is None else 0.0
        self._told_stopping = False

    def __call__(self, snapshot: Snapshot) -> None:
        if self._quiet:
            return
        if snapshot.stopping and not self._told_stopping:
            self._told_stopping = True
            self.tell("stopping: what is in flight is finished first; Ctrl-C again ends at once")
        now, epoch = self._clock.monotonic(), self._clock.epoch()
        self._throughput.add(now, snapshot.pages, snapshot.items)
        if not self._is_time(now):
            return
        if self._live is not None:
            rows = status_rows(snapshot, self._throughput, began=self._began, now=now, epoch=epoch)
            self._live.draw(rows)
        else:
            self._write(f"{status_line(snapshot, self._throughput, epoch)}\n")

    def show(self, text: Callable[[], str]) -> None:
        """Show the line that `text` makes, if it is time to: for a command that is not a crawl."""
        if self._quiet or not self._is_time(self._clock.monotonic()):
            return
        if self._live is not None:
            self._live.draw([Row("", [(text(), None)])])
        else:
            self._write(f"{text()}\n")

    def tell(self, text: str) -> None:
        """Show a message that stays, even if quiet: it is about what the user asked for."""
        text = visible(text)
        if self._live is not None:
            self._live.say(text)
        else:
            self._write(f"{text}\n")

    def close(self) -> None:
        """Remove the live view, so that what follows starts on a clean line."""
        if self._live is not None:
            self._live.close()

    def _is_time(self, now: float) -> bool:
        if now - self._last < (PLAIN_SECONDS if self._live is None else 0.5):
            return False
        self._last = now
        return True

    def _write(self, text: str) -> None:
        # A question mark stands for each character that the terminal's encoding lacks.
        text = text.encode(self._encoding, "replace").decode(self._encoding)
        try:
            for start in range(0, len(text), _PIECE):
                if not self._has_room():
                    return
                self._stream.write(text[start : start + _PIECE])
                self._stream.flush()
        except OSError:
            discard(self._stream)

    def _has_room(self) -> bool:
        """False if a write would not come back: nobody reads the pipe, or the terminal is stopped. The run goes on."""
        look = select.poll()
        try:
            look.register(self._stream.fileno(), select.POLLOUT)
        except (OSError, ValueError):  # no file of the system's
            return True
        self._is_full = not look.poll(0 if self._is_full else _FULL_SECONDS * 1000)
        return not self._is_full
