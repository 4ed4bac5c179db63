"""The engine in the calling process: no alarm, exceptions that pass, and connections that nobody else ever meets."""

from __future__ import annotations

import time
from bdb import BdbQuit
from collections.abc import Callable
from functools import partial

import pytest

from engines import spare, spares
from ledger import Ledger
from pinpool.fetch.fetcher import Fetcher
from pinpool.model import Assignment, Call, Ending, EventKind, Evidence, Sign, Step
from pinpool.pool.deadline import limit
from pinpool.pool.inline import InlineEngine
from pinpool.pool.job import JobResult
from pinpool.pool.pin import Pin
from pinpool.pool.registry import EngineChoice, EnginePlan, make_engine
from pinpool.settings import Settings

OK = JobResult(Ending.OK)
REFUSED = JobResult(Ending.FAILED, evidence=Evidence(Step.CONNECT, Sign.REFUSED))


class Doing:
    """A job that does whatever `does` says, and sees which connections are open. `shared` has those of two pins."""

    settings = Settings()

    def __init__(self, does: Callable[[int], JobResult] = lambda proxy: OK) -> None:
        self._does = does
        self.open: dict[Fetcher, int] = {}
        self.shared: list[int] = []

    def perform(self, pin: Pin, work: Assignment | Call) -> JobResult:
        proxy = pin.lease.proxy
        self.shared += [other for fetcher, other in self.open.items() if other == proxy and fetcher is not pin.fetcher]
        self.open[pin.fetcher] = proxy
        return self._does(proxy)

    def ledger(self, monkeypatch: pytest.MonkeyPatch, workers: int, proxies: int) -> Ledger[InlineEngine]:
        """Of an engine that does this job, started."""
        monkeypatch.setattr(Fetcher, "close", lambda fetcher: self.open.pop(fetcher, None))
        engine = InlineEngine(lambda: self, spares(proxies), workers=workers, cooling=60.0)
        engine.start()
        return Ledger(engine, resubmit=False)


def test_connections_are_closed_before_another_worker_has_the_proxy_after_a_swap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refusals = iter([REFUSED])
    job = Doing(lambda proxy: next(refusals, OK))
    ledger = job.ledger(monkeypatch, workers=2, proxies=1)
    ledger.on_answer = lambda work, outcome: ledger.engine.cool(1, 0.0) if outcome.swapped else None

    for _ in range(4):
        ledger.submit("ok")
        ledger.run()

    assert len({answered.outcome.worker for _, answered in ledger.answers}) == 2
    assert job.shared == []
    assert len(job.open) == 1


def test_connections_are_closed_before_another_worker_has_a_proxy_that_was_off_the_list(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = Doing()
    ledger = job.ledger(monkeypatch, workers=2, proxies=1)
    ledger.submit("ok")
    ledger.run()
    ledger.engine.withdraw([1], "off the list")
    ledger.submit("ok")
    ledger.run()

    ledger.engine.join([spare(1)])
    ledger.submit("ok")
    ledger.run()

    assert [answered.outcome.ending for _, answered in ledger.answers] == [Ending.OK, Ending.DECLINED, Ending.OK]
    assert ledger.answers[0][1].outcome.worker != ledger.answers[2][1].outcome.worker
    assert job.shared == []


def test_a_worker_that_swaps_lets_go_of_its_connections_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its proxy rests: nothing of us is to be seen there."""
    job = Doing(lambda proxy: REFUSED)
    ledger = job.ledger(monkeypatch, workers=1, proxies=1)

    ledger.submit("ok")
    ledger.run()

    assert job.open == {}


def test_no_connection_is_open_once_it_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    job = Doing()
    ledger = job.ledger(monkeypatch, workers=3, proxies=3)
    for _ in range(6):
        ledger.submit("ok")
    ledger.run()
    assert len(job.open) == 3

    ledger.engine.close()

    assert job.open == {}


def test_no_alarm_interrupts_a_page_for_somebody_may_stand_at_a_breakpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    def linger(proxy: int) -> JobResult:
        with limit(0.01):
            time.sleep(0.05)
        return OK

    ledger = Doing(linger).ledger(monkeypatch, workers=1, proxies=1)
    serial = ledger.submit("ok")
    ledger.run()

    assert ledger.outcome(serial).ending is Ending.OK


@pytest.mark.parametrize(
    ("raises", "error"),
    [(False, KeyboardInterrupt), (False, BdbQuit), (True, KeyboardInterrupt), (True, ValueError), (True, SystemExit)],
)
def test_ctrl_c_and_the_end_of_a_debugger_go_to_the_caller_and_so_does_all_else_if_it_is_asked_for(
    raises: bool, error: type[BaseException]
) -> None:
    def fail(proxy: int) -> JobResult:
        raise error

    choice = EngineChoice("inline", raises=raises)
    engine = make_engine(EnginePlan(partial(Doing, fail), spares(1), Settings(), 1, choice))
    engine.start()
    engine.submit(1, Call(b"ok"))

    with pytest.raises(error):
        engine.poll(0.0)

    engine.close()


def test_the_moves_of_a_run_that_an_exception_ends_can_still_be_told() -> None:
    def fail(proxy: int) -> JobResult:
        raise KeyboardInterrupt

    engine = make_engine(EnginePlan(partial(Doing, fail), spares(1), Settings(), 1, EngineChoice("inline")))
    engine.start()
    ledger = Ledger(engine)
    ledger.submit("ok")
    with pytest.raises(KeyboardInterrupt):
        engine.poll(0.0)

    for signal in engine.flush():
        ledger.take(signal)

    assert ledger.moves == [(EventKind.LEASED, 1)]
