"""
What a spider prints in a worker, as records of the log: stdout is for the items, and progress owns the terminal.

Each line is a record of a logger that is named after the worker, so that it says where it comes from.
"""

import io
import logging
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

#: The level of these records: shown where warnings are.
PRINT = logging.WARNING + 1
#: Characters of a line that does not end.
_LONGEST = 4000
_STDOUT, _STDERR = 1, 2

logging.addLevelName(PRINT, "PRINT")


def log_prints(own_name: Callable[[], int]) -> None:
    """From now on, what this process writes to `sys.stdout` and `sys.stderr` goes to the log."""
    sys.stdout = sys.stderr = Printed(own_name)
    with suppress(OSError):  # what is not written by Python
        os.dup2(_STDERR, _STDOUT)


class Printed(io.TextIOBase):
    """Stands for both streams."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, own_name: Callable[[], int]) -> None:
        self._own_name = own_name
        self._begun = threading.local()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return _STDERR

    @property
    def buffer(self) -> BinaryIO:
        return open(_STDERR, "wb", buffering=0, closefd=False)

    def write(self, text: str) -> int:
        *lines, rest = (self._rest + text).split("\n")
        self._rest = rest
        for line in lines:
            self._log(line)
        if len(rest) > _LONGEST:
            self.flush()
        return len(text)

    def flush(self) -> None:
        rest, self._rest = self._rest, ""
        self._log(rest)

    @property
    def _rest(self) -> str:
        return getattr(self._begun, "text", "")

    @_rest.setter
    def _rest(self, text: str) -> None:
        self._begun.text = text

    def _log(self, line: str) -> None:
        if line.strip():
            logging.getLogger(f"worker {self._own_name()}").log(PRINT, "%s", line.rstrip())
