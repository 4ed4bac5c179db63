"""
One simulated crawl, proxy by proxy: which of them work, fail, rest and retire, while pages flow in between.

No single page is followed. While a proxy serves it has a speed. When it is worn out, so that its worker swaps it for
its failures, or dies, is drawn beforehand; between two such events the pages of all proxies are one growing number.
`policy/` decides how long a proxy rests and when it retires. Pure: the same seed gives the same crawl.
"""

import heapq
import itertools
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
from pinpool.policy.retry import FIRST_REST, LONGEST_REST
from pinpool.tune.queueing import paced
from pinpool.tune.recording import Recording
from pinpool.tune.survival import FailureSample

#: Years of simulated time, or so many events, and the rest of a crawl is taken to be as what came before.
LAST_SECOND, MOST_EVENTS = 1e9, 100_000
#: The shortest attempt in seconds. Of shorter ones a worker could make any number at one moment.
SHORTEST = 1e-4

#: The life of a proxy, or the start of the workers. It yields for how many seconds, or turns if these end first, it
#: goes on as it is; or that it is spare, and whether it has just rested.
_Life = Iterator[tuple[float, float] | bool]


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


class Service(NamedTuple):
    """
    How a living proxy serves: pages in the time of one good attempt, failed attempts for each page, and how likely it
    fails after a page until it is swapped. `failures` are those to draw from.
    """

    speed: float
    faults: float
    swap: float
    failures: Sequence[FailureSample]


