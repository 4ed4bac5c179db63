"""
The columns of `pinpool stats`, and its JSON document.

`COLUMNS` is the one place for a column: the document, the CSV, the table, its sort keys and the Prometheus metrics all
follow from it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pinpool.journal.records import ProxyRow, RunInfo
from pinpool.model import ProxyState
from pinpool.stats.figures import ProxyFigures
from pinpool.text import megabytes_column, one_line, seconds_column, stamp

Row = Mapping[str, Any]  # an entry of `proxies` in `stats --json`: values by the columns' names
Sample = tuple[Mapping[str, str], float]  # the labels of a Prometheus sample, and its value


class Subject(NamedTuple):
    """All that is known of one proxy; `pins` is how often a worker took it."""

    proxy: ProxyRow
    figures: ProxyFigures
    pins: int


class Cell(NamedTuple):
    """How the table shows a column: its place from left to right, its title, and its text, made from the whole row."""

    place: int
    title: str
    text: Callable[[Row], str]


class Metric(NamedTuple):
    """How Prometheus gets a column. Its name is the column's, and its one sample the column's value, unless given."""

    kind: str  # counter or gauge
    help: str
    samples: Callable[[Subject], Iterable[Sample]] | None = None
    name: str = ""


class Column(NamedTuple):
    """
    A column of `stats`. `value` is that of `ProxyFigures` unless given; JSON and CSV round numbers to `places`.

    `sort` is its name for `--sort`. The largest value comes first, or what has the smallest `key`.
    """

    name: str
    value: Callable[[Subject], Any] | None = None
    places: int | None = None
    cell: Cell | None = None
    sort: str = ""
    key: Callable[[Row], Any] | None = None
    metric: Metric | None = None

    def shown(self, subject: Subject) -> Any:
        """The value as JSON and CSV have it."""
        value = self.value(subject) if self.value else getattr(subject.figures, self.name)
        return value if value is None or self.places is None else round(value, self.places)

    def sort_key(self, row: Row) -> Any:
        """The smallest key comes first."""
        return self.key(row) if self.key else -(row[self.name] or 0)


def labelled(label: str, values: Mapping[Any, float | None]) -> list[Sample]:
    """A sample for each of the values that is known, with its key as the label."""
    return [({label: str(key)}, value) for key, value in values.items() if value is not None]


def one_hot(states: Iterable[str], state: str) -> list[Sample]:
    """A sample for each of the states: 1 for the one that holds, else 0."""
    return labelled("state", {each: int(each == state) for each in states})


def _rate_text(row: Row) -> str:
    if row["success_rate"] is None:
        return "overtaken" if row["overtaken"] else "not tried"
    low, high = row["success_low"], row["success_high"]
    text = f"{row['success_rate']:4.0%} of {row['attempts'] - row['overtaken']}"
    # A wide interval is shown beside its rate.
    return text if high - low < 0.2 else f"{text} ({low * 100:.0f}-{high * 100:.0f})"


def _latency_text(row: Row) -> str:
    p50, p95 = row["latency_p50"], row["latency_p95"]
    return "" if p50 is None else f"{seconds_column(p50)}/{seconds_column(p95)}"


def _hourly_text(row: Row) -> str:
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
        cell=Cell(1, "state", lambda row: str(row["state"])),
        metric=Metric("gauge", "1 for the state of the proxy.", lambda of: one_hot(ProxyState, of.proxy.state)),
    ),
    Column("reason", lambda of: of.proxy.reason),
    Column("until", lambda of: stamp(of.proxy.until) if of.proxy.state == ProxyState.COOLING else None),
    Column("attempts", sort="attempts", metric=Metric("counter", "Attempts through the proxy.")),
    Column("ok", metric=Metric("counter", "Attempts that gave a page.")),
    Column("gone", metric=Metric("counter", "Attempts answered by 404 or 410.")),
    Column("failed", sort="failed", metric=Metric("counter", "Attempts that failed.")),
    # Sorted by what the rate may be at best: one failure of one attempt is no proof, nine of ten are.
    Column(
        "success_rate",
        places=4,
        cell=Cell(2, "good", _rate_text),
        sort="success_rate",
        key=lambda row: row["success_high"],
    ),
    Column("success_low", lambda of: of.figures.success_interval[0], places=4),
    Column("success_high", lambda of: of.figures.success_interval[1], places=4),
    Column(
        "faults",
        lambda of: dict(of.figures.faults.most_common()),
        cell=Cell(6, "why", _why_text),
        metric=Metric("counter", "Failed attempts by fault.", lambda of: labelled("fault", of.figures.faults)),
    ),
    Column("charged", metric=Metric("gauge", "Failures held against the proxy.")),
    Column("forgiven", metric=Metric("gauge", "Failures that were, and no longer are.")),
    Column("overtaken", metric=Metric("counter", "Attempts whose page another proxy gave first.")),
    Column(
        "latency_p50",
        lambda of: of.figures.latencies.percentile(0.50),
        places=4,
        cell=Cell(3, "p50/p95 s", _latency_text),
        sort="latency",
        metric=Metric(
            "gauge",
            "Seconds until an attempt was answered.",
            lambda of: labelled("quantile", {share: of.figures.latencies.percentile(share) for share in (0.5, 0.95)}),
            "latency_seconds",
        ),
    ),
    Column("latency_p95", lambda of: of.figures.latencies.percentile(0.95), places=4),
    Column(
        "bytes",
        cell=Cell(5, "MB", lambda row: megabytes_column(row["bytes"])),
        sort="bytes",
        metric=Metric("counter", "Bytes of bodies, as they came over the wire."),
    ),
    Column("wasted_bytes", sort="wasted"),
    Column("pins", lambda of: of.pins, metric=Metric("counter", "Times that a worker took the proxy.")),
    Column("busy_seconds", places=3, sort="busy", metric=Metric("counter", "Seconds that the attempts took.")),
    Column("wasted_seconds", places=3),
    Column(
        "pages_per_hour",
        places=1,
        cell=Cell(4, "pages/h", _hourly_text),
        sort="pages_per_hour",
        key=lambda row: -1.0 if row["pages_per_hour"] is None else row["pages_per_hour"],
    ),
    Column("first_error"),
    Column("first_error_at", lambda of: stamp(of.figures.first_error_at)),
    Column("last_error"),
    Column("last_error_at", lambda of: stamp(of.figures.last_error_at)),
)


#: What is known of a proxy, in a word; see `standing`.
STANDINGS = ("good", "doubtful", "bad", "untried", "retired")


def standing(row: Row) -> str:
    """
    What is known of the proxy of this entry of `proxies`: only one that has served a page is good. One that was asked
    and has served none is doubtful, and bad once it was taken out for it. A retired one served pages before.
    """
    if not row["attempts"] and row["state"] != "retired":
        return "untried"
    if row["ok"]:
        return "retired" if row["state"] == "retired" else "good"
    return "bad" if row["state"] in ("cooling", "retired") else "doubtful"


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
    return {column.name: column.shown(subject) for column in COLUMNS}
