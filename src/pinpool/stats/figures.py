"""
The fold of attempts into figures per proxy, and the document of `pinpool stats --json`. Pure.

One pass, and memory that does not grow with the run: latencies go into a histogram whose buckets widen by 4 %
each, so that a percentile is within 2 % of the true one, whatever the range.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pinpool.journal.records import AttemptRow, ProxyRow, RunInfo
from pinpool.model import Ending, ProxyState
from pinpool.stats.histogram import Histogram, wilson
from pinpool.text import stamp


@dataclass(slots=True)
class ProxyFigures:
    """
    What became of the attempts through one proxy.

    `charged` are the failures still held against it, `forgiven` those that were and no longer are. `bytes`
    came over the wire, `busy_seconds` is the time its attempts took, and the `wasted_` ones of both are those of
    failed attempts. `latencies` are those of attempts that were answered. Errors have their epoch seconds beside them.
    """

    attempts: int = 0
    ok: int = 0
    gone: int = 0
    failed: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    charged: int = 0
    forgiven: int = 0
    bytes: int = 0
    wasted_bytes: int = 0
    busy_seconds: float = 0.0
    wasted_seconds: float = 0.0
    first_error: str | None = None
    first_error_at: float | None = None
    last_error: str | None = None
    last_error_at: float | None = None
    latencies: Histogram = field(default_factory=Histogram)

    @property
    def success_rate(self) -> float | None:
        """
        The share of attempts that were answered as they should be, gone pages included; None for no attempts.
        """
        return (self.ok + self.gone) / self.attempts if self.attempts else None

    @property
    def pages_per_hour(self) -> float | None:
        """Pages that were of use in an hour of its own work, waiting between tasks left out; None before any work."""
        return self.ok * 3600 / self.busy_seconds if self.busy_seconds > 0 else None

    def forgive(self, failures: int) -> None:
        """So many of the failures that it was charged for were not its own."""
        self.charged -= failures
        self.forgiven += failures

    def add(self, row: AttemptRow) -> None:
        """Count one attempt; they come in the order in which they ended."""
        self.attempts += 1
        self.bytes += row.size
        self.busy_seconds += row.seconds
        if row.status is not None or row.ending != Ending.FAILED:
            self.latencies.add(row.seconds)
        if row.ending == Ending.OK:
            self.ok += 1
        elif row.ending == Ending.GONE:
            self.gone += 1
        else:
            self._add_failure(row)

    def _add_failure(self, row: AttemptRow) -> None:
        fault = row.fault or "unknown"
        self.failed += 1
        self.faults[fault] += 1
        self.charged += row.charged and not row.forgiven
        self.forgiven += row.charged and row.forgiven
        self.wasted_bytes += row.size
        self.wasted_seconds += row.seconds
        self.last_error, self.last_error_at = f"{fault}: {row.message}" if row.message else fault, row.at
        if self.first_error is None:
            self.first_error, self.first_error_at = self.last_error, row.at


def figures(rows: Iterable[AttemptRow]) -> dict[int, ProxyFigures]:
    """The figures by proxy id. Attempts through no known proxy count nowhere."""
    by_proxy: dict[int, ProxyFigures] = {}
    for row in rows:
        if row.proxy is not None:
            by_proxy.setdefault(row.proxy, ProxyFigures()).add(row)
    return by_proxy


def stats_document(
    run: RunInfo, proxies: Sequence[ProxyRow], by_proxy: Mapping[int, ProxyFigures], pins: Mapping[int, int]
) -> dict[str, Any]:
    """
    The document of `stats --json`; `pins` tells how often each proxy was leased.

    A proxy that the list no longer names is left out unless it was tried.
    """
    return {
        "run": {
            "spider": run.spider,
            "state": run.state,
            "started": stamp(run.started),
            "ended": stamp(run.ended),
            "workers": run.workers,
            "engine": run.engine,
            "pages": run.pages,
            "items": run.items,
            "seconds": round(run.seconds, 3),
            "tasks": dict(run.tasks),
            "worker_losses": run.worker_losses,
            "pool_rebuilds": run.pool_rebuilds,
        },
        "proxies": [
            proxy_document(proxy, by_proxy.get(proxy.id, ProxyFigures()), pins.get(proxy.id, 0))
            for proxy in proxies
            if proxy.listed or proxy.id in by_proxy
        ],
    }


def proxy_document(proxy: ProxyRow, known: ProxyFigures, pins: int) -> dict[str, Any]:
    """One entry of `proxies` in `stats --json`; its keys are always the same, and in this order."""
    low, high = wilson(known.ok + known.gone, known.attempts)
    return {
        "proxy": proxy.label,
        "state": proxy.state,
        "reason": proxy.reason,
        "until": stamp(proxy.until) if proxy.state == ProxyState.COOLING else None,
        "attempts": known.attempts,
        "ok": known.ok,
        "gone": known.gone,
        "failed": known.failed,
        "success_rate": _rounded(known.success_rate, 4),
        "success_low": round(low, 4),
        "success_high": round(high, 4),
        "faults": dict(known.faults.most_common()),
        "charged": known.charged,
        "forgiven": known.forgiven,
        "latency_p50": _rounded(known.latencies.percentile(0.50), 4),
        "latency_p95": _rounded(known.latencies.percentile(0.95), 4),
        "bytes": known.bytes,
        "wasted_bytes": known.wasted_bytes,
        "pins": pins,
        "busy_seconds": round(known.busy_seconds, 3),
        "wasted_seconds": round(known.wasted_seconds, 3),
        "pages_per_hour": _rounded(known.pages_per_hour, 1),
        "first_error": known.first_error,
        "first_error_at": stamp(known.first_error_at),
        "last_error": known.last_error,
        "last_error_at": stamp(known.last_error_at),
    }


def _rounded(value: float | None, places: int) -> float | None:
    return None if value is None else round(value, places)
