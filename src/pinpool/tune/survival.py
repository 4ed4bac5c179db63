"""
Which proxies of a run have died, and how the living ones fail. Pure.

A proxy whose attempts end with failures may be dead, or alive with bad luck; the journal does not show which. The
proxies that came back show how likely bad luck is. How likely death is follows from how many have died, and that from
which of these ends is likelier death: the two are settled in turn.

A proxy that a site bans for good has had its fill of pages: it would have lived on without them. All other deaths take
time, whether a proxy is used or waits.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from math import expm1, prod
from statistics import fmean
from typing import NamedTuple

from pinpool.model import Fault

#: The rate of failure of all proxies counts like ten attempts of each single one.
PRIOR = 10
#: Death has to explain the end of a history ten times better than bad luck, or it was bad luck: paid proxies seldom
#: die, and one that is taken for dead is predicted to die in every crawl to come.
ODDS = 10
#: Rounds in which the share of proxies that never worked and the chance to die are fitted to each other.
ROUNDS = 100
#: How a site shows that it has banned a proxy.
BANS = (Fault.BANNED, Fault.EMPTY)
#: What comes before an attempt: a good one or none, a failed one, or a failed one and a rest.
GOOD, FAILED, RESTED = range(3)


class FailureSample(NamedTuple):
    """How an attempt may fail: the fault, and the seconds that it took."""

    fault: Fault
    seconds: float


class Attempt(NamedTuple):
    """An attempt at a second of the run, what came before it, and how it failed; None if it was good."""

    at: float
    before: int = GOOD
    failure: FailureSample | None = None


class History(NamedTuple):
    """One proxy: its attempts up to the last good one, and those after that. It has at least one."""

    lived: Sequence[Attempt]
    end: Sequence[Attempt]

    @property
    def pages(self) -> int:
        """How many pages it has served."""
        return sum(attempt.failure is None for attempt in self.lived)

    @property
    def banned(self) -> bool:
        """Whether it served pages until the site refused it."""
        last = self.end[-1].failure if self.end else None
        return bool(self.lived) and last is not None and last.fault in BANS


class Survival(NamedTuple):
    """
    Which of the histories are those of `dead` proxies, and how likely each, while it lived, had a `failure` after a
    good attempt. `again` is the chance to fail of a proxy that has just failed, `after_rest` of one that has rested
    since. `dead_on_arrival` is the share of proxies that never work, `hazard` the chance a second to die for good.
    """

    dead: Sequence[bool]
    failure: Sequence[float]
    again: float
    after_rest: float
    dead_on_arrival: float
    hazard: float


def failures(attempts: Iterable[Attempt]) -> list[FailureSample]:
    """Those of these attempts."""
    return [attempt.failure for attempt in attempts if attempt.failure is not None]


def estimate(histories: Sequence[History]) -> Survival:
    """What the histories of all proxies of a run show. At least one is needed."""
    dead = [bool(history.end) for history in histories]
    # How bad luck goes on is learnt from proxies that came back. Learnt from these ends too, a list of which no proxy
    # comes back would be one of living proxies that fail for ever.
    own, again, after_rest = _rates(histories, dead)
    pages = fmean(history.pages for history in histories) or 1.0  # of a proxy, after each of which it may have died
    for _ in histories:
        share = fmean(dead)
        for place, (history, failure) in enumerate(zip(histories, own, strict=True)):
            # A failure promises no good.
            chances = failure, max(again, failure), max(after_rest, failure)
            luck = prod(chances[attempt.before] for attempt in history.end)
            death = share / (pages if history.lived else 1.0)
            # No proxy recovers that refuses our login.
            fatal = any(failed.fault is Fault.PROXY_AUTH for failed in failures(history.end))
            dead[place] &= fatal or death > (1.0 - share) * ODDS * luck
        if fmean(dead) == share:
            break
    return Survival(dead, *_rates(histories, dead), *_deaths(histories, dead))


def _rates(histories: Sequence[History], dead: Sequence[bool]) -> tuple[list[float], float, float]:
    """How living proxies fail, if these are dead: `failure`, `again` and `after_rest` of a `Survival`."""
    # The end of one that lives was bad luck.
    lives = [own.lived if died else [*own.lived, *own.end] for own, died in zip(histories, dead, strict=True)]

    def rate(before: int, attempts: Iterable[Attempt], failed: float, tries: float) -> float:
        seen = Counter(attempt.failure is not None for attempt in attempts if attempt.before == before)
        return (seen[True] + failed) / (seen.total() + tries or 1.0)

    overall = rate(GOOD, chain(*lives), 0.0, 0.0)
    # Half a case more of the others: what was not seen is not impossible.
    again, after_rest = (rate(before, chain(*lives), 0.5, 1.0) for before in (FAILED, RESTED))
    return [rate(GOOD, attempts, PRIOR * overall, PRIOR) for attempts in lives], again, after_rest


def _deaths(histories: Sequence[History], dead: Sequence[bool]) -> tuple[float, float]:
    """The share that never worked and the chance a second to die, if these are dead."""
    dead_on_arrival, hazard = 0.5, 0.0
    for _ in range(ROUNDS):
        never = died = lived = 0.0
        for history, is_dead in zip(histories, dead, strict=True):
            if history.lived:
                lived += history.lived[-1].at
                if is_dead and not history.banned:  # between its last page and its first failure
                    died += 1.0
                    lived += (history.end[0].at - history.lived[-1].at) / 2
            elif is_dead:
                # One that failed at its first use, late in a run, may once have worked.
                first = history.end[0].at
                span = min(hazard * first, 100.0)
                later = (1.0 - dead_on_arrival) * -expm1(-span)
                later /= dead_on_arrival + later or 1.0
                never += 1.0 - later
                died += later
                # The mean age at death of proxies that die at this rate before they are used.
                lived += later * (first / 2 if span < 1e-6 else 1.0 / hazard - first / expm1(span))
        dead_on_arrival, hazard = never / len(histories), died / lived if lived else 0.0
    return dead_on_arrival, hazard
