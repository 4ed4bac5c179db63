"""The proxies of a run as a table: aligned text for people, CSV for programs. From the document of `stats --json`."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Any

from pinpool.journal.records import ProxyRow
from pinpool.model import Fault
from pinpool.stats.figures import ProxyFigures, proxy_document
from pinpool.text import one_line

Row = Mapping[str, Any]

WIDTH = 100  # columns: two windows fit side by side on a wide screen, and one into a mail
LABEL_WIDTH = 20  # of a proxy, at least: a scheme, a few letters, and the port
DOUBTFUL = 0.2  # an interval as wide as this, 20 points, is shown beside its rate

_STATES = {"retired": 0, "cooling": 1, "pinned": 2, "spare": 2}
_COLOURS = {"retired": "red", "cooling": "yellow"}

#: What `--sort` offers: the key by which rows are sorted, those that ask for a look first.
_ORDERS: dict[str, Callable[[Row], Any]] = {
    "trouble": lambda row: (_STATES.get(row["state"], 0), -row["failed"]),
    "proxy": lambda row: (),
    "attempts": lambda row: -row["attempts"],
    "failed": lambda row: -row["failed"],
    # By what the rate may be at best: one failure of one attempt is no proof, nine of ten are.
    "success_rate": lambda row: row["success_high"],
    "latency": lambda row: -(row["latency_p50"] or 0.0),
    "bytes": lambda row: -row["bytes"],
    "wasted": lambda row: -row["wasted_bytes"],
    "busy": lambda row: -row["busy_seconds"],
    "pages_per_hour": lambda row: -1.0 if row["pages_per_hour"] is None else row["pages_per_hour"],
}
SORTS = tuple(_ORDERS)


def ordered(rows: Iterable[Row], sort: str) -> list[Row]:
    """The rows by one of `SORTS`; those that are alike by their proxy."""
    return sorted(rows, key=lambda row: (_ORDERS[sort](row), row["proxy"]))


def proxy_table(document: Row, *, sort: str = "trouble", faults: bool = False, colour: bool = False) -> str:
    """
    One line for each proxy of the document, none longer than `WIDTH`; with `faults` what went wrong below each.
    """
    rows = ordered(document["proxies"], sort)
    head = ("state", "good", "p50/p95 s", "pages/h", "MB", "why")
    cells = [head, *map(_cells, rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    widths[-1] = min(widths[-1], len("connect_timeout 99"))
    room = max(LABEL_WIDTH, WIDTH - sum(widths) - 2 * len(widths))
    labels = ["proxy", *short_labels([one_line(row["proxy"]) for row in rows], room)]
    width = max(map(len, labels))
    lines = []
    for row, label, line in zip((None, *rows), labels, cells, strict=True):
        padded = [label.ljust(width), line[0].ljust(widths[0]), line[1].ljust(widths[1])]
        padded += [cell.rjust(column) for cell, column in zip(line[2:-1], widths[2:-1], strict=True)]
        text = _cut("  ".join([*padded, line[-1]]).rstrip(), WIDTH)
        lines.append(_coloured(text, row["state"]) if row and colour else text)
        if row and faults:
            lines += [_cut(f"    {detail}", WIDTH) for detail in _details(row)]
    return "\n".join(lines)


def proxy_csv(rows: Iterable[Row]) -> str:
    """
    The rows as CSV (RFC 4180): the keys of `stats --json`, with a column for each fault name, in an order that stays.

    A text that a spreadsheet would take for a formula stands behind an apostrophe.
    """
    names = [*Fault, "unknown"]
    out = io.StringIO(newline="")
    table = csv.writer(out)
    keys = list(proxy_document(ProxyRow(0, "", "", None, None, 0, True), ProxyFigures(), 0))
    place = keys.index("faults")
    table.writerow([*keys[:place], *names, *keys[place + 1 :]])
    for row in rows:
        counts: Counter[str] = Counter()
        for name, count in row["faults"].items():
            counts[name if name in names else "unknown"] += count
        cells = [*(row[key] for key in keys[:place]), *(counts[name] for name in names)]
        table.writerow([_harmless(cell) for cell in (*cells, *(row[key] for key in keys[place + 1 :]))])
    return out.getvalue()


def short_labels(labels: Sequence[str], width: int) -> list[str]:
    """
    Labels of at most `width` characters, long ones shortened in the middle, and still told apart: where they would
    look alike, the part in which they differ is shown instead of their middle, or at last their number.
    """
    short = [_shortened(label, width) for label in labels]
    alike: defaultdict[str, list[int]] = defaultdict(list)
    for number, text in enumerate(short):
        alike[text].append(number)
    for numbers in alike.values():
        group = [labels[number] for number in numbers]
        if len(set(group)) > 1:
            for number, text in zip(numbers, _telling_apart(group, width), strict=True):
                short[number] = text
    return short


def _telling_apart(labels: Sequence[str], width: int) -> list[str]:
    start = _common(labels)
    ends = [label[start:][::-1] for label in labels]
    end = _common(ends)
    told = []
    for label in labels:
        core = label[start : len(label) - end]
        room = width - len(core) - 2
        before = label[:start] if start <= room // 2 else label[: max(0, room // 2)] + "…"
        after = (
            label[len(label) - end :] if end <= room // 2 else "…" + label[len(label) - max(1, room // 2) :]
        )
        told.append(before + core + after)
    if len(set(told)) == len(set(labels)) and all(len(text) <= width for text in told):
        return told
    digits = len(str(len(labels)))
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels), 1)}
    return [f"{_shortened(label, width - digits - 1)}~{numbers[label]}" for label in labels]


def _common(texts: Sequence[str]) -> int:
    """How many letters all begin with."""
    return sum(1 for _ in takewhile(lambda letters: len(set(letters)) == 1, zip(*texts, strict=False)))


def _shortened(text: str, width: int) -> str:
    if len(text) <= width:
        return text
    tail = width // 2  # host and port stand at the end, and tell more than a scheme
    return f"{text[: width - tail - 1]}…{text[len(text) - tail :]}"


def _cells(row: Row) -> tuple[str, ...]:
    top = next((f"{name} {count}" for name, count in row["faults"].items()), "")  # the commonest comes first
    return (
        row["state"],
        _rate(row),
        ""
        if row["latency_p50"] is None
        else f"{_seconds(row['latency_p50'])}/{_seconds(row['latency_p95'])}",
        "" if row["pages_per_hour"] is None else _count(row["pages_per_hour"]),
        _size(row["bytes"]),
        one_line(top or row["reason"] or ""),
    )


def _rate(row: Row) -> str:
    """A rate that few attempts bear out is shown with the interval in which it may really lie."""
    if row["success_rate"] is None:
        return "not tried"
    low, high = row["success_low"], row["success_high"]
    shown = f"{row['success_rate']:4.0%} of {row['attempts']}"
    return shown if high - low < DOUBTFUL else f"{shown} ({low * 100:.0f}-{high * 100:.0f})"


def _details(row: Row) -> list[str]:
    lines = []
    if row["reason"]:
        until = f", until {row['until']}" if row.get("until") else ""
        lines.append(f"{row['state']}: {one_line(row['reason'])}{until}")
    named = ", ".join(f"{one_line(name)} {count}" for name, count in row["faults"].items())
    if named:
        lines.append(f"{named}; {row['charged']} charged, {row['forgiven']} forgiven")
    if row["attempts"]:
        cost = (
            f", wasted {row['wasted_seconds']:.1f} s and {_size(row['wasted_bytes'])} MB"
            if row["failed"]
            else ""
        )
        gone = f", {row['gone']} pages gone" if row["gone"] else ""
        lines.append(f"pins {row['pins']}, busy {row['busy_seconds']:.1f} s{cost}{gone}")
    for which in ("first", "last"):
        if row[f"{which}_error"] and (which == "first" or row["failed"] > 1):
            at = row[f"{which}_error_at"] or ""
            lines.append(f"{which} error {at}: {one_line(row[f'{which}_error'])}")
    return lines


def _seconds(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _size(size: int) -> str:
    return f"{size / 1e6:.1f}" if size < 100e6 else f"{size / 1e6:.0f}"


def _count(value: float) -> str:
    return f"{value:.0f}" if value < 100_000 else f"{value / 1000:.0f}k"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _coloured(text: str, state: str) -> str:
    import click

    return click.style(text, fg=_COLOURS[state]) if state in _COLOURS else text


def _harmless(cell: Any) -> Any:
    if cell is None:
        return ""
    if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{cell}"
    return cell
