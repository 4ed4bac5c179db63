"""A run in a terminal of its own, which can be closed like a window."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from types import TracebackType
from typing import Self

from crawling import Job, players, strike, until

__all__ = ["Terminal"]

#: The new session takes the terminal on its stdin for its own, as a shell's does.
TAKE_IT = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.executable, sys.argv[1:])"


class Terminal:
    """`pinpool crawl` as somebody types it; leaving the block ends it, if it has not ended."""

    def __init__(self, films: Job, *options: str, under: tuple[str, ...] = ()) -> None:
        """`under`: what Python runs the command under, for instance ``-m pdb``."""
        self._window, inner = os.openpty()
        os.set_blocking(self._window, False)
        words = ["crawl", "films.py", "-p", "proxies.txt", "-j", "films.db", "-o", "films.jsonl", *options]
        command = [sys.executable, *under, "-m", "pinpool", *words]
        self._process = subprocess.Popen(
            [sys.executable, "-c", TAKE_IT, *command],
            cwd=films.folder,
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
        )
        os.close(inner)
        self._open = True
        self._said = ""
        self._seen = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for player in players(self._process.pid):
            strike(player)
        self._process.wait()
        if self._open:
            self.close()

    def send(self, number: int) -> None:
        self._process.send_signal(number)

    def close(self) -> None:
        """The terminal hangs up."""
        self._open = False
        os.close(self._window)

    def type(self, keys: str) -> None:
        """What somebody types; a line ends with ``\\n``."""
        os.write(self._window, keys.encode())

    def shown_until(self, end: str) -> str:
        """What is shown from the last such call on, up to and with `end`."""
        until(lambda: end in self.read()[self._seen :], f"{end!r} after {self._said[self._seen :]!r}")
        begin, self._seen = self._seen, self._said.index(end, self._seen) + len(end)
        return self._said[begin : self._seen]

    def read(self) -> str:
        """What was shown so far."""
        with suppress(OSError):  # nothing new, or nobody there any more
            self._said += os.read(self._window, 1 << 20).decode(errors="replace")
        return self._said

    def wait(self) -> int:
        """Its exit code; nobody is left behind."""
        until(lambda: self._process.poll() is not None, "the end of the run")
        until(lambda: not list(players(self._process.pid)), "all its processes gone")
        return self._process.returncode
