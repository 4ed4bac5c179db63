"""The live view of whole runs. pyte is the terminal, behind a real pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyte

from commands import DEADLINE, Desk
from pinpool.lab import Lab


class Watched:
    """A crawl whose stderr is a pseudo-terminal, and what that shows."""

    def __init__(self, desk: Desk, *arguments: str, columns: int = 80) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        os.set_blocking(self._ours, False)
        self.screen = pyte.Screen(columns, 24)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pinpool", *arguments],
            cwd=desk.folder,
            env={**desk.environment, "TERM": "xterm"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def look(self) -> list[str]:
        try:
            while chunk := os.read(self._ours, 65536):
                self.raw += chunk
                self._stream.feed(chunk)
        except OSError:
            pass
        return [text for row in self.screen.display if (text := row.rstrip())]

    def until(self, true: Callable[[], object]) -> None:
        give_up = time.monotonic() + DEADLINE
        while not true():
            assert time.monotonic() < give_up, self.look()
            time.sleep(0.01)

    def end(self) -> int:
        """Its exit code."""
        self.until(lambda: (self.look(), self.process.poll())[1] is not None)
        return self.process.returncode

    def hang_up(self) -> None:
        """The window is closed: writing to it is an input/output error from now on."""
        os.close(self._ours)
        self._ours = -1

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()
        if self._ours >= 0:
            os.close(self._ours)


@contextmanager
def watched(desk: Desk, *arguments: str, columns: int = 80) -> Iterator[Watched]:
    made = Watched(desk, *arguments, columns=columns)
    try:
        yield made
    finally:
        made.close()


def test_a_run_on_a_terminal_is_shown_and_leaves_only_its_messages(desk: Desk) -> None:
    with Lab(pages=12, proxies=3, latency=0.05) as lab:
        desk.prepare(lab)
        with watched(desk, "crawl", "films.py", "-p", "proxies.txt", "-w", "5") as run:
            run.until(lambda: any(row.startswith("pages ") for row in run.look()))
            code = run.end()
            rows = run.look()

    assert code == 0
    assert rows == ["5 workers on 3 proxies: 2 of them wait for a spare"]


def test_ctrl_c_leaves_a_terminal_in_order(desk: Desk) -> None:
    with Lab(pages=40, proxies=3, latency=0.1) as lab:
        desk.prepare(lab)
        with watched(desk, "crawl", "films.py", "-p", "proxies.txt") as run:
            run.until(lambda: any(row.startswith("pages ") for row in run.look()))
            run.process.send_signal(signal.SIGINT)
            code = run.end()
            rows = run.look()

    assert code == 130
    assert rows == [
        "stopping: what is in flight is finished first; Ctrl-C again ends at once",
        "interrupted; `pinpool resume films.db` goes on",
    ]
    assert not run.screen.cursor.hidden
    assert b"\x1b[?" not in run.raw  # no mode of the terminal was ever touched


def test_a_terminal_that_is_closed_half_way_stops_no_run(desk: Desk) -> None:
    with Lab(pages=12, proxies=3, latency=0.05) as lab:
        desk.prepare(lab)
        with watched(desk, "crawl", "films.py", "-p", "proxies.txt") as run:
            run.until(lambda: any(row.startswith("pages ") for row in run.look()))
            run.hang_up()
            out, _ = run.process.communicate(timeout=DEADLINE)

    assert run.process.returncode == 0
    assert out.startswith(b"complete: 132 pages, 120 items")


def test_quiet_is_quiet_on_a_terminal_too(desk: Desk) -> None:
    with Lab(pages=2, proxies=2) as lab:
        desk.prepare(lab)
        with watched(desk, "crawl", "films.py", "-p", "proxies.txt", "-q") as run:
            code = run.end()

    assert (code, run.raw) == (0, b"")
