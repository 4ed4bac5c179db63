"""The rows of `pinpool tune` for people: a table with bars, and an SVG plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pinpool.stats.snapshot import Snapshot
from pinpool.text import counted, duration, percent_column, seconds_column
from pinpool.tune.result import Row
from pinpool.tune.steady_state import Trial

#: Eighths of a character cell.
_BLOCKS = " ▏▎▍▌▋▊▉█"
_BAR = 12
_HEAD = (
    "workers",
    "pages/s",
    "+-",
    "",
    "ideal",
    "time",
    "p50 s",
    "p95 s",
    "faults",
    "cpu",
    "MB",
    "spares",
    "parked",
    "lasts",
)

# The plot's frame, in SVG units.
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 320, 60, 50, 30, 45


def answer(rows: Sequence[Row], document: Mapping[str, Any], *, blocks: bool) -> str:
    """What `pinpool tune` prints for people: the table of the rows, and the advice of their document."""
    pages, spares = document["pages"], document["spares_to_hold"]
    of_pages = "" if pages is None else f", {counted(pages, 'page')}"
    lines = [counted(document["proxies"], "proxy", "proxies") + of_pages]
    if not rows:
        return "\n".join([*lines, document["why"]])
    lines.append(table(rows, document["recommended"], blocks=blocks))
    lines.append(f"take {counted(document['recommended'], 'worker')}: {document['why']}")
    if spares:
        lines.append(
            f"for the list to last in 95 of 100 crawls, keep {counted(spares, 'spare proxy', 'spare proxies')}"
        )
    return "\n".join(lines)


def table(rows: Sequence[Row], recommended: int, *, blocks: bool = True) -> str:
    """
    One line for each row, the recommended one marked. Columns of which nothing is known are left out. Without `blocks`
    the bars are of plain ASCII.
    """
    top = max(row.pages_per_second for row in rows)
    lines = [("", *_HEAD), *(_cells(row, top, recommended, blocks) for row in rows)]
    columns = [column for column in zip(*lines, strict=True) if any(column[1:])]
    widths = [max(map(len, column)) for column in columns]
    told = []
    for line in zip(*columns, strict=True):
        cells = [
            cell.ljust(width) if set(cell) & set("█#▏▎▍▌▋▊▉→>") else cell.rjust(width)
            for cell, width in zip(line, widths, strict=True)
        ]
        told.append("  ".join(cells).rstrip())
    return "\n".join(told)


def _cells(row: Row, top: float, recommended: int, blocks: bool) -> tuple[str, ...]:
    mark = ("→" if blocks else ">") if row.workers == recommended else ""
    return (
        mark,
        str(row.workers),
        f"{row.pages_per_second:.1f}",
        "" if row.error is None else f"{1.96 * row.error:.1f}",
        _bar(row.pages_per_second / top if top else 0.0, blocks=blocks),
        percent_column(row.of_ideal),
        "" if row.seconds is None else duration(row.seconds),
        seconds_column(row.latency_p50, 3),
        seconds_column(row.latency_p95, 3),
        percent_column(row.fault_rate),
        percent_column(row.cpu),
        "" if row.rss_mb is None else f"{row.rss_mb:.0f}",
        str(row.spares),
        percent_column(row.parked),
        _chance(row),
    )


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


def standing(workers: int, view: Snapshot, trial: Trial) -> str:
    """How a trial stands, in one line."""
    parts = [counted(workers, "worker"), counted(view.pages, "page")]
    if (pace := trial.figures()) is None:
        parts.append("warming up")
    else:
        parts.append(
            f"{pace.speed:.1f} pages/s, known to {1.96 * pace.doubt:.0%} after {duration(pace.seconds)}"
        )
    if view.census.parked:
        parts.append(f"{view.census.parked} waiting for a proxy")
    return ", ".join(parts)


def trial_line(row: Row) -> str:
    """What a trial has told, in one line."""
    parts = [
        f"{counted(row.workers, 'worker')}: {row.pages_per_second:.1f} pages/s (+-{1.96 * (row.error or 0.0):.1f})"
    ]
    parts += [f"latency {seconds_column(row.latency_p50, 3)} s"] if row.latency_p50 is not None else []
    parts += [f"{percent_column(row.fault_rate)} faults"] if row.fault_rate else []
    parts += [f"cores {percent_column(row.cpu)} busy"] if row.cpu is not None else []
    return ", ".join(parts)


def plot(rows: Sequence[Row], recommended: int) -> str:
    """Pages/s by workers as an SVG document, with the chance that the list lasts where it is known."""
    most = max(row.workers for row in rows)
    top = max(row.pages_per_second for row in rows) or 1.0
    across, up = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    floor = _HEIGHT - _BOTTOM

    def x(row: Row) -> float:
        return _LEFT + across * row.workers / most

    def speed(row: Row) -> float:
        return floor - up * row.pages_per_second / top

    def chance(row: Row) -> float:
        return floor - up * (row.survival or 0.0)

    chosen = next((row for row in rows if row.workers == recommended), rows[0])
    known = [row for row in rows if row.survival is not None]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif"'
        ' font-size="12">',
        "<title>Pages per second by number of workers</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<path d="M{_LEFT} {_TOP}V{floor}H{_WIDTH - _RIGHT}" fill="none" stroke="#666"/>',
        *(f'<circle cx="{x(row):.1f}" cy="{speed(row):.1f}" r="3" fill="#1f6feb"/>' for row in rows),
        _line([(x(row), speed(row)) for row in rows], "#1f6feb"),
        _text(_LEFT - 6, _TOP + 4, f"{top:.4g}", "end"),
        _text(_LEFT - 6, floor, "0", "end"),
        _text(_LEFT, _TOP - 12, "pages/s", "middle", "#1f6feb"),
        _text(_LEFT + across / 2, _HEIGHT - 8, "workers", "middle"),
        f'<path d="M{x(chosen):.1f} {floor}V{speed(chosen):.1f}" stroke="#1f6feb" stroke-dasharray="2 3"/>',
        _text(x(chosen), floor + 16, str(chosen.workers), "middle", "#1f6feb"),
    ]
    if chosen.workers < 0.9 * most:
        parts.append(_text(_LEFT + across, floor + 16, str(most), "middle"))
    if known:
        parts += [
            _line([(x(row), chance(row)) for row in known], "#c2410c", dashed=True),
            _text(_WIDTH - _RIGHT + 6, _TOP + 4, "100 %", "start", "#c2410c"),
            _text(_WIDTH - 4, _TOP - 12, "the list lasts", "end", "#c2410c"),
        ]
    return "\n".join([*parts, "</svg>", ""])


def _line(points: Sequence[tuple[float, float]], colour: str, *, dashed: bool = False) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dash = ' stroke-dasharray="6 4"' if dashed else ""
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>'


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#333") -> str:
    # Figures and words of our own: there is nothing in them to escape.
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{text}</text>'
