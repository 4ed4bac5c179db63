"""
What follows from the outcome of an attempt, for pages and calls alike: for the task, and for each proxy that it met.

Evidence → fault (`faults`) → blame (`blame`) → decision (here, with `retry` for the task) → `pool.settle` applies it.
"""

from collections.abc import Collection, Iterable
from random import Random
from typing import NamedTuple

from pinpool.model import Charge, FailedAttempt, Fault, Outcome
from pinpool.policy.blame import Blame, Credit
from pinpool.policy.faults import FAULTS, fault_of, is_gone
from pinpool.policy.reputation import NO_REST, Penalty, Reputation
from pinpool.policy.retry import Resubmit, Verdict, decide
from pinpool.settings import Settings


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
    proxy, fault = outcome.proxy if outcome.proxy > 0 else None, fault_of(outcome.evidence)
    error = outcome.evidence.message if fault is Fault.EXTRACT else ""
    gone = fault is Fault.HTTP_ERROR and outcome.evidence.status is not None and is_gone(outcome.evidence.status)
    return FailedAttempt(proxy, fault, error=error, gone=gone)


class Judge:
    """Judges by the reputations and the run's settings, and keeps the reputations up to date."""

    def __init__(self, reputation: Reputation, settings: Settings, random: Random) -> None:
        """`random` gives the jitter."""
        self.reputation = reputation
        self._blame = Blame(reputation)
        self._settings = settings
        self._random = random

    def fetched(self, proxy: int, task: int, history: Iterable[FailedAttempt] = ()) -> Credit:
        """`proxy` has fetched the page of `task`. `history` are the task's earlier failures."""
        return self._blame.fetched(proxy, task, history)

    def failed(
        self,
        task: int,
        failure: FailedAttempt,
        history: Iterable[FailedAttempt],
        *,
        swapped: bool,
        alive: Collection[int],
        retry_after: float | None = None,
        is_list: bool = False,
        undecided: bool = False,
        answered: bool = True,
    ) -> Decision:
        """
        Decide on a failed attempt. `history` are the task's earlier failures, oldest first, `alive` the proxies that
        are not retired. `swapped`: the worker has let go of the proxy. `retry_after`: the seconds that the answer
        asked for. `undecided`: another attempt of the task is under way, and decides what becomes of it.
        `answered`: the run has fetched a page. `is_list`: the page is one of a list, which may end with an empty one.
        """
        charged = self._blame.failed(task, failure)
        verdict: Verdict = Resubmit(0.0, charged=False)
        forgiven: tuple[int, ...] = ()
        released: set[int] = set()
        if FAULTS[failure.fault].asked:  # a proxy that was not asked says nothing new of the page
            failures = [*history, failure]
            suspects = self._blame.suspects(failures)
            released = self._blame.discounted(task, suspects)
            voters = self._blame.voters(alive)
            if not undecided:
                verdict = decide(
                    failures,
                    attempts=self._settings.attempts,
                    alive=voters,
                    believed=self._blame.believed(task, alive, voters),
                    is_list=is_list,
                    jitter=self._random.random(),
                    answered=answered,
                )
            final = not isinstance(verdict, Resubmit)
            forgiven, more = self._blame.cleared(task, suspects, voters, final=final)
            released |= more
        penalty = self.penalty(failure, retry_after) if swapped else None
        return Decision(failure.fault, charged, verdict, penalty, forgiven, tuple(sorted(released - {failure.proxy})))

    def overtaken(self, task: int, proxy: int) -> tuple[bool, bool]:
        """Another proxy fetched the page of `task` faster. Whether this one is slow, and whether it is to rest now."""
        is_slow = self.reputation.overtaken(proxy, task)
        return is_slow, is_slow and self.rests(proxy)

    def rests(self, proxy: int) -> bool:
        """True if a known proxy has failed so much that it should rest, though its worker may not know."""
        return proxy in self.reputation and self.reputation.strikes(proxy) >= self._strikes_to_rest(proxy)

    def failed_late(self, task: int, failure: FailedAttempt) -> None:
        """An overtaken attempt has failed: its proxy is to blame, as another has fetched that page."""
        self._blame.failed_alone(task, failure)

    def _strikes_to_rest(self, proxy: int) -> int:
        return 1 if self.reputation.unproven(proxy) else self._settings.swap_after

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
            needed = self._strikes_to_rest(proxy)
            if self.reputation.strikes(proxy) < needed:
                return NO_REST
        return self.reputation.penalty(proxy, fault, retry_after, self._random.random(), needed)
