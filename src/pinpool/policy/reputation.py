"""
How each proxy did lately, and what follows when a worker has swapped one: how long it rests, or that it retires.

Reads no clock and draws no random number: `jitter`, 0 to 1, is handed in. Only the lease queue knows the present state
of a proxy.
"""

from collections.abc import KeysView
from dataclasses import dataclass, field
from typing import NamedTuple

from pinpool.model import Charge, Fault
from pinpool.policy.backoff import backoff

#: Seconds of the shortest rest (a banned proxy must not go back at once) and of the longest. The figures are the
#: design's.
FLOOR_SECONDS = 15.0
CAP_SECONDS = 1800.0
#: Least seconds that a swapped proxy rests until it is judged. With a shorter `cooling` another worker would hold it
#: again by then, and it could never be retired.
UNJUDGED_SECONDS = 5.0
#: Rests in a row without a page served, after which a proxy is retired.
MAX_COOLINGS = 5
#: Pages in a row that others fetch faster, after which a proxy is slow.
SLOW_AFTER = 3
#: How fast old results fade from a proxy's score.
FADING = 0.8
#: The score of a proxy that works: three pages in a row from the start. One that fails every other page seldom has it.
TRUSTED = 0.7


class Cool(NamedTuple):
    """The proxy rests for so many seconds."""

    seconds: float


class Retire(NamedTuple):
    """The proxy is out for this run."""

    reason: str


Penalty = Cool | Retire
#: No rest: the proxy is spare again at once.
NO_REST = Cool(0.0)


@dataclass(slots=True)
class Score:
    """
    The record of one proxy. `coolings` counts its rests since it last served a page.

    `strikes` are the tasks it has failed since then, each with whether that counts against it: a page or a site may
    look bad to everybody, until another proxy has fetched it. `score` is its recent success, from 0 to 1; a newcomer
    has one half. A failure lowers it only once it is settled: another proxy has fetched that page. `strikes_needed` is
    how many strikes its present rest is based on, 0 without a rest or after a fault that was surely its own.
    `overtaken` counts the pages in a row that others fetched faster. `withdrawn` is why it is off the list, empty while
    it is on it.
    """

    label: str
    coolings: int = 0
    score: float = 0.5
    strikes: dict[int, bool] = field(default_factory=dict)
    strikes_needed: int = 0
    overtaken: int = 0
    withdrawn: str = ""


