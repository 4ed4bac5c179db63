"""What the system says of the terminal behind a stream."""

from __future__ import annotations

import os
import termios
from contextlib import suppress
from typing import TextIO


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
