"""Which pages are asked for twice, and what becomes of the slower attempt."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import pytest
from test_settle import Written

from pinpool.model import Assignment, Download, Ending, Evidence, Fault, Outcome, ProxyState, Sign, Step, Task
from pinpool.policy.decision import Judge
from pinpool.policy.hedging import LARGE
from pinpool.policy.reputation import Reputation
from pinpool.pool.attempts import Attempts
from pinpool.pool.engine import Answered, Noted
from pinpool.pool.fake import FakeEngine
from pinpool.pool.job import JobResult
from pinpool.pool.lease_types import Lease
from pinpool.pool.settle import Settler
from pinpool.settings import Settings

PAGE = Task("detail", "http://films.test/1", b"1" * 16)


@dataclass(eq=False)
class Page:
    id: int = 1
    tried: frozenset[int] = frozenset()
    repeatable: bool = True


class Desk:
    """Workers with a proxy each, of which number 1 takes 20 s for a page, and the others 0.2 s."""

    def __init__(self, proxies: int = 3) -> None:
        def perform(lease: Lease, work: Assignment) -> tuple[JobResult, float]:
            return JobResult(Ending.OK), 20.0 if lease.proxy == 1 else 0.2

        self.engine = FakeEngine(perform, proxies)
        self.reputation = Reputation(30.0)
        for proxy in range(1, proxies + 1):
            self.reputation.admit(proxy, f"proxy {proxy}")
        self.written = Written()
        self.judge = Judge(self.reputation, Settings(), Random(1))
        self.settler = Settler(self.engine, self.judge, self.written)
        self.attempts = Attempts[Page](self.engine, self.settler)
        self.serial = 0

    @property
    def now(self) -> float:
        return self.engine.clock.monotonic()

    def send(self, page: Page, avoid: tuple[int, ...] = (), to: int = 0) -> int:
        """Submit an attempt; `to` is the proxy whose worker comes first in the queue."""
        self.serial += 1
        self.engine.poll(0.0)
        idle = self.engine._dispatch._idle
        while to and (pin := idle[0].pin) is not None and pin.lease.proxy != to:
            idle.rotate(1)
        self.engine.submit(self.serial, Assignment(PAGE, avoid))
        self.attempts.sent(self.serial, page)
        return self.serial

    def wait(self, seconds: float) -> list[Outcome]:
        """Let time pass; returns the answers that are not late."""
        until, outcomes = self.now + seconds, []
        while self.now < until - 0.001:
            for signal in self.engine.poll(min(0.1, until - self.now)):
                if isinstance(signal, Answered) and signal.outcome.serial in self.attempts._tasks:
                    outcomes.append(signal.outcome)
                elif isinstance(signal, Answered):
                    self.attempts.ended_late(signal.outcome)
                elif isinstance(signal, Noted):
                    self.settler.noted(signal.event)
        return outcomes

    def overdue(self, *, closing: bool = True) -> list[tuple[Page, tuple[int, ...]]]:
        return [tuple(one) for one in self.attempts.overdue(self.now, closing=closing)]  # type: ignore[misc]

    def overtake(self, page: Page) -> tuple[Outcome, Fault | None] | None:
        """Send the page to a slow proxy, and once more to another; returns what is overtaken."""
        self.send(page, to=1)
        self.wait(4.0)
        ((_, avoid),) = self.overdue()
        self.send(page, avoid, to=2)
        (outcome,) = self.wait(0.5)
        assert self.attempts.ended(outcome.serial) is page
        self.judge.fetched(outcome.proxy, page.id)
        return self.attempts.answered(page, outcome, self.now)


def test_a_page_is_asked_for_again_only_once_it_is_late() -> None:
    desk, page = Desk(), Page()
    desk.send(page)

    desk.wait(2.9)
    before = desk.overdue()
    desk.wait(0.3)

    assert before == []
    assert desk.overdue() == [(page, (1,))]


def test_a_page_has_one_second_attempt_at_a_time() -> None:
    desk, page = Desk(), Page()
    desk.send(page)
    desk.wait(4.0)
    desk.send(page, (1, 2, 3))

    desk.wait(1.0)

    assert desk.overdue() == []


@pytest.mark.parametrize("page", [Page(repeatable=False), Page(tried=frozenset({2, 3}))])
def test_a_page_that_no_other_proxy_may_have_is_not_asked_for_again(page: Page) -> None:
    desk = Desk()
    desk.send(page)

    desk.wait(10.0)

    assert desk.overdue() == []


def test_a_proxy_that_works_is_preferred_to_one_that_was_never_asked() -> None:
    desk, page = Desk(), Page()
    for task in range(5):
        desk.judge.fetched(3, task)
    desk.send(page)

    desk.wait(4.0)

    assert desk.overdue() == [(page, (1, 2))]


def test_no_worker_is_idle_while_others_wait_in_the_queue() -> None:
    desk = Desk(2)
    pages = [Page(number) for number in range(3)]
    desk.send(pages[0])
    desk.wait(4.0)
    for page in pages[1:]:
        desk.send(page)

    assert desk.overdue() == []


def test_second_attempts_are_a_share_of_all_requests_until_the_end() -> None:
    desk = Desk(40)
    desk.engine._perform = lambda lease, work: (JobResult(Ending.OK), 20.0)
    pages = [Page(number) for number in range(20)]
    for page in pages:
        desk.send(page)
    desk.wait(4.0)

    some = desk.overdue(closing=False)
    desk.wait(0.2)
    every = desk.overdue(closing=True)

    assert [page for page, _ in some] == pages[:4]
    assert [page for page, _ in every] == pages


def test_the_slower_attempt_is_overtaken_with_its_proxy_and_its_seconds() -> None:
    desk, page = Desk(), Page()

    found = desk.overtake(page)

    assert found is not None
    outcome, fault = found
    assert (outcome.ending, outcome.proxy, fault) == (Ending.OVERTAKEN, 1, None)
    assert 4 < outcome.seconds < 5
    assert page not in desk.attempts
    assert len(desk.attempts) == 0
    assert desk.attempts.ended(outcome.serial) is None


def test_one_that_came_second_because_it_began_later_is_not_slow() -> None:
    desk = Desk()
    for number in range(5):
        page = Page(number)
        desk.send(page, to=1)
        desk.wait(3.5)
        desk.engine._perform = lambda lease, work: (JobResult(Ending.OK), 18.0)
        desk.send(page, to=2)
        (outcome,) = desk.wait(17.0)
        desk.attempts.ended(outcome.serial)
        assert desk.attempts.answered(page, outcome, desk.now) is not None
        desk.engine._perform = lambda lease, work: (JobResult(Ending.OK), 20.0)
        desk.wait(2.0)

    assert [desk.reputation[proxy].overtaken for proxy in (1, 2, 3)] == [0, 0, 0]


def test_a_proxy_that_is_overtaken_three_times_in_a_row_is_slow_and_rests_after_three_strikes() -> None:
    desk, faults = Desk(), []
    for number in range(5):
        found = desk.overtake(Page(number))
        assert found is not None
        faults.append(found[1])
        desk.wait(20.0)
    before = desk.engine.census().states[1]

    desk.send(Page(5), to=1)
    desk.wait(1.0)

    assert faults == [None, None, Fault.SLOW, Fault.SLOW, Fault.SLOW]
    assert (before, desk.engine.census().states[1]) == (ProxyState.PINNED, ProxyState.COOLING)
    (cooled,) = (line for line in desk.written.lines if line[0] == "cooled")
    assert cooled[1:3] == (1, Fault.SLOW)


def test_a_page_that_was_never_requested_says_nothing_of_how_long_pages_take() -> None:
    desk, page = Desk(), Page()
    forbidden = Outcome(9, 7, -1, Ending.GONE, 0.0, 0.001, unasked="robots.txt forbids it")
    desk.attempts.answered(Page(2), forbidden, desk.now)
    desk.send(page)

    desk.wait(2.5)

    assert desk.overdue() == []


def test_a_page_that_the_proxy_gives_in_between_ends_the_row() -> None:
    desk = Desk()
    for number in range(4):
        found = desk.overtake(Page(number))
        desk.wait(20.0)
        desk.judge.fetched(1, 100)
        assert found is not None
        assert found[1] is None


def test_a_declined_second_attempt_goes_round_once_and_then_waits() -> None:
    desk, page = Desk(), Page()
    desk.send(page)
    desk.wait(4.0)

    offers = 0
    while found := desk.overdue():
        serial = desk.send(*found[0])
        offers += 1
        assert desk.attempts.ended(serial) is page
        assert desk.attempts.declined(page, desk.now, pinned=3)
    desk.wait(1.1)

    assert offers == 4
    assert page in desk.attempts
    assert desk.overdue() != []


def test_an_attempt_that_fails_leaves_its_task_to_the_other_one() -> None:
    desk, page = Desk(), Page()
    first, second = desk.send(page), desk.send(page)

    assert desk.attempts.ended(second) is page
    both = desk.attempts.failed(page, desk.now)
    assert desk.attempts.ended(first) is page
    alone = desk.attempts.failed(page, desk.now)

    assert (both, alone) == (True, False)


def test_a_page_whose_second_attempt_has_failed_waits_longer_each_time() -> None:
    desk, page, waits = Desk(), Page(), []
    desk.send(page)
    desk.wait(4.0)
    for _ in range(3):
        serial, since = desk.send(page, (1, 2, 3)), desk.now
        desk.attempts.ended(serial)
        desk.attempts.failed(page, since)
        while not desk.overdue():
            desk.wait(0.1)
        waits.append(round(desk.now - since))

    assert waits == [1, 2, 4]


def test_a_late_failure_counts_against_the_proxy_and_decides_its_rest() -> None:
    desk = Desk()
    refused = Outcome(1, 7, 1, Ending.FAILED, 0.0, 2.0, evidence=Evidence(Step.CONNECT, Sign.REFUSED), swapped=True)
    silent = Outcome(2, 7, 2, Ending.FAILED, 0.0, 15.0, evidence=Evidence(Step.HEAD, Sign.TIMEOUT), swapped=True)

    unavailable = Outcome(3, 7, 3, Ending.FAILED, 0.0, 9.0, evidence=Evidence(Step.PAGE, Sign.STATUS, status=502))

    for late in (refused, silent, unavailable):
        desk.settler.failed_late(1, late)

    rests = [line[1:3] for line in desk.written.lines if line[0] == "cooled"]
    assert rests == [(1, Fault.REFUSED), (2, Fault.TIMEOUT)]
    assert (desk.reputation[1].coolings, desk.reputation[2].coolings) == (1, 0)
    assert (desk.reputation.strikes(2), desk.reputation.strikes(3)) == (1, 1)


@pytest.mark.parametrize(("size", "is_late"), [(LARGE, True), (LARGE - 1, False)])
def test_how_long_a_large_file_takes_says_nothing_of_how_long_pages_take(size: int, is_late: bool) -> None:
    """Else a few of ten minutes each, and no page that hangs is asked for elsewhere."""
    desk = Desk()
    file = Download("part", "name", "hash", size, "application/pdf")
    for number in range(10):
        done = Outcome(number, 7, 2, Ending.OK, 0.0, 600.0, 200, size, file=file)
        desk.attempts.answered(Page(number + 2), done, desk.now)

    desk.send(Page(), to=1)
    desk.wait(10.0)

    assert bool(desk.overdue()) is is_late
