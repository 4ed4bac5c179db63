"""
The figures of each proxy where no journal records its attempts: added up as they come, so that memory does not grow.

A sum forgets its parts. So what each open call may still charge or forgive is kept until the call ends.
"""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pinpool.journal.records import AttemptRow, ProxyRow
from pinpool.model import Event, EventKind, Fault, Outcome, ProxyState
from pinpool.pool.clock import SYSTEM_CLOCK, Clock
from pinpool.stats.columns import proxy_document
from pinpool.stats.figures import ProxyFigures


@dataclass(slots=True)
class _Failures:
    """The failed attempts of one open call through one proxy."""

    count: int = 0
    charged: int = 0
    forgiven: int = 0


class Ledger:
    """The `Records` of a PinnedPool; `labels` has the printable names by proxy. Any thread may use it."""

    def __init__(self, labels: Mapping[int, str], clock: Clock = SYSTEM_CLOCK) -> None:
        self._labels = labels
        self._clock = clock
        #: By proxy.
        self.figures = {proxy: ProxyFigures() for proxy in labels}
        self._pins: Counter[int] = Counter()
        self._penalties: dict[int, tuple[str, float | None]] = {}
        self._open: dict[int, dict[int, _Failures]] = {}
        self._lock = threading.Lock()

    def add(self, call: int, outcome: Outcome, fault: Fault | None = None, *, charged: bool = False) -> None:
        """Count an attempt of a call. One that went through no known proxy counts nowhere."""
        if outcome.proxy not in self.figures:
            return
        row = AttemptRow(
            task=call,
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
            self.figures[outcome.proxy].add(row)
            if fault is not None:
                failures = self._open.setdefault(call, {}).setdefault(outcome.proxy, _Failures())
                failures.count += 1
                failures.charged += charged

    def end(self, call: int) -> None:
        """The call has ended: nothing is charged or forgiven for it any more."""
        with self._lock:
            self._open.pop(call, None)

    def charge(self, call: int, proxies: Sequence[int]) -> None:
        with self._lock:
            for proxy in proxies:
                failures = self._open[call][proxy]
                self.figures[proxy].charged += failures.count - failures.charged
                failures.charged = failures.count

    def forgive(self, call: int, proxies: Sequence[int]) -> None:
        with self._lock:
            for proxy in proxies:
                failures = self._open[call][proxy]
                self.figures[proxy].charged -= failures.charged - failures.forgiven
                self.figures[proxy].forgiven += failures.charged - failures.forgiven
                failures.forgiven = failures.charged

    def event(self, event: Event) -> None:
        """Count the pins; other events have no place here."""
        if event.kind is EventKind.LEASED and event.proxy is not None:
            with self._lock:
                self._pins[event.proxy] += 1

    def cooled(self, proxy: int, fault: Fault | None, seconds: float) -> None:
        with self._lock:
            self._penalties[proxy] = fault.value if fault else "", self._clock.epoch() + seconds

    def retired(self, proxy: int, reason: str) -> None:
        with self._lock:
            self._penalties[proxy] = reason, None

    def reasons(self) -> Counter[str]:
        """Why proxies were last taken out, and how many of them for each reason."""
        with self._lock:
            return Counter(reason for reason, _ in self._penalties.values() if reason)

    def released(self, proxy: int) -> None:
        """Nothing to record: the states come from the engine's census."""

    def proven(self, proxy: int) -> None:
        """Nothing to record."""

    def documents(self, states: Mapping[int, ProxyState]) -> list[dict[str, Any]]:
        """The `proxies` of `stats --json`, in the list's order; `states` are the present ones."""
        with self._lock:
            return [
                proxy_document(self._row(proxy, states[proxy]), self.figures[proxy], self._pins[proxy])
                for proxy in self._labels
            ]

    def _row(self, proxy: int, state: ProxyState) -> ProxyRow:
        out = state in (ProxyState.COOLING, ProxyState.RETIRED)
        reason, until = self._penalties.get(proxy, (None, None)) if out else (None, None)
        return ProxyRow(proxy, self._labels[proxy], state, reason, until, 0, listed=True)
