"""Applies decisions, for pages and calls alike: the lease queue rests or retires a proxy, and the records follow."""

from collections.abc import Sequence
from typing import Protocol

from pinpool.model import Event, EventKind, FailedAttempt, Fault, Outcome
from pinpool.policy.blame import Credit
from pinpool.policy.decision import Decision, Judge, failed_attempt
from pinpool.policy.reputation import Penalty, Retire
from pinpool.pool.engine import Engine


class Records(Protocol):
    """Where a run records what happens to its proxies: a crawl in its journal, a PinnedPool in its ledger."""

    def cooled(self, proxy: int, fault: Fault | None, seconds: float) -> None:
        """The proxy rests for so long; `fault` is None if the site was to blame."""

    def retired(self, proxy: int, reason: str) -> None:
        """The proxy is out for this run."""

    def released(self, proxy: int) -> None:
        """The rest of the proxy ends, as it was not to blame."""

    def proven(self, proxy: int) -> None:
        """The proxy has served a page after its rest."""

    def charge(self, task: int, proxies: Sequence[int]) -> None:
        """These proxies pay for all their failures of the task."""

    def forgive(self, task: int, proxies: Sequence[int]) -> None:
        """The charges of these proxies for the task are taken back."""

    def event(self, event: Event) -> None:
        """The engine reports an event, such as the move of a proxy."""


class Settler:
    """Applies to `engine` and `records` what follows from an outcome."""

    def __init__(self, engine: Engine, judge: Judge, records: Records) -> None:
        self._engine = engine
        self._judge = judge
        self.reputation = judge.reputation
        self._records = records
        self._refuted: dict[int, Fault] = {}  # asked to swap, because others have served what they had not

    def fetched(self, task: int, proxy: int, credit: Credit) -> None:
        """A page was fetched, or a call has returned."""
        if credit.proven:
            self._records.proven(proxy)
        if credit.charged:
            self._records.charge(task, credit.charged)

    def failed(self, task: int, proxy: int, decision: Decision) -> None:
        """An attempt has failed. Its record must be there already: charges are taken back from it."""
        if decision.penalty is not None:
            self.penalize(proxy, decision.penalty, decision.fault)
        if decision.forgiven:
            self._records.forgive(task, decision.forgiven)
        for released in decision.released:
            self.release(released)

    def noted(self, event: Event) -> None:
        """The engine reports an event. A rest is over once a worker has the proxy again; one of a slow proxy begins."""
        if event.kind is EventKind.LEASED and event.proxy is not None:
            self.reputation.leased(event.proxy)
        self._records.event(event)
        if event.kind is EventKind.FAULTED and event.detail == Fault.SLOW:
            self._swapped(FailedAttempt(event.proxy, self._refuted.pop(event.proxy or 0, Fault.SLOW)))

    def refuted(self, proxy: int, fault: Fault = Fault.HTTP_ERROR) -> None:
        """
        The proxy called a page gone, or showed something else in its place, and another has served it. It rests if it
        has done so too often; its worker does not know.
        """
        if self._judge.rests(proxy):
            self._refuted[proxy] = fault
            self._engine.ask_to_swap(proxy)

    def overtaken(self, task: int, proxy: int) -> bool:
        """The proxy had the page of `task` in hand for longer than another took for it. True if it is slow by now."""
        if proxy not in self.reputation:
            return False
        is_slow, rests = self._judge.overtaken(task, proxy)
        if rests:
            self._engine.ask_to_swap(proxy)
        return is_slow

    def failed_late(self, task: int, outcome: Outcome) -> None:
        """An overtaken attempt has failed. It is not recorded, but its proxy has failed a page that another fetched."""
        failure = failed_attempt(outcome)
        if failure.proxy in self.reputation:
            self._judge.failed_late(task, failure)
            if outcome.swapped:
                self._swapped(failure)

    def _swapped(self, failure: FailedAttempt) -> None:
        penalty = self._judge.penalty(failure)
        if penalty is not None and failure.proxy is not None:
            self.penalize(failure.proxy, penalty, failure.fault)

    def penalize(self, proxy: int, penalty: Penalty, fault: Fault | None) -> None:
        """A worker has swapped the proxy, for `fault`; None if the site was to blame."""
        if withdrawn := self.reputation[proxy].withdrawn:  # whatever it did with its last page
            penalty = Retire(withdrawn)
        # Records first: moves that the lease queue reports from now on are newer.
        if isinstance(penalty, Retire):
            self._records.retired(proxy, penalty.reason)
            self._engine.retire(proxy, penalty.reason)
        else:
            self._records.cooled(proxy, fault, penalty.seconds)
            self._engine.cool(proxy, penalty.seconds)

    def release(self, proxy: int) -> None:
        """End a rest that the proxy did not deserve. No effect if it does not rest."""
        if not self.reputation[proxy].withdrawn:
            self._records.released(proxy)
            self._engine.cool(proxy, 0.0)
