"""A `Dispatch` under test: how one is made, and what it says."""

from __future__ import annotations

from typing import Any

from engines import spares
from pinpool.model import Assignment, Call, Ending, Evidence, Outcome, ProxyState, Sign, Step, Task
from pinpool.pool.clock import FakeClock
from pinpool.pool.dispatch import Dispatch, Slot, Start
from pinpool.pool.engine import Answered, Noted

TASK = Task("detail", "http://films.test/1", b"1" * 16)
PAGE, CALL = Assignment(TASK), Call(b"")
REFUSED, TIMEOUT = Evidence(Step.CONNECT, Sign.REFUSED), Evidence(Step.HEAD, Sign.TIMEOUT)
SPARE, PINNED, COOLING, RETIRED = ProxyState.SPARE, ProxyState.PINNED, ProxyState.COOLING, ProxyState.RETIRED


def dispatch(proxies: int, *processes: object, cooling: float = 60.0) -> Dispatch:
    """With a worker for each of the processes, whose tokens and numbers are 1, 2 and so on."""
    made = Dispatch(spares(proxies), 50, cooling, 3, FakeClock())
    for number, process in enumerate(processes, 1):
        made.add(number, number=number, pid=number, process=process)
    return made


def clock_of(dispatch: Dispatch) -> FakeClock:
    assert isinstance(dispatch.clock, FakeClock)
    return dispatch.clock


def starts(dispatch: Dispatch) -> list[Start]:
    """All attempts that can be made now."""
    found = []
    while (start := dispatch.next()) is not None:
        found.append(start)
    return found


def pairs(dispatch: Dispatch) -> list[tuple[int, int]]:
    """Worker and serial of each attempt that can be made now."""
    return [(start.worker.number, start.serial) for start in starts(dispatch)]


def answer(dispatch: Dispatch, worker: int | Slot, evidence: Evidence | None = None, **changes: Any) -> None:
    """The worker answers its attempt, well or with evidence of a failure."""
    slot = dispatch.workers[worker] if isinstance(worker, int) else worker
    ending = Ending.OK if evidence is None else Ending.FAILED
    outcome = Outcome(slot.serial, slot.number, slot.proxy, ending, 0.0, 0.0, evidence=evidence)
    dispatch.answered(slot, outcome._replace(**changes))


def outcomes(dispatch: Dispatch) -> list[Outcome]:
    return [signal.outcome for signal in dispatch.take_signals() if isinstance(signal, Answered)]


def moves(dispatch: Dispatch) -> list[tuple[str, int | None, str]]:
    events = [signal.event for signal in dispatch.flush() if isinstance(signal, Noted)]
    return [(event.kind, event.proxy, event.detail) for event in events]
