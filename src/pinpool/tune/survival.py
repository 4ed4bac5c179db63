"""
Which proxies of a run have died, and how the living ones fail: by expectation-maximization. Pure.

A proxy whose attempts end with failures may be dead, or alive with bad luck; the journal does not show which. The
proxies that came back show how likely bad luck is. How likely death is follows from how many have died, and that from
how likely each of these ends is death: both are improved in turn until they agree.

A proxy that a site bans for good has had its fill of pages: it would have lived on without them. All other deaths take
time, whether a proxy is used or waits.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from pinpool.model import Fault

#: The rate of failure of all proxies counts like ten attempts of each single one.
PRIOR = 10
#: Death has to explain the end of a history ten times better than bad luck, or it was bad luck: paid proxies seldom
#: die, and one that is taken for dead is predicted to die in every crawl to come. With fewer dead, in all, none is.
ODDS, LEAST_DEAD = 10, 0.5
#: Rounds of improvement.
ROUNDS = 200
#: How a site shows that it has banned a proxy.
_BANS = (Fault.BANNED, Fault.EMPTY)


class FailureSample(NamedTuple):
    """How an attempt may fail: the fault, and the seconds that it took."""

    fault: Fault
    seconds: float


class Kind(NamedTuple):
    """
    An attempt by what came before (a good one or none, a failed one, or a failed one and a rest), whether it failed,
    and whether no good one followed.
    """

    before: int
    failed: bool = False
    at_end: bool = False


AFTER_GOOD, AGAIN, AFTER_REST = range(3)


class History(NamedTuple):
    """
    One proxy: its first attempt and last good one (seconds of the run), how many attempts of each kind it has made,
    its `failures` before the last good one, and `end`, those after it, which began at `ending`.
    """

    first: float
    last_good: float | None
    counts: Mapping[Kind, int]
    ending: float = 0.0
    failures: Sequence[FailureSample] = ()
    end: Sequence[FailureSample] = ()

    @property
    def pages(self) -> int:
        """How many pages it has served."""
        return sum(number for kind, number in self.counts.items() if not kind.failed)

    @property
    def banned(self) -> bool:
        """Whether it served pages until the site refused it."""
        return self.last_good is not None and bool(self.end) and self.end[-1].fault in _BANS


class Survival(NamedTuple):
    """
    `dead` is the chance that a proxy has died, and `failure` how likely a living one fails after a good attempt, one
    for each history. `again` is the chance to fail of a proxy that has just failed, `after_rest` of one that has rested
    since. `dead_on_arrival` is the share of proxies that never work, `hazard` the chance a second to die for good.
    """

    dead: Sequence[float]
    failure: Sequence[float]
    again: float
    after_rest: float
    dead_on_arrival: float
    hazard: float


def estimate(histories: Sequence[History]) -> Survival:
    """What the histories of all proxies of a run show. At least one is needed."""
    dead = [float(bool(history.end)) for history in histories]
    # How the living fail is learnt from proxies that came back. Learnt from these ends too, a list of which no proxy
    # comes back would be one of living proxies that fail for ever.
    failures, again, after_rest = _failures(histories, dead)
    share = 0.5
    for _ in range(ROUNDS):
        dead = []
        for history, failure in zip(histories, failures, strict=True):
            at_once, rested = (history.counts.get(Kind(before, True, True), 0) for before in (AGAIN, AFTER_REST))
            luck = ODDS * (1.0 - share) * failure * again**at_once * after_rest**rested
            # No proxy recovers that refuses our login.
            fatal = any(failure.fault is Fault.PROXY_AUTH for failure in history.end)
            dead.append(1.0 if fatal else share / (share + luck or 1.0) if history.end else 0.0)
        share = fmean(dead)
    if sum(dead) < LEAST_DEAD:
        dead = [0.0] * len(histories)
    return Survival(dead, *_failures(histories, dead), *_deaths(histories, dead))


def _failures(histories: Sequence[History], dead: Sequence[float]) -> tuple[list[float], float, float]:
    """How living proxies fail, if these are dead: `failure`, `again` and `after_rest` of a `Survival`."""
    sums = {AFTER_GOOD: (0.0, 0.0), AGAIN: (0.5, 1.0), AFTER_REST: (0.5, 1.0)}  # what was not seen is not impossible
    each = []
    for history, chance in zip(histories, dead, strict=True):
        for before, (failed, tries) in sums.items():
            passes, fails, ends = (history.counts.get(Kind(before, *of), 0) for of in ((False,), (True,), (True, True)))
            # The end of a history counts by the chance that it was bad luck.
            own = fails + (1.0 - chance) * ends
            sums[before] = (failed + own, tries + passes + own)
            if before == AFTER_GOOD:
                each.append((own, passes + own))
    overall, again, after_rest = (failed / (tries or 1.0) for failed, tries in sums.values())
    return [(failed + PRIOR * overall) / (tries + PRIOR) for failed, tries in each], again, after_rest


def _deaths(histories: Sequence[History], dead: Sequence[float]) -> tuple[float, float]:
    """The share that never worked and the chance a second to die, if these are dead."""
    dead_on_arrival, hazard = 0.5, 0.0
    for _ in range(ROUNDS):
        never = died = lived = 0.0
        for history, chance in zip(histories, dead, strict=True):
            if history.last_good is not None:
                lost = 0.0 if history.banned else chance
                died += lost
                # It died between its last page and its first failure.
                lived += history.last_good + lost * (history.ending - history.last_good) / 2
            elif chance:
                # One that failed at its first use, late in a run, may once have worked.
                span = min(hazard * history.first, 100.0)
                later = (1.0 - dead_on_arrival) * -math.expm1(-span)
                later *= chance / (dead_on_arrival + later or 1.0)
                never += chance - later
                died += later
                # The mean age at death of proxies that die at this rate before they are used.
                lived += later * (history.first / 2 if span < 1e-6 else 1 / hazard - history.first / math.expm1(span))
        dead_on_arrival, hazard = never / len(histories), died / lived if lived else 0.0
    return dead_on_arrival, hazard
