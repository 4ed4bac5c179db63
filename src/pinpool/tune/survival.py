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
from math import expm1, prod
from statistics import fmean
from typing import NamedTuple

from pinpool.model import Fault

#: The rate of failure of all proxies counts like ten attempts of each single one.
PRIOR = 10
#: Death has to explain the end of a history ten times better than bad luck, or it was bad luck: paid proxies seldom
#: die, and one that is taken for dead is predicted to die in every crawl to come.
ODDS = 10
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
    """One proxy: its attempts while it lives, and its end: those after its last good one, if it has died."""

    lived: Sequence[Attempt]
    end: Sequence[Attempt] = ()

    @property
    def pages(self) -> int:
        """How many pages it has served."""
        return sum(attempt.failure is None for attempt in self.lived)

    @property
    def banned(self) -> bool:
        """Whether it served pages until the site refused it."""
        return bool(self.pages and self.end) and failures(self.end)[-1].fault in BANS


class Behavior(NamedTuple):
    """
    A proxy that has worked: how likely it fails after a good attempt, and with what, how many pages it has served, and
    with what it has failed since, if these were all before the site banned it for good.
    """

    failure: float
    failures: Sequence[FailureSample]
    pages: int = 0
    ban: Sequence[FailureSample] = ()


class Survival(NamedTuple):
    """
    `again` is the chance to fail of a proxy that has just failed, `after_rest` of one that has rested since.
    `dead_on_arrival` is the share of proxies that never work, `hazard` the chance a second to die for good, and
    `deaths` how they fail then. `lost` is how many proxies have died or were banned.
    """

    behaviors: Sequence[Behavior]
    again: float
    after_rest: float
    dead_on_arrival: float = 0.0
    hazard: float = 0.0
    deaths: Sequence[Sequence[FailureSample]] = ()
    lost: int = 0


def failures(attempts: Iterable[Attempt]) -> list[FailureSample]:
    """Those of these attempts."""
    return [attempt.failure for attempt in attempts if attempt.failure is not None]


def estimate(histories: Sequence[History]) -> Survival:
    """What the histories of all proxies of a run show, as if each that ends with failures had died. One is needed."""
    histories = _settled(histories)
    own, again, after_rest = _rates(histories)
    of_all = [failure for history in histories for failure in failures(history.lived)]
    # Proxies that never worked show how proxies fail, not how they work.
    behaviors = [
        Behavior(
            chance if of_all else 0.0, failures(one.lived) or of_all, one.pages, failures(one.end if one.banned else ())
        )
        for one, chance in zip(histories, own, strict=True)
        if one.pages
    ]
    deaths = [failures(history.end) for history in histories if history.end and not history.banned]
    return Survival(behaviors, again, after_rest, *_deaths(histories), deaths, sum(bool(own.end) for own in histories))


def _settled(histories: Sequence[History]) -> list[History]:
    """The same, where ends that were bad luck are a part of life."""
    # How bad luck goes on is learnt from proxies that came back. Learnt from these ends too, a list of which no proxy
    # comes back would be one of living proxies that fail for ever.
    own, again, after_rest = _rates(histories)
    pages = fmean(history.pages for history in histories) or 1.0  # of a proxy, after each of which it may have died
    settled, dead = list(histories), -1
    while dead != (dead := sum(bool(history.end) for history in settled)):
        share = dead / len(settled)
        for place, (history, failure) in enumerate(zip(settled, own, strict=True)):
            # A failure promises no good.
            chances = failure, max(again, failure), max(after_rest, failure)
            luck = prod(chances[attempt.before] for attempt in history.end)
            death = share / (pages if history.pages else 1.0)
            # No proxy recovers that refuses our login.
            fatal = any(failed.fault is Fault.PROXY_AUTH for failed in failures(history.end))
            if not fatal and death <= (1.0 - share) * ODDS * luck:
                settled[place] = History([*history.lived, *history.end])
    return settled


def _rates(histories: Sequence[History]) -> tuple[list[float], float, float]:
    """How living proxies fail: each after a good attempt; all after a failed one, and after a failed one and a rest."""

    def rate(before: int, attempts: Iterable[Attempt], failed: float, tries: float) -> float:
        seen = Counter(attempt.failure is not None for attempt in attempts if attempt.before == before)
        return (seen[True] + failed) / (seen.total() + tries or 1.0)

    of_all = [attempt for history in histories for attempt in history.lived]
    overall = rate(GOOD, of_all, 0.0, 0.0)
    # Half a case more of the others: what was not seen is not impossible.
    again, after_rest = (rate(before, of_all, 0.5, 1.0) for before in (FAILED, RESTED))
    return [rate(GOOD, history.lived, PRIOR * overall, PRIOR) for history in histories], again, after_rest


def _deaths(histories: Sequence[History]) -> tuple[float, float]:
    """The share that never worked and the chance a second to die."""
    dead_on_arrival, hazard = 0.5, 0.0
    for _ in range(100):  # until they agree
        never = died = lived = 0.0
        for history in histories:
            if history.lived:
                lived += history.lived[-1].at
                if history.end and not history.banned:  # between its last page and its first failure
                    died += 1.0
                    lived += (history.end[0].at - history.lived[-1].at) / 2
            else:
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
