"""How a run shows itself while it goes, on a terminal and off it."""

from __future__ import annotations

import io
import os

import pytest

from clocks import Periods
from pinpool.terminal.progress import PLAIN_SECONDS, Progress
from snapshots import snapshot


def test_off_a_terminal_progress_is_plain_lines() -> None:
    stream = io.StringIO()
    progress = Progress(stream, clock=Periods(PLAIN_SECONDS))

    progress(snapshot())
    progress(snapshot(resting=True))
    progress.close()

    first, second = stream.getvalue().splitlines()
    assert first.startswith("11/1022 pages, 10 items, ")
    assert "all proxies rest" in second
    assert not set(stream.getvalue()) & {"\r", "\x1b"}


def test_off_a_terminal_nothing_is_said_in_the_first_seconds() -> None:
    stream = io.StringIO()

    Progress(stream)(snapshot())

    assert stream.getvalue() == ""


def test_quiet_means_no_progress_but_what_must_be_said() -> None:
    stream = io.StringIO()
    progress = Progress(stream, quiet=True, clock=Periods(PLAIN_SECONDS))

    progress(snapshot(stopping=True))
    progress.tell("6 workers on 4 proxies")

    assert stream.getvalue() == "6 workers on 4 proxies\n"


def test_nothing_that_is_told_controls_the_terminal() -> None:
    stream = io.StringIO()

    Progress(stream).tell("proxies: *\x9b31m\u202e*\nnext line")

    assert stream.getvalue() == "proxies: *\\u009b31m\\u202e*\nnext line\n"


def test_a_reader_that_has_left_makes_progress_silent_and_nothing_else() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        progress = Progress(stream)

        progress.tell("6 workers on 4 proxies")
        progress(snapshot(stopping=True))
        progress.close()


def test_a_pipe_that_nobody_reads_costs_its_lines_and_not_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pinpool.terminal.progress._FULL_SECONDS", 0.01)
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream, os.fdopen(reader, "rb") as read:
        progress = Progress(stream)
        for number in range(100):
            progress.tell(f"{number} {'x' * 3000}")
        os.read(reader, 1 << 20)
        progress.tell("there is room again")
        stream.close()

        assert read.read() == b"there is room again\n"
