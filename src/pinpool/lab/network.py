"""
What all connections of one lab share, and the answer that each gets in the end: the site's, then the faults'.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from random import Random
from typing import Literal

from pinpool.lab.faults import SiteFault, by_site, draw_flaw, through
from pinpool.lab.http import Answer, Request
from pinpool.lab.request_log import LabProxy, RequestLog
from pinpool.lab.site import Site

#: The site's name, which nobody but the lab's proxies resolves.
NAME = "movies.test"
HERE = (NAME, "127.0.0.1", "localhost", "::1")


@dataclass(slots=True)
class Ground:
    """
    What all connections of one lab share. `site_faults` maps patterns of paths; the last that fits counts.
    """

    site: Site
    books: RequestLog
    latency: float
    ban_after: int
    flaky_rate: float
    draws: Mapping[int | None, Random]
    tls: ssl.SSLContext | None = None
    plain_port: int = 0
    tls_port: int = 0
    site_faults: dict[str, tuple[SiteFault, int | None]] = field(default_factory=dict)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def way(self, host: str, port: int) -> Literal["plain", "tls"] | None:
        """Where a proxy of the lab goes for this address: to one of the site's ports, or nowhere."""
        if host.lower() not in HERE:
            return None
        if port == self.plain_port:
            return "plain"
        return "tls" if self.tls_port and port == self.tls_port else None

    def flaw(self, proxy: LabProxy) -> Literal["reset", "502", "cut"] | None:
        """What a flaky proxy does this time."""
        return (
            draw_flaw(self.draws[proxy.index].random(), self.flaky_rate) if proxy.fault == "flaky" else None
        )

    def answer(self, request: Request, path: str, proxy: LabProxy | None, tunnel: bool) -> Answer:
        """The site's answer as it comes out of the proxy."""
        address = proxy.exit_address if proxy else "127.0.0.1"
        answer = by_site(self.site.answer(request, path, address), self._site_fault(path))
        if proxy is None or proxy.fault is None:
            return answer
        return through(
            answer,
            proxy.fault,
            requests=proxy.requests,
            ban_after=self.ban_after,
            flaw=self.flaw(proxy),
            tunnel=tunnel,
        )

    def delay(self, proxy: LabProxy | None) -> float:
        """Seconds before an answer: the latency, a quarter more or less."""
        return (
            self.latency * self.draws[proxy.index if proxy else None].uniform(0.75, 1.25)
            if self.latency
            else 0.0
        )

    def _site_fault(self, path: str) -> SiteFault | None:
        for pattern, (fault, left) in reversed(self.site_faults.items()):
            if fnmatchcase(path, pattern):
                if left == 1:
                    del self.site_faults[pattern]
                elif left is not None:
                    self.site_faults[pattern] = (fault, left - 1)
                return fault
        return None
