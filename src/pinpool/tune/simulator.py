"""
One simulated crawl, proxy by proxy: which of them work, fail, rest and retire, while pages flow in between.

No single page is followed. How many pages a proxy serves until it fails, is banned or dies is drawn beforehand; between
two such events the pages of all proxies are one growing number. `policy/` decides how long a proxy rests and when it
retires. Pure: the same seed gives the same crawl.
"""

import heapq
import itertools
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from math import inf, log1p
from random import Random
from statistics import fmean
from typing import NamedTuple

from pinpool.model import Charge
from pinpool.policy.faults import FAULTS
from pinpool.policy.hedging import patience
from pinpool.policy.reputation import NO_REST, Patience, Reputation, Retire
from pinpool.policy.retry import FIRST_REST
from pinpool.tune.recording import Recording
from pinpool.tune.survival import Behavior, FailureSample

#: So many events, and the rest of a crawl is taken to be as what came before.
MOST_EVENTS = 10_000
#: The shortest attempt in seconds. Of shorter ones a worker could make any number at one moment.
SHORTEST = 1e-4

#: The life of a proxy, or the start of the workers. It yields for how many seconds it goes on as it is; or that it is
#: spare, and whether it has just rested.
_Life = Iterator[float | bool]


class Crawled(NamedTuple):
    """
    How the crawl went: whether its list `lasted`, when the last page ended, and the share of the workers' time without
    a proxy. `cost` is how long the simulation took, in events.
    """

    lasted: bool
    seconds: float
    pages: float
    faults: float
    parked: float
    retired: int
    cost: int


