"""
What follows a failed attempt: another one, the end, or the belief that the page is as it seems.

The rules, in the order in which they are tried:

- a proxy that was never asked for the page says nothing of it: the task comes back, for as long as a proxy is left;
- three lost workers: the page is quarantined;
- agreement: enough proxies say the same of the page (it is empty, it is no page, it breaks the extractor);
- budget: `attempts` charged failures, on enough proxies that no single one decides;
- caps, so that nothing goes on for ever: 60 proxies that would not carry it, 5 x `attempts` failures of any other kind,
  and both together counting those that were excused;
- otherwise the task comes back: at once, for another proxy can have it, or later if the site is ill.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pinpool.model import Charge, Fault
from pinpool.policy.faults import FAULTS
from pinpool.text import counted

#: One URL that no proxy will tunnel must not burn a whole list.
PROXY_FAULTS = 60
#: So many proxies that work elsewhere, or all that there are, and it is the page. Two that answer every other page with
#: a block page, a 400 or an empty one agree too often. The figure is the design's.
WITNESSES = 3
#: Lost workers before a page counts as the one that kills them.
LOST_WORKERS = 3
#: All failures but those of proxies, as a multiple of `attempts`.
HARD_CAP = 5
#: Failures beyond the budget before the first proxies of a run are believed: those that answer anything but the page
#: are quicker than those that fetch it.
FIRST_WORDS = 2
#: Seconds of the first back-off and of the longest, jitter included.
FIRST_REST, LONGEST_REST = 2.0, 300.0


@dataclass(frozen=True, slots=True)
class Past:
    """
    One failed attempt of a task. `proxy` is None where the worker was lost before it said what it pinned.

    `credible` says that this proxy works elsewhere at present, so that its word on this page counts. `excused` says
    that the whole site was silent then, so that the failure tells nothing of this page.
    """

    proxy: int | None
    fault: Fault
    charge: Charge
    credible: bool
    excused: bool = False


@dataclass(frozen=True, slots=True)
class Resubmit:
    """The task goes back in `after` seconds; `charged` says whether the last attempt counts in its budget."""

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


def decide(
    past: Sequence[Past],
    *,
    attempts: int,
    alive: int,
    is_index: bool,
    jitter: float,
    believers: int | None = None,
) -> Resubmit | GiveUp | Believe:
    """
    What becomes of a task after its last failure, `past[-1]`.

    `past` holds every failure of the task so far, the oldest first, and at least one. `attempts` is the budget of
    charged attempts, `alive` the number of proxies that can be asked, `jitter` a random number in [0, 1).
    `believers` is how many proxies are credible, all if not given. With 0, as long as none has served a page, every
    word counts and more of them are heard.

    After 60 + 5 x `attempts` failures of proxies that were asked for it, at the latest, the verdict is final.
    """
    last = past[-1]
    if not FAULTS[last.fault].asked:
        return Resubmit(0.0, charged=False)
    past = [one for one in past if FAULTS[one.fault].asked]
    if len(past) >= PROXY_FAULTS + HARD_CAP * attempts:
        return GiveUp(f"{len(past)} failures, the last {last.fault}")
    if last.excused:
        return Resubmit(0.0, charged=False)
    past = [one for one in past if not one.excused]
    lost = [one for one in past if one.charge is Charge.WORKER]
    told = [one for one in past if one.charge not in (Charge.PROXY, Charge.WORKER)]
    if len(lost) >= LOST_WORKERS:
        return GiveUp(f"quarantined after {_counted(lost)}")
    heard = believers != 0 or len(told) >= attempts + FIRST_WORDS or last.fault is Fault.EXTRACT
    if heard and last.charge not in (Charge.PROXY, Charge.WORKER):
        quorum = _Quorum(alive, alive if believers is None else believers)
        if _agreed(told, last, attempts, quorum):
            if last.fault is not Fault.EMPTY:
                return GiveUp(_summary(told, last))
            return Believe("empty list") if is_index else GiveUp("nothing extracted")
        if _spent(told, last, attempts, quorum):
            return GiveUp(_summary(told, last))
    if len(told) + len(lost) >= HARD_CAP * attempts:
        return GiveUp(f"{HARD_CAP * attempts} failures that settle nothing, the last {last.fault}")
    if (proxies := len(past) - len(told) - len(lost)) >= PROXY_FAULTS:
        return GiveUp(f"{proxies} proxies would not carry it, the last fault {last.fault}")
    if last.charge is Charge.SITE:
        return Resubmit(
            _rest(sum(one.charge is Charge.SITE for one in told), jitter), charged=_is_charged(last)
        )
    if last.charge in (Charge.PROXY, Charge.WORKER) or len(told) < 2:
        return Resubmit(0.0, charged=_is_charged(last))
    # Further witnesses are heard a little later: several at the same moment may all have met the same hiccup.
    return Resubmit(_rest(len(told) - 2, jitter) / 4, charged=_is_charged(last))


class _Quorum(NamedTuple):
    """How many can be asked at all, and how many of these are believed; 0 if nobody has worked, so that all are."""

    alive: int
    believers: int

    def reached(self, witnesses: int, some: Sequence[Past]) -> bool:
        """Whether enough proxies say so, and enough of those that are believed. One that is not may still agree."""
        credible = [one for one in some if one.credible or not self.believers]
        # With none alive the run stops and can be resumed: the task waits for a better list.
        enough = min(witnesses, self.alive) or witnesses
        return _proxies(some) >= enough and _proxies(credible) >= min(enough, self.believers or enough)


def _agreed(told: Sequence[Past], last: Past, attempts: int, quorum: _Quorum) -> bool:
    """Whether enough proxies say of the page what the last one said."""
    if not FAULTS[last.fault].of_page:
        return False
    same = [one for one in told if one.fault is last.fault]
    # The only proxy left is asked a second time, unless the budget forbids it.
    return len(same) >= min(2, attempts) and quorum.reached(WITNESSES, same)


def _spent(told: Sequence[Past], last: Past, attempts: int, quorum: _Quorum) -> bool:
    """Whether the budget is used up, and on enough proxies to be the task's own fault."""
    charged = [one for one in told if _is_charged(one)]
    return len(charged) >= attempts and quorum.reached(2 if last.charge is Charge.SITE else WITNESSES, told)


def _is_charged(one: Past) -> bool:
    return one.credible and one.charge not in (Charge.PROXY, Charge.WORKER)


def _proxies(some: Sequence[Past]) -> int:
    return len({one.proxy for one in some if one.proxy is not None})


def _rest(times: int, jitter: float) -> float:
    # The exponent is bounded because 2.0 ** 1024 raises. The base stays below the longest rest, so that
    # jitter spreads the longest ones too.
    base = min(FIRST_REST * 2.0 ** min(max(times - 1, 0), 16), LONGEST_REST / 1.25)
    return base * (0.75 + jitter / 2)


def _summary(told: Sequence[Past], last: Past) -> str:
    same = [one for one in told if one.fault is last.fault]
    others = len(told) - len(same)
    text = f"{last.fault} on {counted(_proxies(same), 'proxy', 'proxies')}"
    return f"{text}, and {counted(others, 'other failure')}" if others else text


def _counted(lost: Sequence[Past]) -> str:
    crashes = sum(one.fault is Fault.CRASH for one in lost)
    counts = ((crashes, "crash", "crashes"), (len(lost) - crashes, "hang", "hangs"))
    return " and ".join(counted(*count) for count in counts if count[0])
