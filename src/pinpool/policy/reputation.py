"""
How each proxy has done lately, and what follows when a worker has swapped one: how long it rests, or that it retires.

Pure: it is told what happened and what chance says (`jitter`, 0 to 1), and reads no clock. Where a proxy stands right
now is known by the lease queue alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from pinpool.model import Charge, Fault

#: Rest: base · 2ⁿ, ± 25 %, never shorter than the floor (full jitter would send a banned proxy back at once), never
#: longer than the cap. The figures are the design's.
FLOOR_SECONDS = 15.0
CAP_SECONDS = 1800.0
#: A swapped proxy rests at least so long while nobody has judged it: with a shorter `cooling` another worker held it
#: again before the sentence came, and it could be retired never.
UNJUDGED_SECONDS = 5.0
#: Rests in a row without one page served, after which a proxy is retired.
MAX_COOLINGS = 5
#: How fast old results fade from a proxy's score.
FADING = 0.8
#: The score of one that works: three pages in a row from the start. One that fails every other page seldom has it.
TRUSTED = 0.7


class Cool(NamedTuple):
    """Let it rest for so many seconds."""

    seconds: float


class Retire(NamedTuple):
    """It is out for this run."""

    reason: str


Penalty = Cool | Retire
#: No rest at all: it is spare again.
AT_ONCE = Cool(0.0)


@dataclass(slots=True)
class Score:
    """
    One proxy. `coolings` counts its rests since it last served a page, `strikes` are the tasks it has failed since,
    each with whether that speaks against it: a page or a site may look bad to everybody, until another has fetched it.

    `score` is its recent success, 1 for nothing but pages served; a newcomer stands at one half. Only what is settled
    changes it: a failure counts once another proxy has fetched that page. `grounds` is how many strikes its present
    rest needed, 0 if it rests for what it surely did itself, or not at all. `withdrawn` is why it is off the list,
    empty while it is on it.
    """

    label: str
    coolings: int = 0
    score: float = 0.5
    strikes: dict[int, bool] = field(default_factory=dict)
    grounds: int = 0
    withdrawn: str = ""


class Reputation:
    """The records of all proxies, by id."""

    def __init__(self, base_seconds: float) -> None:
        self._base = base_seconds
        self._records: dict[int, Score] = {}

    def __repr__(self) -> str:
        tired = sum(1 for record in self._records.values() if record.coolings)
        return f"<Roster {len(self._records)} proxies, {tired} not proven since a rest>"

    def admit(self, proxy: int, label: str, coolings: int = 0) -> None:
        """A proxy joins, with what an earlier part of the run knows of it: one that was failing is no witness."""
        self._records[proxy] = Score(label, coolings, 0.5 * FADING**coolings)

    def withdraw(self, proxy: int, reason: str) -> None:
        """It is off the list, for that reason; one that is admitted again is on it."""
        self._records[proxy].withdrawn = reason

    def __getitem__(self, proxy: int) -> Score:
        return self._records[proxy]

    def __contains__(self, proxy: object) -> bool:
        return proxy in self._records

    def credit(self, proxy: int) -> bool:
        """It has served a page. True if that ended a row of rests."""
        record = self._records[proxy]
        record.score = FADING * record.score + (1 - FADING)
        record.strikes.clear()
        record.grounds = 0
        was_tired, record.coolings = record.coolings > 0, 0
        return was_tired

    def strike(self, proxy: int, task: int, *, suspect: bool) -> None:
        """It has failed a page, and nobody knows yet whose fault that is; `suspect` if it is the likely one."""
        strikes = self._records[proxy].strikes
        strikes[task] = suspect or strikes.get(task, False)

    def blame(self, proxy: int, task: int | None = None) -> None:
        """It was to blame: another proxy has fetched that page, or nobody else had a hand in the fault."""
        record = self._records[proxy]
        record.score *= FADING
        if task in record.strikes:
            record.strikes[task] = True

    def pardon(self, proxy: int, task: int) -> bool:
        """Its failures of this task were not its own. True if it rests for no good reason now, and may be woken."""
        self._records[proxy].strikes.pop(task, None)
        return self._is_groundless(proxy)

    def relieve(self, proxy: int, task: int) -> bool:
        """
        One that works has failed the same page: as long as nobody fetches it, that speaks against neither. Returns as
        `pardon` does.
        """
        strikes = self._records[proxy].strikes
        if task in strikes:
            strikes[task] = False
        return self._is_groundless(proxy)

    def _is_groundless(self, proxy: int) -> bool:
        record = self._records[proxy]
        if record.grounds <= self.strikes(proxy):
            return False
        record.grounds = 0
        record.coolings = max(0, record.coolings - 1)
        return True

    def leased(self, proxy: int) -> None:
        """Its rest is over: no pardon can shorten it any more."""
        self._records[proxy].grounds = 0

    def strikes(self, proxy: int) -> int:
        """The failures since it last served a page that speak against it."""
        return sum(self._records[proxy].strikes.values())

    def credible(self, proxy: int) -> bool:
        """True if it has worked lately, whatever it does now."""
        return self._records[proxy].score > 0.5

    def works(self, proxy: int, task: int | None = None) -> bool:
        """True if it works at present: it has failed nothing since it last served a page, but for this task."""
        record = self._records[proxy]
        return (
            record.score > TRUSTED
            and not record.coolings
            and all(struck == task for struck in record.strikes)
        )

    def suspect(self, proxy: int) -> bool:
        """True if it has failed lately, and is not known to have worked."""
        record = self._records[proxy]
        return record.score <= 0.5 and bool(record.coolings or record.strikes)

    def tired(self, proxy: int) -> bool:
        """True if it has not served a page since its last rest, or rests still."""
        return self._records[proxy].coolings > 0

    def needed(self, proxy: int, swap_after: int) -> int:
        """How many strikes a swap of this proxy needs: one while it is not proven since its last rest."""
        return 1 if self._records[proxy].coolings else swap_after

    def penalty(
        self, proxy: int, fault: Fault, retry_after: float | None, jitter: float, grounds: int = 0
    ) -> Penalty:
        """
        What follows from a swap. `retry_after` (seconds) is what an answer asked for; it is clamped. `grounds` is how
        many strikes it takes: with fewer, after a pardon, the rest is over.
        """
        record = self._records[proxy]
        record.grounds = grounds
        if fault is Fault.PROXY_AUTH:
            return Retire("it refuses our login")
        if record.coolings >= MAX_COOLINGS:
            return Retire(f"{fault} again after {record.coolings} rests in a row")
        seconds = (
            retry_after if retry_after is not None else self._base * 2**record.coolings * (0.75 + jitter / 2)
        )
        record.coolings += 1
        # A base below the floor is somebody's wish (a test's, or a site that forgives soon): it is the floor then.
        return Cool(min(max(seconds, min(FLOOR_SECONDS, self._base)), CAP_SECONDS))


def must_swap(charge: Charge, strikes: int, *, probing: bool, swap_after: int) -> bool:
    """
    Whether a worker swaps its pin after a failure that is charged so. `strikes` counts the failures in a row, this one
    included; a `probing` pin has just rested and is given up at its first.

    Also failures that look like the page's or the site's: a proxy that answers 400 or 502 to everything looks so too.
    Whether the rest was deserved is settled by what others say of these pages.
    """
    if charge is Charge.WORKER:
        return False
    return charge is Charge.PROXY or probing or strikes >= swap_after


def until_judged(cooling: float) -> float:
    """How long a swapped proxy rests before its sentence, which is a matter of milliseconds, says how long it does."""
    return max(cooling, UNJUDGED_SECONDS)
