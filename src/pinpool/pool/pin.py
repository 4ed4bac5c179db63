"""The proxy that a worker holds, and the identity that lives as long as it does."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

from pinpool.fetch.fetcher import Fetcher
from pinpool.fetch.robots import MAX_AGE, Rules, origin_of
from pinpool.fetch.session import NO_PROFILE
from pinpool.pool.lease_types import Lease
from pinpool.settings import Settings

#: Sites whose robots.txt a pin remembers.
MOST_ORIGINS = 100


class Pin:
    """
    The proxy that this process holds, and the identity that lives as long as it does: cookies, headers, and what
    robots.txt has said to it, by origin.
    """

    def __init__(self, lease: Lease, settings: Settings, profile: Mapping[str, str] = NO_PROFILE) -> None:
        self.lease = lease
        self.fetcher = Fetcher(lease.address, settings, profile)
        self.robots: dict[str, tuple[float, Rules]] = {}
        self.crawl_delay = 0.0
        self.warm = False
        self.served = False
        self.strikes = 0
        self.hesitates = False
        self.probing = lease.probing
        self.paid = 0
        self._pace = settings.pace
        self._first_turn = time.monotonic() + max(0.0, settings.pace - lease.idle)

    def next_turn(self, jitter: float) -> float:
        """
        When it may be used again (time.monotonic), by pace times `jitter` and Crawl-delay, from its last request on.

        Not from the one before a redirect, or before the last that on_pin sent: these follow at once, as a browser's
        do, and what comes after them waits.
        """
        asked = self.fetcher.session.pin.progress.asked_at
        return max(self._first_turn, asked + max(self._pace * jitter, self.crawl_delay))

    @property
    def agent(self) -> str:
        """The User-Agent that it sends."""
        return str(self.fetcher.session.headers.get("User-Agent") or "")

    def rules_for(self, url: str) -> Rules | None:
        """What the robots.txt of this site has said to this pin; None if it has to be asked, perhaps once more."""
        asked_at, rules = self.robots.get(origin_of(url), (-math.inf, None))
        return rules if time.monotonic() < asked_at + MAX_AGE else None

    def heed(self, url: str, rules: Rules) -> None:
        """Keep to these rules from now on, and to their Crawl-delay, if it is the longest yet, with every request."""
        while len(self.robots) >= MOST_ORIGINS:
            del self.robots[next(iter(self.robots))]
        self.robots[origin_of(url)] = time.monotonic(), rules
        self.crawl_delay = max(self.crawl_delay, rules.delay(self.agent))

    def __repr__(self) -> str:
        return f"<Pin {self.lease.address.label}{' probing' if self.probing else ''}>"
