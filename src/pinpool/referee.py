"""
One attempt, judged by what the others say: what becomes of the task, and of the proxies that had a hand in it.

A proxy is to blame for a page that others fetch. A page that three working proxies fail is to blame itself, and what
they were charged for it is taken back. Pure but for the roster, which it keeps up to date. Whoever asks acts on the
ruling.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from random import Random
from typing import NamedTuple

from pinpool.faults import CHARGES, judge
from pinpool.model import Charge, Fault, Outcome, Settings
from pinpool.retry import Believe, GiveUp, Past, Resubmit, decide
from pinpool.roster import AT_ONCE, Roster, Sentence

__all__ = ["Acquittal", "Failure", "Referee", "Ruling"]

#: So many proxies that work elsewhere, and it was not they. The figure is the design's.
WITNESSES = 3
_TO_PROXY = (Charge.PROXY, Charge.DOUBTFUL, Charge.OPEN)


class Failure(NamedTuple):
    """An earlier failed attempt of a task. `excused`: the whole site was silent then."""

    proxy: int | None
    fault: Fault
    excused: bool = False


class Ruling(NamedTuple):
    """
    `charged` says whether the proxy is charged; `sentence` is None if the worker has kept its pin.

    `forgiven` are the proxies whose charges for this task are taken back, `woken` those that rest for no reason now.
    """

    fault: Fault
    charged: bool
    verdict: Resubmit | GiveUp | Believe
    sentence: Sentence | None
    forgiven: tuple[int, ...] = ()
    woken: tuple[int, ...] = ()


class Acquittal(NamedTuple):
    """
    A page was fetched. `proven` says that this ended the proxy's row of rests.

    `liars` are the proxies that had shown something else in its place, and are charged now. `struck` are these and
    the ones that had said the site were ill, which may have been true then.
    """

    proven: bool
    liars: tuple[int, ...]
    struck: tuple[int, ...]


class Referee:
    """Judges by the roster's records and the run's settings; `random` gives the jitter."""

    def __init__(self, roster: Roster, settings: Settings, random: Random) -> None:
        self.roster = roster
        self._settings = settings
        self._random = random

    def credit(self, proxy: int, task: int, history: Iterable[Failure] = ()) -> Acquittal:
        """`proxy` has fetched the page of `task`. `history` are the task's earlier failures."""
        proven = self.roster.credit(proxy)
        others: dict[Charge, set[int]] = {charge: set() for charge in Charge}
        for one in history:
            if one.proxy is not None and one.proxy != proxy and not one.excused:
                others[CHARGES[one.fault]].add(one.proxy)
        liars = others[Charge.PAGE]
        for other in others[Charge.DOUBTFUL] | others[Charge.OPEN] | liars:
            self.roster.blame(other)
        for other in liars | others[Charge.SITE]:
            self.roster.strike(other, task)
        return Acquittal(proven, tuple(sorted(liars)), tuple(sorted(liars | others[Charge.SITE])))

    def rule(
        self,
        task: int,
        outcome: Outcome,
        history: Iterable[Failure],
        *,
        alive: Collection[int],
        is_index: bool = False,
        excused: bool = False,
    ) -> Ruling:
        """
        Judge a failed attempt. `history` are the task's earlier failures, oldest first; `alive` the proxies that are
        not retired. `excused`: nobody is to be blamed, for the whole site seems to be silent.
        """
        assert outcome.evidence is not None
        return self.weigh(
            task,
            judge(outcome.evidence),
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
    ) -> Ruling:
        """The same of a fault that is known already, through the proxy `known`."""
        charge = CHARGES[fault]
        charged = charge in _TO_PROXY and not excused
        if charged and known is not None:
            if charge is Charge.PROXY:
                self.roster.blame(known)
            else:
                self.roster.strike(known, task)
        failures = [*history, Failure(known, fault, excused)]
        verdict = decide(
            self._past(failures, alive),
            attempts=self._settings.attempts,
            alive=len(alive),
            is_index=is_index,
            jitter=self._random.random(),
        )
        forgiven = self._forgiven(failures)
        woken = tuple(one for one in forgiven if self.roster.pardon(one, task) and one != known)
        if not isinstance(verdict, Resubmit):
            self._vouch(failures)
        sentence = None
        if swapped and known is not None:
            sentence = self._sentence(known, fault, charge, retry_after, excused=excused)
        return Ruling(fault, charged, verdict, sentence, forgiven, woken)

    def _past(self, failures: Iterable[Failure], alive: Collection[int]) -> list[Past]:
        # As long as hardly anybody has proven to work, every word counts: somebody must be believed.
        working = sum(map(self.roster.credible, alive))
        all_count = working < min(WITNESSES, len(alive)) or not working
        return [
            Past(
                one.proxy,
                one.fault,
                CHARGES[one.fault],
                one.proxy is not None and (all_count or self.roster.credible(one.proxy)),
                one.excused,
            )
            for one in failures
        ]

    def _forgiven(self, failures: Iterable[Failure]) -> tuple[int, ...]:
        """The proxies of a task that has failed on enough proxies which work elsewhere; none before."""
        doubted = {
            one.proxy
            for one in failures
            if one.proxy is not None
            and not one.excused
            and CHARGES[one.fault] in (Charge.DOUBTFUL, Charge.OPEN)
        }
        working = sorted(filter(self.roster.credible, doubted))
        return tuple(working) if len(working) >= WITNESSES else ()

    def _vouch(self, failures: Iterable[Failure]) -> None:
        for proxy in {one.proxy for one in failures if CHARGES[one.fault] is Charge.PAGE}:
            if proxy is not None:
                self.roster.vouch(proxy)

    def _sentence(
        self, proxy: int, fault: Fault, charge: Charge, retry_after: float | None, *, excused: bool
    ) -> Sentence:
        if excused:
            return AT_ONCE
        grounds = 0
        if charge is not Charge.PROXY:
            # The worker counts what it saw; some of that is known by now to have been the pages.
            grounds = self.roster.needed(proxy, self._settings.swap_after)
            if self.roster.strikes(proxy) < grounds:
                return AT_ONCE
        return self.roster.sentence(proxy, fault, retry_after, self._random.random(), grounds)
