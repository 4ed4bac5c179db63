"""Attempts added up per proxy. Pure: one pass, and memory that does not grow with the run."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from pinpool.journal.records import AttemptRow
from pinpool.model import Ending
from pinpool.stats.histogram import Histogram, wilson


@dataclass(slots=True)
class ProxyFigures:
    """
    The attempts through one proxy, added up. Those that were `overtaken` are no failures: no rate counts them.

    `charged` are the failures still held against it, `forgiven` those that no longer are. `bytes` came over the wire,
    `busy_seconds` is the time that the attempts took; failed attempts alone make up the `wasted_` ones. `latencies`
    are those of answered attempts. The `_at` of an error are epoch seconds.
    """

    attempts: int = 0
    ok: int = 0
    gone: int = 0
    failed: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    charged: int = 0
    forgiven: int = 0
    overtaken: int = 0
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
    def tried(self) -> int:
        """The attempts that were answered or failed."""
        return self.attempts - self.overtaken

    @property
    def success_rate(self) -> float | None:
        """The share of `tried` that was answered, gone pages included, from 0 to 1; None before any."""
        return (self.ok + self.gone) / self.tried if self.tried else None

    @property
    def success_interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the success rate."""
        return wilson(self.ok + self.gone, self.tried)

    @property
    def pages_per_hour(self) -> float | None:
        """Good pages in an hour of its own work, waiting left out; None before any work."""
        return self.ok * 3600 / self.busy_seconds if self.busy_seconds > 0 else None

    def add(self, row: AttemptRow) -> None:
        """Count one attempt. Attempts come in the order in which they ended."""
        self.attempts += 1
        self.bytes += row.size
        self.busy_seconds += row.seconds
        self.charged += row.charged and not row.forgiven
        self.forgiven += row.charged and row.forgiven
        if row.status is not None or row.ending in (Ending.OK, Ending.GONE):
            self.latencies.add(row.seconds)
        if row.ending == Ending.OK:
            self.ok += 1
        elif row.ending == Ending.GONE:
            self.gone += 1
        elif row.ending == Ending.OVERTAKEN:
            self.overtaken += 1
            if row.fault:
                self.faults[row.fault] += 1
        else:
            fault = row.fault or "unknown"
            self.failed += 1
            self.faults[fault] += 1
            self.wasted_bytes += row.size
            self.wasted_seconds += row.seconds
            self.last_error, self.last_error_at = f"{fault}: {row.message}" if row.message else fault, row.at
            if self.first_error is None:
                self.first_error, self.first_error_at = self.last_error, row.at


def figures(rows: Iterable[AttemptRow]) -> dict[int, ProxyFigures]:
    """The figures by proxy id. Attempts without a proxy are left out."""
    by_proxy: dict[int, ProxyFigures] = {}
    for row in rows:
        if row.proxy is not None:
            by_proxy.setdefault(row.proxy, ProxyFigures()).add(row)
    return by_proxy
