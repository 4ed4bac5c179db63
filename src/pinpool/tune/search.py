"""
Which numbers of workers to try, how much of the budget each gets, when to stop growing, and where the knee lies. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import hypot
from typing import NamedTuple

from pinpool.journal.records import AttemptRow
from pinpool.model import Charge, Ending, Fault
from pinpool.policy.faults import FAULTS
from pinpool.stats.histogram import wilson
from pinpool.text import counted
from pinpool.tune.result import BUSY, NOISE, Advice, Row, advise

#: From here on a trial says more of the job than of the number of workers.
STARVED = 0.1
#: Share of the workers' time that they wait for a core, from which on it is worth a word: others need the machine, too.
QUEUED = 0.25
#: Trials between the last number that is too small and the first that is enough.
REFINEMENTS = 2
#: Two numbers of workers this close are one.
CLOSE = 1.25
#: What a trial costs in pages besides what grows with its workers, in pages of one worker.
BASE = 4


class Tally(NamedTuple):
    """Attempts of one proxy in one trial: how many, good ones, faults that load can cause, and bans."""

    attempts: int = 0
    good: int = 0
    faults: int = 0
    bans: int = 0


class Tried(NamedTuple):
    """
    One trial: its row, the tally of each proxy by id, which share of the time the job had too few pages at hand, which
    share of the workers' time they waited for a core, and what brought it to a stop, if anything did.
    """

    row: Row
    tallies: Mapping[int, Tally]
    starved: float = 0.0
    queued: float = 0.0
    stalled: str = ""


def doublings(most: int) -> list[int]:
    """The numbers of workers to try by default: 2, 4, 8 and so on, and at last `most`."""
    sizes = [2**n for n in range(1, most.bit_length()) if 2**n * CLOSE < most]
    return [*sizes, most]


def share(sizes: Sequence[int], pages: int) -> int:
    """How many of the budget's pages the first of these sizes gets: each by its number of workers."""
    return int(pages * (sizes[0] + BASE) / sum(size + BASE for size in sizes))


def tally(rows: Sequence[AttemptRow]) -> dict[int, Tally]:
    """
    The attempts of a trial by proxy. A proxy that is simply dead is no sign of too many workers, nor is a broken page:
    only faults that load can cause are counted.
    """
    found: dict[int, Tally] = {}
    for row in rows:
        if row.proxy is not None:
            one = found.get(row.proxy, Tally())
            found[row.proxy] = Tally(
                one.attempts + 1,
                one.good + (row.ending != Ending.FAILED),
                one.faults + _by_load(row.fault),
                one.bans + (row.fault == Fault.BANNED),
            )
    return found


def _by_load(fault: str | None) -> bool:
    known = {name.value for name in Fault}
    return fault in known and FAULTS[Fault(fault)].charge in (Charge.DOUBTFUL, Charge.OPEN, Charge.SITE)


def hold(tried: Sequence[Tried], *, fixed: bool = False) -> str:
    """
    Why no larger number of workers is to be tried after these, in words that follow the speed; empty if one is.
    If the numbers are `fixed`, because somebody asked for them, only harm to site or proxies is a reason.
    """
    last = tried[-1]
    count = counted(last.row.workers, "worker")
    if last.stalled:
        return f"with {count} {last.stalled}"
    if (risen := _risen(tried)) or fixed:
        return risen
    if last.starved >= STARVED:
        return (
            f"with {count} the job had too few known pages at hand for {last.starved:.0%} of the time, "
            "so that nothing is known of more: try again when more list pages are read"
        )
    if last.row.cpu is not None and last.row.cpu >= BUSY:
        return f"with {count} this machine's cores are {last.row.cpu:.0%} busy"
    if len(tried) > 1:
        best = max((one.row for one in tried[:-1]), key=lambda row: row.pages_per_second)
        if not _is_faster(last.row, best):
            busy = f", who wait for a core {last.queued:.0%} of the time" if last.queued >= QUEUED else ""
            return f"{count} are not faster by more than the measurement's error{busy}"
    return ""


def _is_faster(row: Row, than: Row) -> bool:
    """Whether a speed is higher by more than 3 %, and by more than the errors of both (95 %)."""
    gain = row.pages_per_second - than.pages_per_second
    return gain > max(NOISE * than.pages_per_second, 1.96 * hypot(row.error or 0.0, than.error or 0.0))


def _risen(tried: Sequence[Tried]) -> str:
    """
    Whether faults or bans have become more frequent with the last trial, surely. That the next proxies of the list are
    worse has nothing to do with the number of workers: so bans count of proxies that have served a page, too, and other
    faults only of those that were in an earlier trial.
    """
    last, before = tried[-1].tallies, [one.tallies for one in tried[:-1]]
    if not before:
        return ""
    known = set().union(*before)
    serving = [one for one in last.values() if one.good]
    now, then = _sum(serving), _sum([one for tallies in before for one in tallies.values() if one.good])
    if risen := _compared(
        "bans", tried[-1].row.workers, (now.bans, now.attempts), (then.bans, then.attempts)
    ):
        return risen
    now = _sum([one for proxy, one in last.items() if proxy in known])
    then = _sum([one for tallies in before for proxy, one in tallies.items() if proxy in last])
    faults = (now.faults, now.attempts), (then.faults, then.attempts)
    return _compared("faults", tried[-1].row.workers, *faults)


def _compared(name: str, workers: int, now: tuple[int, int], then: tuple[int, int]) -> str:
    if wilson(*now)[0] <= wilson(*then)[1]:
        return ""
    before, after = f"{then[0] / then[1]:.1%}", f"{now[0] / now[1]:.1%}"
    return f"with {counted(workers, 'worker')} {name} rose from {before} to {after} of the attempts"


def _sum(tallies: Sequence[Tally]) -> Tally:
    return Tally(*map(sum, zip(*tallies, strict=True))) if tallies else Tally()


def _is_sound(tried: Sequence[Tried]) -> bool:
    """Whether the last of these trials may be recommended: nothing got worse by it."""
    return not (tried[-1].stalled or _risen(tried))


def halfway(tried: Sequence[Tried]) -> int | None:
    """
    A number of workers between the largest that is too small and the smallest that is fast enough, so that the knee is
    better known; None if they are close to each other, or nothing smaller was tried.
    """
    rows = sorted((one.row for one in _sound(tried)), key=lambda row: row.workers)
    if len(rows) < 2:
        return None
    enough = advise(rows).workers
    smaller = [row.workers for row in rows if row.workers < enough]
    if not smaller or enough == rows[-1].workers or enough <= CLOSE * smaller[-1]:
        return None
    return (smaller[-1] + enough) // 2


def _sound(tried: Sequence[Tried]) -> list[Tried]:
    """The trials that may be recommended, all of them if none may."""
    good = [one for number, one in enumerate(tried, 1) if _is_sound(tried[:number])]
    return good or list(tried)


def advice(tried: Sequence[Tried], held: str) -> Advice:
    """Which number to take of those tried, and why; `held` says why no larger one was. At least one is needed."""
    return advise([one.row for one in _sound(tried)], held)
