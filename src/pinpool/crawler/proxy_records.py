"""Records in the journal and the run log what happens to the proxies of a crawl."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pinpool.crawler.run_log import RunLog
from pinpool.journal.writer import Journal
from pinpool.model import Event, Fault, ProxyState
from pinpool.policy.reputation import Reputation, until_judged
from pinpool.pool.clock import Clock
from pinpool.pool.engine import Engine
from pinpool.proxies.lifecycle import STATE_AFTER


@dataclass(eq=False, repr=False)
class ProxyRecords:
    """
    The `Records` of a crawl. Only the engine's census knows the present state of a proxy; the journal follows it.

    `cooling` is the first rest of a proxy, in seconds.
    """

    engine: Engine
    journal: Journal
    reputation: Reputation
    run_log: RunLog
    cooling: float
    clock: Clock
    _judged_at: dict[int, float] = field(default_factory=dict, init=False)

    def cooled(self, proxy: int, fault: Fault | None, seconds: float) -> None:
        now = self._judged_at[proxy] = self.clock.epoch()
        self._write(proxy, ProxyState.COOLING, fault, now + seconds)
        self.run_log.cooled(proxy, fault or "the site was silent", seconds)

    def retired(self, proxy: int, reason: str) -> None:
        self._judged_at[proxy] = self.clock.epoch()
        self._write(proxy, ProxyState.RETIRED, reason)
        self.run_log.retired(proxy, reason)

    def released(self, proxy: int) -> None:
        if self._state(proxy) is ProxyState.COOLING:
            self._write(proxy, ProxyState.COOLING, until=self.clock.epoch())

    def proven(self, proxy: int) -> None:
        # The journal forgets its earlier rests.
        if self._state(proxy) is ProxyState.PINNED:
            self.journal.proxy(proxy, ProxyState.PINNED)

    def charge(self, task: int, proxies: Sequence[int]) -> None:
        self.journal.charge(task, proxies)

    def forgive(self, task: int, proxies: Sequence[int]) -> None:
        self.journal.forgive(task, proxies)

    def event(self, event: Event) -> None:
        """Record an event, and the new state of a proxy that has moved."""
        self.journal.event(event)
        self.run_log.event(event)
        state = STATE_AFTER.get(event.kind)
        # The answer of a worker arrives before the lease queue's report of its swap. Moves from before the judgement
        # must not overwrite it.
        if state and event.proxy is not None and event.at > self._judged_at.get(event.proxy, 0.0):
            until = event.at + until_judged(self.cooling) if state is ProxyState.COOLING else None
            self._write(event.proxy, state, event.detail if state is ProxyState.RETIRED else None, until)

    def _write(self, proxy: int, state: ProxyState, reason: str | None = None, until: float | None = None) -> None:
        self.journal.proxy(proxy, state, reason, until, self.reputation[proxy].coolings)

    def _state(self, proxy: int) -> ProxyState | None:
        return self.engine.census().states.get(proxy)
