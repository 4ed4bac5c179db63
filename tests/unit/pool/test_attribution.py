"""To whom the death of a process is charged, where it carried several workers."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from pinpool.model import Sign
from pinpool.pool import worker_watch
from pinpool.pool.engine import Lost, Signal
from pinpool.pool.status_board import WIDTH, Activity, Line, StatusBoard
from pinpool.pool.worker import stack_file
from pinpool.pool.worker_watch import WorkerWatch, stack_of

RUN, IDLE, PACE = Activity.RUN, Activity.IDLE, Activity.PACE
HANG_SECONDS = 10.0


class Board(StatusBoard):
    """A board that shows these lines."""

    def __init__(self, lines: list[Line]) -> None:
        super().__init__([0] * WIDTH * len(lines))
        self.lines = lines

    def look(self, number: int) -> Line:
        return self.lines[number]


class Scene:
    """A watch over one process, whose workers do this since so many seconds; the last sign of life was at `beat`."""

    def __init__(self, folder: Path, *workers: tuple[Activity, float], shared: bool = True, beat: float = 0.0) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        now = time.monotonic()
        self.lines = [
            Line(seat, 7 + seat, self.process.pid, 0, activity, seat + 1, now - ago, seat + 1, worker=100 + seat)
            for seat, (activity, ago) in enumerate(workers)
        ]
        if shared:
            self.lines = [line._replace(thread=1000 + line.seat, beat=now - beat) for line in self.lines]
        self.flight = {line.serial for line in self.lines}
        self.watch = WorkerWatch(len(self.lines), 1, self.flight, HANG_SECONDS, folder)
        self.watch.begin(Board(self.lines))

    def die(self) -> list[tuple[int, Sign | None, bool]]:
        """Serial, sign and suspicion of each attempt that is lost with the process."""
        self.process.kill()
        self.process.wait()
        signals: list[Signal] = []
        self.watch.bury(self.lines, signals)
        return [(lost.serial, lost.sign, lost.suspect) for lost in signals if isinstance(lost, Lost)]

    def hang(self) -> None:
        """Two ticks: the first asks for the stacks, the second kills."""
        self.watch.end_hung(self.lines)
        self.watch.end_hung(self.lines)


@pytest.fixture(autouse=True)
def nobody_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_watch, "send", lambda pid, number: None)
    monkeypatch.setattr(worker_watch, "stop_check_kill", lambda board, line: None)


def test_a_crash_is_charged_to_none_and_all_that_ran_are_suspects(tmp_path: Path) -> None:
    scene = Scene(tmp_path, (RUN, 1.0), (PACE, 1.0), (RUN, 1.0), (IDLE, 1.0))

    assert scene.die() == [(1, None, True), (2, None, False), (3, None, True)]


def test_a_crash_in_a_process_of_its_own_is_charged_to_its_page(tmp_path: Path) -> None:
    scene = Scene(tmp_path, (RUN, 1.0), shared=False)

    assert scene.die() == [(1, Sign.CRASH, False)]


def test_a_hang_is_charged_to_the_page_that_hangs_and_the_others_are_no_suspects(tmp_path: Path) -> None:
    scene = Scene(tmp_path, (RUN, 11.0), (RUN, 9.0), (IDLE, 30.0))

    scene.hang()

    assert scene.die() == [(1, Sign.HANG, True), (2, None, False)]


def test_where_the_whole_process_hangs_nobody_knows_which_page_did_it(tmp_path: Path) -> None:
    """The page that keeps the interpreter's lock may be the second: the first only waits for it."""
    scene = Scene(tmp_path, (RUN, 11.0), (RUN, 10.5), beat=10.4)

    scene.hang()

    assert scene.die() == [(1, None, True), (2, None, True)]


def test_a_page_that_is_alone_in_a_process_that_hangs_is_charged(tmp_path: Path) -> None:
    scene = Scene(tmp_path, (RUN, 11.0), (IDLE, 11.0), beat=10.4)

    scene.hang()

    assert scene.die() == [(1, Sign.HANG, True)]


def test_the_neighbours_of_a_worker_that_is_ended_on_purpose_are_no_suspects(tmp_path: Path) -> None:
    scene = Scene(tmp_path, (RUN, 1.0), (RUN, 1.0))

    scene.watch.kill(scene.lines[0])

    assert scene.die() == [(1, None, False), (2, None, False)]


def test_the_stack_of_a_hung_page_is_that_of_its_thread(tmp_path: Path) -> None:
    text = 'Thread 0x{:016x} (most recent call first):\n  File "{}", line 1 in film\n\n'
    stack_file(tmp_path, 1).write_text(text.format(1000, "other.py") + text.format(1001, "films.py"))

    shown = stack_of(stack_file(tmp_path, 1).read_text(), 1001)

    assert "films.py" in shown
    assert "other.py" not in shown
