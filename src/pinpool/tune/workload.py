"""
What a recorded run shows of its proxies and pages, as a simulation needs it. Pure.

Each proxy has the rate of failure that was seen. Latencies are those of all, and so is how failures follow each other:
whether a proxy that has just failed fails again, at once and after a rest. A proxy is dead when it has failed for good;
the chance of that is one figure, for used and for waiting proxies alike.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from pinpool.errors import UsageError
from pinpool.journal.records import AttemptRow
from pinpool.model import Ending, Fault
from pinpool.policy.faults import FAULTS
from pinpool.tune.survival import FailureSample, History, Survival, estimate

#: With fewer good attempts latencies are not known.
LEAST_ATTEMPTS = 30
#: An hour without an attempt means that the run was stopped and resumed: what the proxies did then is unknown.
STOPPED_SECONDS = 3600.0


class Behavior(NamedTuple):
    """A living proxy: how likely it fails after a good attempt, and with what."""

    failure: float
    failures: Sequence[FailureSample]


class Job(NamedTuple):
    """The pages of a job, and how many of them can only be fetched one after another, as each is found on the last."""

    pages: int
    depth: int = 1


class Workload(NamedTuple):
    """
    `latencies` are the sorted seconds of good attempts, `deaths` how dead proxies fail. `page_failure` is the chance
    that an attempt fails for another reason than the proxy, as in `page_failures`.
    """

    latencies: Sequence[float]
    behaviors: Sequence[Behavior]
    survival: Survival
    deaths: Sequence[Sequence[FailureSample]]
    page_failure: float
    page_failures: Sequence[FailureSample]


def observe(attempts: Iterable[AttemptRow], rests: Mapping[int, Sequence[float]]) -> Workload:
    """
    What the attempts of a run show. `rests` are the epoch seconds, sorted, at which each proxy (by id) went to rest.

    Raises UsageError if there are fewer than 30 good attempts.
    """
    rows = sorted((row for row in attempts if row.proxy is not None), key=lambda row: row.at)
    latencies = sorted(row.seconds for row in rows if row.ending != Ending.FAILED)
    if len(latencies) < LEAST_ATTEMPTS:
        raise UsageError(
            f"only {len(latencies)} good attempts are recorded, and {LEAST_ATTEMPTS} are the least to learn from: "
            "crawl some more pages first, `pinpool crawl SPIDER -p PROXIES --limit 300` for instance"
        )
    run_seconds = _run_seconds(rows)
    by_proxy: dict[int, list[AttemptRow]] = {}
    by_pages: list[FailureSample] = []
    for row in rows:
        if row.ending == Ending.FAILED and (not row.charged or row.forgiven):
            by_pages.append(_failure(row))
        else:
            by_proxy.setdefault(row.proxy or 0, []).append(row)
    histories = [_history(own, rests.get(proxy, ()), run_seconds) for proxy, own in by_proxy.items()]
    survival = estimate(histories)
    ends = list(zip(histories, survival.dead, strict=True))
    # The end of a proxy that is likely dead does not show how living ones fail.
    failures = [[*history.failures, *(history.end if dead <= 0.5 else ())] for history, dead in ends]
    of_all = [failure for own in failures for failure in own]
    every = zip(histories, failures, survival.failure, strict=True)
    # Proxies that never worked show how proxies fail, not how they work.
    behaviors = [Behavior(rate, own or of_all) for history, own, rate in every if history.last_good is not None]
    # How dead proxies fail is seen at those that are surely dead; if none surely is, at the likeliest.
    deaths = [history.end for history, dead in ends if dead and dead >= max(survival.dead) / 2]
    return Workload(latencies, behaviors, survival, deaths, len(by_pages) / len(rows), by_pages)


def job_of(tasks: Iterable[tuple[int, int | None, bool]]) -> Job:
    """The job of a run, from (id, parent, is a list page) of each task."""
    depths: dict[int | None, int] = {}
    for task, parent, _ in tasks:
        # Only an earlier page leads to a later one, so that a wrong journal cannot make circles.
        depths[task] = depths.get(parent, 0) + 1
    return Job(len(depths), max(depths.values(), default=1))


def _history(rows: Sequence[AttemptRow], rests: Sequence[float], run_seconds: Mapping[float, float]) -> History:
    """The attempts of one proxy, in order. At least one is needed."""
    last = max((n for n, row in enumerate(rows) if row.ending != Ending.FAILED), default=-1)
    lived, end = rows[: last + 1], rows[last + 1 :]
    kinds = ["after_good", *(_kind(before, row, rests) for before, row in pairwise(rows))]
    tries = Counter(kinds[: last + 1])
    failed = Counter(kind for kind, row in zip(kinds, lived, strict=False) if row.ending == Ending.FAILED)
    return History(
        run_seconds[rows[0].at],
        run_seconds[rows[last].at] if lived else None,
        (failed["after_good"], tries["after_good"]),
        (failed["again"], tries["again"]),
        (failed["after_rest"], tries["after_rest"]),
        ending=run_seconds[end[0].at] if end else None,
        at_once=kinds[last + 1 :].count("again"),
        rested=kinds[last + 1 :].count("after_rest"),
        fatal=any(row.fault == Fault.PROXY_AUTH for row in end),
        failures=[_failure(row) for row in lived if row.ending == Ending.FAILED],
        end=[_failure(row) for row in end],
    )


def _kind(before: AttemptRow, row: AttemptRow, rests: Sequence[float]) -> str:
    """Which field of a `History` counts the attempt `row`."""
    if before.ending != Ending.FAILED:
        return "after_good"
    place = bisect_left(rests, before.at)
    return "after_rest" if place < len(rests) and rests[place] <= row.at else "again"


def _run_seconds(rows: Sequence[AttemptRow]) -> dict[float, float]:
    """Seconds of the run by epoch seconds, without the pauses between a stop and a resume."""
    seconds: dict[float, float] = {}
    skipped = rows[0].at
    for before, row in pairwise((rows[0], *rows)):
        if (pause := row.at - before.at - before.seconds) > STOPPED_SECONDS:
            skipped += pause
        seconds[row.at] = row.at - skipped
    return seconds


def _failure(row: AttemptRow) -> FailureSample:
    # An unknown fault, perhaps of a newer pinpool, is an open question.
    return FailureSample(Fault(row.fault) if row.fault and row.fault in FAULTS else Fault.RESET, row.seconds)
