"""Figures as text for people: the summary of a run, and the table of its proxies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["SORTS", "coverage_line", "proxy_table", "summary"]

Row = Mapping[str, Any]


def summary(document: Row, journal: Path, advice: str = "") -> str:
    """A run in a few lines, from the document of `pinpool stats --json`; `advice` is one of them."""
    run, tasks = document["run"], document["run"]["tasks"]
    seconds = run["seconds"]
    speed = f", {run['pages'] / seconds:.1f} pages/s" if seconds else ""
    lines = [
        f"{run['state']}: {run['pages']} pages, {run['items']} items in {seconds:.1f} s{speed}",
        f"tasks: {tasks['done']} done, {tasks['gone']} gone, {tasks['failed']} failed, {tasks['waiting']} waiting",
        _proxies_in_a_line(document["proxies"]),
    ]
    if run["worker_losses"] or run["pool_rebuilds"]:
        lines.append(f"workers lost: {run['worker_losses']}, pool built anew: {run['pool_rebuilds']}")
    if advice:
        lines.append(f"advice: {advice}")
    lines.append(f"proxy by proxy: pinpool stats {journal}")
    return "\n".join(lines)


def proxy_table(document: Row, *, sort: str = "trouble", faults: bool = False) -> str:
    """One line for each proxy, the troubled ones first; within 100 columns as long as labels are short."""
    rows = sorted(document["proxies"], key=_ORDERS[sort])
    head = ("proxy", "state", "tries", "ok", "gone", "failed", "good", "p50 s", "p95 s", "MB", "pins", "why")
    cells = [head, *(_cells(row, faults=faults) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    lines = []
    for line in cells:
        first = line[0].ljust(widths[0])
        middle = [
            line[1].ljust(widths[1]),
            *(cell.rjust(width) for cell, width in zip(line[2:-1], widths[2:-1], strict=True)),
        ]
        lines.append("  ".join([first, *middle, line[-1]]).rstrip())
    return "\n".join(lines)


def coverage_line(coverage: Any) -> str:
    """What `verify` found, in one line."""
    if coverage.complete:
        return (
            f"coverage: proven complete: {coverage.seeds} seeds, {coverage.tasks} tasks, each ended once, "
            f"{coverage.items} items, none twice"
        )
    return f"coverage: NOT complete: {'; '.join(coverage.problems)}"


_STATES = {"retired": 0, "cooling": 1, "pinned": 2, "spare": 2}
_ORDERS: dict[str, Any] = {
    "trouble": lambda row: (_STATES[row["state"]], -row["failed"], row["proxy"]),
    "proxy": lambda row: row["proxy"],
    "attempts": lambda row: (-row["attempts"], row["proxy"]),
    "failed": lambda row: (-row["failed"], row["proxy"]),
    "success_rate": lambda row: (2.0 if row["success_rate"] is None else row["success_rate"], row["proxy"]),
    "latency": lambda row: (-(row["latency_p50"] or 0.0), row["proxy"]),
    "bytes": lambda row: (-row["bytes"], row["proxy"]),
}
SORTS = tuple(_ORDERS)


def _cells(row: Row, *, faults: bool) -> tuple[str, ...]:
    named = [f"{name} {count}" for name, count in row["faults"].items()]  # the commonest comes first
    why = ", ".join(named) if faults else (row["reason"] or next(iter(named), ""))
    rate = row["success_rate"]
    return (
        row["proxy"],
        row["state"],
        str(row["attempts"]),
        str(row["ok"]),
        str(row["gone"]),
        str(row["failed"]),
        "" if rate is None else f"{rate:.0%}",
        _seconds(row["latency_p50"]),
        _seconds(row["latency_p95"]),
        f"{row['bytes'] / 1e6:.1f}",
        str(row["pins"]),
        why,
    )


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _proxies_in_a_line(rows: Sequence[Row]) -> str:
    states = [row["state"] for row in rows]
    untouched = sum(1 for row in rows if not row["attempts"])
    parts = [f"{len(rows) - states.count('cooling') - states.count('retired')} good"]
    if states.count("cooling"):
        parts.append(f"{states.count('cooling')} resting")
    if states.count("retired"):
        parts.append(f"{states.count('retired')} retired")
    if untouched:
        parts.append(f"{untouched} never used")
    return f"proxies: {len(rows)}, {', '.join(parts)}"
