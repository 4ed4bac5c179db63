"""How a run shows itself while it goes, on a terminal and off it."""

from __future__ import annotations

import io
import os

import pytest

from pinpool.model import ProxyState
from pinpool.pool.engine import Census
from pinpool.stats.snapshot import Snapshot, Speed
from pinpool.terminal.progress import Progress, line


def view(*, stopping: bool = False, resting: bool = False) -> Snapshot:
    states = {1: ProxyState.COOLING if resting else ProxyState.PINNED, 2: ProxyState.RETIRED}
    census = Census(2, 1, parked=1, states=states, wakes_in=7.0 if resting else None)
    return Snapshot(22, 11, 11, 10, 0, 1, census, "timeout: no answer", stopping)


def test_off_a_terminal_progress_is_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pinpool.terminal.progress.PLAIN_SECONDS", 0.0)
    stream = io.StringIO()
    progress = Progress(stream)

    progress(view())
    progress(view(resting=True))
    progress.close()

    first, second = stream.getvalue().splitlines()
    assert first.startswith("11/22 pages, 10 items, ")
    assert first.endswith(
        "1 waiting for a proxy, 1 proxies good, 0 resting, 1 out, last fault timeout: no answer"
    )
    assert "all proxies rest, the next wakes in 7 s" in second[:79]  # as much as a narrow terminal shows
    assert second.endswith("0 proxies good, 1 resting, 1 out")
    assert not set(stream.getvalue()) & {"\r", "\x1b"}


def test_off_a_terminal_nothing_is_said_in_the_first_seconds() -> None:
    stream = io.StringIO()

    Progress(stream)(view())

    assert stream.getvalue() == ""


def test_quiet_means_no_progress_but_what_must_be_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pinpool.terminal.progress.PLAIN_SECONDS", 0.0)
    stream = io.StringIO()
    progress = Progress(stream, quiet=True)

    progress(view(stopping=True))
    progress.tell("6 workers on 4 proxies")

    assert stream.getvalue() == "6 workers on 4 proxies\n"


def test_a_reader_that_has_left_makes_progress_silent_and_nothing_else() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        progress = Progress(stream)

        progress.tell("6 workers on 4 proxies")
        progress(view(stopping=True))
        progress.close()


def test_what_a_fault_says_cannot_drive_the_terminal() -> None:
    hostile = view()._replace(last_fault="ban: \x1b[2J\x07gone")

    assert line(hostile, Speed(0.0)).endswith("last fault ban: [2J gone")
