"""A pin: the proxy that a worker holds, and the identity that lives as long as it is held."""

import math
import time
from collections.abc import Mapping

from pinpool.fetch.fetcher import Fetcher
from pinpool.fetch.robots import MAX_AGE, Rules, origin_of
from pinpool.fetch.session import NO_PROFILE
from pinpool.model import Evidence
from pinpool.policy.faults import FAULTS, fault_of
from pinpool.policy.reputation import Patience
from pinpool.pool.lease_types import Lease
from pinpool.settings import Settings

#: Sites whose robots.txt a pin remembers.
MOST_ORIGINS = 100


class PinHealth:
    """
    How a leased proxy does in its worker's hands: says when the worker swaps it.

    `served` is true once it has served a page. If it `hesitates`, its worker declines the next task: the parent may
    want another proxy for it, once it knows of the failure.
    """

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.patience = Patience(lease.probing)
        self.served = self.hesitates = False

    def credit(self) -> bool:
        """It has served a page. True if it was probing until now."""
        was_probing = self.patience.probing
        self.patience.served()
        self.served = True
        return was_probing

    def fail(self, evidence: Evidence, swap_after: int) -> bool:
        """An attempt has failed. True if the worker must swap the proxy."""
        self.hesitates = not self.served
        return self.patience.ends(FAULTS[fault_of(evidence)].charge, swap_after)


class Pin(PinHealth):
    """
    A leased proxy with its identity: cookies, headers, and the rules of each robots.txt, by origin.

    `paid` is how many of its requests the site's rate has allowed.
    """

    def __init__(self, lease: Lease, settings: Settings, profile: Mapping[str, str] = NO_PROFILE) -> None:
        super().__init__(lease)
        self.fetcher = Fetcher(lease.address, settings, profile)
        self.robots: dict[str, tuple[float, Rules]] = {}
        self.crawl_delay = 0.0
        self.warm = False
        self.paid = 0
        self._pace = settings.pace
        self._first_turn = time.monotonic() + max(0.0, settings.pace - lease.idle)

    def next_turn(self, jitter: float) -> float:
        """
        When it may be used again (time.monotonic): pace times `jitter`, or Crawl-delay, after its last request.

        Redirects, and what on_pin asks after its first request, follow at once, as in a browser. What comes next waits.
        """
        asked = self.fetcher.session.pin.progress.asked_at
        return max(self._first_turn, asked + max(self._pace * jitter, self.crawl_delay))

    @property
    def agent(self) -> str:
        """The User-Agent that it sends."""
        return str(self.fetcher.session.headers.get("User-Agent") or "")

    def rules_for(self, url: str) -> Rules | None:
        """The rules of this site's robots.txt; None if it has to be asked, for the first time or again."""
        asked_at, rules = self.robots.get(origin_of(url), (-math.inf, None))
        return rules if time.monotonic() < asked_at + MAX_AGE else None

    def heed(self, url: str, rules: Rules) -> None:
        """Obey these rules from now on; the longest Crawl-delay of all sites counts for every request."""
        while len(self.robots) >= MOST_ORIGINS:
            del self.robots[next(iter(self.robots))]
        self.robots[origin_of(url)] = time.monotonic(), rules
        self.crawl_delay = max(self.crawl_delay, rules.delay(self.agent))

    def __repr__(self) -> str:
        return f"<Pin {self.lease.address.label}{' probing' if self.patience.probing else ''}>"
