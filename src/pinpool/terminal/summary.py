"""A run in a few lines for people: its summary, and what `verify` found."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pinpool.journal.verify import Coverage
from pinpool.stats.columns import Row
from pinpool.text import counted, nonzero


def summary(document: Row, journal: Path, advice: str = "") -> str:
    """A run in a few lines, from the document of `pinpool stats --json`; `advice` is one of them."""
    run, tasks = document["run"], document["run"]["tasks"]
    pages, seconds = run["pages"], run["seconds"]
    speed = f", {pages / seconds:.1f} pages/s" if seconds else ""
    lines = [
        f"{run['state']}: {counted(pages, 'page')}, {counted(run['items'], 'item')} in {seconds:.1f} s{speed}",
        f"tasks: {tasks['done']} done, {tasks['gone']} gone, {tasks['failed']} failed, {tasks['waiting']} waiting",
        _proxies(document["proxies"]),
    ]
    if run["worker_losses"] or run["pool_rebuilds"]:
        lines.append(f"workers lost: {run['worker_losses']}, pool rebuilt: {run['pool_rebuilds']}")
    if advice:
        lines.append(f"advice: {advice}")
    lines.append(f"proxy by proxy: pinpool stats {journal}")
    return "\n".join(lines)


def coverage_line(coverage: Coverage) -> str:
    """What `verify` found, in one line."""
    if not coverage.complete:
        return f"coverage: NOT complete: {'; '.join(coverage.problems)}"
    seeds, tasks = counted(coverage.seeds, "seed"), counted(coverage.tasks, "task")
    return (
        f"coverage: proven complete: {seeds}, {tasks}, each ended once, {counted(coverage.items, 'item')}, none twice"
    )


def _proxies(rows: Sequence[Row]) -> str:
    states = Counter(row["state"] for row in rows)
    counts = {
        "resting": states["cooling"],
        "retired": states["retired"],
        "never used": sum(not row["attempts"] for row in rows),
    }
    good = len(rows) - states["cooling"] - states["retired"]
    return f"proxies: {len(rows):,}, {nonzero(f'{good:,} good', counts)}"
