"""
The figures of each proxy where no journal keeps its attempts: folded as they come, so that memory does not grow.

A fold cannot be undone, so what is forgiven later is moved from charged to forgiven, as `stats` would show it.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any

from pinpool.journal.records import AttemptRow, ProxyRow
from pinpool.model import Fault, Outcome, ProxyState
from pinpool.stats.figures import ProxyFigures, proxy_document


class Ledger:
    """One account for each proxy; `labels` has their printable names by number. Any thread may use it."""

    def __init__(self, labels: Mapping[int, str]) -> None:
        self._labels = labels
        self._figures = {proxy: ProxyFigures() for proxy in labels}
        self._pins: Counter[int] = Counter()
        self._sentences: dict[int, tuple[str, float | None]] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Ledger {len(self._labels)} proxies, {sum(self._pins.values())} pins>"

    def book(self, outcome: Outcome, fault: Fault | None = None, *, charged: bool = False) -> None:
        """Count an attempt. One that went through no known proxy counts nowhere."""
        if outcome.proxy not in self._figures:
            return
        row = AttemptRow(
            task=0,
            n=0,
            proxy=outcome.proxy,
            worker=outcome.worker,
            at=outcome.at,
            seconds=outcome.seconds,
            ending=outcome.ending,
            fault=fault,
            status=outcome.status,
            size=outcome.size,
            message=outcome.evidence.message if outcome.evidence else None,
            charged=charged,
            forgiven=False,
        )
        with self._lock:
            self._figures[outcome.proxy].add(row)

    def forgive(self, proxy: int, failures: int) -> None:
        """So many failures that were charged to it were not its own."""
        with self._lock:
            self._figures[proxy].forgive(failures)

    def charge(self, proxy: int, failures: int) -> None:
        """So many failures, not charged so far, were its own after all."""
        with self._lock:
            self._figures[proxy].charged += failures

    def pin(self, proxy: int) -> None:
        """A worker has taken it."""
        with self._lock:
            self._pins[proxy] += 1

    def penalty(self, proxy: int, reason: str, until: float | None = None) -> None:
        """It rests until that epoch second, or for good."""
        with self._lock:
            self._sentences[proxy] = reason, until

    def documents(self, states: Mapping[int, ProxyState]) -> list[dict[str, Any]]:
        """What `stats --json` has in `proxies`, in the list's order; `states` is where each stands now."""
        with self._lock:
            return [
                proxy_document(self._row(proxy, states[proxy]), self._figures[proxy], self._pins[proxy])
                for proxy in self._labels
            ]

    def _row(self, proxy: int, state: ProxyState) -> ProxyRow:
        out = state in (ProxyState.COOLING, ProxyState.RETIRED)
        reason, until = self._sentences.get(proxy, (None, None)) if out else (None, None)
        return ProxyRow(proxy, self._labels[proxy], state, reason, until, 0, listed=True)
