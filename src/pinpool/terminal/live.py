"""
The live view: a few lines at the foot of a terminal that are written over twice a second.

rich measures, cuts and colours them. Its `Live` is not used: that one hides the cursor, wipes before it draws, and is
at a loss when the window shrinks. Here nothing is hidden, so not even a `kill -9` leaves a terminal that needs mending;
nothing runs by itself, so there is no lock that a signal could meet; and each picture is one write.
"""

from __future__ import annotations

import io
import os
import signal
import termios
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from pinpool.model import ProxyState
from pinpool.stats.snapshot import Speed, spoken
from pinpool.text import one_line

if TYPE_CHECKING:
    from pinpool.stats.snapshot import Snapshot

#: A time left in smaller steps than this would pretend to be exact.
_ROUGH_SECONDS = 5
_SHOWN_FAULTS = 4
#: Wider than this it does not get: a line that fits need not be folded when the window shrinks.
_MOST_COLUMNS = 100
#: Messages kept while they would stop the run; the last ones tell most.
_MOST_HELD = 1000
_ERASE_LINE, _ERASE_BELOW = "\x1b[K", "\x1b[J"


class Foot:
    """The lines at the foot of the terminal behind `stream`, which must take any text and never raise."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        # It only puts colours in; the writing is done here.
        self._console = Console(file=io.StringIO(), force_terminal=True, width=1000)
        self._pending: deque[str] = deque(maxlen=_MOST_HELD)
        self._drawn: list[int] = []  # the width of each line on the screen; the cursor stands behind the last
        self._latest: list[Text] = []
        self._was_away = False
        self._answers = threading.current_thread() is threading.main_thread()
        if self._answers:
            self._before = signal.signal(signal.SIGCONT, self._come_back)

    def __repr__(self) -> str:
        return f"<Foot of {len(self._drawn)} lines>"

    def say(self, text: str) -> None:
        """Lines that stay, above the foot; shown with the next picture, or at once where there is none."""
        self._pending.append(text)
        if not self._drawn or len(self._pending) == _MOST_HELD:
            self._flush()

    def draw(self, view: Snapshot, speed: Speed, now: float, began: float) -> None:
        """Show the run as it stands, unless another job has the terminal. Both times are monotonic seconds."""
        self._draw(lambda: lines(view, speed, now, began))

    def draw_line(self, text: str) -> None:
        """Show one line in place of a run."""
        self._draw(lambda: [Text(text)])

    def _draw(self, picture: Callable[[], list[Text]]) -> None:
        if not _in_foreground(self._stream):
            self._was_away, self._drawn, self._latest = True, [], []
            self._flush()
            return
        if self._was_away:  # stopped meanwhile: what stands above the cursor is no longer ours
            self._was_away, self._drawn = False, []
        self._latest = picture()
        self._put(self._latest)

    def close(self) -> None:
        """Take the foot away, and say what is still to be said."""
        if self._answers:
            signal.signal(signal.SIGCONT, self._before)
            self._answers = False
        if self._was_away:
            self._was_away, self._drawn = False, []
        if self._drawn or self._pending:
            self._put([])

    def _flush(self) -> None:
        if self._pending and not _would_be_stopped(self._stream):
            self._put(self._latest if self._drawn else [])

    def _put(self, texts: list[Text]) -> None:
        width, height = _size(self._stream)
        texts = texts[: max(1, height - 1)]
        for text in texts:
            text.truncate(min(width, _MOST_COLUMNS) - 1, overflow="ellipsis")
        # A window that has shrunk has folded what it showed.
        up = sum(max(1, -(-line // width)) for line in self._drawn) - 1
        said = "".join(f"{text}{_ERASE_LINE}\n" for text in "\n".join(self._pending).splitlines())
        shown = f"{_ERASE_LINE}\n".join(self._coloured(text) for text in texts)
        start = "\r" + (f"\x1b[{up}A" if up > 0 else "") if self._drawn else ""
        self._pending.clear()
        self._drawn = [cell_len(text.plain) for text in texts]
        self._stream.write(f"{start}{said}{shown}{_ERASE_LINE if shown else ''}{_ERASE_BELOW}")

    def _coloured(self, text: Text) -> str:
        with self._console.capture() as captured:
            self._console.print(text, end="", soft_wrap=True, highlight=False)
        return captured.get()

    def _come_back(self, number: int, frame: FrameType | None) -> None:
        self._was_away = True


def lines(view: Snapshot, speed: Speed, now: float, began: float) -> list[Text]:
    """The run in a handful of lines of about 75 columns."""
    rows = [
        ("pages", _pages(view)),
        ("speed", _speed(view, speed, now - began)),
        ("workers", _workers(view)),
        ("proxies", _proxies(view)),
    ]
    waits = why_it_waits(view)
    if waits:
        rows.append(("waits", waits))
    for number, (fault, seen) in enumerate(view.faults.latest(_SHOWN_FAULTS)):
        times = f"{seen.count:,} time{'s' if seen.count != 1 else ''}"
        ago = spoken(now - seen.at)
        rows.append(("" if number else "faults", f"{fault} {times}, {ago} ago: {one_line(seen.message)}"))
    return [Text.assemble((f"{head:<9}", "bold"), text, no_wrap=True) for head, text in rows]


def why_it_waits(view: Snapshot) -> str:
    """One sentence that says why nothing goes on and until when; empty while something does."""
    if view.stopping:
        return f"stopping; {view.in_flight} pages in flight are finished first"
    if view.waiting:
        return one_line(view.waiting)
    census = view.census
    if not census.usable and census.wakes_in is not None:
        wakes = time.strftime("%H:%M:%S", time.localtime(time.time() + census.wakes_in))
        return f"all proxies rest; the next wakes in {spoken(census.wakes_in)}, at {wakes}"
    return ""


def _in_foreground(stream: TextIO) -> bool:
    """False if the terminal belongs to another job: a shell, while this one runs behind it."""
    with suppress(OSError, ValueError):
        return os.tcgetpgrp(stream.fileno()) == os.getpgrp()
    return True  # not our controlling terminal: nobody shares it with us


def _would_be_stopped(stream: TextIO) -> bool:
    """True if a line from behind a shell would stop the whole run (`stty tostop`): it can wait."""
    with suppress(OSError, ValueError, termios.error):
        return not _in_foreground(stream) and bool(termios.tcgetattr(stream.fileno())[3] & termios.TOSTOP)
    return False


def _size(stream: TextIO) -> tuple[int, int]:
    """Columns and rows. What the environment says of them would be from before the window was resized."""
    with suppress(OSError, ValueError):
        columns, rows = os.get_terminal_size(stream.fileno())
        return columns or 80, rows or 24  # some pseudo-terminals say 0
    return 80, 24


def _pages(view: Snapshot) -> str:
    share = f" ({100 * view.ended // view.known} %)" if view.known else ""
    parts = [f"{view.ended:,} of {view.known:,} known{share}", f"{view.items:,} items"]
    if view.failed:
        parts.append(f"{view.failed:,} given up")
    return ", ".join(parts)


def _speed(view: Snapshot, speed: Speed, seconds: float) -> str:
    parts = [f"{speed.per_second:.1f} pages/s"]
    left = speed.seconds_left(view.known - view.ended)
    if left:
        rough = max(_ROUGH_SECONDS, _ROUGH_SECONDS * round(left / _ROUGH_SECONDS))
        parts.append(f"at least {spoken(rough)} left")
    return ", ".join([*parts, f"running for {spoken(seconds)}"])


def _workers(view: Snapshot) -> str:
    census = view.census
    parts = [f"{census.running} fetching"]
    if census.pacing:
        parts.append(f"{census.pacing} pacing")
    if census.parked:
        parts.append(f"{census.parked} waiting for a proxy")
    idle = census.workers - census.running - census.pacing - census.parked
    if idle > 0:
        parts.append(f"{idle} idle")
    if census.losses:
        parts.append(f"{census.losses} lost")
    return ", ".join(parts)


def _proxies(view: Snapshot) -> str:
    census = view.census
    parts = [f"{census.count(ProxyState.PINNED)} pinned", f"{census.count(ProxyState.SPARE)} spare"]
    resting = census.count(ProxyState.COOLING)
    if resting:
        wakes = f" (next wakes in {spoken(census.wakes_in)})" if census.wakes_in is not None else ""
        parts.append(f"{resting} resting{wakes}")
    retired = census.count(ProxyState.RETIRED)
    if retired:
        parts.append(f"{retired} retired")
    return ", ".join(parts)
