"""
What follows a failed attempt: another one, the end, or the belief that the page is as it seems.

The rules, in the order in which they are tried:

- a proxy that was not asked for the page says nothing of it: the task is tried again, as long as a proxy is left;
- three lost workers: the page is quarantined;
- agreement: enough proxies report the same of the page (it is empty, it is no page, it breaks the extractor; two are
  enough where the spider raises the same error at the same line);
- budget: `attempts` charged failures, on enough proxies that no single one decides;
- caps, so that every task ends: 60 proxies that did not carry it, 5 x `attempts` failures of any other kind, and both
  together counting those while the site was down;
- otherwise the task is tried again: at once if another proxy may do better, later if the site is in trouble.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pinpool.model import Charge, FailedAttempt, Fault
from pinpool.policy.backoff import backoff
from pinpool.policy.faults import DELIVERED, FAULTS
from pinpool.text import counted

#: Proxies that did not carry a URL to the site. One URL that no proxy will tunnel must not use up a whole list.
PROXY_FAULTS = 60
#: Proxies that work elsewhere and agree, or all there are, and it is the page. Two that answer every other page with a
#: block page, a 400 or an empty one agree too often. The figure is the design's.
WITNESSES = 3
#: The same, where the spider raised the same error at the same line. One of them works elsewhere, if any does.
ERROR_WITNESSES = 2
#: Lost workers before a page counts as the one that kills them.
LOST_WORKERS = 3
#: Most failures but those of proxies, as a multiple of `attempts`.
HARD_CAP = 5
#: Failures beyond the budget before proxies are believed that have not worked yet: those that answer anything but the
#: page are quicker than those that fetch it.
FIRST_REPORTS = 2
#: Seconds of the first back-off and of the longest, jitter included.
FIRST_REST, LONGEST_REST = 2.0, 300.0

_PLACE = re.compile(r" \([^()]{1,100}:\d+\)\Z")  # where the spider raised: (movies.py:12)


@dataclass(frozen=True, slots=True)
class Resubmit:
    """Try the task again in `after` seconds. `charged`: the last attempt counts in its budget."""

    after: float
    charged: bool


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The task ends as failed."""

    reason: str


@dataclass(frozen=True, slots=True)
class Believe:
    """The task ends as done: the page is as it seems, however odd."""

    reason: str


Verdict = Resubmit | GiveUp | Believe


def decide(
    failures: Sequence[FailedAttempt],
    *,
    attempts: int,
    alive: int,
    believed: Collection[int],
    is_list: bool,
    jitter: float,
    answered: bool = True,
) -> Verdict:
    """
    What becomes of a task after its last failure, `failures[-1]`.

    `failures` are all of the task so far, oldest first. `attempts` is the budget of charged attempts, `alive` the
    number of proxies that can be asked, `jitter` a random number in [0, 1). `believed` are the proxies that work
    elsewhere, so that their reports on this page count. If there are none, every report counts, and more are needed.
    `answered`: the run has fetched a page. As long as it has not, no page is given up for what everybody says: the run
    as a whole has failed then, and ends by itself (`proxy_reports`). `is_list`: the page is one of a list, which may
    end with an empty one.

    After 60 + 5 x `attempts` failures of proxies that were asked, at the latest, the verdict is final.
    """
    last = failures[-1]
    rule = FAULTS[last.fault]
    if not rule.asked:
        return Resubmit(0.0, charged=False)
    asked = [failure for failure in failures if FAULTS[failure.fault].asked]
    if len(asked) >= PROXY_FAULTS + HARD_CAP * attempts:
        return GiveUp(f"{len(asked)} failures, the last {last.fault}")
    if last.site_down:
        return Resubmit(0.0, charged=False)
    asked = [failure for failure in asked if not failure.site_down]
    lost = [failure for failure in asked if FAULTS[failure.fault].charge is Charge.WORKER]
    if len(lost) >= LOST_WORKERS:
        return GiveUp(f"quarantined after {_losses(lost)}")
    reports = [failure for failure in asked if FAULTS[failure.fault].reports]
    quorum = _Quorum(alive, believed)
    settles = answered or last.fault in DELIVERED
    enough = believed or len(reports) >= attempts + FIRST_REPORTS or last.fault is Fault.EXTRACT
    if settles and enough and rule.reports:
        if _agreed(reports, last, attempts, quorum):
            if last.fault is not Fault.EMPTY:
                return GiveUp(_summary(reports, last))
            return Believe("empty list") if is_list else GiveUp("nothing extracted")
        if _budget_spent(reports, last, attempts, quorum):
            return GiveUp(_summary(reports, last))
    if settles and len(reports) + len(lost) >= HARD_CAP * attempts:
        return GiveUp(f"{HARD_CAP * attempts} failures that settle nothing, the last {last.fault}")
    if (proxies := len(asked) - len(reports) - len(lost)) >= PROXY_FAULTS:
        return GiveUp(f"{proxies} proxies would not carry it, the last fault {last.fault}")
    charged = quorum.charges(last)
    if rule.charge is Charge.SITE:
        of_site = sum(FAULTS[report.fault].charge is Charge.SITE for report in reports)
        return Resubmit(backoff(FIRST_REST, of_site - 1, jitter, longest=LONGEST_REST), charged)
    if not rule.reports or len(reports) < 2:
        return Resubmit(0.0, charged)
    # The next witness is asked a little later: several at the same moment may all meet the same hiccup. Reports that
    # are not believed settle nothing, however many: the task does not wait longer for their sake.
    heard = sum(map(quorum.believes, reports)) if settles else 0
    return Resubmit(backoff(FIRST_REST, heard - 3, jitter, longest=LONGEST_REST) / 4, charged)