class Reputation:
    """The scores of all proxies, by id. `base_seconds` is the first rest."""

    def __init__(self, base_seconds: float) -> None:
        self._base = base_seconds
        self._scores: dict[int, Score] = {}

    def admit(self, proxy: int, label: str, coolings: int = 0) -> None:
        """A proxy joins. `coolings` of an earlier part of the run lower its score: it is not a witness then."""
        self._scores[proxy] = Score(label, coolings, 0.5 * FADING**coolings)

    def withdraw(self, proxy: int, reason: str) -> None:
        """The proxy is off the list, until it is admitted again."""
        self._scores[proxy].withdrawn = reason

    def __getitem__(self, proxy: int) -> Score:
        return self._scores[proxy]

    def __contains__(self, proxy: object) -> bool:
        return proxy in self._scores

    def keys(self) -> KeysView[int]:
        """The proxies."""
        return self._scores.keys()

    def credit(self, proxy: int) -> bool:
        """The proxy has served a page. True if that ends a row of rests."""
        score = self._scores[proxy]
        score.score = FADING * score.score + (1 - FADING)
        score.strikes.clear()
        score.strikes_needed = score.overtaken = 0
        was_unproven, score.coolings = score.coolings > 0, 0
        return was_unproven

    def strike(self, proxy: int, task: int, *, counts: bool) -> None:
        """The proxy has failed a page, and the blame is open. `counts`: the proxy is the likely one."""
        strikes = self._scores[proxy].strikes
        strikes[task] = counts or strikes.get(task, False)

    def overtaken(self, proxy: int, task: int) -> bool:
        """Another proxy fetched the page of this task faster. True if that is the proxy's fault by now: it is slow."""
        score = self._scores[proxy]
        score.overtaken += 1
        is_slow = score.overtaken >= SLOW_AFTER
        if is_slow:
            score.strikes[task] = True
        return is_slow

    def blame(self, proxy: int, task: int | None = None) -> None:
        """The proxy was to blame: another has fetched that page, or nobody else had a part in the fault."""
        score = self._scores[proxy]
        score.score *= FADING
        if task in score.strikes:
            score.strikes[task] = True

    def clear(self, proxy: int, task: int) -> bool:
        """The proxy was not to blame for this task. True if its rest has lost its reason, and should end."""
        self._scores[proxy].strikes.pop(task, None)
        return self._rest_lost_reason(proxy)

    def discount(self, proxy: int, task: int) -> bool:
        """
        Do not count the strike for this task: a proxy that works fails the same page. It counts again if another
        fetches that page. Returns as `clear` does.
        """
        strikes = self._scores[proxy].strikes
        if task in strikes:
            strikes[task] = False
        return self._rest_lost_reason(proxy)

    def _rest_lost_reason(self, proxy: int) -> bool:
        score = self._scores[proxy]
        if score.strikes_needed <= self.strikes(proxy):
            return False
        score.strikes_needed = 0
        score.coolings = max(0, score.coolings - 1)
        return True

    def leased(self, proxy: int) -> None:
        """The rest is over: nothing can shorten it any more."""
        self._scores[proxy].strikes_needed = 0

    def strikes(self, proxy: int) -> int:
        """The failures since the last page served that count against the proxy."""
        return sum(self._scores[proxy].strikes.values())

    def credible(self, proxy: int) -> bool:
        """True if the proxy has worked lately, whatever it does now."""
        return self._scores[proxy].score > 0.5

    def works(self, proxy: int, task: int | None = None) -> bool:
        """True if the proxy works at present: since its last page it has failed nothing but this task."""
        score = self._scores[proxy]
        return score.score > TRUSTED and not score.coolings and all(failed == task for failed in score.strikes)

    def is_clean(self, proxy: int) -> bool:
        """True if the proxy has served a page, and failed none since."""
        score = self._scores[proxy]
        return score.score > 0.5 and not score.coolings and not score.strikes

    def doubtful(self, proxy: int) -> bool:
        """True if the proxy has failed lately, and is not known to have worked."""
        score = self._scores[proxy]
        return score.score <= 0.5 and bool(score.coolings or score.strikes)

    def unproven(self, proxy: int) -> bool:
        """True if the proxy has not served a page since its last rest began."""
        return self._scores[proxy].coolings > 0

    def penalty(
        self, proxy: int, fault: Fault, retry_after: float | None, jitter: float, strikes_needed: int = 0
    ) -> Penalty:
        """
        What follows from a swap, and record it. `retry_after` (seconds) is what an answer asked for; it is clamped.
        The rest ends early once fewer than `strikes_needed` strikes are left.
        """
        score = self._scores[proxy]
        score.strikes_needed = strikes_needed
        if fault is Fault.PROXY_AUTH:
            return Retire("it refuses our login")
        if score.coolings >= MAX_COOLINGS:
            return Retire(f"{fault} again after {score.coolings} rests in a row")
        seconds = backoff(self._base, score.coolings, jitter) if retry_after is None else retry_after
        score.coolings += 1
        # A base below the floor is wanted (by a test, or for a site that soon forgives): it is the floor then.
        return Cool(min(max(seconds, min(FLOOR_SECONDS, self._base)), CAP_SECONDS))


@dataclass(slots=True)
class Patience:
    """A worker's patience with its pin. `strikes` counts failures in a row. A `probing` pin has just rested."""

    probing: bool = False
    strikes: int = 0

    def served(self) -> None:
        """A page came through the pin."""
        self.probing, self.strikes = False, 0

    def ends(self, charge: Charge, swap_after: int) -> bool:
        """
        Count a failure. True if the worker swaps the pin: a probing one at its first failure.

        Failures that look like the page's or the site's swap too: a proxy that answers 400 or 502 to everything looks
        so. What others report of these pages settles whether the rest was deserved.
        """
        if charge is Charge.WORKER:
            return False
        self.strikes += 1
        return charge is Charge.PROXY or self.probing or self.strikes >= swap_after


def until_judged(cooling: float) -> float:
    """Seconds that a swapped proxy rests until it is judged, which is a matter of milliseconds."""
    return max(cooling, UNJUDGED_SECONDS)
