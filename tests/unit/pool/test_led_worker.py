"""A worker that gets its lease with each task: it keeps a pin as long as it is told, and says what it does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from engines import spares
from pinpool.errors import DeadlinePassed
from pinpool.fetch.fetcher import Fetcher
from pinpool.model import Assignment, Call, Ending, Sign, Task
from pinpool.pool.job import JobResult
from pinpool.pool.lease_types import Lease
from pinpool.pool.pin import Pin
from pinpool.pool.pinned_worker import LedWorker
from pinpool.pool.status_board import WIDTH, Activity, StatusBoard
from pinpool.settings import Settings

PAGE = Assignment(Task("detail", "http://films.test/1", b"1" * 16))
LEASE, OTHER = (Lease(one.proxy, one.address, probing=False) for one in spares(2))
OK = JobResult(Ending.OK)

Step = Callable[[], JobResult | None]


class Scene:
    """A worker, its board, and a job whose steps come from a list. `pins` are those that it has worked with."""

    def __init__(self, *steps: Step, settings: Settings | None = None, passed: type[BaseException] = GeneratorExit):
        self.settings = settings or Settings()
        self._steps = iter(steps)
        self.pins: list[Pin] = []
        self.turns: list[float] = []
        self.board = StatusBoard([0] * WIDTH)
        self.worker = LedWorker(
            7, self, self.board.seat(0), site_turn=self._turn, passes=lambda error: isinstance(error, passed)
        )

    def perform(self, pin: Pin, work: Assignment | Call) -> JobResult | None:
        self.pins.append(pin)
        assert self.activity is Activity.RUN
        assert self.worker.whereabouts() == (pin.lease.address.label, "http://films.test/1", 3, 7)
        return next(self._steps)()

    def _turn(self, seconds: float) -> float:
        self.turns.append(seconds)
        return 0.0

    @property
    def activity(self) -> Activity:
        return self.board.look(0).activity


def result(result: JobResult | None = OK) -> Step:
    return lambda: result


def raising(error: BaseException) -> Step:
    def step() -> JobResult:
        raise error

    return step


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[Fetcher]:
    """The fetchers whose connections were closed, in that order."""
    fetchers: list[Fetcher] = []

    def close(fetcher: Fetcher) -> None:
        fetchers.append(fetcher)

    monkeypatch.setattr(Fetcher, "close", close)
    return fetchers


def test_it_keeps_its_pin_for_as_long_as_the_number_is_the_same(closed: list[Fetcher]) -> None:
    scene = Scene(*[result()] * 4)

    outcomes = [
        scene.worker.run(3, PAGE, lease, pins) for lease, pins in [(LEASE, 1), (LEASE, 1), (LEASE, 2), (OTHER, 3)]
    ]

    first, again, second, third = scene.pins
    assert (first is again, len({first, second, third})) == (True, 3)
    assert [one.proxy for one in outcomes] == [1, 1, 1, 2]
    assert closed == [first.fetcher, second.fetcher]
    assert scene.board.look(0).proxy == 2
    assert (scene.activity, scene.worker.whereabouts()[1:]) == (Activity.IDLE, (None, None, 7))


def test_what_it_lets_go_of_is_closed_once_and_the_same_number_is_a_new_pin_then(closed: list[Fetcher]) -> None:
    scene = Scene(result(), result())
    scene.worker.run(3, PAGE, LEASE, 1)

    scene.worker.let_go()
    scene.worker.let_go()
    assert scene.board.look(0).proxy == -1
    scene.worker.run(3, PAGE, LEASE, 1)

    assert closed == [scene.pins[0].fetcher]
    assert scene.pins[0] is not scene.pins[1]


@pytest.mark.parametrize("before", [0, 1], ids=["before its first step", "before its second"])
def test_asked_to_leave_meanwhile_it_declines(before: int) -> None:
    scene = Scene(lambda: scene.board.ask_to_leave(0, 1), result())
    if before == 0:
        scene.board.ask_to_leave(0, 1)

    outcome = scene.worker.run(3, PAGE, LEASE, 1)

    assert (outcome.ending, outcome.proxy, outcome.worker) == (Ending.DECLINED, 1, 7)
    assert len(scene.pins) == before
    assert scene.activity is Activity.IDLE


@pytest.mark.parametrize(
    ("error", "sign"),
    [(KeyboardInterrupt(), Sign.RAISED), (SystemExit(3), Sign.RAISED), (DeadlinePassed(), Sign.DEADLINE)],
)
def test_whatever_the_job_raises_is_evidence(error: BaseException, sign: Sign) -> None:
    outcome = Scene(raising(error)).worker.run(3, PAGE, LEASE, 1)

    assert outcome.evidence is not None
    assert (outcome.ending, outcome.evidence.sign) == (Ending.FAILED, sign)


def test_but_what_is_passed_goes_to_whoever_runs_it_and_it_may_run_again() -> None:
    scene = Scene(raising(KeyboardInterrupt()), result(), passed=KeyboardInterrupt)

    with pytest.raises(KeyboardInterrupt):
        scene.worker.run(3, PAGE, LEASE, 1)

    assert (scene.activity, scene.worker.whereabouts()[1:]) == (Activity.IDLE, (None, None, 7))
    assert scene.worker.run(3, PAGE, LEASE, 1).ending is Ending.OK


def test_a_page_that_was_never_asked_for_names_no_proxy() -> None:
    scene = Scene(result(JobResult(Ending.GONE, unasked="robots.txt")))

    assert scene.worker.run(3, PAGE, LEASE, 1).proxy == -1


def test_each_step_waits_for_the_turn_of_its_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    moments, seen = iter([0.0, time.monotonic() + 0.05]), []
    monkeypatch.setattr(Pin, "next_turn", lambda self, jitter: next(moments))
    scene = Scene(result(None), result())
    show = scene.worker._seat.show

    def watch(activity: Activity, serial: int = 0) -> None:
        seen.append(activity)
        show(activity, serial)

    monkeypatch.setattr(scene.worker._seat, "show", watch)
    scene.worker.run(3, PAGE, LEASE, 1)

    assert seen == [Activity.RUN, Activity.PACE, Activity.RUN, Activity.IDLE]


def test_each_step_takes_a_turn_at_the_site_and_requests_beyond_it_are_paid_for_with_the_next() -> None:
    def asking(requests: int) -> Step:
        def step() -> JobResult | None:
            scene.pins[-1].fetcher.session.pin.progress.asked += requests
            return OK

        return step

    scene = Scene(asking(3), asking(1), asking(1), settings=Settings(site_rate=4.0))
    for _ in range(3):
        scene.worker.run(3, PAGE, LEASE, 1)

    assert scene.turns == [0.25, 0.75, 0.25]


def test_asked_to_leave_while_it_waits_for_its_turn_it_declines(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()

    def next_turn(pin: Any, jitter: float) -> float:
        scene.board.ask_to_leave(0, 1)
        return time.monotonic() + 3600.0

    monkeypatch.setattr(Pin, "next_turn", next_turn)

    assert scene.worker.run(3, PAGE, LEASE, 1).ending is Ending.DECLINED
