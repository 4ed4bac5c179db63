"""
Whose fault it was, settled by what other proxies report of the same page.

A proxy is to blame for a page that others fetch. A page that three working proxies fail is to blame itself, and the
charges of these proxies are forgiven. A proxy that fails page after page and serves none is not believed.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from pinpool.model import Charge, FailedAttempt
from pinpool.policy.faults import FAULTS
from pinpool.policy.reputation import Reputation
from pinpool.policy.retry import WITNESSES

#: The charges under which a proxy pays until the blame is settled.
_OF_PROXY = (Charge.PROXY, Charge.DOUBTFUL, Charge.OPEN)


class Credit(NamedTuple):
    """
    A page was fetched. `proven`: that ended the proxy's row of rests.

    `charged` are the proxies that had shown something else in place of the page, and pay for it now.
    """

    proven: bool
    charged: tuple[int, ...]


class Blame:
    """Keeps `reputation` up to date with what attempts show of each proxy."""

    def __init__(self, reputation: Reputation) -> None:
        self.reputation = reputation

    def fetched(self, proxy: int, task: int, history: Iterable[FailedAttempt]) -> Credit:
        """`proxy` has fetched the page of `task`, so that those which failed it are to blame."""
        proven = self.reputation.credit(proxy)
        others = self._open(history)
        others.pop(proxy, None)
        for other in others:
            self.reputation.blame(other, task)
        charged = [other for other, charges in others.items() if Charge.PAGE in charges]
        return Credit(proven, tuple(sorted(charged)))

    def failed(self, task: int, failure: FailedAttempt) -> bool:
        """`task` has failed. True if the proxy is charged for now."""
        charge = FAULTS[failure.fault].charge
        charged = charge in _OF_PROXY and not failure.site_down
        if failure.proxy is not None and not failure.site_down:
            if charge is Charge.PROXY:
                self.reputation.blame(failure.proxy)
            elif charge is not Charge.WORKER:
                self.reputation.strike(failure.proxy, task, counts=charged)
        return charged

    def failed_alone(self, task: int, failure: FailedAttempt) -> None:
        """A proxy has failed `task`, whose page another has fetched meanwhile."""
        self.failed(task, failure)
        if failure.proxy is not None and FAULTS[failure.fault].reports:
            self.reputation.blame(failure.proxy, task)

    def suspects(self, failures: Iterable[FailedAttempt]) -> set[int]:
        """The proxies that failed a page without surely being the cause."""
        return set(self._open(failures))

    def discounted(self, task: int, suspects: Collection[int]) -> set[int]:
        """
        Do not count a failure that a credible proxy shares, until somebody fetches the page. Returns the proxies whose
        rest has lost its reason.
        """
        credible = set(filter(self.reputation.credible, suspects))
        return {proxy for proxy in suspects if credible - {proxy} and self.reputation.discount(proxy, task)}

    def voters(self, alive: Collection[int]) -> int:
        """How many proxies can be asked. Those that rest again and again are not waited for."""
        return sum(not self.reputation.unproven(proxy) for proxy in alive) or len(alive)

    def believed(self, task: int, alive: Collection[int], voters: int) -> set[int]:
        """The proxies whose reports on the page of `task` count. Empty: none works, so that all are equal."""
        believed = {proxy for proxy in alive if self.reputation.works(proxy, task)}
        if len(believed) < min(WITNESSES, voters):
            believed = set(filter(self.reputation.credible, alive))
        return believed

    def cleared(
        self, task: int, suspects: Collection[int], voters: int, *, final: bool
    ) -> tuple[tuple[int, ...], set[int]]:
        """
        The proxies that are not to blame for the task, because enough working ones fail it, or its end is `final`;
        and those of them whose rest has lost its reason.
        """
        cleared = sorted(suspects)
        if not final:
            cleared = [proxy for proxy in cleared if self.reputation.works(proxy, task)]
            if len(cleared) < min(WITNESSES, voters):
                cleared = []
        return tuple(cleared), {proxy for proxy in cleared if self.reputation.clear(proxy, task)}

    def _open(self, failures: Iterable[FailedAttempt]) -> dict[int, set[Charge]]:
        """By proxy of this list, the charges of its failures for which the page or the site may be to blame too."""
        found: dict[int, set[Charge]] = {}
        for proxy, fault, site_down, *_ in failures:
            if proxy is not None and proxy in self.reputation and FAULTS[fault].reports and not site_down:
                found.setdefault(proxy, set()).add(FAULTS[fault].charge)
        return found
