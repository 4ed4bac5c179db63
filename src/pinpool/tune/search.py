"""Which numbers of workers to try, with how much of the budget, when to stop growing, and where the knee lies. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from pinpool.journal.records import AttemptRow
from pinpool.model import Charge, Ending, Fault
from pinpool.policy.faults import FAULTS
from pinpool.stats.histogram import CONFIDENT, wilson
from pinpool.stats.recommendation import BUSY, cores_text
from pinpool.text import counted
from pinpool.tune.result import Row, noise, recommend

#: Share of the time with fewer tasks than workers, from which on a trial measures the job and not the workers; and of
#: the workers' time that they wait for a core, from which on it is mentioned: others use the machine, too.
STARVED, QUEUED = 0.1, 0.25
#: Two numbers of workers this close are one.
CLOSE = 1.25
#: What a trial costs besides what grows with its workers, in pages of one worker.
FIXED_COST = 4
#: Faults that load can cause.
_BY_LOAD = {fault for fault in Fault if FAULTS[fault].charge in (Charge.DOUBTFUL, Charge.OPEN, Charge.SITE)}


class Tally(NamedTuple):
    """Attempts through one proxy in one trial: all, good ones, faults that load can cause, and bans."""

    attempts: int = 0
    good: int = 0
    faults: int = 0
    bans: int = 0


class TrialResult(NamedTuple):
    """
    One trial: its row, and the tally of each proxy by id. `starved` is the share of the time with fewer tasks than
    workers, `queued` that of the workers' time without a core, `stalled` what stopped it, empty if nothing did.
    """

    row: Row
    tallies: Mapping[int, Tally]
    starved: float = 0.0
    queued: float = 0.0
    stalled: str = ""


def doublings(most: int) -> list[int]:
    """The numbers of workers to try by default: 2, 4, 8 and so on, and at last `most`."""
    return [*(2**n for n in range(1, most.bit_length()) if 2**n * CLOSE < most), most]


def budget_share(sizes: Sequence[int], pages: int) -> int:
    """How many of the budget's pages the first of these sizes gets, in proportion to its workers."""
    return int(pages * (sizes[0] + FIXED_COST) / sum(size + FIXED_COST for size in sizes))


def tally(rows: Iterable[AttemptRow]) -> dict[int, Tally]:
    """The attempts of a trial by proxy. A dead proxy or a broken page is no sign of too many workers."""
    found: dict[int, Tally] = {}
    for row in rows:
        if row.proxy is not None:
            attempt = Tally(1, row.ending != Ending.FAILED, row.fault in _BY_LOAD, row.fault == Fault.BANNED)
            found[row.proxy] = _sum([attempt, found.get(row.proxy, Tally())])
    return found


def why_stop(trials: Sequence[TrialResult], *, fixed: bool = False) -> str:
    """
    Why no larger number of workers is tried after these trials, in words that follow the speed; empty to go on. If the
    user has `fixed` the numbers, only harm to the site or the proxies is a reason.
    """
    row, _, starved, queued, _ = trials[-1]
    workers = counted(row.workers, "worker")
    if (harm := _harm(trials)) or fixed:
        return harm
    if starved >= STARVED:
        known = f"with {workers} the job had too few known pages for {starved:.0%} of the time"
        return f"{known}, so that nothing is known of more: try again when more list pages are read"
    if row.cpu is not None and row.cpu >= BUSY:
        return f"with {workers} {cores_text(row.cpu)}"
    if len(trials) > 1:
        best = max((trial.row for trial in trials[:-1]), key=lambda row: row.pages_per_second)
        if row.pages_per_second - best.pages_per_second <= noise(row, best, CONFIDENT):
            busy = f", which wait for a core {queued:.0%} of the time" if queued >= QUEUED else ""
            return f"{workers} are not faster by more than the measurement's error{busy}"
    return ""


def _harm(trials: Sequence[TrialResult]) -> str:
    """
    Whether the last trial has surely made bans or faults more frequent, in words. Worse proxies further down the list
    are not its doing: bans count only of proxies that have served a page, other faults only of those used before.
    """
    last, earlier = trials[-1].tallies, [entry for trial in trials[:-1] for entry in trial.tallies.items()]
    used_before = {proxy for proxy, _ in earlier}
    served, served_then = ([each for _, each in entries if each.good] for entries in (last.items(), earlier))
    used = [each for proxy, each in last.items() if proxy in used_before]
    used_then = [each for proxy, each in earlier if proxy in last]
    for name, now, then in (("bans", _sum(served), _sum(served_then)), ("faults", _sum(used), _sum(used_then))):
        rate, rate_then = (getattr(now, name), now.attempts), (getattr(then, name), then.attempts)
        if wilson(*rate)[0] > wilson(*rate_then)[1]:
            rose = f"rose from {rate_then[0] / rate_then[1]:.1%} to {rate[0] / rate[1]:.1%} of the attempts"
            return f"with {counted(trials[-1].row.workers, 'worker')} {name} {rose}"
    return ""


def _sum(tallies: Iterable[Tally]) -> Tally:
    return Tally(*map(sum, zip(Tally(), *tallies, strict=True)))


def halfway(trials: Sequence[TrialResult]) -> int | None:
    """A number of workers between the largest that is too small and the smallest that is enough; None if none is."""
    rows = harmless(trials)
    enough = recommend(rows).workers
    fewer = max((row.workers for row in rows if row.workers < enough), default=0)
    if not fewer or enough == max(row.workers for row in rows) or enough <= CLOSE * fewer:
        return None
    return (fewer + enough) // 2


def harmless(trials: Sequence[TrialResult]) -> list[Row]:
    """The rows that may be recommended: those of trials that did no harm, all if there are none."""
    rows = [trial.row for n, trial in enumerate(trials, 1) if not (trial.stalled or _harm(trials[:n]))]
    return rows or [trial.row for trial in trials]
