"""
One simulated crawl, proxy by proxy: which of them work, fail, rest and retire, while pages flow in between.

No single page is followed. While a proxy serves it has a speed. When it is worn out, so that its worker swaps it for
its failures, or dies, is drawn beforehand; between two such events the pages of all proxies are one growing number.
`policy/` decides how long a proxy rests and when it retires. Pure: the same seed gives the same crawl.
"""

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
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

#: A crawl that goes on for ever ends here: after years of simulated time, or as many events.
LAST_SECOND, MOST_EVENTS = 1e9, 300_000
#: The shortest attempt in seconds. Of shorter ones a worker could make any number at one moment.
SHORTEST = 1e-4


class Crawled(NamedTuple):
    """
    How the crawl went. `seconds` is when its last page ended, `lasted` whether every page ended before all proxies
    were retired. `parked` is the share of the workers' time without a proxy. `cost` tells how long it took to simulate.
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
        machine, workload, rules = recording.machine, recording.workload, recording.settings
        latencies, busy = workload.latencies, min(workers, proxies)
        factors = machine.stretches(busy, rules.pace)
        # With a pace some pages are longer than it, and others not.
        times = latencies[:: max(1, len(latencies) // 20)] if rules.pace else [machine.mean]
        #: Seconds from one good attempt of a worker to its next, by the number of busy workers.
        self.slots = [
            max(SHORTEST, fmean(paced((seconds + machine.overhead) * factor, rules.pace) for seconds in times))
            for factor in factors
        ]
        slot = self.slots[busy]
        # Failed attempts for each page that are not its proxy's, and those of them for which it waits for the site.
        for_page = sum(workload.page_failure**n for n in range(1, rules.attempts))
        of_site = [FAULTS[failure.fault].charge is Charge.SITE for failure in workload.page_failures]
        self.site_faults = for_page * fmean(of_site or [0.0])
        #: Seconds from the moment at which all pages are done on average to the end of the last one: when it begins the
        #: others are half through, and the slowest of them ends it.
        self.last = latencies[int(len(latencies) * busy / (busy + 1))] * factors[busy] - slot / 2
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
    sure = fmean(FAULTS[failure.fault].charge is Charge.PROXY for failure in failures) if failures else 0.0
    swap, passing, goes_on = 0.0, 0.0, 1.0
    for strikes in range(1, swap_after + 1):
        swaps = goes_on * (sure if strikes < swap_after else 1.0)
        swap += swaps
        passing += strikes * (goes_on - swaps) * (1 - again)
        goes_on = (goes_on - swaps) * again
    return swap, passing


@dataclass(slots=True, eq=False)
class _Proxy:
    number: int
    service: Service
    dies: float
    death: Sequence[FailureSample]
    patience: Patience = field(default_factory=Patience)
    strikes: int = 0
    serving: int = 0  # the number of its present service, 0 if it does not serve
    since: float = 0.0


class Crawl:
    """A crawl over proxies that are drawn from the recorded ones."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self._scenario, self._random = scenario, Random(seed)
        self._rules, self._workload = scenario.recording.settings, scenario.recording.workload
        self._reputation = Reputation(self._rules.cooling)
        survival, deaths, random = self._workload.survival, self._workload.deaths, self._random
        # Those that have just rested are handed out last.
        self._spares, self._probing = deque[_Proxy](), deque[_Proxy]()
        # Each recorded proxy once before any comes a second time.
        rounds = -(-scenario.proxies // len(scenario.services))
        drawn = [service for _ in range(rounds) for service in random.sample(scenario.services, len(scenario.services))]
        for number, service in enumerate(drawn[: scenario.proxies], 1):
            self._reputation.admit(number, "")
            dies = random.expovariate(survival.hazard) if survival.hazard else inf
            dies = dies if random.random() >= survival.dead_on_arrival else 0.0
            self._spares.append(_Proxy(number, service, dies, random.choice(deaths) if deaths else ()))
        self._alive, self._parked = scenario.proxies, 0
        self._now = self._parked_seconds = self._pages = self._faults = self._served = self._last_failure = 0.0
        # A proxy is worn out after some number of pages, however long they take: `_turns` is how many pages a proxy
        # that never fails would have served by now. `_speed` and `_failing` are pages and faults in one such turn.
        self._turns = self._speed = self._failing = 0.0
        self._worn: list[tuple[float, int, _Proxy]] = []
        self._moments: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count(1)

    def run(self) -> Crawled:
        """Do the crawl. To be called once."""
        recording, workers = self._scenario.recording, self._scenario.workers
        for number in range(workers):
            self._at(number * recording.machine.boot, self._take)
        events, end = 0, None
        while self._alive and events < MOST_EVENTS and self._now < LAST_SECOND:
            events += 1
            rate, left = self._rate(), recording.job.pages - self._pages
            moment = self._moments[0][0] if self._moments else inf
            worn = self._now + (self._worn[0][0] - self._turns) / rate if self._worn else inf
            over = self._now + left / (self._speed * rate) if self._speed > 1e-9 else inf
            seconds = min(moment, worn, over) - self._now
            self._now += seconds
            self._parked_seconds += seconds * self._parked
            self._turns += seconds * rate
            self._pages += seconds * rate * self._speed
            self._faults += seconds * rate * self._failing
            self._served = self._now if self._speed else self._served
            if over <= min(moment, worn):
                end = self._end(rate)
                break
            if worn < moment:
                _, service, proxy = heapq.heappop(self._worn)
                self._stop(proxy, service, proxy.service.failures)
            else:
                heapq.heappop(self._moments)[2]()
        return Crawled(
            lasted=end is not None,
            seconds=self._served if end is None else end,
            pages=self._pages,
            faults=self._faults,
            parked=self._parked_seconds / (self._now * workers) if self._now else 0.0,
            retired=self._scenario.proxies - self._alive,
            cost=events + self._scenario.proxies,
        )

    def _rate(self) -> float:
        """Turns in a second: as workers share the machine, the rate of the site, and pages that are not all known."""
        slots, job = self._scenario.slots, self._scenario.recording.job
        rate = 1.0 / slots[max(0, min(self._scenario.workers - self._parked, len(slots) - 1))]
        if self._speed:
            rate = min(rate, rate * job.pages / (job.depth * self._speed))
            if self._rules.site_rate:
                rate = min(rate, self._rules.site_rate / (self._speed + self._failing))
        return rate

    def _at(self, moment: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._moments, (moment, next(self._order), act))

    def _take(self) -> None:
        """A worker takes a proxy, or parks."""
        if proxies := self._spares or self._probing:
            proxy = proxies.popleft()
            if self._now >= proxy.dies:
                self._fail(proxy, proxy.death)
            elif proxy.patience.probing and self._random.random() < self._workload.survival.after_rest:
                self._fail(proxy, proxy.service.failures)
            else:
                self._serve(proxy)
        else:
            self._parked += 1

    def _serve(self, proxy: _Proxy) -> None:
        """Serve pages until it is worn out or dead."""
        if proxy.patience.probing:
            self._credit(proxy)
        number, swap = next(self._order), proxy.service.swap
        proxy.serving, proxy.since = number, self._turns
        self._speed += proxy.service.speed
        self._failing += proxy.service.speed * proxy.service.faults
        if swap > 0.0:
            pages = log1p(-self._random.random()) // log1p(-swap) if swap < 1.0 else 0.0
            heapq.heappush(self._worn, (self._turns + pages / proxy.service.speed, number, proxy))
        if proxy.dies < inf and proxy.death:
            # It ends the page that it is at.
            moment = proxy.dies + self._random.random() / self._rate()
            self._at(moment, lambda: self._stop(proxy, number, proxy.death))

    def _credit(self, proxy: _Proxy) -> None:
        self._reputation.credit(proxy.number)
        proxy.patience.served()
        proxy.strikes = 0

    def _stop(self, proxy: _Proxy, service: int, failures: Sequence[FailureSample]) -> None:
        """It is worn out or dead, unless that service is over."""
        if proxy.serving == service:
            proxy.serving = 0
            self._speed = max(0.0, self._speed - proxy.service.speed)
            self._failing = max(0.0, self._failing - proxy.service.speed * proxy.service.faults)
            if round((self._turns - proxy.since) * proxy.service.speed):
                self._credit(proxy)
            self._fail(proxy, failures)

    def _fail(self, proxy: _Proxy, failures: Sequence[FailureSample]) -> None:
        """Fail once more, if it is known how."""
        if not failures:
            self._serve(proxy)
            return
        failure = self._random.choice(failures)
        until = self._now + self._scenario.seconds(failure)
        self._last_failure = max(self._last_failure, until)
        self._at(until, lambda: self._failed(proxy, failure, failures))

    def _failed(self, proxy: _Proxy, failure: FailureSample, failures: Sequence[FailureSample]) -> None:
        """The worker keeps the proxy or swaps it; then it rests, or retires."""
        self._faults += 1
        charge = FAULTS[failure.fault].charge
        # No strike if the site or the page is to blame, or another proxy that works has failed the same page.
        share = self._pages / (self._pages + self._faults)
        dead, shared = self._now >= proxy.dies, self._random.random() < share * (1.0 - share)
        proxy.strikes += dead or (charge in (Charge.DOUBTFUL, Charge.OPEN) and not shared)
        if charge is not Charge.WORKER and not proxy.patience.ends(charge, self._rules.swap_after):
            self._fail(proxy, failures)
            return
        needed = 1 if self._reputation.unproven(proxy.number) else self._rules.swap_after
        deserved = charge is Charge.PROXY or proxy.strikes >= needed
        jitter = self._random.random()
        penalty = self._reputation.penalty(proxy.number, failure.fault, None, jitter) if deserved else NO_REST
        if isinstance(penalty, Retire):
            self._alive -= 1
        else:
            self._at(self._now + penalty.seconds, lambda: self._rested(proxy))
        self._take()

    def _rested(self, proxy: _Proxy) -> None:
        proxy.patience = Patience(probing=True)
        self._probing.append(proxy)
        if self._parked:
            self._parked -= 1
            self._take()

    def _end(self, rate: float) -> float:
        """When the last page ends: pages that have failed at last take longer."""
        scenario, random, busy = self._scenario, self._random, self._scenario.workers - self._parked
        last, patience = self._now + scenario.last, self._now + scenario.patience
        end = max(last, min(self._last_failure, patience) + 1.0 / rate)
        for service in random.sample(scenario.services, min(len(scenario.services), busy)):
            if service.failures and random.random() < service.faults:
                until = self._now + random.random() * random.choice(service.failures).seconds
                end = max(end, min(until, patience) + scenario.last + 1.0 / rate)
        # Those that wait until the site may have recovered, by how often it has failed them.
        failing, rest = self._speed * rate * scenario.site_faults, FIRST_REST
        while failing * rest > 0.01 and rest < LONGEST_REST:
            end = max(end, last - random.expovariate(failing) + rest * random.uniform(0.75, 1.25) + 1.0 / rate)
            failing, rest = failing * self._workload.page_failure, 2 * rest + FIRST_REST
        return end
