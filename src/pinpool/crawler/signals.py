"""Ctrl-C, SIGTERM and SIGHUP, as counts that the crawl loop reads."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass(slots=True)
class Stop:
    """How often somebody asked to stop, or to read the list again."""

    asked: int = 0
    reloads: int = 0


class _Lost:
    """Whether Ctrl-C has interrupted something since `answering_signals` began the last time."""

    pressed = False


def interrupt(number: int, frame: FrameType | None) -> None:
    """
    A handler for Ctrl-C. It raises KeyboardInterrupt, and remembers that: what runs then may swallow the exception, as
    code in C does while a module loads.
    """
    _Lost.pressed = True
    raise KeyboardInterrupt


@contextmanager
def answering_signals(stop: Stop) -> Iterator[None]:
    """
    Count Ctrl-C and SIGTERM in `stop` instead of ending; one that `interrupt` got before, and that somebody has
    swallowed, counts too. The second one raises KeyboardInterrupt in a page that is in hand in this process. No effect
    outside the main thread.

    SIGHUP asks to read the list of proxies again; if the terminal of the start is gone, it stops the run. A signal that
    the caller ignores (nohup ignores SIGHUP) stays ignored.

    The handlers set plain attributes: an Event would take a lock that the interrupted code may hold.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    from pinpool.pool.this_worker import this_worker  # loads too much for `pinpool --help`

    def count(number: int, frame: FrameType | None) -> None:
        stop.asked += 1
        # The third: perhaps stuck in a write to a stopped pager; the journal survives it.
        if stop.asked > 2 or (stop.asked == 2 and this_worker() is not None):
            raise KeyboardInterrupt

    had_terminal = _has_terminal()

    def hang_up(number: int, frame: FrameType | None) -> None:
        if had_terminal and not _has_terminal():
            stop.asked = max(stop.asked, 1)  # shell and kernel both send it: not a second Ctrl-C
        else:
            stop.reloads += 1

    handlers = {signal.SIGINT: count, signal.SIGTERM: count, signal.SIGHUP: hang_up}
    handled = [number for number in handlers if signal.getsignal(number) is not signal.SIG_IGN]
    before = [(number, signal.signal(number, handlers[number])) for number in handled]
    if _Lost.pressed:
        stop.asked, _Lost.pressed = max(stop.asked, 1), False
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _has_terminal() -> bool:
    """True if this process has a controlling terminal, whatever its three streams are."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK))
    except OSError:
        return False
    return True
