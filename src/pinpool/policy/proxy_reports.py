"""
What the proxies say that fail now, and whether a run that has never fetched a page has any chance.

A proxy's report is its last failure; it ends with the next page that the proxy fetches. Reads no clock.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

from pinpool.model import Charge, Evidence, Fault, Step
from pinpool.policy.faults import DELIVERED, FAULTS

#: A run that has never fetched a page asks so many proxies at most. Where nine in ten are dead, one of these works in
#: 92 of 100 runs.
SURVEY = 24
#: A shorter list is asked twice: one hiccup must not end a run.
FEW = 3
#: Seconds within which a fault may pass that is not a lasting one. After them the site is asked once more.
SECOND_LOOK = 10.0
#: The run ends at once if nobody could be asked before so many seconds.
NO_LOOK = 15.0
#: Seconds after which a run ends that is still asking, and the proxies that must have failed by then: with few workers,
#: or behind black holes, it takes long to ask everybody.
LONG, TOO_LONG, FEW_FOR_LONG = 50.0, 110.0, 8
#: Trying again within minutes does not change these.
LASTING = frozenset({Fault.TLS, Fault.PROXY_AUTH, Fault.PROXY_TLS, Fault.HTTP_ERROR, Fault.REDIRECTS})
#: The faults that the status says more about.
_OF_STATUS = frozenset({Fault.BANNED, Fault.HTTP_ERROR, Fault.SERVER_ERROR, Fault.TUNNEL})


class Report(NamedTuple):
    """The last failure of a proxy, and how many it has had in a row. `message` may quote a hostile peer."""

    fault: Fault
    step: Step
    status: int | None
    message: str
    times: int

    @property
    def kind(self) -> str:
        """The fault in a word or two: ``banned 403``, ``timeout``."""
        return f"{self.fault} {self.status}" if self.status and self.fault in _OF_STATUS else str(self.fault)

    @property
    def of_proxy(self) -> bool:
        """True if the proxy alone is to blame: other proxies may do better."""
        return FAULTS[self.fault].charge is Charge.PROXY or self.fault is Fault.CONNECT_TIMEOUT


@dataclass(slots=True)
class ProxyReports:
    """
    The reports by proxy. `answered`: the journal of the run holds an answered page, of this start or an earlier one.

    `began` and `latest` are when the first failed attempt began, and the last one, in seconds of any clock.
    """

    answered: bool
    listed: int = 0
    by_proxy: dict[int, Report] = field(default_factory=dict)
    began: float = inf
    latest: float = -inf

    def failed(self, proxy: int, fault: Fault, evidence: Evidence, seconds: float, now: float) -> None:
        """An attempt has failed that took so long. One that says nothing of proxy or site is left out."""
        if proxy <= 0 or FAULTS[fault].charge is Charge.WORKER:
            return
        self.began = min(self.began, now - seconds)
        self.latest = max(self.latest, now - seconds)
        before = self.by_proxy.get(proxy)
        message = evidence.message.partition("\n")[0]
        times = before.times + 1 if before else 1
        self.by_proxy[proxy] = Report(fault, evidence.step, evidence.status, message, times)

    def fetched(self, proxy: int) -> None:
        """The proxy has fetched a page."""
        self.answered = True
        self.by_proxy.pop(proxy, None)

    def forget(self, proxy: int) -> None:
        """The proxy is off the list."""
        self.by_proxy.pop(proxy, None)

    def kinds(self) -> Counter[str]:
        """How many proxies report each kind of failure."""
        return Counter(report.kind for report in self.by_proxy.values())

    def text(self) -> str:
        """``9 of 10 proxies failed (banned 403)``; empty without a report."""
        kinds = self.kinds().most_common()
        if not kinds:
            return ""
        named = ", ".join(f"{count} {kind}" for kind, count in kinds) if len(kinds) > 1 else kinds[0][0]
        proxies = "proxy" if self.listed == 1 else "proxies"
        return f"{len(self.by_proxy)} of {max(self.listed, len(self.by_proxy))} {proxies} failed ({named})"


class Survey(NamedTuple):
    """
    Who can still be asked. `unasked` proxies are pinned or spare and have no report; `pending` of them have a page in
    hand. `again_in` is how many seconds nobody will be asked from now on, 0 if somebody is.
    """

    unasked: int
    pending: int
    again_in: float


def is_hopeless(reports: Mapping[int, Report], survey: Survey, *, elapsed: float, latest: float) -> bool:
    """
    True if a run that has never fetched a page should end: everybody there is, or 24, has failed.

    `elapsed` are the seconds since the first failed attempt began, `latest` those until the last one began.
    """
    asked = len(reports)
    delivered = sum(report.fault in DELIVERED for report in reports.values())
    if not asked or delivered >= min(FEW, asked + survey.unasked):
        return False
    if (asked >= SURVEY and elapsed >= LONG) or (asked >= FEW_FOR_LONG and elapsed >= TOO_LONG):
        return True
    # A dead proxy says nothing of the next one on the list. A site that turns 24 away does.
    nobody_soon = survey.again_in > NO_LOOK and asked >= FEW
    by_site = 2 * sum(report.of_proxy for report in reports.values()) < asked
    if survey.unasked and not nobody_soon and (asked < SURVEY or survey.pending or not by_site):
        return False
    if all(report.fault in LASTING for report in reports.values()):
        return True
    if asked < FEW:
        asked_twice = all(report.times > 1 for report in reports.values())
        return survey.again_in > LONG or (asked_twice and latest >= SECOND_LOOK)
    return latest >= SECOND_LOOK or survey.again_in > NO_LOOK
