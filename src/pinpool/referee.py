"""
One failed attempt, judged: what becomes of the task, and of the proxy that the worker has swapped.

Pure but for the roster, which it keeps up to date. Whoever asks acts on the ruling.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import NamedTuple

from pinpool.faults import CHARGES, judge
from pinpool.model import Charge, Fault, Outcome, Settings
from pinpool.retry import Believe, GiveUp, Past, Resubmit, decide
from pinpool.roster import Roster, Sentence

__all__ = ["Referee", "Ruling"]

_TO_PROXY = (Charge.PROXY, Charge.DOUBTFUL, Charge.OPEN)


class Ruling(NamedTuple):
    """
    `charged` says whether the proxy is charged; `sentence` is None if the worker has kept its pin.

    `forgiven` are the proxies that were charged for what is now known to be the page's or the site's own doing.
    """

    fault: Fault
    charged: bool
    verdict: Resubmit | GiveUp | Believe
    sentence: Sentence | None
    forgiven: tuple[int, ...] = ()


class Referee:
    """Judges by the roster's records and the run's settings; `random` gives the jitter."""

    def __init__(self, roster: Roster, settings: Settings, random: Random) -> None:
        self.roster = roster
        self._settings = settings
        self._random = random

    def credit(self, outcome: Outcome) -> bool:
        """A page was served. True if that ended a row of rests."""
        return self.roster.credit(outcome.proxy)

    def rule(
        self,
        outcome: Outcome,
        history: Iterable[tuple[int | None, Fault]],
        *,
        alive: int,
        is_index: bool = False,
    ) -> Ruling:
        """Judge a failed attempt. `history` is proxy and fault of the task's earlier failures, oldest first."""
        assert outcome.evidence is not None
        fault = judge(outcome.evidence)
        charged = CHARGES[fault] in _TO_PROXY
        known = outcome.proxy if outcome.proxy > 0 else None
        if charged and known is not None:
            self.roster.doubt(known)
        sentence = None
        if outcome.swapped:
            retry_after = outcome.evidence.retry_after
            sentence = self.roster.sentence(outcome.proxy, fault, retry_after, self._random.random())
        past = [self._past(*one) for one in (*history, (known, fault))]
        verdict = decide(
            past,
            attempts=self._settings.attempts,
            alive=alive,
            is_index=is_index,
            jitter=self._random.random(),
        )
        forgiven: tuple[int, ...] = ()
        if not isinstance(verdict, Resubmit):
            # They work elsewhere, so it was not they.
            forgiven = tuple(
                {one.proxy for one in past if one.credible and one.proxy and one.charge in _TO_PROXY}
            )
        return Ruling(fault, charged, verdict, sentence, forgiven)

    def _past(self, proxy: int | None, fault: Fault) -> Past:
        return Past(proxy, fault, CHARGES[fault], proxy is not None and self.roster.credible(proxy))
