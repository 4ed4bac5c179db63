"""The parent's copy of the lease queue's books: what a new Manager starts from when the old one has died."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator

from pinpool.model import Event, ProxyState
from pinpool.pool.leases import Report, Standing
from pinpool.proxies.parse import Move


class Standings:
    """Where each proxy stands, by id, and which of the pinned are on their way out."""

    def __init__(self, proxies: Iterable[Standing]) -> None:
        self._all = {one.proxy: one for one in proxies}
        self._leaving: dict[int, str] = {}

    def __repr__(self) -> str:
        return f"<Standings {len(self._all)} proxies, {len(self._leaving)} leaving>"

    def __iter__(self) -> Iterator[Standing]:
        return iter(self._all.values())

    def stand(self, proxy: int, state: ProxyState, rest_seconds: float = 0.0) -> None:
        """A proxy stands there now. What is off the list stays off, whatever is said of it later."""
        if proxy not in self._leaving and self._all[proxy].state is not ProxyState.RETIRED:
            self._all[proxy] = self._all[proxy]._replace(state=state, rest_seconds=rest_seconds)

    def update(self, report: Report) -> None:
        """Take over what the lease queue says."""
        self._leaving = dict(report.leaving)
        for proxy, state in report.states.items():
            rest = report.rests.get(proxy, 0.0)
            self._all[proxy] = self._all[proxy]._replace(state=state, rest_seconds=rest)

    def join(self, standings: Iterable[Standing]) -> None:
        """These are on the list now."""
        for one in standings:
            if self._leaving.pop(one.proxy, None) is None:
                self._all[one.proxy] = one

    def withdraw(self, proxies: Collection[int], reason: str) -> None:
        """These are off the list."""
        for proxy in proxies:
            if self._all[proxy].state is ProxyState.PINNED:
                self._leaving[proxy] = reason
            else:
                self.stand(proxy, ProxyState.RETIRED)

    def to_leave(self, proxy: int) -> int:
        """`proxy` if its worker is to leave it, else 0."""
        return proxy if proxy in self._leaving else 0

    def reborn(self) -> list[Event]:
        """All workers are gone: who was on its way out is out. Returns that as events."""
        now, gone = time.time(), self._leaving
        self._leaving = {}
        for proxy in gone:
            self.stand(proxy, ProxyState.RETIRED)
        return [Event(now, Move.WITHDRAWN.value, proxy, None, reason) for proxy, reason in gone.items()]
