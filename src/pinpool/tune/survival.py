"""
Which proxies of a run have died, and how the living ones fail: by expectation-maximization. Pure.

A proxy whose attempts end with failures may be dead, or alive with bad luck; the journal does not show which. The
proxies that came back show how likely bad luck is. How likely death is follows from how many have died, and that from
how likely each of these ends is death: both are improved in turn until they agree. At last the ends that were bad luck
count as failures of living proxies.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from pinpool.model import Fault

#: The rate of failure of all proxies counts like ten attempts of each single one.
PRIOR = 10
#: Death has to explain the end of a history ten times better than bad luck, or it was bad luck: paid proxies seldom
#: die, and one that is taken for dead is predicted to die in every crawl to come. With fewer dead, in all, none is.
ODDS, LEAST_DEAD = 10, 0.5
#: Most rounds of improvement, and the relative change below which there is nothing to gain.
MOST_ROUNDS, SETTLED = 500, 1e-5


class FailureSample(NamedTuple):
    """How an attempt may fail: the fault, and the seconds that it took."""

    fault: Fault
    seconds: float


class History(NamedTuple):
    """
    One proxy: its first attempt, last good one, and `end`, the failures after that, at `ending` (seconds of the run).

    The counts are (failed, all) attempts before the end that followed a good one or none, a failed one at once, or a
    failed one and a rest. `at_once` and `rested` count those of the end; from a `fatal` one no proxy recovers.
    """

    first: float
    last_good: float | None
    after_good: tuple[int, int] = (0, 0)
    again: tuple[int, int] = (0, 0)
    after_rest: tuple[int, int] = (0, 0)
    ending: float | None = None
    at_once: int = 0
    rested: int = 0
    fatal: bool = False
    failures: Sequence[FailureSample] = ()
    end: Sequence[FailureSample] = ()


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
    dead = [float(history.ending is not None) for history in histories]
    # How the living fail is learnt from proxies that came back. Learnt from these ends too, a list of which no proxy
    # comes back would be one of living proxies that fail for ever.
    living = _failures(histories, dead)
    deaths = _deaths(histories, dead, 0.5, 0.0)
    for _ in range(MOST_ROUNDS):
        seen = Survival(dead, *living, *deaths)
        dead = [_chance_dead(history, failure, seen) for history, failure in zip(histories, seen.failure, strict=True)]
        before, deaths = deaths, _deaths(histories, dead, *deaths)
        if math.dist(before, deaths) <= SETTLED * math.hypot(*deaths):
            break
    if sum(dead) < LEAST_DEAD:
        dead, deaths = [0.0] * len(histories), (0.0, 0.0)
    return Survival(dead, *_failures(histories, dead), *deaths)


def _failures(histories: Sequence[History], dead: Sequence[float]) -> tuple[list[float], float, float]:
    """How living proxies fail, if these are dead: `failure`, `again` and `after_rest` of a `Survival`."""
    sums = [[0.0, 0.0], [0.5, 1.0], [0.5, 1.0]]  # half a case of each kind: what was not seen is not impossible
    counts = []
    for history, chance in zip(histories, dead, strict=True):
        # The end of a history counts by the chance that it was bad luck.
        luck = 0.0 if history.ending is None else 1.0 - chance
        more = (luck, luck * history.at_once, luck * history.rested)
        for place, (failed, tries) in enumerate((history.after_good, history.again, history.after_rest)):
            sums[place][0] += failed + more[place]
            sums[place][1] += tries + more[place]
        counts.append((history.after_good[0] + luck, history.after_good[1] + luck))
    overall, again, after_rest = (failed / (tries or 1.0) for failed, tries in sums)
    return [(failed + PRIOR * overall) / (tries + PRIOR) for failed, tries in counts], again, after_rest


def _chance_dead(history: History, failure: float, seen: Survival) -> float:
    """How likely its end is death and not bad luck."""
    if history.ending is None or history.fatal:
        return float(history.fatal)
    worked = 1.0 if history.last_good is not None else 1.0 - seen.dead_on_arrival
    died = 1.0 - worked * math.exp(-seen.hazard * (history.ending - (history.last_good or 0.0)))
    unlucky = ODDS * (1.0 - died) * failure * seen.again**history.at_once * seen.after_rest**history.rested
    return died / (died + unlucky) if died + unlucky else 0.0


def _deaths(
    histories: Sequence[History], dead: Sequence[float], dead_on_arrival: float, hazard: float
) -> tuple[float, float]:
    """
    The share that never worked and the chance a second to die, if these are dead. A proxy that failed at its first use,
    late in a run, may once have worked: the two as known so far say how likely that is.
    """
    never, died, lived = 0.0, 0.0, 0.0
    for history, chance in zip(histories, dead, strict=True):
        if history.last_good is not None:
            died += chance
            # It died between its last page and its first failure.
            lived += history.last_good + chance * ((history.ending or history.last_good) - history.last_good) / 2
        elif chance:
            span = hazard * history.first
            later = (1.0 - dead_on_arrival) * -math.expm1(-span)
            later *= chance / (dead_on_arrival + later or 1.0)
            never += chance - later
            died += later
            # The mean age at death of proxies that die at this rate before they are used.
            age = history.first / 2 if span < 1e-6 else (1.0 + span * math.exp(-span) / math.expm1(-span)) / hazard
            lived += later * age
    return never / len(histories), died / lived if lived else 0.0
