"""
Is it the site? When most proxies fail at the same time, no list should be worn down for it.

Failures of one proxy after another with no page in between only raise the suspicion: they may also be the bad pages
left over at the end of a run. Site probes tell which it is: a page that was fetched before is asked for once more.

Reads no clock and draws no random number. `now` is seconds of any clock. `moment` is when an answer came, or failed to
come, by the clock of the workers, because answers arrive in another order.
"""

import math
from enum import Enum

from pinpool.model import Fault
from pinpool.policy.backoff import backoff
from pinpool.policy.faults import FAULTS, SiteSign
from pinpool.policy.reputation import CAP_SECONDS

#: Site probes of one round. A proxy that fails must not keep a run waiting, and one answer is proof enough.
PROBES = 3
#: Different proxies that fail with no page in between before the site is suspected: this share of those in use, and at
#: least three if the list has as many. A false suspicion costs one round of probes.
SHARE, FEWEST = 0.6, 3
#: While no proxy is known to work, so many rounds ask one proxy of the list after another before the run pauses: the
#: first ones may all be dead. Where nine in ten are dead, one of these 24 works in 92 of 100 runs.
ROUNDS = 8
#: Seconds of the first pause and of the longest; each is twice the one before, ± 25 %.
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0


def site_sign(fault: Fault, *, served: bool) -> SiteSign:
    """What the fault says of the site: ANSWERED, SILENT or NOTHING. `served`: the site has served a page before."""
    sign = FAULTS[fault].site
    if sign is SiteSign.SILENT_IF_SERVED:
        return SiteSign.SILENT if served else SiteSign.ANSWERED
    return sign


class BreakerState(Enum):
    """What may go out to the site."""

    CLOSED = "closed"  # everything: the site answers
    HALF_OPEN = "half-open"  # only site probes: the site is suspected
    OPEN = "open"  # nothing until the pause is over, then site probes again


class CircuitBreaker:
    """Watches the failures of one run, and says when to hold back and when to probe the site."""

    def __init__(self) -> None:
        self.state = BreakerState.CLOSED
        #: The proxies that met silence since the site last answered anybody.
        self.silent: set[int] = set()
        #: (moment, task) of each silent failure since the last page, by proxy.
        self._failures: dict[int, list[tuple[float, int]]] = {}
        self._last_fault: Fault | None = None
        self._suspected_at = 0.0  # by the clock of the workers
        self._since = 0.0
        self._until = 0.0
        self._pauses = 0
        # Of the present round of probes:
        self._probes = 0  # on their way
        self._rounds = 0
        # Proxies that met silence for the first time; None: no probe met silence.
        self._new_silent: int | None = None
        self._proxy_failed = False
        self._wait_asked = 0.0

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
        A page was not fetched. True if nobody should be blamed for now, because it may well be the site.

        `in_use` counts the pinned proxies, `alive` those that are not retired; `served` as in `site_sign`.
        """
        if site_sign(fault, served=served) is not SiteSign.SILENT or proxy <= 0:
            return False
        self.silent.add(proxy)
        self._failures.setdefault(proxy, []).append((moment, task))
        self._last_fault = fault
        enough = max(min(FEWEST, alive), math.ceil(in_use * SHARE))
        if self.state is BreakerState.CLOSED and len(self._failures) >= enough:
            self.state, self._since, self._suspected_at = BreakerState.HALF_OPEN, now, moment
        return self.state is not BreakerState.CLOSED

    def site_answered(self, moment: float) -> bool:
        """Somebody got an answer of the site. True if that ends a pause."""
        if not self._failures and self.state is BreakerState.CLOSED:
            return False
        later = {
            proxy: [(at, task) for at, task in failures if at > moment] for proxy, failures in self._failures.items()
        }
        self._failures = {proxy: failures for proxy, failures in later.items() if failures}
        if self.state is not BreakerState.CLOSED and moment <= self._suspected_at:
            return False
        self.silent = set(self._failures)
        was_open = self.state is BreakerState.OPEN
        self.state = BreakerState.CLOSED
        self._rounds = self._pauses = 0
        self._wait_asked = 0.0
        self._new_silent = None
        return was_open

    def probes_due(self, now: float) -> bool:
        """True if site probes should go out now. `probe_sent` reports that they do."""
        if self._probes or self.state is BreakerState.CLOSED:
            return False
        return self.state is BreakerState.HALF_OPEN or now >= self._until

    def probe_sent(self) -> None:
        """A site probe is on its way."""
        self._probes += 1

    def probe_met_silence(self, proxy: int, retry_after: float | None) -> None:
        """A site probe met silence too. `retry_after`: seconds that the answer asked for, if there was one."""
        if self.state is not BreakerState.CLOSED:
            self._new_silent = (self._new_silent or 0) + (proxy not in self.silent)
            self.silent.add(proxy)
            self._wait_asked = max(self._wait_asked, retry_after or 0.0)

    def probe_met_bad_proxy(self) -> None:
        """A site probe failed by its proxy's own fault. That proxy rests now."""
        self._proxy_failed = True

    def probe_ended(self, now: float, jitter: float, *, untried: bool = False) -> bool:
        """
        A site probe is back, or lost. True if it was the last of its round and the run pauses now, or goes on pausing.

        `jitter` is 0 to 1. `untried`: no proxy at hand is known to work, and some have not met silence yet.
        """
        self._probes = max(0, self._probes - 1)
        if self.state is BreakerState.CLOSED or self._probes:
            return False
        # The last round is one that asked no new proxy, or was asked to wait. One that says nothing of the site is not.
        another = self._new_silent is None or (untried and self._new_silent > 0 and not self._wait_asked)
        # Rounds in which only proxies failed do not count: each of these proxies rests, so that the list has an end.
        self._rounds += not (self._proxy_failed and self._new_silent is None)
        self._new_silent, self._proxy_failed = None, False
        if another and self._rounds < ROUNDS:
            return False
        pause = backoff(FIRST_PAUSE, self._pauses, jitter, longest=LONGEST_PAUSE)
        self._until = now + max(pause, min(self._wait_asked, CAP_SECONDS))
        self._pauses += 1
        self._wait_asked = 0.0
        self.state = BreakerState.OPEN
        return True

    def take_failures(self) -> list[tuple[int, int]]:
        """(proxy, task) of each silent failure since the last page, once: to be excused when the run pauses."""
        failed = [(proxy, task) for proxy, failures in self._failures.items() for _, task in failures]
        self._failures.clear()
        return failed

    def pause_ends(self) -> float | None:
        """When the pause is over; None without one."""
        return self._until if self.state is BreakerState.OPEN else None

    def silent_seconds(self, now: float) -> float:
        """For how long the site has been silent, 0 if it answers."""
        return 0.0 if self.state is BreakerState.CLOSED else now - self._since
