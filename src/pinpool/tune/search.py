"""Which numbers of workers to try, with how much of the budget, and when to stop growing. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from pinpool.journal.records import AttemptRow
from pinpool.model import Charge
from pinpool.policy.faults import FAULTS
from pinpool.stats.histogram import CONFIDENT, wilson
from pinpool.stats.recommendation import BUSY, cores_text
from pinpool.text import counted
from pinpool.tune.result import Row, noise

#: Share of the time with fewer tasks than workers, from which on a trial measures the job and not the workers.
STARVED = 0.1
#: What a trial costs besides what grows with its workers, in pages of one worker.
FIXED_COST = 4
#: Faults that load can cause. A dead proxy or a broken page is no sign of too many workers.
_BY_LOAD = {fault for fault, rule in FAULTS.items() if rule.charge in (Charge.DOUBTFUL, Charge.OPEN, Charge.SITE)}


class TrialResult(NamedTuple):
    """
    One trial: its row, and how many attempts through each proxy (by id) met a fault that load can cause, or did not.
    `starved` is the share of the time with fewer tasks than workers, `stalled` what stopped it, empty if nothing did.
    """

    row: Row
    tallies: Mapping[int, Counter[bool]]
    starved: float = 0.0
    stalled: str = ""


def doublings(most: int) -> list[int]:
    """The numbers of workers to try by default: 2, 4, 8 and so on, and at last `most`, instead of one close to it."""
    return [*(2**n for n in range(1, most.bit_length()) if 2**n * 1.25 < most), most]


def budget_share(sizes: Sequence[int], pages: int) -> int:
    """How many of the budget's pages the first of these sizes gets, in proportion to its workers."""
    return int(pages * (sizes[0] + FIXED_COST) / sum(size + FIXED_COST for size in sizes))


def tally(rows: Iterable[AttemptRow]) -> dict[int, Counter[bool]]:
    """The attempts of a trial, as in `TrialResult`."""
    found: dict[int, Counter[bool]] = {}
    for row in rows:
        if row.proxy is not None:
            found.setdefault(row.proxy, Counter())[row.fault in _BY_LOAD] += 1
    return found


def why_stop(trials: Sequence[TrialResult], *, fixed: bool = False) -> str:
    """
    Why no larger number of workers is tried after these trials, in words that follow the speed; empty to go on. If the
    user has `fixed` the numbers, only harm to the site or the proxies is a reason.
    """
    row, _, starved, _ = trials[-1]
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
            return f"{workers} are not faster by more than the measurement's error"
    return ""


def _harm(trials: Sequence[TrialResult]) -> str:
    """
    Whether the last trial has surely made faults more frequent, in words. Only proxies that an earlier trial used, too,
    are compared: worse ones further down the list are not its doing.
    """
    last, earlier = trials[-1].tallies, [entry for trial in trials[:-1] for entry in trial.tallies.items()]
    then = sum((seen for proxy, seen in earlier if proxy in last), Counter[bool]())
    now = sum((last[proxy] for proxy in {proxy for proxy, _ in earlier} & last.keys()), Counter[bool]())
    if wilson(now[True], now.total())[0] <= wilson(then[True], then.total())[1]:
        return ""
    rates = f"{then[True] / then.total():.1%} to {now[True] / now.total():.1%} of the attempts"
    return f"with {counted(trials[-1].row.workers, 'worker')} bans and other faults rose from {rates}"


def harmless(trials: Sequence[TrialResult]) -> list[Row]:
    """The rows that may be recommended: those of trials that did no harm, all if there are none."""
    rows = [trial.row for n, trial in enumerate(trials, 1) if not (trial.stalled or _harm(trials[:n]))]
    return rows or [trial.row for trial in trials]
