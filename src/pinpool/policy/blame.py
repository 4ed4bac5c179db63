"""
One attempt, judged by what the others say: what becomes of the task, and of the proxies that had a hand in it.

A proxy is to blame for a page that others fetch. A page that three working proxies fail is to blame itself, and what
they were charged for it is taken back. Who fails page after page and serves none has no say. Pure but for the roster,
which it keeps up to date. Whoever asks acts on the ruling.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from random import Random
from typing import NamedTuple

from pinpool.model import Charge, Fault, Outcome
from pinpool.policy.faults import FAULTS, fault_of
from pinpool.policy.reputation import AT_ONCE, Penalty, Reputation
from pinpool.policy.retry import WITNESSES, Believe, GiveUp, Past, Resubmit, decide
from pinpool.settings import Settings

_TO_PROXY = (Charge.PROXY, Charge.DOUBTFUL, Charge.OPEN)


class Failure(NamedTuple):
    """An earlier failed attempt of a task. `excused`: the whole site was silent then."""

    proxy: int | None
    fault: Fault
    excused: bool = False


class Decision(NamedTuple):
    """
    `charged` says whether the proxy is charged; `penalty` is None if the worker has kept its pin.

    `forgiven` are the proxies whose charges for this task are taken back, `woken` those that rest for no reason now.
    """

    fault: Fault
    charged: bool
    verdict: Resubmit | GiveUp | Believe
    penalty: Penalty | None
    forgiven: tuple[int, ...] = ()
    woken: tuple[int, ...] = ()


class Credit(NamedTuple):
    """
    A page was fetched. `proven` says that this ended the proxy's row of rests.

    `liars` are the proxies that had shown something else in its place, and are charged now.
    """

    proven: bool
    liars: tuple[int, ...]


class _Told(NamedTuple):
    proxy: int
    fault: Fault


class _Opinion(NamedTuple):
    """A verdict on a task; the proxies that are not to blame for it, and those that rest for no reason now."""

    verdict: Resubmit | GiveUp | Believe
    cleared: tuple[int, ...] = ()
    woken: frozenset[int] = frozenset()


class Blame:
    """Judges by the roster's records and the run's settings; `random` gives the jitter."""

    def __init__(self, reputation: Reputation, settings: Settings, random: Random) -> None:
        self.reputation = reputation
        self._settings = settings
        self._random = random

    def credit(self, proxy: int, task: int, history: Iterable[Failure] = ()) -> Credit:
        """`proxy` has fetched the page of `task`. `history` are the task's earlier failures."""
        proven = self.reputation.credit(proxy)
        others = {one for one in self._settled(history) if one.proxy != proxy}
        for other in {one.proxy for one in others}:
            self.reputation.blame(other, task)
        liars = {one.proxy for one in others if FAULTS[one.fault].charge is Charge.PAGE}
        return Credit(proven, tuple(sorted(liars)))

    def rule(
        self,
        task: int,
        outcome: Outcome,
        history: Iterable[Failure],
        *,
        alive: Collection[int],
        is_index: bool = False,
        excused: bool = False,
    ) -> Decision:
        """
        Judge a failed attempt. `history` are the task's earlier failures, oldest first; `alive` the proxies that are
        not retired. `excused`: nobody is to be blamed, for the whole site seems to be silent.
        """
        assert outcome.evidence is not None
        return self.weigh(
            task,
            fault_of(outcome.evidence),
            outcome.proxy if outcome.proxy > 0 else None,
            history,
            swapped=outcome.swapped,
            retry_after=outcome.evidence.retry_after,
            alive=alive,
            is_index=is_index,
            excused=excused,
        )

    def weigh(
        self,
        task: int,
        fault: Fault,
        known: int | None,
        history: Iterable[Failure],
        *,
        swapped: bool,
        alive: Collection[int],
        retry_after: float | None = None,
        is_index: bool = False,
        excused: bool = False,
    ) -> Decision:
        """The same of a fault that is known already, through the proxy `known`."""
        charge = FAULTS[fault].charge
        charged = charge in _TO_PROXY and not excused
        if known is not None and not excused:
            if charge is Charge.PROXY:
                self.reputation.blame(known)
            elif charge is not Charge.WORKER:
                self.reputation.strike(known, task, suspect=charged)
        # One that was never asked for the page has told nothing new of it.
        opinion = _Opinion(Resubmit(0.0, charged=False))
        if FAULTS[fault].asked:
            opinion = self._opinion(
                task, [*history, Failure(known, fault, excused)], alive, is_index=is_index
            )
        penalty = None
        if swapped and known is not None:
            penalty = self.penalty(known, fault, retry_after, excused=excused)
        woken = tuple(sorted(opinion.woken - {known}))
        return Decision(fault, charged, opinion.verdict, penalty, opinion.cleared, woken)

    def _opinion(
        self, task: int, failures: Sequence[Failure], alive: Collection[int], *, is_index: bool
    ) -> _Opinion:
        """What all failures of the task together say of it, and of the proxies that failed it."""
        doubted = {one.proxy for one in self._settled(failures)}
        woken = self._relieved(task, doubted)
        voices = self._voices(alive)
        past, believers = self._past(task, failures, alive, voices)
        verdict = decide(
            past,
            attempts=self._settings.attempts,
            alive=voices,
            is_index=is_index,
            jitter=self._random.random(),
            believers=believers,
        )
        cleared = self._cleared(task, doubted, voices, given_up=not isinstance(verdict, Resubmit))
        woken |= {one for one in cleared if self.reputation.pardon(one, task)}
        return _Opinion(verdict, cleared, frozenset(woken))

    def _relieved(self, task: int, told: Collection[int]) -> set[int]:
        """Take the weight off a page that more than one has failed, one of them known to work. Returns who may wake."""
        working = set(filter(self.reputation.credible, told))
        return {one for one in told if working - {one} and self.reputation.relieve(one, task)}

    def _voices(self, alive: Collection[int]) -> int:
        """How many can be asked: the ones that rest again and again are not waited for."""
        return sum(not self.reputation.tired(proxy) for proxy in alive) or len(alive)

    def _past(
        self, task: int, failures: Iterable[Failure], alive: Collection[int], voices: int
    ) -> tuple[list[Past], int]:
        """The failures, each with whether the word of its proxy counts; and how many proxies are believed."""
        believed = {proxy for proxy in alive if self.reputation.works(proxy, task)}
        if len(believed) < min(WITNESSES, voices):
            believed = set(filter(self.reputation.credible, alive))
        # With nobody who works, none is to be believed more than others.
        nobody = not believed
        past = [
            Past(one.proxy, one.fault, FAULTS[one.fault].charge, nobody or one.proxy in believed, one.excused)
            for one in failures
        ]
        return past, len(believed)

    def _cleared(
        self, task: int, doubted: Collection[int], voices: int, *, given_up: bool
    ) -> tuple[int, ...]:
        """The proxies that are not to blame for this task: enough that work elsewhere say so, or it is given up."""
        if given_up:
            return tuple(sorted(doubted))
        working = [proxy for proxy in sorted(doubted) if self.reputation.works(proxy, task)]
        return tuple(working) if len(working) >= min(WITNESSES, voices) else ()

    def _settled(self, failures: Iterable[Failure]) -> Iterator[_Told]:
        """The failures for which a proxy of this list, the page or the site may be to blame."""
        for one in failures:
            known = one.proxy is not None and one.proxy in self.reputation and not one.excused
            if known and FAULTS[one.fault].charge not in (Charge.PROXY, Charge.WORKER):
                yield _Told(one.proxy or 0, one.fault)

    def penalty(
        self, proxy: int, fault: Fault, retry_after: float | None = None, *, excused: bool = False
    ) -> Penalty:
        """What follows for a proxy that its worker has swapped."""
        if excused:
            return AT_ONCE
        grounds = 0
        if FAULTS[fault].charge is not Charge.PROXY:
            # The worker counts what it saw; some of that is known by now to have been the pages, or not known yet not
            # to have been.
            grounds = self.reputation.needed(proxy, self._settings.swap_after)
            if self.reputation.strikes(proxy) < grounds:
                return AT_ONCE
        return self.reputation.penalty(proxy, fault, retry_after, self._random.random(), grounds)
