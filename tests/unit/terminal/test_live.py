from __future__ import annotations

import io
import os
from collections.abc import Iterator

import pyte
import pytest

from clocks import Periods
from pinpool.model import Fault
from pinpool.stats.snapshot import Snapshot, Throughput
from pinpool.terminal.live import LiveView, Tty
from pinpool.terminal.progress import PLAIN_SECONDS, Progress
from pinpool.terminal.status import status_rows
from snapshots import snapshot


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
        return [text for row in self.screen.display if (text := row.rstrip())]


def draw(live: LiveView, shown: Snapshot) -> None:
    live.draw(status_rows(shown, Throughput(0.0), began=0.0, now=7.0, epoch=0.0))


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
    made = LiveView(terminal.write, tty)
    yield made
    made.close()


def test_a_command_that_is_not_a_crawl_shows_one_line(terminal: Terminal) -> None:
    progress = Progress(terminal)

    progress.show(lambda: "7 of 20 proxies tried")
    during = terminal.shown()
    progress.close()

    assert (during, terminal.shown()) == (["7 of 20 proxies tried"], [])


def test_each_picture_is_one_write_over_the_last_one(terminal: Terminal, live: LiveView) -> None:
    draw(live, snapshot((Fault.RESET, "closed")))
    draw(live, snapshot(ended=12))
    second = terminal.shown()
    writes = len(terminal.writes)
    live.close()

    assert second[0].startswith("pages    12 of")
    assert len(second) == 4  # the line of the fault is wiped
    assert writes == 2
    assert terminal.shown() == []


def test_messages_stay_above_the_view_in_their_order(terminal: Terminal, live: LiveView) -> None:
    live.say("before")
    draw(live, snapshot())
    live.say("first " + "wide " * 30)
    live.say("second\nthird")
    draw(live, snapshot())
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
    live = LiveView(terminal.write, Tty(terminal))

    draw(live, snapshot((Fault.EMPTY, "电影" * 40)))
    first = terminal.shown()
    draw(live, snapshot((Fault.EMPTY, "电影" * 40)))

    assert terminal.shown() == first
    assert len(first) <= max(1, (rows or 24) - 1)
    live.close()
    assert terminal.shown() == []


def test_a_hostile_fault_can_neither_drive_the_terminal_nor_break_out_of_its_line(
    terminal: Terminal, live: LiveView
) -> None:
    hostile = "\x1b[2J\x1b]0;title\x07[bold]电影\u202e\n" + "电" * 200

    draw(live, snapshot((Fault.EXTRACT, hostile)))

    row = terminal.shown()[4]
    assert len(terminal.shown()) == 5
    assert row.startswith("faults   extract 1 time, 0 s ago: [2J ]0;title [bold]")
    assert terminal.screen.title == ""


def test_what_waits_is_yellow_and_what_is_out_is_red(terminal: Terminal, live: LiveView) -> None:
    draw(live, snapshot(resting=True))

    colours: dict[str, str] = {}
    for row in terminal.screen.buffer.values():
        for cell in row.values():
            colours[cell.fg] = colours.get(cell.fg, "") + cell.data
    assert colours["brown"].startswith(
        "1 waiting for a proxy1 resting (next wakes in 1 min 30 s)all proxies rest, next"
    )
    assert colours["red"] == "1 given up1 retired"


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    live = LiveView(terminal.write, Tty(terminal))

    draw(live, snapshot())
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

    Progress(terminal, clock=Periods(PLAIN_SECONDS))(snapshot())

    assert terminal.shown()[0].startswith("11/1022 pages, 10 items")
    assert "\x1b" not in "".join(terminal.writes)


def test_while_another_job_has_the_terminal_nothing_is_drawn_and_afterwards_nothing_of_it_is_wiped(
    terminal: Terminal, live: LiveView, tty: FakeTty
) -> None:
    draw(live, snapshot())
    tty.foreground = False
    terminal.write("\n$ a shell\n")
    draw(live, snapshot(ended=12))
    tty.foreground = True
    draw(live, snapshot(ended=13))

    rows = terminal.shown()
    assert rows[4:6] == ["$ a shell", "pages    13 of 1,022 (1%), 10 items, 1 given up"]


def test_a_flood_of_messages_is_shown_whole(terminal: Terminal, live: LiveView) -> None:
    draw(live, snapshot())
    for number in range(2500):
        live.say(f"message {number}.")
    live.close()

    said = "".join(terminal.writes)
    assert [number for number in range(2500) if f"message {number}." not in said] == []
    assert len(terminal.writes) < 10


def test_a_message_waits_while_writing_it_would_stop_the_run(terminal: Terminal, live: LiveView, tty: FakeTty) -> None:
    tty.foreground, tty.stops_us = False, True
    live.say("held back")
    before = terminal.shown()
    tty.foreground, tty.stops_us = True, False
    draw(live, snapshot())

    assert before == []
    assert terminal.shown()[0] == "held back"