class Scenario:
    """What all crawls of a recorded job by so many workers over so many proxies have in common."""

    def __init__(self, recording: Recording, workers: int, proxies: int) -> None:
        self.recording, self.workers, self.proxies = recording, workers, proxies
        machine, workload, rules, job = recording.machine, recording.workload, recording.settings, recording.job
        latencies, busy = workload.latencies, min(workers, proxies)
        factors = machine.stretches(busy, rules.pace)
        # With a pace some pages are longer than it, and others not.
        times = latencies[:: max(1, len(latencies) // 20)] if rules.pace else [machine.mean]
        #: Seconds from one good attempt of a worker to its next, by the number of busy workers. The rate of the site
        #: and pages that are found one after another hold all of them up.
        self.slots = []
        for number, factor in enumerate(factors):
            slot = fmean(paced((seconds + machine.overhead) * factor, rules.pace) for seconds in times)
            limit = max(number / (rules.site_rate or inf), slot * number * job.depth / max(1, job.pages))
            self.slots.append(max(SHORTEST, slot, limit))
        #: Seconds from the moment at which all pages are done on average to the end of the last one: when it begins the
        #: others are half through, and the slowest of them ends it.
        self.last = latencies[int(len(latencies) * busy / (busy + 1))] * factors[busy] - slot / 2
        slot = self.slots[busy]
        # Failed attempts for each page that are not its proxy's, and those of them for which it waits for the site.
        for_page = sum(workload.page_failure**n for n in range(1, rules.attempts))
        of_site = [FAULTS[failure.fault].charge is Charge.SITE for failure in workload.page_failures]
        self.site_faults = for_page * fmean(of_site or [0.0])
        #: Seconds after which a page that hangs is asked for by another worker, when nothing else is left to do.
        late, median = latencies[int(len(latencies) * 0.95)], latencies[len(latencies) // 2]
        self.patience = patience(median, late)
        self.services = []
        for failure, failures in workload.behaviors:
            swap, passing = _runs(failures, workload.survival.again, rules.swap_after)
            faults = failure * passing
            lost = faults * self._mean(failures) + for_page * self._mean(workload.page_failures)
            self.services.append(Service(slot / (slot + lost), faults + for_page, failure * swap, failures))

    def seconds(self, failure: FailureSample) -> float:
        """Seconds from the beginning of a failed attempt to the worker's next one."""
        return max(self.recording.settings.pace, failure.seconds + self.recording.machine.overhead, SHORTEST)

    def _mean(self, failures: Sequence[FailureSample]) -> float:
        return fmean(map(self.seconds, failures)) if failures else 0.0


def _runs(failures: Sequence[FailureSample], again: float, swap_after: int) -> tuple[float, float]:
    """Of failures in a row: how likely they end with a swap, and how many there are in a row that does not."""
    if not failures:
        return 0.0, 0.0
    sure = fmean(FAULTS[failure.fault].charge is Charge.PROXY for failure in failures)
    swap, passing, goes_on = 0.0, 0.0, 1.0
    for strikes in range(1, swap_after + 1):
        swaps = goes_on * (sure if strikes < swap_after else 1.0)
        swap += swaps
        passing += strikes * (goes_on - swaps) * (1 - again)
        goes_on = (goes_on - swaps) * again
    return swap, passing


class Crawl:
    """A crawl over proxies that are drawn from the recorded ones."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self._scenario, self._random = scenario, Random(seed)
        self._recording, self._workload = scenario.recording, scenario.recording.workload
        self._reputation = Reputation(self._recording.settings.cooling)
        # Those that have just rested are handed out last.
        self._spares, self._rested = deque[_Life](), deque[_Life]()
        self._alive, self._free = scenario.proxies, 0
        self._now = self._parked = self._pages = self._faults = self._served = self._last_failure = 0.0
        # A proxy is worn out after some number of pages, however long they take: `_turns` is how many pages a proxy
        # that never fails would have served by now. `_speed` and `_failing` are pages and faults in one such turn.
        self._turns = self._speed = self._failing = 0.0
        self._moments: list[tuple[float, int, _Life]] = []
        self._worn: list[tuple[float, int, _Life]] = []
        self._due: dict[_Life, int] = {}
        self._order = itertools.count()

    def run(self) -> Crawled:
        """Do the crawl. To be called once."""
        services, proxies, pages = self._scenario.services, self._scenario.proxies, self._recording.job.pages
        drawn: list[Service] = []
        while len(drawn) < proxies:  # each recorded proxy once before any comes a second time
            drawn += self._random.sample(services, len(services))
        for life in (self._life(number, service) for number, service in enumerate(drawn[:proxies])):
            self._go_on(life)
        self._go_on(self._start())
        events, end = 0, None
        while self._alive and events < MOST_EVENTS and self._now < LAST_SECOND:
            events += 1
            while self._free and (spares := self._spares or self._rested):
                self._free -= 1
                self._go_on(spares.popleft())
            rate = 1.0 / self._scenario.slots[max(0, min(self._scenario.workers - self._free, proxies))]
            moment = self._moments[0][0] if self._moments else inf
            worn = self._now + (self._worn[0][0] - self._turns) / rate if self._worn else inf
            over = self._now + (pages - self._pages) / (self._speed * rate) if self._speed > 1e-9 else inf
            seconds = min(moment, worn, over) - self._now
            self._now += seconds
            self._parked += seconds * self._free
            self._turns += seconds * rate
            self._pages += seconds * rate * self._speed
            self._faults += seconds * rate * self._failing
            self._served = self._now if self._speed > 1e-9 else self._served
            if over <= min(moment, worn):
                end = self._end(rate)
                break
            _, serial, life = heapq.heappop(self._worn if worn < moment else self._moments)
            if self._due[life] == serial:
                self._go_on(life)
        if end is None and self._alive and self._pages:
            longer = pages / self._pages
            end = self._now * longer if (proxies - self._alive) * longer < proxies else None
        parked = self._parked / (self._now * self._scenario.workers) if self._now else 0.0
        lasted, retired = end is not None, proxies - self._alive
        return Crawled(lasted, end or self._served, self._pages, self._faults, parked, retired, events + proxies)

    def _go_on(self, life: _Life) -> None:
        serial = self._due[life] = next(self._order)
        wait = next(life, None)
        if isinstance(wait, bool):
            (self._rested if wait else self._spares).append(life)
        elif wait is not None:
            for heap, due in ((self._moments, self._now + wait[0]), (self._worn, self._turns + wait[1])):
                if due < inf:
                    heapq.heappush(heap, (due, serial, life))

    def _start(self) -> _Life:
        for _ in range(self._scenario.workers):
            self._free += 1
            yield self._recording.machine.boot, inf

    def _life(self, number: int, service: Service) -> _Life:
        """The life of a proxy until it retires."""
        random, rules, reputation = self._random, self._recording.settings, self._reputation
        survival, deaths, probing, strikes = self._workload.survival, self._workload.deaths, False, 0
        reputation.admit(number, "")
        dies = random.expovariate(survival.hazard) if survival.hazard and deaths else inf
        dies = dies if random.random() >= survival.dead_on_arrival else 0.0
        death = random.choice(deaths) if deaths else service.failures
        while True:
            yield probing
            if self._now < dies and not (probing and random.random() < survival.after_rest):
                # It serves until it is worn out or dead, and ends the page that it is at.
                pages = log1p(-random.random()) // log1p(-service.swap) if 0.0 < service.swap < 1.0 else inf
                begun, turns = self._turns, (0.0 if service.swap >= 1.0 else pages / service.speed)
                self._speed += service.speed
                self._failing += service.speed * service.faults
                yield dies - self._now + random.random() * self._scenario.slots[-1], turns
                self._speed -= service.speed
                self._failing -= service.speed * service.faults
                if probing or round((self._turns - begun) * service.speed):
                    reputation.credit(number)
                    probing, strikes = False, 0
            pin, swapped = Patience(probing), False
            while not swapped:
                failure = random.choice(death if self._now >= dies else service.failures)
                charge, seconds = FAULTS[failure.fault].charge, self._scenario.seconds(failure)
                self._last_failure = max(self._last_failure, self._now + seconds)
                yield seconds, inf
                self._faults += 1
                # No strike if the site or the page is to blame, or another proxy that works has failed the same page.
                share = self._pages / (self._pages + self._faults)
                shared = charge not in (Charge.DOUBTFUL, Charge.OPEN) or random.random() < share * (1.0 - share)
                strikes += self._now >= dies or not shared
                swapped = charge is Charge.WORKER or pin.ends(charge, rules.swap_after)
            self._free += 1
            needed = 1 if reputation.unproven(number) else rules.swap_after
            deserved, jitter = charge is Charge.PROXY or strikes >= needed, random.random()
            penalty = reputation.penalty(number, failure.fault, None, jitter) if deserved else NO_REST
            if isinstance(penalty, Retire):
                self._alive -= 1
                return
            yield penalty.seconds, inf
            probing = True

    def _end(self, rate: float) -> float:
        """When the last page ends: pages that have failed at last take longer."""
        scenario, random, busy = self._scenario, self._random, self._scenario.workers - self._free
        last, asked = self._now + scenario.last, self._now + scenario.patience
        end = max(last, min(self._last_failure, asked) + 1.0 / rate)
        for service in random.sample(scenario.services, min(len(scenario.services), busy)):
            if service.failures and random.random() < service.faults:
                until = self._now + random.random() * random.choice(service.failures).seconds
                end = max(end, min(until, asked) + scenario.last + 1.0 / rate)
        # Those that wait until the site may have recovered, by how often it has failed them.
        failing, rest = self._speed * rate * scenario.site_faults, FIRST_REST
        while failing * rest > 0.01 and rest < LONGEST_REST:
            ages = itertools.accumulate(random.expovariate(failing) for _ in range(10))
            end = max(end, *(last - age + rest * random.uniform(0.75, 1.25) + 1.0 / rate for age in ages))
            failing, rest = failing * self._workload.page_failure, 2 * rest + FIRST_REST
        return end
