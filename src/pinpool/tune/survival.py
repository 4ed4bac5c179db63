"""
Which proxies of a run have died, and how the living ones fail: by expectation and maximisation. Pure.

A proxy whose attempts end with failures may be dead, or alive and have bad luck; nobody saw which. How likely bad luck
is, is told by those that came back. How likely death is, follows from how many have died, and that from how likely each
of these ends is death: both are made better in turn, until they agree. At last the ends that were bad luck are counted
to the failures of the living.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

#: A proxy's own rate of failure weighs against that of all as if all had been seen so often.
PRIOR = 10
#: Death has to explain the end of a course so many times better than bad luck, or it was bad luck: of proxies that are
#: paid for few die, and one that is taken for dead is foretold to die in every crawl to come.
ODDS = 10
#: Rounds of making better, and the changes, in proportion and at all, below which there is nothing to be gained.
MOST_ROUNDS, SETTLED, NOTHING = 500, 1e-5, 1e-9
#: With fewer dead than this, in all, nobody has died.
SOMEBODY = 0.5


class Course(NamedTuple):
    """
    One proxy. `first`, `last_good` and `ending` are when those attempts began, in seconds since the run did. The counts
    are (failed, all) attempts that followed a good one or none, a failed one at once, or a failed one and a rest.

    They leave out its end, the failures after its last page. That began at `ending`, None if the last attempt was good,
    and held so many more failures `at_once` and `rested`; with `fatal` one that no proxy recovers from.
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


class Survival(NamedTuple):
    """
    `dead` is the chance that a proxy has died, and `failure` how likely a living one fails after a good attempt, one
    for each course. The others are for all proxies: see `pinpool.tune.workload.World`.
    """

    dead: Sequence[float]
    failure: Sequence[float]
    again: float
    after_rest: float
    stillborn: float
    hazard: float


def infer(courses: Sequence[Course]) -> Survival:
    """What the courses of all proxies of a run tell; at least one is needed."""
    dead = [float(course.ending is not None) for course in courses]
    # How the living fail is learnt from those that were seen to come back: were it learnt from these ends too, a list
    # of which nobody comes back would be one of living proxies that fail for ever.
    living = _living(courses, dead)
    rates = _deaths(courses, dead, _Rates(0.5, 0.0))
    for _ in range(MOST_ROUNDS):
        dead = [
            _chance(course, failure, living, rates)
            for course, failure in zip(courses, living.failure, strict=True)
        ]
        before, rates = rates, _deaths(courses, dead, rates)
        if all(
            math.isclose(old, new, rel_tol=SETTLED, abs_tol=NOTHING)
            for old, new in zip(before, rates, strict=True)
        ):
            break
    if sum(dead) < SOMEBODY:
        dead, rates = [0.0] * len(courses), _Rates(0.0, 0.0)
    return Survival(dead, *_living(courses, dead), *rates)


class _Rates(NamedTuple):
    stillborn: float
    hazard: float


class _Living(NamedTuple):
    failure: list[float]
    again: float
    after_rest: float


def _living(courses: Sequence[Course], dead: Sequence[float]) -> _Living:
    """How living proxies fail, if those are dead."""
    alive = [0.0 if one.ending is None else 1.0 - chance for one, chance in zip(courses, dead, strict=True)]
    failed = [course.after_good[0] + more for course, more in zip(courses, alive, strict=True)]
    seen = [course.after_good[1] + more for course, more in zip(courses, alive, strict=True)]
    overall = sum(failed) / sum(seen) if sum(seen) else 0.0
    at_once = sum(more * course.at_once for course, more in zip(courses, alive, strict=True))
    rested = sum(more * course.rested for course, more in zip(courses, alive, strict=True))
    return _Living(
        [(fails + PRIOR * overall) / (all_ + PRIOR) for fails, all_ in zip(failed, seen, strict=True)],
        _rate(sum(one.again[0] for one in courses) + at_once, sum(one.again[1] for one in courses) + at_once),
        _rate(
            sum(one.after_rest[0] for one in courses) + rested,
            sum(one.after_rest[1] for one in courses) + rested,
        ),
    )


def _rate(failed: float, seen: float) -> float:
    # Half a case of each kind, so that neither is impossible because it was not seen.
    return (failed + 0.5) / (seen + 1)


def _chance(course: Course, failure: float, living: _Living, rates: _Rates) -> float:
    """How likely its end is death and not bad luck."""
    if course.ending is None or course.fatal:
        return float(course.fatal)
    if course.last_good is None:
        died = rates.stillborn + (1.0 - rates.stillborn) * _by_then(rates.hazard, course.ending)
    else:
        died = _by_then(rates.hazard, course.ending - course.last_good)
    unlucky = ODDS * (1.0 - died) * failure * living.again**course.at_once * living.after_rest**course.rested
    return died / (died + unlucky) if died + unlucky else 0.0


def _deaths(courses: Sequence[Course], dead: Sequence[float], rates: _Rates) -> _Rates:
    """
    The share that never worked, and the chance a second to die, if those are dead. Of a proxy that failed at its first
    use, late in a run, nobody knows whether it had ever worked: that follows from what both were thought to be.
    """
    never = died = lived = 0.0
    for course, chance in zip(courses, dead, strict=True):
        if course.last_good is not None:
            died += chance
            lived += course.last_good
            if course.ending is not None:
                # Between its last page and its first failure; nobody saw the moment.
                lived += chance * (course.ending - course.last_good) / 2
        elif chance:
            by_then = (1.0 - rates.stillborn) * _by_then(rates.hazard, course.first)
            total = rates.stillborn + by_then
            born_dead = rates.stillborn / total if total else 1.0
            never += chance * born_dead
            died += chance * (1.0 - born_dead)
            lived += chance * (1.0 - born_dead) * _mean_age(rates.hazard, course.first)
    return _Rates(never / len(courses), died / lived if lived else 0.0)


def _by_then(hazard: float, seconds: float) -> float:
    return -math.expm1(-hazard * max(0.0, seconds))


def _mean_age(hazard: float, by: float) -> float:
    """The mean age at death of those that die at this rate before the age `by`."""
    span = hazard * by
    if span < 1e-6:
        return by / 2
    return (1.0 + span * math.exp(-span) / math.expm1(-span)) / hazard
