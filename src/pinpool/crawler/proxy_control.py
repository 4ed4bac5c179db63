"""
What is ruled about a proxy, put into force: the lease queue learns of it, and the journal remembers.

Also the other way round: what the lease queue reports of a proxy is kept, unless a later sentence has overtaken it.
"""

from __future__ import annotations

import time

from pinpool.crawler.run_log import RunLog
from pinpool.journal.writer import Journal
from pinpool.model import Event, EventKind, Fault, ProxyState
from pinpool.policy.reputation import Penalty, Reputation, Retire, until_judged
from pinpool.pool.engine import Engine
from pinpool.proxies.lifecycle import STATE_AFTER


class ProxyControl:
    """Where the proxies of one run stand. `cooling` is the first rest of a proxy, in seconds."""

    def __init__(
        self, engine: Engine, journal: Journal, reputation: Reputation, run_log: RunLog, cooling: float
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._reputation = reputation
        self._run_log = run_log
        self._unjudged = until_judged(cooling)
        self._sentenced: dict[int, float] = {}

    def carry_out(self, penalty: Penalty, proxy: int, fault: Fault | None) -> None:
        """A worker has swapped it, for `fault`; None if the site was to blame."""
        self._sentenced[proxy] = time.time()
        record = self._reputation[proxy]
        if record.withdrawn:  # whatever it did with its last page
            penalty = Retire(record.withdrawn)
        coolings = record.coolings
        if isinstance(penalty, Retire):
            self._engine.retire(proxy, penalty.reason)
            self._journal.proxy(proxy, ProxyState.RETIRED, penalty.reason, coolings=coolings)
            self._run_log.retired(proxy, penalty.reason)
        else:
            self._engine.cool(proxy, penalty.seconds)
            until = time.time() + penalty.seconds
            self._journal.proxy(proxy, ProxyState.COOLING, fault, until, coolings)
            self._run_log.cooled(proxy, fault or "the site was silent", penalty.seconds)

    def wake(self, proxy: int) -> None:
        """It rests for what was not its own doing; one that does not rest is left alone."""
        record = self._reputation[proxy]
        if record.withdrawn:
            return
        self._engine.cool(proxy, 0.0)
        if self._state(proxy) is ProxyState.COOLING:
            self._journal.proxy(proxy, ProxyState.COOLING, None, time.time(), record.coolings)

    def prove(self, proxy: int) -> None:
        """It has served a page after its rest."""
        if self._state(proxy) is ProxyState.PINNED:
            self._journal.proxy(proxy, ProxyState.PINNED)

    def note(self, event: Event) -> None:
        """Keep an event; if a proxy has moved, it stands elsewhere now."""
        self._journal.event(event)
        self._run_log.happened(event)
        if event.proxy is None or event.kind not in STATE_AFTER:
            return
        if event.kind is EventKind.LEASED:
            self._reputation.leased(event.proxy)
        # The answer of a worker is quicker than the lease queue's report of its swap: moves from before a sentence
        # must not overwrite it.
        if event.at > self._sentenced.get(event.proxy, 0.0):
            state = STATE_AFTER[event.kind]
            until = event.at + self._unjudged if state is ProxyState.COOLING else None
            reason = event.detail if state is ProxyState.RETIRED else None
            self._journal.proxy(event.proxy, state, reason, until, self._reputation[event.proxy].coolings)

    def _state(self, proxy: int) -> ProxyState | None:
        return self._engine.census().states.get(proxy)
