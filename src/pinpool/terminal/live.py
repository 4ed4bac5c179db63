"""
The live view: a few lines at the foot of a terminal that are written over twice a second.

rich measures, cuts and colours them. Its `Live` is not used: it hides the cursor, wipes before it draws, and fails when
the window shrinks. Here nothing is hidden, so even after `kill -9` the terminal is in order; no thread runs, so there
is no lock that a signal could meet; and each picture is one write.
"""

import io
import os
import signal
import termios
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from pinpool.terminal.status import Row, Tone

#: A wider window is not filled: a line that fits need not be folded when the window shrinks.
_MOST_COLUMNS = 100
#: Messages kept while writing them would stop the run. The oldest go first.
_MOST_HELD = 1000
_STYLES = {Tone.WAITING: "yellow", Tone.OUT: "red"}
_ERASE_LINE, _ERASE_BELOW = "\x1b[K", "\x1b[J"


class Tty:
    """The terminal behind `stream`, asked again each time: windows change size, jobs go to the background."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def in_foreground(self) -> bool:
        """False if the terminal belongs to another job, such as a shell while this one runs behind it."""
        with suppress(OSError, ValueError):
            return os.tcgetpgrp(self._stream.fileno()) == os.getpgrp()
        return True  # not our controlling terminal: nobody shares it with us

    def would_stop_us(self) -> bool:
        """True if writing from the background would stop the whole run (`stty tostop`)."""
        with suppress(OSError, ValueError, termios.error):
            stops = bool(termios.tcgetattr(self._stream.fileno())[3] & termios.TOSTOP)
            return stops and not self.in_foreground()
        return False

    def size(self) -> tuple[int, int]:
        """Columns and rows. The environment is not asked: it may hold those of before the window was resized."""
        with suppress(OSError, ValueError):
            columns, rows = os.get_terminal_size(self._stream.fileno())
            return columns or 80, rows or 24  # some pseudo-terminals say 0
        return 80, 24


class LiveView:
    """Lines at the foot of the terminal `tty`. `write` must take any text and never raise."""

    def __init__(self, write: Callable[[str], object], tty: Tty) -> None:
        self._write = write
        self._tty = tty
        # It only adds the colours; this class does the writing.
        self._console = Console(file=io.StringIO(), force_terminal=True, width=1000)
        self._pending: deque[str] = deque(maxlen=_MOST_HELD)
        self._drawn: list[int] = []  # the width of each line on the screen; the cursor is behind the last
        self._latest: list[Text] = []
        self._cleanup = ExitStack()
        if threading.current_thread() is threading.main_thread():
            # After a stop in the background, the lines above the cursor are no longer ours.
            before = signal.signal(signal.SIGCONT, lambda number, frame: self._drawn.clear())
            self._cleanup.callback(signal.signal, signal.SIGCONT, before)

    def say(self, text: str) -> None:
        """Show lines that stay, above the view: with the next picture, or at once if there is none."""
        self._pending.append(text)
        if not self._drawn or len(self._pending) == _MOST_HELD:
            self._flush()

    def draw(self, rows: Iterable[Row]) -> None:
        """Show the rows, unless another job has the terminal."""
        if self._tty.in_foreground():
            self._latest = [_text(row) for row in rows]
            self._put(self._latest)
        else:
            self._drawn.clear()
            self._flush()

    def close(self) -> None:
        """Remove the view, and show the messages that are left."""
        self._cleanup.close()
        if self._drawn or self._pending:
            self._put([])

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
        self._write(f"{start}{messages}{picture}{_ERASE_LINE if picture else ''}{_ERASE_BELOW}")

    def _coloured(self, line: Text) -> str:
        with self._console.capture() as captured:
            self._console.print(line, end="", soft_wrap=True, highlight=False)
        return captured.get()


def _text(row: Row) -> Text:
    parts = ((text, _STYLES[tone] if tone else "") for text, tone in row.parts)
    return Text.assemble((row.heading, "bold"), *parts, no_wrap=True)
