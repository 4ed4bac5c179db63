"""
What `pinpool stats` says: attempts added up per proxy, and the list of its columns. Pure.

One pass over the attempts, with memory that does not grow with the run. `COLUMNS` is the one place for a column: the
JSON document, the CSV, the table, its sort keys and the Prometheus metrics all follow from it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pinpool.journal.records import AttemptRow, ProxyRow, RunInfo
from pinpool.model import Ending, ProxyState
from pinpool.stats.histogram import Histogram, wilson
from pinpool.text import megabytes_column, one_line, seconds_column, stamp


@dataclass(slots=True)
class ProxyFigures:
    """
    The attempts through one proxy, added up.

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
        """The share of attempts that were answered, gone pages included, from 0 to 1; None before any attempt."""
        return (self.ok + self.gone) / self.attempts if self.attempts else None

    @property
    def success_interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the success rate."""
        return wilson(self.ok + self.gone, self.attempts)

    @property
    def pages_per_hour(self) -> float | None:
        """Good pages in an hour of its own work, waiting left out; None before any work."""
        return self.ok * 3600 / self.busy_seconds if self.busy_seconds > 0 else None

    def forgive(self, failures: int) -> None:
        """So many of the charged failures were somebody else's fault."""
        self.charged -= failures
        self.forgiven += failures

    def add(self, row: AttemptRow) -> None:
        """Count one attempt. Attempts come in the order in which they ended."""
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
    """The figures by proxy id. Attempts without a proxy are left out."""
    by_proxy: dict[int, ProxyFigures] = {}
    for row in rows:
        if row.proxy is not None:
            by_proxy.setdefault(row.proxy, ProxyFigures()).add(row)
    return by_proxy


# ------------------------------------------------------------------------------------------------ the columns

Row = Mapping[str, Any]  # an entry of `proxies` in `stats --json`: values by the columns' names
Sample = tuple[Mapping[str, str], float]  # the labels of a Prometheus sample, and its value

DOUBTFUL = 0.2  # an interval as wide as this, 20 points, is shown beside its rate


class Subject(NamedTuple):
    """All that is known of one proxy; `pins` is how often a worker took it."""

    proxy: ProxyRow
    figures: ProxyFigures
    pins: int


class Column(NamedTuple):
    """
    A column of `stats`; `value` is that of `ProxyFigures` unless given, and numbers are rounded to `places`.

    In the table it is the column number `place`, with a `title`; `text` makes its text from the whole row. `sort` is
    its name for `--sort`, by `key`: the largest value first, unless given. With a `help` it is a Prometheus metric of
    that `kind`, with the column's name unless `metric` is another; `samples` are its values and further labels.
    """

    name: str
    value: Callable[[Subject], Any] | None = None
    places: int | None = None
    place: int = 0
    title: str = ""
    text: Callable[[Row], str] = lambda row: ""
    sort: str = ""
    key: Callable[[Row], Any] | None = None
    help: str = ""
    kind: str = "counter"
    metric: str = ""
    samples: Callable[[Subject], Iterable[Sample]] | None = None

    def exact(self, subject: Subject) -> Any:
        """The value, not rounded."""
        return self.value(subject) if self.value else getattr(subject.figures, self.name)

    def rounded(self, subject: Subject) -> Any:
        """The value as JSON and CSV have it."""
        value = self.exact(subject)
        return value if value is None or self.places is None else round(value, self.places)

    def sort_key(self, row: Row) -> Any:
        """The smallest key comes first."""
        return self.key(row) if self.key else -(row[self.name] or 0)

    def metric_samples(self, subject: Subject) -> Iterable[Sample]:
        """The samples of one proxy."""
        return self.samples(subject) if self.samples else [({}, self.exact(subject))]


def one_hot(states: Iterable[str], state: str) -> list[Sample]:
    """A sample for each of the states: 1 for the one that holds, else 0."""
    return [({"state": str(each)}, int(each == state)) for each in states]


def _quantiles(subject: Subject) -> list[Sample]:
    latencies = {share: subject.figures.latencies.percentile(float(share)) for share in ("0.5", "0.95")}
    return [({"quantile": share}, value) for share, value in latencies.items() if value is not None]


def _rate_text(row: Row) -> str:
    if row["success_rate"] is None:
        return "not tried"
    low, high = row["success_low"], row["success_high"]
    text = f"{row['success_rate']:4.0%} of {row['attempts']}"
    return text if high - low < DOUBTFUL else f"{text} ({low * 100:.0f}-{high * 100:.0f})"


