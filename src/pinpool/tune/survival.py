"""
Which proxies of a run have died, and how the living ones fail: by expectation-maximization. Pure.

A proxy whose attempts end with failures may be dead, or alive with bad luck; the journal does not show which. The
proxies that came back show how likely bad luck is. How likely death is follows from how many have died, and that from
how likely each of these ends is death: both are improved in turn until they agree. At last the ends that were bad luck
count as failures of living proxies.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from pinpool.model import Fault

#: The rate of failure of all proxies counts like ten attempts of each single one.
PRIOR = 10
#: Death has to explain the end of a history ten times better than bad luck, or it was bad luck: paid proxies seldom
#: die, and one that is taken for dead is predicted to die in every crawl to come.
ODDS = 10
#: Most rounds of improvement, and the changes, relative and absolute, below which there is nothing to gain.
MOST_ROUNDS, SETTLED, NOTHING = 500, 1e-5, 1e-9
#: With fewer dead proxies than this, in all, none has died.
LEAST_DEAD = 0.5


class FailureSample(NamedTuple):
    """How an attempt may fail: the fault, and the seconds that it took."""

    fault: Fault
    seconds: float


class History(NamedTuple):
    """
    One proxy. `first`, `last_good` and `ending` are when those attempts began, in seconds since the run did. The counts
    are (failed, all) attempts that followed a good one or none, a failed one at once, or a failed one and a rest.

    They leave out its end: the failures after its last page. The end began at `ending`, None if the last attempt was
    good. `at_once` and `rested` count its further failures. `fatal`: no proxy recovers from one of them. `failures` are
    those before the end, `end` is those of the end.
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

    @property
    def loses_proxies(self) -> bool:
        """Whether a proxy may be lost for good."""
        return bool(self.hazard or self.dead_on_arrival)


def estimate(histories: Sequence[History]) -> Survival:
    """What the histories of all proxies of a run show. At least one is needed."""
    dead = [float(history.ending is not None) for history in histories]
    # How the living fail is learnt from proxies that came back. Learnt from these ends too, a list of which no proxy
    # comes back would be one of living proxies that fail for ever.
    living = _failures(histories, dead)
    deaths = _deaths(histories, dead, (0.5, 0.0))
    for _ in range(MOST_ROUNDS):
        seen = Survival(dead, *living, *deaths)
        dead = [_chance_dead(history, failure, seen) for history, failure in zip(histories, seen.failure, strict=True)]
        before, deaths = deaths, _deaths(histories, dead, deaths)
        if all(map(partial(math.isclose, rel_tol=SETTLED, abs_tol=NOTHING), before, deaths)):
            break
    if sum(dead) < LEAST_DEAD:
        dead, deaths = [0.0] * len(histories), (0.0, 0.0)
    return Survival(dead, *_failures(histories, dead), *deaths)


def _failures(histories: Sequence[History], dead: Sequence[float]) -> tuple[list[float], float, float]:
    """How living proxies fail, if these are dead: `failure`, `again` and `after_rest` of a `Survival`."""
    # The end of a history counts by the chance that it was bad luck.
    unlucky = [
        (history, 0.0 if history.ending is None else 1.0 - chance)
        for history, chance in zip(histories, dead, strict=True)
    ]
    counts = [(history.after_good[0] + luck, history.after_good[1] + luck) for history, luck in unlucky]
    overall = sum(failed for failed, _ in counts) / (sum(tries for _, tries in counts) or 1.0)
    return (
        [(failed + PRIOR * overall) / (tries + PRIOR) for failed, tries in counts],
        _rate([(*history.again, luck * history.at_once) for history, luck in unlucky]),
        _rate([(*history.after_rest, luck * history.rested) for history, luck in unlucky]),
    )


def _rate(counts: Sequence[tuple[int, int, float]]) -> float:
    """The rate of failures from (failed, all, failed at the end)."""
    # Half a case of each kind: what was not seen is not impossible.
    failed, tries, at_end = map(sum, zip(*counts, strict=True))
    return (failed + at_end + 0.5) / (tries + at_end + 1)


def _chance_dead(history: History, failure: float, seen: Survival) -> float:
    """How likely its end is death and not bad luck."""
    if history.ending is None or history.fatal:
        return float(history.fatal)
    worked = 1.0 if history.last_good is not None else 1.0 - seen.dead_on_arrival
    died = 1.0 - worked * (1.0 - _dead_by(seen.hazard, history.ending - (history.last_good or 0.0)))
    luck = failure * seen.again**history.at_once * seen.after_rest**history.rested
    unlucky = ODDS * (1.0 - died) * luck
    return died / (died + unlucky) if died + unlucky else 0.0


def _deaths(histories: Sequence[History], dead: Sequence[float], before: tuple[float, float]) -> tuple[float, float]:
    """
    The share that never worked, and the chance a second to die, if these are dead. A proxy that failed at its first
    use, late in a run, may once have worked: these two as known `before` say how likely that is.
    """
    (dead_on_arrival, hazard), never, died, lived = before, 0.0, 0.0, 0.0
    for history, chance in zip(histories, dead, strict=True):
        if history.last_good is not None:
            died += chance
            lived += history.last_good
            if history.ending is not None:
                # It died between its last page and its first failure.
                lived += chance * (history.ending - history.last_good) / 2
        elif chance:
            later = (1.0 - dead_on_arrival) * _dead_by(hazard, history.first)
            later *= chance / (dead_on_arrival + later or 1.0)
            never += chance - later
            died += later
            lived += later * _mean_age(hazard, history.first)
    return never / len(histories), died / lived if lived else 0.0


def _dead_by(hazard: float, seconds: float) -> float:
    return -math.expm1(-hazard * max(0.0, seconds))


def _mean_age(hazard: float, by: float) -> float:
    """The mean age at death of proxies that die at this rate before the age `by`."""
    span = hazard * by
    if span < 1e-6:
        return by / 2
    return (1.0 + span * math.exp(-span) / math.expm1(-span)) / hazard
