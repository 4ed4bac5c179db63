"""How a run shows itself while it goes, on a terminal and off it."""

from __future__ import annotations

import io

import pytest

from pinpool.engines.base import Census
from pinpool.loop import View
from pinpool.model import ProxyState
from pinpool.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def view(*, stopping: bool = False, resting: bool = False) -> View:
    states = {1: ProxyState.COOLING if resting else ProxyState.PINNED, 2: ProxyState.RETIRED}
    census = Census(2, 1, parked=1, states=states, wakes_in=7.0 if resting else None)
    return View(22, 11, 11, 10, 0, 1, census, "timeout: no answer", stopping)


def test_off_a_terminal_progress_is_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pinpool.progress.PLAIN_SECONDS", 0.0)
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
    assert second.endswith("0 proxies good, 1 resting, 1 out, all proxies rest, the next wakes in 7 s")
    assert not set(stream.getvalue()) & {"\r", "\x1b"}


def test_off_a_terminal_nothing_is_said_in_the_first_seconds() -> None:
    stream = io.StringIO()

    Progress(stream)(view())

    assert stream.getvalue() == ""


def test_on_a_terminal_one_line_is_written_over_and_wiped_at_the_end() -> None:
    stream = Terminal()
    progress = Progress(stream)

    progress(view())
    progress.close()

    assert stream.getvalue().startswith("\r\x1b[K11/22 pages")
    assert stream.getvalue().endswith("\r\x1b[K")
    assert "\n" not in stream.getvalue()


def test_quiet_means_no_progress_but_what_must_be_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pinpool.progress.PLAIN_SECONDS", 0.0)
    stream = io.StringIO()
    progress = Progress(stream, quiet=True)

    progress(view(stopping=True))
    progress.tell("6 workers on 4 proxies")

    assert stream.getvalue() == "6 workers on 4 proxies\n"
