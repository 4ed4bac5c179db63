"""The rows of `pinpool tune` for people: a table with bars, and lines about a trial."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pinpool.stats.histogram import CONFIDENT
from pinpool.stats.snapshot import Snapshot
from pinpool.text import counted, duration, percent_column, seconds_column
from pinpool.tune.result import Result, Row
from pinpool.tune.steady_state import Trial

#: Eighths of a character cell.
_BLOCKS = " ▏▎▍▌▋▊▉█"
_BAR = 12


def answer(result: Result, *, blocks: bool) -> str:
    """What `pinpool tune` prints for people: the table, and which row to take. `blocks` is as in `table`."""
    listed = counted(result.proxies, "proxy", "proxies")
    lines = [listed if result.pages is None else f"{listed}, {counted(result.pages, 'page')}"]
    workers, why = result.recommendation
    if not result.rows:
        return "\n".join([*lines, why])
    lines += [table(result.rows, workers, blocks=blocks), f"take {counted(workers, 'worker')}: {why}"]
    if result.spares:
        spares = counted(result.spares, "spare proxy", "spare proxies")
        lines.append(f"for the list to last in 95 of 100 crawls, keep {spares}")
    return "\n".join(lines)


def table(rows: Sequence[Row], recommended: int, *, blocks: bool = True) -> str:
    """
    One line for each row, the recommended one marked, without columns of which nothing is known. Without `blocks` the
    bars are plain ASCII.
    """
    top = max(row.pages_per_second for row in rows) or 1.0
    mark = "→" if blocks else ">"
    # A heading of blanks is that of a column that is aligned on the left.
    formats: Mapping[str, Callable[[Row], str]] = {
        "": lambda row: mark if row.workers == recommended else "",
        "workers": lambda row: str(row.workers),
        "pages/s": lambda row: f"{row.pages_per_second:.1f}",
        "+-": lambda row: "" if row.error is None else f"{CONFIDENT * row.error:.1f}",
        " ": lambda row: _bar(row.pages_per_second / top, blocks=blocks),
        "ideal": lambda row: percent_column(row.of_ideal),
        "time": lambda row: "" if row.seconds is None else duration(row.seconds),
        "p50 s": lambda row: seconds_column(row.latency_p50, 3),
        "p95 s": lambda row: seconds_column(row.latency_p95, 3),
        "faults": lambda row: percent_column(row.fault_rate),
        "cpu": lambda row: percent_column(row.cpu),
        "MB": lambda row: "" if row.rss_mb is None else f"{row.rss_mb:.0f}",
        "spares": lambda row: str(row.spares),
        "parked": lambda row: percent_column(row.parked),
        "lasts": _chance,
    }
    columns = []
    for heading, text in formats.items():
        cells = [heading, *map(text, rows)]
        if any(cells[1:]):
            width, align = max(map(len, cells)), ">" if heading.strip() else "<"
            columns.append([f"{cell:{align}{width}}" for cell in cells])
    return "\n".join("  ".join(line).rstrip() for line in zip(*columns, strict=True))


def _bar(share: float, *, blocks: bool) -> str:
    if not blocks:
        return "#" * max(1, round(share * _BAR))
    eighths = max(1, round(share * _BAR * 8))
    return "█" * (eighths // 8) + _BLOCKS[eighths % 8].strip()


def _chance(row: Row) -> str:
    if row.survival is None:
        return ""
    low, high = row.survival_from, row.survival_to
    if low is None or high is None or high - low < 0.01:
        return f"{row.survival:.0%}"
    return f"{row.survival:.0%} ({100 * low:.0f}-{100 * high:.0f})"


def progress_line(workers: int, view: Snapshot, trial: Trial) -> str:
    """A trial as it goes on, in one line."""
    parts = [counted(workers, "worker"), counted(view.pages, "page")]
    if (measured := trial.throughput()) is None:
        parts.append("warming up")
    else:
        sure = f"{CONFIDENT * measured.relative_error:.0%} after {duration(measured.seconds)}"
        parts.append(f"{measured.speed:.1f} pages/s, known to {sure}")
    if view.census.parked:
        parts.append(f"{view.census.parked} waiting for a proxy")
    return ", ".join(parts)


def trial_line(row: Row) -> str:
    """The result of a trial in one line."""
    speed = f"{row.pages_per_second:.1f} pages/s (+-{CONFIDENT * (row.error or 0.0):.1f})"
    parts = [f"{counted(row.workers, 'worker')}: {speed}"]
    parts += [f"latency {seconds_column(row.latency_p50, 3)} s"] if row.latency_p50 is not None else []
    parts += [f"{percent_column(row.fault_rate)} faults"] if row.fault_rate else []
    parts += [f"cores {percent_column(row.cpu)} busy"] if row.cpu is not None else []
    return ", ".join(parts)
