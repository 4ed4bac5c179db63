"""A start is tried three times, undone each time, and told with its reason if it fails for good."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Callable, Iterator

import pytest

from crawling import until
from pinpool.pool import startup
from pinpool.pool.engine import EngineError
from pinpool.pool.pids import is_stopped
from pinpool.pool.startup import StoppedTwice, bring_up, reason_of


class Starter:
    """Fails as often as it is told to, and notes what is asked of it."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = list(failures)
        self.asked: list[str] = []

    def start(self) -> None:
        self.asked.append("start")
        if self._failures:
            raise self._failures.pop(0)

    def undo(self) -> None:
        self.asked.append("undo")


def nothing() -> None:
    pass


def test_a_start_in_which_something_dies_is_undone_and_tried_again() -> None:
    starter = Starter(EOFError(), AttributeError("'NoneType' object has no attribute 'kill'"))

    bring_up(starter.start, starter.undo, nothing)

    assert starter.asked == ["start", "undo", "start", "undo", "start"]


def test_a_start_that_fails_three_times_is_undone_and_told_with_the_reason() -> None:
    starter = Starter(*[OSError(errno.EMFILE, "Too many open files")] * 3)

    with pytest.raises(EngineError, match="cannot be started: too many open files: raise the limit"):
        bring_up(starter.start, starter.undo, nothing)

    assert starter.asked == ["start", "undo"] * 3


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "ulimit -u"),
        (RuntimeError("can't start new thread"), "ulimit -u"),
        (MemoryError(), "not enough memory"),
        (OSError(errno.ENOSPC, "No space left on device"), "make room"),
        (ValueError("something else"), "ValueError: something else"),
    ],
)
def test_the_reason_names_what_is_short(error: Exception, words: str) -> None:
    assert words in reason_of(error)


def test_a_process_that_dies_where_few_processes_are_left_is_explained_by_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(startup, "shortages", lambda: ["this user has 19 of 20 processes"])

    assert reason_of(EOFError()).endswith("a process ended while it started; this user has 19 of 20 processes")


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait(10)


def test_a_start_that_waits_for_a_stopped_process_goes_on_when_that_is_ended(
    sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(startup, "LOOK_SECONDS", 0.01)
    os.kill(sleeper.pid, signal.SIGSTOP)
    stopped = StoppedTwice()

    bring_up(ended(sleeper), nothing, lambda: stopped.look(sleeper.pid, None))

    assert sleeper.returncode == -signal.SIGKILL


def ended(process: subprocess.Popen[bytes]) -> Callable[[], None]:
    return lambda: until(lambda: process.poll() is not None, "its end", seconds=30)


def test_a_process_that_runs_again_at_the_second_look_is_left_alone(sleeper: subprocess.Popen[bytes]) -> None:
    stopped = StoppedTwice()
    os.kill(sleeper.pid, signal.SIGSTOP)
    until(lambda: is_stopped(sleeper.pid), "stopped", seconds=30)
    stopped.look(sleeper.pid)

    os.kill(sleeper.pid, signal.SIGCONT)
    until(lambda: not is_stopped(sleeper.pid), "running", seconds=30)
    stopped.look(sleeper.pid)
    os.kill(sleeper.pid, signal.SIGSTOP)
    stopped.look(sleeper.pid)

    assert sleeper.poll() is None
