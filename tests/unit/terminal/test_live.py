"""The live view as a terminal shows it; pyte is that terminal, and for whole runs a real pseudo-terminal is between."""

from __future__ import annotations

import fcntl
import io
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
from pathlib import Path

import pyte
import pytest

from clocks import Periods
from commands import DEADLINE, Desk
from pinpool.lab import Lab
from pinpool.model import Fault
from pinpool.stats.snapshot import Snapshot
from pinpool.stats.throughput import Throughput
from pinpool.terminal.live import LiveView
from pinpool.terminal.progress import PLAIN_SECONDS, Progress
from pinpool.terminal.status import status_rows
from pinpool.terminal.tty import Tty
from snapshots import view


class Terminal(io.StringIO):
    """A stream that a screen listens to."""

    encoding = "utf-8"

    def __init__(self, columns: int = 80, rows: int = 24) -> None:
        super().__init__()
        self.screen = pyte.Screen(columns, rows)
        self._feed = pyte.Stream(self.screen).feed
        self.writes: list[str] = []

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.writes.append(text)
        self._feed(text.replace("\n", "\r\n"))  # as the terminal's driver does it
        return len(text)

    def shown(self) -> list[str]:
        return shown(self.screen)


def shown(screen: pyte.Screen) -> list[str]:
    return [text for row in screen.display if (text := row.rstrip())]


def draw(live: LiveView, view: Snapshot) -> None:
    live.draw(lambda: status_rows(view, Throughput(0.0), began=0.0, now=7.0, epoch=0.0))


class FakeTty(Tty):
    """A terminal of which a test says where it is and how large."""

    foreground, stops_us, columns_and_rows = True, False, (80, 24)

    def in_foreground(self) -> bool:
        return self.foreground

    def would_stop_us(self) -> bool:
        return self.stops_us

    def size(self) -> tuple[int, int]:
        return self.columns_and_rows


@pytest.fixture(autouse=True)
def terminal_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


@pytest.fixture
def tty(terminal: Terminal) -> FakeTty:
    return FakeTty(terminal)


@pytest.fixture
def live(terminal: Terminal, tty: FakeTty) -> Iterator[LiveView]:
    made = LiveView(terminal, tty)
    yield made
    made.close()


def test_what_is_no_crawl_is_shown_in_one_line(terminal: Terminal) -> None:
    progress = Progress(terminal)

    progress.show(lambda: "7 of 20 proxies tried")
    during = terminal.shown()
    progress.close()

    assert (during, terminal.shown()) == (["7 of 20 proxies tried"], [])


def test_it_is_written_over_in_one_write_and_gone_at_the_end(terminal: Terminal, live: LiveView) -> None:
    draw(live, view((Fault.RESET, "closed")))
    draw(live, view(ended=12))
    second = terminal.shown()
    writes = len(terminal.writes)
    live.close()

    assert second[0].startswith("pages    12 of")
    assert len(second) == 4  # the line of the fault is wiped
    assert writes == 2
    assert terminal.shown() == []


def test_what_is_told_stands_above_the_view_in_its_order(terminal: Terminal, live: LiveView) -> None:
    live.say("before")
    draw(live, view())
    live.say("first " + "wide " * 30)
    live.say("second\nthird")
    draw(live, view())
    during = terminal.shown()
    live.say("last")
    live.close()

    told = ["before", ("first " + "wide " * 15)[:80].rstrip()]
    assert during[:2] == told
    assert during[3:5] == ["second", "third"]
    assert during[5].startswith("pages ")
    assert len(during) == 9
    assert terminal.shown()[3:] == ["second", "third", "last"]


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (20, 5), (10, 2), (1, 1), (0, 0)])
def test_no_size_of_terminal_is_too_small(monkeypatch: pytest.MonkeyPatch, columns: int, rows: int) -> None:
    terminal = Terminal(columns or 80, rows or 24)
    monkeypatch.setattr(terminal, "fileno", lambda: 99)
    monkeypatch.setattr("os.get_terminal_size", lambda descriptor: os.terminal_size((columns, rows)))
    live = LiveView(terminal)

    draw(live, view((Fault.EMPTY, "电影" * 40)))
    first = terminal.shown()
    draw(live, view((Fault.EMPTY, "电影" * 40)))

    assert terminal.shown() == first
    assert len(first) <= max(1, (rows or 24) - 1)
    live.close()
    assert terminal.shown() == []


def test_a_hostile_fault_can_neither_drive_the_terminal_nor_break_out_of_its_line(
    terminal: Terminal, live: LiveView
) -> None:
    hostile = "\x1b[2J\x1b]0;title\x07[bold]电影\u202e\n" + "电" * 200

    draw(live, view((Fault.EXTRACT, hostile)))

    row = terminal.shown()[4]
    assert len(terminal.shown()) == 5
    assert row.startswith("faults   extract 1 time, 0 s ago: [2J ]0;title [bold]")
    assert terminal.screen.title == ""


def test_without_colours_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    live = LiveView(terminal)

    draw(live, view())
    live.close()

    assert all(cell.fg == "default" for row in terminal.screen.buffer.values() for cell in row.values())


def test_a_terminal_of_another_encoding_gets_question_marks() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    progress = Progress(stream)

    progress.tell("电影")

    assert isinstance(stream.buffer, io.BytesIO)
    assert stream.buffer.getvalue() == b"??\n"


@pytest.mark.parametrize("kind", ["dumb", ""])
def test_a_terminal_that_cannot_write_over_gets_plain_lines(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("TERM", kind)

    Progress(terminal, clock=Periods(PLAIN_SECONDS))(view())

    assert terminal.shown()[0].startswith("11/1022 pages, 10 items")
    assert "\x1b" not in "".join(terminal.writes)


def test_while_another_job_has_the_terminal_nothing_is_drawn_and_afterwards_nothing_of_it_is_wiped(
    terminal: Terminal, live: LiveView, tty: FakeTty
) -> None:
    draw(live, view())
    tty.foreground = False
    terminal.write("\n$ a shell\n")
    draw(live, view(ended=12))
    tty.foreground = True
    draw(live, view(ended=13))

    rows = terminal.shown()
    assert rows[4:6] == ["$ a shell", "pages    13 of 1,022 known (1%), 10 items, 1 given up"]


def test_a_flood_of_messages_is_shown_whole(terminal: Terminal, live: LiveView) -> None:
    draw(live, view())
    for number in range(2500):
        live.say(f"message {number}.")
    live.close()

    said = "".join(terminal.writes)
    assert [number for number in range(2500) if f"message {number}." not in said] == []
    assert len(terminal.writes) < 10


def test_where_a_line_would_stop_the_run_it_waits_until_it_does_not(
    terminal: Terminal, live: LiveView, tty: FakeTty
) -> None:
    tty.foreground, tty.stops_us = False, True
    live.say("held back")
    before = terminal.shown()
    tty.foreground, tty.stops_us = True, False
    draw(live, view())

    assert before == []
    assert terminal.shown()[0] == "held back"


# ---------------------------------------------------------------------------------------------------------- whole runs


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
        return shown(self.screen)

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


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


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
