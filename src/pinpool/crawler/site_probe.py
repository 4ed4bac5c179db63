"""Acts on the circuit breaker: when most proxies fail at once, pages that were fetched before are asked for again."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from pinpool.crawler.proxy_records import ProxyRecords
from pinpool.journal.writer import Journal
from pinpool.model import FILE_STAGE, Assignment, Ending, Event, EventKind, FailedAttempt, Outcome, ProxyState, Task
from pinpool.policy.circuit_breaker import PROBES, BreakerState, CircuitBreaker, site_sign
from pinpool.policy.decision import Judge, failed_attempt
from pinpool.policy.faults import FAULTS, SiteSign
from pinpool.policy.proxy_reports import FEW, SURVEY, ProxyReports
from pinpool.pool.clock import Clock
from pinpool.pool.engine import Census
from pinpool.pool.settle import Settler
from pinpool.text import local_time


@dataclass(eq=False, repr=False)
class SiteProbe:
    """
    Holds a run back while its site is silent, and probes the site. A probe is not an attempt of its task.

    `submit` hands an assignment to the engine and returns its serial; a serial is ``in`` this while its probe is on its
    way.
    """

    submit: Callable[[Assignment], int]
    journal: Journal
    records: ProxyRecords
    settler: Settler
    judge: Judge
    reports: ProxyReports
    random: Random
    clock: Clock

    def __post_init__(self) -> None:
        self._breaker = CircuitBreaker()
        # Several: one may have changed or gone since.
        self._fetched = deque(self.journal.witnesses(PROBES), PROBES)
        self._probes: dict[int, Task] = {}

    def __contains__(self, serial: object) -> bool:
        return serial in self._probes

    @property
    def hold_back(self) -> bool:
        """True if nothing but site probes may go out."""
        return self._breaker.state is not BreakerState.CLOSED

    def pause_ends(self) -> float | None:
        """When the pause of the run is over (monotonic seconds); None without one."""
        return self._breaker.pause_ends()

    def reason(self) -> str:
        """Why the run holds back, in a sentence for people; empty if it does not."""
        if not self.hold_back:
            return ""
        trouble = self.reports.text() or "most proxies fail"
        if (ends := self.pause_ends()) is None:
            pages = "pages fetched before are" if self._fetched else "a page is"
            return f"{trouble}, {pages} asked for now, to see whether it is the site"
        wait = max(0.0, ends - self.clock.monotonic())
        return f"{trouble}, next try {local_time(self.clock.epoch() + wait)}"

    def silent_seconds(self) -> float:
        """For how long the site has been silent, 0 if it answers."""
        return self._breaker.silent_seconds(self.clock.monotonic())

    def failed(self, task: int, failure: FailedAttempt, outcome: Outcome, census: Census, in_flight: int) -> bool:
        """
        An attempt has failed, and `in_flight` others are under way. True if nobody should be blamed, because it may
        well be the site.
        """
        self._report(outcome)
        in_use, alive = census.count(ProxyState.PINNED), census.alive
        if not self.reports.answered:  # a single first page does not go round the whole list before others help
            in_use = min(in_use, in_flight + 1)
            if FAULTS[failure.fault].slow and in_use < FEW:
                alive = 1  # nor does it wait for three time-outs, one after another
        return self._breaker.failed(
            outcome.proxy,
            task,
            failure.fault,
            outcome.at + outcome.seconds,
            self.clock.monotonic(),
            in_use=in_use,
            alive=alive,
            served=bool(self._fetched),
        )

    def fetched(self, task: Task, outcome: Outcome) -> None:
        """A page was fetched, or is gone."""
        if outcome.ending is Ending.OK and task.method == "GET":
            self._fetched.append(task)
        self.reports.fetched(outcome.proxy)
        self._site_answered(outcome)

    def send_if_due(self, census: Census, waiting: Sequence[Task]) -> None:
        """
        Send site probes if they are due, through proxies that are known to work, or were not asked yet. As long as no
        page was fetched those that are `waiting` will do, and many proxies are asked at a time.
        """
        if not census.usable or not self._breaker.probes_due(self.clock.monotonic()):
            return
        pages = list(self._fetched) or waiting
        if not pages:
            return
        credible, untried = self._at_hand(census)
        wanted = credible - self._breaker.silent or untried or credible
        avoid = tuple(set(census.states) - wanted) if wanted else ()
        probes = PROBES if self.reports.answered else min(SURVEY, len(wanted))
        for number in range(min(max(PROBES, probes), census.usable)):
            self._send(pages[number % len(pages)], avoid)

    def answered(self, outcome: Outcome, census: Census) -> None:
        """A site probe is back."""
        page = self._probes.pop(outcome.serial)
        if outcome.ending is Ending.DECLINED:
            if self.hold_back:  # no wanted proxy is free: any will do
                self._send(page, ())
        elif outcome.evidence is not None:
            self._probe_failed(outcome, outcome.evidence.retry_after)
        elif outcome.unasked:  # robots.txt has changed, or forbids even the first page
            self._fetched = deque((task for task in self._fetched if task != page), PROBES)
            if not self._fetched:
                self._site_answered(outcome)
        else:
            if outcome.ending is Ending.OK:  # it was fetched before: gone may be a lie
                self.judge.fetched(outcome.proxy, 0)
            self.reports.fetched(outcome.proxy)
            self._site_answered(outcome)
        self._probe_ended(census)

    def lost(self, serial: int, census: Census) -> None:
        """A site probe will never be answered."""
        del self._probes[serial]
        self._probe_ended(census)

    def _send(self, page: Task, avoid: tuple[int, ...]) -> None:
        self._breaker.probe_sent()
        # Of a file its head will do.
        asked = page._replace(method="HEAD") if page.stage == FILE_STAGE else page
        self._probes[self.submit(Assignment(asked, avoid, exchange=bool(avoid)))] = page

    def _probe_failed(self, outcome: Outcome, retry_after: float | None) -> None:
        self._report(outcome)
        failure = failed_attempt(outcome)
        sign = site_sign(failure.fault, served=bool(self._fetched))
        if outcome.swapped:
            own_fault = sign is SiteSign.NOTHING
            if own_fault:
                self._breaker.probe_met_bad_proxy()
            penalty = self.judge.penalty(failure._replace(site_down=not own_fault))
            if penalty is not None:
                self.settler.penalize(outcome.proxy, penalty, failure.fault if own_fault else None)
        if sign is SiteSign.ANSWERED:
            self._site_answered(outcome)
        elif sign is SiteSign.SILENT:
            self._breaker.probe_met_silence(outcome.proxy, retry_after)

    def _probe_ended(self, census: Census) -> None:
        now = self.clock.monotonic()
        credible, untried = self._at_hand(census)
        if self._breaker.probe_ended(now, self.random.random(), untried=bool(untried and not credible)):
            self.records.event(Event(self.clock.epoch(), EventKind.PAUSED, detail=self.reason()))
            for proxy, task in self._breaker.take_failures():
                self.journal.excuse(task, proxy)
                if self.judge.reputation.clear(proxy, task):
                    self.settler.release(proxy)

    def _report(self, outcome: Outcome) -> None:
        assert outcome.evidence is not None
        fault, now = failed_attempt(outcome).fault, self.clock.monotonic()
        self.reports.failed(outcome.proxy, fault, outcome.evidence, outcome.seconds, now)

    def _site_answered(self, outcome: Outcome) -> None:
        if self._breaker.site_answered(outcome.at + outcome.seconds):
            self.records.event(Event(self.clock.epoch(), EventKind.CONTINUED))

    def _at_hand(self, census: Census) -> tuple[set[int], set[int]]:
        """Of the proxies at hand, those known to have worked, and those that met no silence since the last answer."""
        at_hand = {proxy for proxy, state in census.states.items() if state in (ProxyState.PINNED, ProxyState.SPARE)}
        return set(filter(self.judge.reputation.credible, at_hand)), at_hand - self._breaker.silent
