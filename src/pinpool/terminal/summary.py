"""A run in a few lines for people: its summary, and what `verify` found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

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


def coverage_line(coverage: Any) -> str:
    """What `verify` found, in one line."""
    if coverage.complete:
        return (
            f"coverage: proven complete: {coverage.seeds} seeds, {coverage.tasks} tasks, each ended once, "
            f"{coverage.items} items, none twice"
        )
    return f"coverage: NOT complete: {'; '.join(coverage.problems)}"


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