class Scenario:
    """What all crawls of a recorded job by so many workers over so many proxies have in common."""

    def __init__(self, recording: Recording, workers: int, proxies: int) -> None:
        self.recording, self.workers, self.proxies = recording, workers, proxies
        machine, workload, rules = recording.machine, recording.workload, recording.settings
        latencies, busy = workload.latencies, min(workers, proxies)
        factors = machine.stretches(busy, rules.pace)
        #: Failed attempts for each page that are not its proxy's, and those of them for which it waits for the site.
        self.page_faults = sum(workload.page_failure**n for n in range(1, rules.attempts))
        of_site = [FAULTS[failure.fault].charge is Charge.SITE for failure in workload.page_failures]
        self.site_faults = self.page_faults * fmean(of_site or [0.0])
        lost = self.page_faults * fmean([*map(self.seconds, workload.page_failures)] or [0.0])
        # With a pace some pages are longer than it, and others not.
        times = latencies[:: max(1, len(latencies) // 20)] if rules.pace else [machine.mean]
        #: Seconds from one good attempt of a worker to its next, by the number of busy workers. The rate of the site
        #: and pages that are found one after another hold all of them up.
        self.slots = []
        for number, factor in enumerate(factors):
            slot = fmean(max(rules.pace, (seconds + machine.overhead) * factor) for seconds in times)
            limit = max(number / (rules.site_rate or inf), slot * number * recording.depth / max(1, recording.pages))
            self.slots.append(max(SHORTEST, slot, limit) + lost)
        #: Seconds from the moment at which all pages are done on average to the end of the last one: when it begins the
        #: others are half through, and the slowest of them ends it.
        self.last = latencies[int(len(latencies) * busy / (busy + 1))] * factors[busy] - slot / 2
        #: Seconds after which a page that hangs is asked for by another worker, when nothing else is left to do.
        self.patience = patience(latencies[len(latencies) // 2], latencies[int(len(latencies) * 0.95)])
        #: By pages, and how many of them end with the last one that was banned.
        self.behaviors = sorted(workload.survival.behaviors, key=lambda behavior: behavior.pages)
        self.banned = max((n for n, behavior in enumerate(self.behaviors, 1) if behavior.ban), default=0)

    def seconds(self, failure: FailureSample) -> float:
        """Seconds from the beginning of a failed attempt to the worker's next one."""
        return max(self.recording.settings.pace, failure.seconds + self.recording.machine.overhead, SHORTEST)


class Crawl:
    """A crawl over proxies that are drawn from the recorded ones."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self._scenario, self._random = scenario, Random(seed)
        self._recording, self._reputation = scenario.recording, Reputation(scenario.recording.settings.cooling)
        # Those that have just rested are handed out last.
        self._spares, self._rested = deque[_Life](), deque[_Life]()
        self._alive, self._free, self._serving = scenario.proxies, 0, 0
        self._now = self._parked = self._pages = self._faults = self._served = self._last_failure = 0.0
        self._moments: list[tuple[float, int, _Life]] = []
        self._order = itertools.count()

    @property
    def _slot(self) -> float:
        return self._scenario.slots[max(0, min(self._scenario.workers - self._free, self._scenario.proxies))]

    def run(self) -> Crawled:
        """Do the crawl. To be called once."""
        scenario, pages = self._scenario, self._recording.pages
        drawn: list[Behavior] = []
        while len(drawn) < scenario.proxies:  # each recorded proxy once before any comes a second time
            drawn += self._random.sample(scenario.behaviors, len(scenario.behaviors))
        for life in map(self._life, range(scenario.proxies), drawn):
            self._go_on(life)
        self._go_on(self._start())
        events, end = 0, None
        while self._alive and events < MOST_EVENTS:
            events += 1
            while self._free and (spares := self._spares or self._rested):
                self._free -= 1
                self._go_on(spares.popleft())
            moment, rate = (self._moments[0][0] if self._moments else inf), self._serving / self._slot
            over = self._now + (pages - self._pages) / rate if rate else inf
            seconds = min(moment, over) - self._now
            self._now += seconds
            self._parked += seconds * self._free
            self._pages += seconds * rate
            self._served = self._now if rate else self._served
            if over <= moment:
                end = self._end()
                break
            self._go_on(heapq.heappop(self._moments)[2])
        retired = scenario.proxies - self._alive
        if end is None and self._alive and self._pages:
            longer = pages / self._pages
            end = self._now * longer if retired * longer < scenario.proxies else None
        parked = self._parked / (self._now * scenario.workers) if self._now else 0.0
        faults = self._faults + self._pages * scenario.page_faults
        return Crawled(
            end is not None, end or self._served, self._pages, faults, parked, retired, events + scenario.proxies
        )

    def _go_on(self, life: _Life) -> None:
        wait = next(life, inf)
        if isinstance(wait, bool):
            (self._rested if wait else self._spares).append(life)
        elif wait < inf:
            heapq.heappush(self._moments, (self._now + wait, next(self._order), life))

    def _start(self) -> _Life:
        for _ in range(self._scenario.workers):
            self._free += 1
            yield self._recording.machine.boot

    def _pages_until_ban(self, behavior: Behavior) -> tuple[float, Sequence[FailureSample]]:
        """After how many pages the site bans a proxy for good, and how it fails then."""
        behaviors, longer = self._scenario.behaviors, 0
        # One that was not banned goes on as one of those that served more pages, until no ban is known of any more.
        while not behavior.ban:
            longer = bisect_right(behaviors, behavior.pages, longer, key=lambda behavior: behavior.pages)
            if longer >= self._scenario.banned:
                return inf, ()
            behavior = behaviors[self._random.randrange(longer, len(behaviors))]
        return behavior.pages, behavior.ban

    def _life(self, number: int, behavior: Behavior) -> _Life:
        """The life of a proxy until it retires."""
        random, rules, reputation = self._random, self._recording.settings, self._reputation
        survival, probing = self._recording.workload.survival, False
        reputation.admit(number, "")
        left, ban = self._pages_until_ban(behavior)
        passes = log1p(-min(max(behavior.failure, 1e-12), 1.0 - 1e-12))
        death, dies = (random.choice(survival.deaths), 0.0) if survival.deaths else ((), inf)
        if survival.deaths and random.random() >= survival.dead_on_arrival:
            dies = random.expovariate(survival.hazard) if survival.hazard else inf
        while True:
            yield probing
            pin, swapped = Patience(probing), False
            fails, sure = probing and random.random() < survival.after_rest, int(probing)
            while not swapped:
                if self._now < dies and left >= 1 and not fails:
                    # It serves until it fails, is banned or dies, and ends the page that it is at.
                    slot, pages = self._slot, sure + log1p(-random.random()) // passes
                    seconds = min(slot * min(left, pages), dies - self._now + slot * random.random())
                    self._serving += 1
                    yield seconds
                    self._serving -= 1
                    if served := round(seconds / slot):
                        left -= served
                        pin.served()
                        reputation.credit(number)
                dead = left < 1 or self._now >= dies
                failures = behavior.failures if not dead else death if self._now >= dies else ban
                failure = random.choice(failures)
                charge, seconds = FAULTS[failure.fault].charge, self._scenario.seconds(failure)
                self._last_failure = max(self._last_failure, self._now + seconds)
                yield seconds
                self._faults += 1
                swapped = charge is Charge.WORKER or pin.ends(charge, rules.swap_after)
                fails, sure = random.random() < survival.again, 1
            self._free += 1
            deserved = dead or charge in (Charge.PROXY, Charge.DOUBTFUL, Charge.OPEN)
            penalty = reputation.penalty(number, failure.fault, None, random.random()) if deserved else NO_REST
            if isinstance(penalty, Retire):
                self._alive -= 1
                return
            yield penalty.seconds
            probing = True

    def _end(self) -> float:
        """When the last page ends: one that has failed at last takes longer."""
        scenario, random, slot = self._scenario, self._random, self._slot
        asked_again = min(self._last_failure, self._now + scenario.patience) + slot
        # The one that has last waited until the site may have recovered, by how often it has failed them.
        failing = self._serving / slot * scenario.site_faults
        waited = FIRST_REST * random.uniform(0.75, 1.25) - (random.expovariate(failing) if failing else inf)
        return max(asked_again, self._now + scenario.last + max(0.0, waited + slot))
