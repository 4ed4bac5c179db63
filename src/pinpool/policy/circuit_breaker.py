"""
Is it the site? When most proxies fail at the same time, no list should be worn down for it.

Failures of proxy after proxy with no page in between only raise the suspicion: they may also be the bad pages that
are left over at the end of a run. A page that was fetched before, asked for once more (the canary), tells which it
is. Pure: time and chance come in as arguments. `now` is seconds of any clock, `moment` when an answer came or failed to
come by the clock of the workers: what they say arrives in another order.
"""

from __future__ import annotations

import math
from enum import Enum

from pinpool.model import Fault
from pinpool.policy.faults import FAULTS, SiteSign
from pinpool.policy.reputation import CAP_SECONDS

#: Canaries at a time. One proxy that fails must not keep a run waiting, and one answer is proof enough.
CANARIES = 3
#: Different proxies that must have failed since the last page: this share of those in use, and never fewer than three
#: if the list has as many. A false suspicion costs a canary.
SHARE, FEWEST = 0.6, 3
#: As long as no proxy is known to work, so many rounds of canaries ask one after another of the list before the run
#: pauses: its first ones may all be dead. Where nine in ten are, one of these 24 works in 92 of 100 runs.
ROUNDS = 8
#: Seconds of the first pause and of the longest; each doubles the one before, ± 25 %.
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0


def site_sign(fault: Fault, *, served: bool) -> SiteSign:
    """What the fault says of the site: ANSWERED, SILENT or NOTHING. `served`: the site has served a page before."""
    sign = FAULTS[fault].site
    if sign is SiteSign.SILENT_IF_SERVED:
        return SiteSign.SILENT if served else SiteSign.ANSWERED
    return sign


class BreakerState(Enum):
    """What is thought of the site."""

    WELL = "well"
    SUSPECTED = "suspected"  # canaries are on their way; nothing else goes out
    DOWN = "down"  # the run pauses, then sends canaries again


class CircuitBreaker:
    """Watches the failures of one run, and says when to hold back and when to ask again."""

    def __init__(self) -> None:
        self.mood = BreakerState.WELL
        self._suspects: dict[int, list[tuple[float, int]]] = {}
        #: The proxies that have met silence since the site last answered anybody.
        self.silent: set[int] = set()
        self._raised = 0.0
        self._site_probe = 0
        self._rounds = 0
        self._news: int | None = None
        self._guilty = False
        self._pauses = 0
        self._until = 0.0
        self._since = 0.0
        self._asked_for = 0.0
        self._last: Fault | None = None

    def __repr__(self) -> str:
        return f"<Outage {self.mood.value}, {len(self._suspects)} proxies have failed since the last page>"

    def failed(
        self,
        proxy: int,
        task: int,
        fault: Fault,
        moment: float,
        now: float,
        *,
        in_use: int,
        alive: int,
        served: bool = True,
    ) -> bool:
        """
        A page was not fetched. True if nobody is to be blamed for now, because it may well be the site.

        `in_use` counts the proxies that are pinned, `alive` those that are not retired; `served` as in `site_sign`.
        """
        if site_sign(fault, served=served) is not SiteSign.SILENT or proxy <= 0:
            return False
        self.silent.add(proxy)
        self._suspects.setdefault(proxy, []).append((moment, task))
        self._last = fault
        if self.mood is BreakerState.WELL and len(self._suspects) >= _enough(in_use, alive):
            self.mood, self._since, self._raised = BreakerState.SUSPECTED, now, moment
        return self.mood is not BreakerState.WELL

    def answered(self, moment: float) -> bool:
        """The site has answered somebody. True if that ends an outage."""
        if not self._suspects and self.mood is BreakerState.WELL:
            return False
        later = {
            proxy: [(at, task) for at, task in failures if at > moment]
            for proxy, failures in self._suspects.items()
        }
        self._suspects = {proxy: failures for proxy, failures in later.items() if failures}
        if self.mood is not BreakerState.WELL and moment <= self._raised:
            return False
        self.silent = set(self._suspects)
        was_down = self.mood is BreakerState.DOWN
        self.mood = BreakerState.WELL
        self._rounds = self._pauses = 0
        self._asked_for = 0.0
        self._news = None
        return was_down

    def due(self, now: float) -> bool:
        """True if canaries should be sent now; `sent` says that they are."""
        if self._site_probe or self.mood is BreakerState.WELL:
            return False
        return self.mood is BreakerState.SUSPECTED or now >= self._until

    def sent(self) -> None:
        """A canary is on its way."""
        self._site_probe += 1

    def returned(self) -> None:
        """A canary came back, or is lost."""
        self._site_probe = max(0, self._site_probe - 1)

    def silenced(self, proxy: int, retry_after: float | None) -> None:
        """
        A canary has met silence too. `retry_after` (seconds) is what the answer asked for, if there was one, and is
        obeyed as far as a rest may go.
        """
        if self.mood is not BreakerState.WELL:
            self._news = (self._news or 0) + (proxy not in self.silent)
            self.silent.add(proxy)
            self._asked_for = max(self._asked_for, retry_after or 0.0)

    def accused(self) -> None:
        """A canary has met a proxy that failed by its own doing, and rests for it now."""
        self._guilty = True

    def concluded(self, now: float, jitter: float, *, strangers: bool = False) -> bool:
        """
        A canary is back, in whatever way. True if it was the last of its round and the site counts as down from now on,
        or still. `jitter` is 0 to 1. `strangers`: none that is known to work is at hand, and there are others that have
        not met silence.
        """
        if self.mood is BreakerState.WELL or self._site_probe:
            return False
        # A round that has asked nobody new, or was told to wait, is the last; one that told nothing of the site is not.
        goes_on = self._news is None or (strangers and self._news > 0 and not self._asked_for)
        # Of proxies that rest one after another there is an end.
        self._rounds += not (self._guilty and self._news is None)
        self._news, self._guilty = None, False
        if goes_on and self._rounds < ROUNDS:
            return False
        pause = min(FIRST_PAUSE * 2.0 ** min(self._pauses, 16), LONGEST_PAUSE / 1.25) * (0.75 + jitter / 2)
        self._until = now + max(pause, min(self._asked_for, CAP_SECONDS))
        self._pauses += 1
        self._asked_for = 0.0
        self.mood = BreakerState.DOWN
        return True

    def excused(self) -> list[tuple[int, int]]:
        """(proxy, task) of each failure since the last answer; told once, when the site counts as down."""
        told = [(proxy, task) for proxy, failures in self._suspects.items() for _, task in failures]
        self._suspects.clear()
        return told

    def next_moment(self) -> float | None:
        """When the pause is over; None without one."""
        return self._until if self.mood is BreakerState.DOWN else None

    def seconds(self, now: float) -> float:
        """For how long the site has been silent, 0 if it is well."""
        return 0.0 if self.mood is BreakerState.WELL else now - self._since

    def words(self, now: float) -> str:
        """Why the run waits, in a sentence for people; empty if it does not."""
        if self.mood is BreakerState.WELL:
            return ""
        if self.mood is BreakerState.SUSPECTED:
            return f"most proxies fail at once ({self._last}): pages that were fetched before are asked for again"
        wait = max(0.0, self._until - now)
        return f"every proxy fails ({self._last}): the site seems to be down; asked again in {wait:.0f} s"


def _enough(in_use: int, alive: int) -> int:
    return max(min(FEWEST, alive), math.ceil(in_use * SHARE))
