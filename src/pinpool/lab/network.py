"""What all connections of one lab share, and how the answer to each request comes about: the site, then the faults."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from random import Random
from typing import Literal

from pinpool.lab.faults import Flaw, SiteFault, as_asked, draw_flaw, with_proxy_fault, with_site_fault
from pinpool.lab.http import Answer, Request
from pinpool.lab.request_log import LabProxy, RequestLog
from pinpool.lab.site import Site

#: The site's name. Only the lab's proxies resolve it.
NAME = "movies.test"
SITE_HOSTS = (NAME, "127.0.0.1", "localhost", "::1")


@dataclass(slots=True)
class Network:
    """What all connections of one lab share. `site_faults` maps path patterns to faults; the last match counts."""

    site: Site
    log: RequestLog
    latency: float
    ban_after: int
    flaky_rate: float
    draws: Mapping[int | None, Random]
    tls: ssl.SSLContext | None = None
    plain_port: int = 0
    tls_port: int = 0
    site_faults: dict[str, tuple[SiteFault, int | None]] = field(default_factory=dict)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def route(self, host: str, port: int) -> Literal["plain", "tls"] | None:
        """Which port of the site a proxy reaches by this address, or None."""
        if host.lower() not in SITE_HOSTS:
            return None
        if port == self.plain_port:
            return "plain"
        return "tls" if self.tls_port and port == self.tls_port else None

    def flaw(self, proxy: LabProxy) -> Flaw | None:
        """What a flaky proxy does this time."""
        if proxy.fault != "flaky":
            return None
        return draw_flaw(self.draws[proxy.index].random(), self.flaky_rate)

    def answer(self, request: Request, path: str, proxy: LabProxy | None, tunnel: bool) -> Answer:
        """The site's answer as the client of the proxy gets it."""
        address = proxy.exit_address if proxy else "127.0.0.1"
        fault = proxy.fault if proxy else None
        answer = self.site.answer(*as_asked(request, path, fault), address)
        answer = with_site_fault(answer, self._site_fault(path))
        if proxy is None or proxy.fault is None:
            return answer
        banned = proxy.fault == "ban" and proxy.requests > self.ban_after
        return with_proxy_fault(answer, proxy.fault, self.flaw(proxy), banned=banned, tunnel=tunnel)

    def delay(self, proxy: LabProxy | None) -> float:
        """Seconds before an answer: the latency, a quarter more or less."""
        return self.latency * self.draws[proxy.index if proxy else None].uniform(0.75, 1.25)

    def _site_fault(self, path: str) -> SiteFault | None:
        for pattern, (fault, left) in reversed(self.site_faults.items()):
            if fnmatchcase(path, pattern):
                if left == 1:
                    del self.site_faults[pattern]
                elif left is not None:
                    self.site_faults[pattern] = (fault, left - 1)
                return fault
        return None