class _Quorum(NamedTuple):
    """How many proxies can be asked at all, and which of them are believed; if there are none, all are."""

    alive: int
    believed: Collection[int]

    def believes(self, failure: FailedAttempt) -> bool:
        return not self.believed or failure.proxy in self.believed

    def charges(self, failure: FailedAttempt) -> bool:
        """True if the failure counts in the task's budget."""
        return FAULTS[failure.fault].reports and self.believes(failure)

    def reached(self, witnesses: int, reports: Sequence[FailedAttempt]) -> bool:
        """True if enough proxies report it, and enough believed ones. Those that are not may still agree."""
        # With none alive the run stops and can be resumed: the task waits for a better list.
        enough = min(witnesses, self.alive) or witnesses
        believed = _proxies([report for report in reports if self.believes(report)])
        return _proxies(reports) >= enough and believed >= min(enough, len(self.believed) or enough)

    def repeated(self, reports: Sequence[FailedAttempt]) -> bool:
        """True if enough proxies have shown the spider a page on which it raises the same error."""
        enough = min(ERROR_WITNESSES, self.alive) or ERROR_WITNESSES
        return _proxies(reports) >= enough and any(map(self.believes, reports))


def _raised(error: str) -> str:
    """What was raised and where, without the text of the error, which may quote the page."""
    place = _PLACE.search(error)
    return error.partition(":")[0] + place[0] if place else error


def _agreed(reports: Sequence[FailedAttempt], last: FailedAttempt, attempts: int, quorum: _Quorum) -> bool:
    """True if enough proxies report of the page what the last one does."""
    if not FAULTS[last.fault].of_page:
        return False
    same = [report for report in reports if report.fault is last.fault]
    # The only proxy left is asked a second time, unless the budget forbids it.
    if len(same) < min(2, attempts):
        return False
    alike = [report for report in same if last.error and _raised(report.error) == _raised(last.error)]
    return quorum.reached(WITNESSES, same) or (bool(alike) and quorum.repeated(alike))


def _budget_spent(reports: Sequence[FailedAttempt], last: FailedAttempt, attempts: int, quorum: _Quorum) -> bool:
    """True if the budget is used up, and on enough proxies to be the task's own fault."""
    witnesses = 2 if FAULTS[last.fault].charge is Charge.SITE else WITNESSES
    return sum(map(quorum.charges, reports)) >= attempts and quorum.reached(witnesses, reports)


def _proxies(failures: Sequence[FailedAttempt]) -> int:
    return len({failure.proxy for failure in failures if failure.proxy is not None})


def _summary(reports: Sequence[FailedAttempt], last: FailedAttempt) -> str:
    same = [report for report in reports if report.fault is last.fault]
    text = f"{last.fault} on {counted(_proxies(same), 'proxy', 'proxies')}"
    others = len(reports) - len(same)
    error = f": {last.error}" if last.error else ""
    return (f"{text}, and {counted(others, 'other failure')}" if others else text) + error


def _losses(lost: Sequence[FailedAttempt]) -> str:
    crashes = sum(failure.fault is Fault.CRASH for failure in lost)
    hangs = len(lost) - crashes
    words = (counted(crashes, "crash", "crashes") if crashes else "", counted(hangs, "hang") if hangs else "")
    return " and ".join(filter(None, words))