def _latency_text(row: Row) -> str:
    p50, p95 = row["latency_p50"], row["latency_p95"]
    return "" if p50 is None else f"{seconds_column(p50)}/{seconds_column(p95)}"


def _pages_per_hour_text(row: Row) -> str:
    pages = row["pages_per_hour"]
    return "" if pages is None else f"{pages:.0f}" if pages < 100_000 else f"{pages / 1000:.0f}k"


def _why_text(row: Row) -> str:
    commonest = next((f"{fault} {count}" for fault, count in row["faults"].items()), "")
    return one_line(commonest or row["reason"] or "")


#: In the order of JSON and CSV.
COLUMNS = (
    Column("proxy", lambda of: of.proxy.label, sort="proxy", key=lambda row: ()),
    Column(
        "state",
        lambda of: of.proxy.state,
        place=1,
        title="state",
        text=lambda row: str(row["state"]),
        help="1 for the state of the proxy.",
        kind="gauge",
        samples=lambda of: one_hot(ProxyState, of.proxy.state),
    ),
    Column("reason", lambda of: of.proxy.reason),
    Column("until", lambda of: stamp(of.proxy.until) if of.proxy.state == ProxyState.COOLING else None),
    Column("attempts", sort="attempts", help="Attempts through the proxy."),
    Column("ok", help="Attempts that gave a page."),
    Column("gone", help="Attempts answered by 404 or 410."),
    Column("failed", sort="failed", help="Attempts that failed."),
    Column(
        "success_rate",
        places=4,
        place=2,
        title="good",
        text=_rate_text,
        sort="success_rate",
        # By what the rate may be at best: one failure of one attempt is no proof, nine of ten are.
        key=lambda row: row["success_high"],
    ),
    Column("success_low", lambda of: of.figures.success_interval[0], places=4),
    Column("success_high", lambda of: of.figures.success_interval[1], places=4),
    Column(
        "faults",
        lambda of: dict(of.figures.faults.most_common()),
        place=6,
        title="why",
        text=_why_text,
        help="Failed attempts by fault.",
        samples=lambda of: [({"fault": fault}, count) for fault, count in sorted(of.figures.faults.items())],
    ),
    Column("charged", help="Failures held against the proxy.", kind="gauge"),
    Column("forgiven", help="Failures that were, and no longer are.", kind="gauge"),
    Column(
        "latency_p50",
        lambda of: of.figures.latencies.percentile(0.50),
        places=4,
        place=3,
        title="p50/p95 s",
        text=_latency_text,
        sort="latency",
        help="Seconds until an attempt was answered.",
        kind="gauge",
        metric="latency_seconds",
        samples=_quantiles,
    ),
    Column("latency_p95", lambda of: of.figures.latencies.percentile(0.95), places=4),
    Column(
        "bytes",
        place=5,
        title="MB",
        text=lambda row: megabytes_column(row["bytes"]),
        sort="bytes",
        help="Bytes of bodies, as they came over the wire.",
    ),
    Column("wasted_bytes", sort="wasted"),
    Column("pins", lambda of: of.pins, help="Times that a worker took the proxy."),
    Column("busy_seconds", places=3, sort="busy", help="Seconds that the attempts took."),
    Column("wasted_seconds", places=3),
    Column(
        "pages_per_hour",
        places=1,
        place=4,
        title="pages/h",
        text=_pages_per_hour_text,
        sort="pages_per_hour",
        key=lambda row: -1.0 if row["pages_per_hour"] is None else row["pages_per_hour"],
    ),
    Column("first_error"),
    Column("first_error_at", lambda of: stamp(of.figures.first_error_at)),
    Column("last_error"),
    Column("last_error_at", lambda of: stamp(of.figures.last_error_at)),
)


# ------------------------------------------------------------------------------------------------ the document


def stats_document(
    run: RunInfo, proxies: Sequence[ProxyRow], by_proxy: Mapping[int, ProxyFigures], pins: Mapping[int, int]
) -> dict[str, Any]:
    """
    The document of `stats --json`; `pins` is how often each proxy was leased, by its id.

    A proxy that left the list is in it only if it was tried.
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


def proxy_document(proxy: ProxyRow, of_proxy: ProxyFigures, pins: int) -> dict[str, Any]:
    """One entry of `proxies` in `stats --json`: the columns, always all of them and in their order."""
    subject = Subject(proxy, of_proxy, pins)
    return {column.name: column.rounded(subject) for column in COLUMNS}
