"""
The live view: a few lines at the foot of a terminal that are written over twice a second.

rich measures, cuts and colours them. Its `Live` is not used: it hides the cursor, wipes before it draws, and fails when
the window shrinks. Here nothing is hidden, so even after `kill -9` the terminal is in order; no thread runs, so there
is no lock that a signal could meet; and each picture is one write.
"""

from __future__ import annotations

import io
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable
from types import FrameType
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from pinpool.terminal.tty import Tty

#: A wider window is not filled: a line that fits need not be folded when the window shrinks.
_MOST_COLUMNS = 100
#: Messages kept while writing them would stop the run. The oldest go first.
_MOST_HELD = 1000
_ERASE_LINE, _ERASE_BELOW = "\x1b[K", "\x1b[J"

Rows = Iterable[tuple[str, str]]  # heading and text


class LiveView:
    """Lines at the foot of the terminal behind `stream`, which must take any text and never raise."""

    def __init__(self, stream: TextIO, tty: Tty | None = None) -> None:
        self._stream = stream
        self._tty = tty or Tty(stream)
        # It only adds the colours; this class does the writing.
        self._console = Console(file=io.StringIO(), force_terminal=True, width=1000)
        self._pending: deque[str] = deque(maxlen=_MOST_HELD)
        self._drawn: list[int] = []  # the width of each line on the screen; the cursor is behind the last
        self._latest: list[Text] = []
        self._was_away = False
        self._handles_signal = threading.current_thread() is threading.main_thread()
        if self._handles_signal:
            self._handler_before = signal.signal(signal.SIGCONT, self._come_back)

    def say(self, text: str) -> None:
        """Show lines that stay, above the view: with the next picture, or at once if there is none."""
        self._pending.append(text)
        if not self._drawn or len(self._pending) == _MOST_HELD:
            self._flush()

    def draw(self, rows: Callable[[], Rows]) -> None:
        """Show the rows, unless another job has the terminal."""
        if not self._tty.in_foreground():
            self._was_away, self._drawn, self._latest = True, [], []
            self._flush()
            return
        self._forget_if_away()
        self._latest = [Text.assemble((heading, "bold"), text, no_wrap=True) for heading, text in rows()]
        self._put(self._latest)

    def close(self) -> None:
        """Remove the view, and show the messages that are left."""
        if self._handles_signal:
            signal.signal(signal.SIGCONT, self._handler_before)
            self._handles_signal = False
        self._forget_if_away()
        if self._drawn or self._pending:
            self._put([])

    def _forget_if_away(self) -> None:
        """After a stop in the background, the lines above the cursor are no longer ours."""
        if self._was_away:
            self._was_away, self._drawn = False, []

    def _flush(self) -> None:
        if self._pending and not self._tty.would_stop_us():
            self._put(self._latest if self._drawn else [])

    def _put(self, lines: list[Text]) -> None:
        width, height = self._tty.size()
        lines = lines[: max(1, height - 1)]
        for line in lines:
            line.truncate(min(width, _MOST_COLUMNS) - 1, overflow="ellipsis")
        # A window that has shrunk has folded what it showed.
        up = sum(max(1, -(-columns // width)) for columns in self._drawn) - 1
        messages = "".join(f"{text}{_ERASE_LINE}\n" for text in "\n".join(self._pending).splitlines())
        picture = f"{_ERASE_LINE}\n".join(self._coloured(line) for line in lines)
        start = "\r" + (f"\x1b[{up}A" if up > 0 else "") if self._drawn else ""
        self._pending.clear()
        self._drawn = [cell_len(line.plain) for line in lines]
        self._stream.write(f"{start}{messages}{picture}{_ERASE_LINE if picture else ''}{_ERASE_BELOW}")

    def _coloured(self, line: Text) -> str:
        with self._console.capture() as captured:
            self._console.print(line, end="", soft_wrap=True, highlight=False)
        return captured.get()

    def _come_back(self, number: int, frame: FrameType | None) -> None:
        self._was_away = True
