"""A decision is applied to the lease queue and to the records, for pages and calls alike."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest

from pinpool.model import Event, EventKind, Fault, ProxyState
from pinpool.policy.blame import Credit
from pinpool.policy.decision import Decision, Judge
from pinpool.policy.reputation import Cool, Reputation, Retire
from pinpool.policy.retry import Resubmit
from pinpool.pool.fake import FakeEngine
from pinpool.pool.settle import Settler
from pinpool.settings import Settings

AGAIN = Resubmit(0.0, charged=True)


class Written:
    """Records that can be looked at."""

    def __init__(self) -> None:
        self.lines: list[tuple[object, ...]] = []

    def cooled(self, proxy: int, fault: Fault | None, seconds: float) -> None:
        self.lines.append(("cooled", proxy, fault, seconds))

    def retired(self, proxy: int, reason: str) -> None:
        self.lines.append(("retired", proxy, reason))

    def released(self, proxy: int) -> None:
        self.lines.append(("released", proxy))

    def proven(self, proxy: int) -> None:
        self.lines.append(("proven", proxy))

    def charge(self, task: int, proxies: Sequence[int]) -> None:
        self.lines.append(("charge", task, proxies))

    def forgive(self, task: int, proxies: Sequence[int]) -> None:
        self.lines.append(("forgive", task, proxies))

    def event(self, event: Event) -> None:
        self.lines.append(event)


class Desk:
    """Three proxies, the first of them pinned by the only worker, and what became of them."""

    def __init__(self) -> None:
        self.engine = FakeEngine(lambda lease, work: pytest.fail("nothing is sent"), 3, workers=1)
        self.reputation = Reputation(30.0)
        for proxy in (1, 2, 3):
            self.reputation.admit(proxy, f"proxy {proxy}")
        self.written = Written()
        self.settler = Settler(self.engine, Judge(self.reputation, Settings(), Random(1)), self.written)

    def states(self) -> list[ProxyState]:
        self.engine.join([])  # makes it read the lease queue
        return list(self.engine.census().states.values())


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_failed_attempt_is_settled_for_every_proxy_that_it_concerns(desk: Desk) -> None:
    desk.settler.failed(7, 1, Decision(Fault.RESET, True, AGAIN, Cool(60.0), forgiven=(2, 3), released=(3,)))

    assert desk.written.lines == [("cooled", 1, "reset", 60.0), ("forgive", 7, (2, 3)), ("released", 3)]


def test_a_retired_proxy_is_out_for_the_lease_queue_too(desk: Desk) -> None:
    desk.settler.failed(7, 2, Decision(Fault.PROXY_AUTH, True, AGAIN, Retire("it refuses our login")))

    assert desk.written.lines == [("retired", 2, "it refuses our login")]
    assert desk.states() == [ProxyState.PINNED, ProxyState.RETIRED, ProxyState.SPARE]


def test_a_worker_that_keeps_its_pin_changes_nothing(desk: Desk) -> None:
    desk.settler.failed(7, 1, Decision(Fault.RESET, True, AGAIN, None))

    assert desk.written.lines == []


def test_a_page_served_is_credited_and_those_that_showed_something_else_pay(desk: Desk) -> None:
    desk.settler.fetched(7, 1, Credit(proven=True, charged=(2,)))
    desk.settler.fetched(8, 1, Credit(proven=False, charged=()))

    assert desk.written.lines == [("proven", 1), ("charge", 7, (2,))]


def test_a_withdrawn_proxy_retires_with_that_reason_and_is_never_released(desk: Desk) -> None:
    desk.reputation.withdraw(1, "off the list")

    desk.settler.penalize(1, Cool(30.0), Fault.RESET)
    desk.settler.release(1)

    assert desk.written.lines == [("retired", 1, "off the list")]


def test_a_rest_that_is_over_cannot_lose_its_reason_any_more(desk: Desk) -> None:
    desk.reputation.strike(1, 7, counts=True)
    desk.reputation.penalty(1, Fault.RESET, None, 0.5, strikes_needed=1)
    leased = Event(0.0, EventKind.LEASED, 1)

    desk.settler.noted(leased)

    assert desk.written.lines == [leased]
    assert not desk.reputation.clear(1, 7)
    assert desk.reputation[1].coolings == 1
