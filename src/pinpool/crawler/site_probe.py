"""
When most proxies fail at once: pages that were fetched before are asked for again, and tell whether it is the site.

What is decided there is `breaker`'s; here it is acted upon.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from random import Random

from pinpool.crawler.proxy_control import ProxyControl
from pinpool.crawler.scheduler import Frontier
from pinpool.journal.writer import Journal
from pinpool.model import Assignment, Ending, Event, EventKind, Fault, Outcome, ProxyState, Task
from pinpool.policy.blame import Blame
from pinpool.policy.circuit_breaker import CANARIES, BreakerState, CircuitBreaker, site_sign
from pinpool.policy.faults import SiteSign, fault_of
from pinpool.pool.engine import Census

#: How long a site may be silent that has never said a word: its address may be wrong.
FIRST_PATIENCE = 600.0


class SiteProbe:
    """Holds a run back while its site is silent. A canary is no attempt of its task, and leaves nothing in it."""

    def __init__(
        self,
        submit: Callable[[Assignment], int],
        journal: Journal,
        proxy_control: ProxyControl,
        blame: Blame,
        random: Random,
    ) -> None:
        """`submit` hands an assignment to the engine and returns its serial."""
        self._submit = submit
        self._journal = journal
        self._proxy_control = proxy_control
        self._blame = blame
        self._random = random
        self._breaker = CircuitBreaker()
        # Several: one may have changed or gone since.
        self._fetched = deque(journal.witnesses(CANARIES), CANARIES)
        self._out: dict[int, Task] = {}

    def __contains__(self, serial: object) -> bool:
        return serial in self._out

    @property
    def hold_back(self) -> bool:
        """True if nothing but canaries should go out."""
        return self._breaker.mood is not BreakerState.WELL

    def next_moment(self) -> float | None:
        """When canaries are due again; None if they are not waited for."""
        return self._breaker.next_moment()

    def words(self, now: float) -> str:
        """Why the run holds back, in a sentence for people; empty if it does not."""
        return self._breaker.words(now)

    def in_vain(self, now: float, patience: float) -> str:
        """Why there is no use in waiting any longer; empty as long as there is. `patience` is seconds."""
        silent = self._breaker.seconds(now)
        if silent <= (patience if self._fetched else min(patience, FIRST_PATIENCE)):
            return ""
        return f"every proxy has failed for {silent / 60:.0f} min: the site seems to be down"

    def failed(self, task: int, outcome: Outcome, now: float, census: Census) -> bool:
        """An attempt has failed. True if nobody is to be blamed for it, because it may well be the site."""
        assert outcome.evidence is not None
        return self._breaker.failed(
            outcome.proxy,
            task,
            fault_of(outcome.evidence),
            outcome.at + outcome.seconds,
            now,
            in_use=census.count(ProxyState.PINNED),
            alive=census.alive,
            served=bool(self._fetched),
        )

    def fetched(self, task: Task, outcome: Outcome) -> None:
        """A page was fetched, or is gone."""
        if outcome.ending is Ending.OK and task.method == "GET":
            self._fetched.append(task)
        self._site_answered(outcome)

    def ask(self, now: float, census: Census, frontier: Frontier) -> None:
        """Send canaries if they are due, through proxies that are known to have worked, or were not asked yet."""
        if not census.usable or not self._breaker.due(now):
            return
        # As long as nothing was fetched any page will do.
        pages = list(self._fetched) or frontier.first(CANARIES)
        if not pages:
            return
        known, strangers = self._known(census), self._strangers(census)
        wanted = known - self._breaker.silent or strangers or known
        avoid = tuple(set(census.states) - wanted) if wanted else ()
        for number in range(min(CANARIES, census.usable)):
            self._send(pages[number % len(pages)], avoid)

    def _known(self, census: Census) -> set[int]:
        """Those at hand that are known to have worked."""
        return set(filter(self._blame.reputation.credible, _at_hand(census)))

    def _strangers(self, census: Census) -> set[int]:
        """Those at hand that have not met silence since the site last answered."""
        return set(_at_hand(census)) - self._breaker.silent

    def lose(self, serial: int, now: float, census: Census) -> None:
        """It will never be answered."""
        del self._out[serial]
        self._back(now, census)

    def hear(self, outcome: Outcome, now: float, census: Census) -> None:
        """A canary came back."""
        page = self._out.pop(outcome.serial)
        if (
            outcome.ending is Ending.DECLINED and self.hold_back
        ):  # none of those that are wanted is free: any must do
            self._send(page, ())
        elif outcome.evidence is not None:
            self._hear_failure(outcome, fault_of(outcome.evidence))
        elif outcome.unasked:  # robots.txt has changed its mind, or forbids even the first page
            self._fetched = deque((one for one in self._fetched if one != page), CANARIES)
            if not self._fetched:
                self._site_answered(outcome)
        elif outcome.ending is not Ending.DECLINED:
            self._blame.credit(outcome.proxy, 0)
            self._site_answered(outcome)
        self._back(now, census)

    def _send(self, page: Task, avoid: tuple[int, ...]) -> None:
        self._breaker.sent()
        self._out[self._submit(Assignment(page, avoid, exchange=bool(avoid)))] = page

    def _hear_failure(self, outcome: Outcome, fault: Fault) -> None:
        assert outcome.evidence is not None
        sign = site_sign(fault, served=bool(self._fetched))
        if outcome.swapped:
            guilty = sign is SiteSign.NOTHING
            if guilty:
                self._breaker.accused()
            penalty = self._blame.penalty(outcome.proxy, fault, excused=not guilty)
            self._proxy_control.carry_out(penalty, outcome.proxy, fault if guilty else None)
        if sign is SiteSign.ANSWERED:
            self._site_answered(outcome)
        elif sign is SiteSign.SILENT:
            self._breaker.silenced(outcome.proxy, outcome.evidence.retry_after)

    def _back(self, now: float, census: Census) -> None:
        """One canary less is on its way."""
        self._breaker.returned()
        strangers = not self._known(census) and bool(self._strangers(census))
        if self._breaker.concluded(now, self._random.random(), strangers=strangers):
            self._proxy_control.note(Event(time.time(), EventKind.PAUSED, detail=self._breaker.words(now)))
            for proxy, task in self._breaker.excused():
                self._journal.excuse(task, proxy)
                if self._blame.reputation.pardon(proxy, task):
                    self._proxy_control.wake(proxy)

    def _site_answered(self, outcome: Outcome) -> None:
        if self._breaker.answered(outcome.at + outcome.seconds):
            self._proxy_control.note(Event(time.time(), EventKind.CONTINUED))


def _at_hand(census: Census) -> list[int]:
    return [proxy for proxy, state in census.states.items() if state in (ProxyState.PINNED, ProxyState.SPARE)]
