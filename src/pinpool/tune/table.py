"""The rows of `pinpool tune` for people: a table with bars, lines about a trial, and an SVG plot."""

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

# The plot's frame, in SVG units.
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 320, 60, 50, 30, 45


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


def plot(rows: Sequence[Row], recommended: int) -> str:
    """Pages/s by workers as an SVG document, with the chance that the list lasts where it is known."""
    most = max(row.workers for row in rows)
    top = max(row.pages_per_second for row in rows) or 1.0
    right, floor = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def point(row: Row, share: float) -> tuple[float, float]:
        return _LEFT + (right - _LEFT) * row.workers / most, floor - (floor - _TOP) * share

    speeds = [point(row, row.pages_per_second / top) for row in rows]
    chances = [point(row, row.survival) for row in rows if row.survival is not None]
    chosen = next((row for row in rows if row.workers == recommended), rows[0])
    x, y = point(chosen, chosen.pages_per_second / top)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif"'
        ' font-size="12">',
        "<title>Pages per second by number of workers</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<path d="M{_LEFT} {_TOP}V{floor}H{right}" fill="none" stroke="#666"/>',
        *(f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="3" fill="#1f6feb"/>' for cx, cy in speeds),
        _line(speeds, "#1f6feb"),
        _text(_LEFT - 6, _TOP + 4, f"{top:.4g}", "end"),
        _text(_LEFT - 6, floor, "0", "end"),
        _text(_LEFT, _TOP - 12, "pages/s", "middle", "#1f6feb"),
        _text((_LEFT + right) / 2, _HEIGHT - 8, "workers", "middle"),
        f'<path d="M{x:.1f} {floor}V{y:.1f}" stroke="#1f6feb" stroke-dasharray="2 3"/>',
        _text(x, floor + 16, str(chosen.workers), "middle", "#1f6feb"),
    ]
    if chosen.workers < 0.9 * most:
        parts.append(_text(right, floor + 16, str(most), "middle"))
    if chances:
        parts += [
            _line(chances, "#c2410c", dashed=True),
            _text(right + 6, _TOP + 4, "100 %", "start", "#c2410c"),
            _text(_WIDTH - 4, _TOP - 12, "the list lasts", "end", "#c2410c"),
        ]
    return "\n".join([*parts, "</svg>", ""])


def _line(points: Sequence[tuple[float, float]], colour: str, *, dashed: bool = False) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dash = ' stroke-dasharray="6 4"' if dashed else ""
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>'


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#333") -> str:
    # The text is always our own, so that nothing has to be escaped.
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{text}</text>'
