"""
What follows from the outcome of an attempt, for pages and calls alike: for the task, and for each proxy that it met.

Evidence → fault (`faults`) → blame and decision (here, with `retry` for the task) → `pool.settle` applies them.

Blame is settled by what other proxies report of the same page. A proxy is to blame for a page that others fetch. A page
that three working proxies fail is to blame itself, and the charges of these proxies are forgiven. A proxy that fails
page after page and serves none is not believed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from random import Random
from typing import NamedTuple

from pinpool.model import Charge, FailedAttempt, Fault, Outcome
from pinpool.policy.faults import FAULTS, fault_of
from pinpool.policy.reputation import NO_REST, Penalty, Reputation
from pinpool.policy.retry import WITNESSES, Resubmit, Verdict, decide
from pinpool.settings import Settings


class Credit(NamedTuple):
    """
    A page was fetched. `proven`: that ended the proxy's row of rests.

    `charged` are the proxies that had shown something else in place of the page, and pay for it now.
    """

    proven: bool
    charged: tuple[int, ...]


class Decision(NamedTuple):
    """
    What follows from a failed attempt. `charged`: its proxy pays for it. `penalty`: for the proxy that the worker has
    swapped; None if the worker kept its pin.

    `forgiven` are the proxies whose charges for this task are taken back. `released` are other proxies whose rest has
    lost its reason.
    """

    fault: Fault
    charged: bool
    verdict: Verdict
    penalty: Penalty | None
    forgiven: tuple[int, ...] = ()
    released: tuple[int, ...] = ()


def failed_attempt(outcome: Outcome) -> FailedAttempt:
    """The failed attempt that an outcome with evidence reports."""
    assert outcome.evidence is not None
    proxy = outcome.proxy if outcome.proxy > 0 else None
    return FailedAttempt(proxy, fault_of(outcome.evidence))


class Judge:
    """Judges by the reputations and the run's settings, and keeps the reputations up to date."""

    def __init__(self, reputation: Reputation, settings: Settings, random: Random) -> None:
        """`random` gives the jitter."""
        self.reputation = reputation
        self._settings = settings
        self._random = random

    def fetched(self, proxy: int, task: int, history: Iterable[FailedAttempt] = ()) -> Credit:
        """`proxy` has fetched the page of `task`. Those that failed it, in its `history`, are to blame."""
        proven = self.reputation.credit(proxy)
        others = self._open(history)
        others.pop(proxy, None)
        for other in others:
            self.reputation.blame(other, task)
        charged = [other for other, charges in others.items() if Charge.PAGE in charges]
        return Credit(proven, tuple(sorted(charged)))

    def failed(
        self,
        task: int,
        failure: FailedAttempt,
        history: Iterable[FailedAttempt],
        *,
        swapped: bool,
        alive: Collection[int],
        retry_after: float | None = None,
        is_index: bool = False,
    ) -> Decision:
        """
        Decide on a failed attempt. `history` are the task's earlier failures, oldest first, `alive` the proxies that
        are not retired. `swapped`: the worker has let go of the proxy. `retry_after`: the seconds that the answer
        asked for.
        """
        charge = FAULTS[failure.fault].charge
        # Until the blame is settled.
        charged = charge in (Charge.PROXY, Charge.DOUBTFUL, Charge.OPEN) and not failure.site_down
        if failure.proxy is not None and not failure.site_down:
            if charge is Charge.PROXY:
                self.reputation.blame(failure.proxy)
            elif charge is not Charge.WORKER:
                self.reputation.strike(failure.proxy, task, counts=charged)
        verdict: Verdict = Resubmit(0.0, charged=False)
        forgiven: tuple[int, ...] = ()
        released: set[int] = set()
        if FAULTS[failure.fault].asked:  # a proxy that was not asked says nothing new of the page
            failures = [*history, failure]
            suspects = set(self._open(failures))
            # A failure that a credible proxy shares does not count, until somebody fetches the page.
            credible = set(filter(self.reputation.credible, suspects))
            released = {
                proxy for proxy in suspects if credible - {proxy} and self.reputation.discount(proxy, task)
            }
            # How many proxies can be asked. Those that rest again and again are not waited for.
            voters = sum(not self.reputation.unproven(proxy) for proxy in alive) or len(alive)
            verdict = decide(
                failures,
                attempts=self._settings.attempts,
                alive=voters,
                believed=self._believed(task, alive, voters),
                is_index=is_index,
                jitter=self._random.random(),
            )
            final = not isinstance(verdict, Resubmit)
            forgiven, more = self._cleared(task, suspects, voters, final=final)
            released |= more
        penalty = self.penalty(failure, retry_after) if swapped else None
        return Decision(
            failure.fault, charged, verdict, penalty, forgiven, tuple(sorted(released - {failure.proxy}))
        )

    def penalty(self, failure: FailedAttempt, retry_after: float | None = None) -> Penalty | None:
        """What follows for a proxy that its worker has swapped; None if it is unknown."""
        proxy, fault = failure.proxy, failure.fault
        if proxy is None:
            return None
        if failure.site_down:
            return NO_REST
        needed = 0
        if FAULTS[fault].charge is not Charge.PROXY:
            # The worker counts every failure. Some are known by now not to be the proxy's, or not known yet.
            needed = 1 if self.reputation.unproven(proxy) else self._settings.swap_after
            if self.reputation.strikes(proxy) < needed:
                return NO_REST
        return self.reputation.penalty(proxy, fault, retry_after, self._random.random(), needed)

    def _believed(self, task: int, alive: Collection[int], voters: int) -> set[int]:
        """The proxies whose reports on the page of `task` count. Empty: none works, so that all are equal."""
        believed = {proxy for proxy in alive if self.reputation.works(proxy, task)}
        if len(believed) < min(WITNESSES, voters):
            believed = set(filter(self.reputation.credible, alive))
        return believed

    def _cleared(
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
        for proxy, fault, site_down in failures:
            if proxy is not None and proxy in self.reputation and FAULTS[fault].reports and not site_down:
                found.setdefault(proxy, set()).add(FAULTS[fault].charge)
        return found
