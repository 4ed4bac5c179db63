"""The proxies of a run as a table: aligned text for people, CSV for programs. From the document of `stats --json`."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import takewhile

from click import style

from pinpool.model import Fault
from pinpool.stats.columns import COLUMNS, Row
from pinpool.text import counted, cut, cut_middle, formula_safe, megabytes_column, one_line

WIDTH = 100  # columns: two windows fit side by side on a wide screen, and one into a mail
WHY_WIDTH = len("connect_timeout 99")

_STATES = {"retired": 0, "cooling": 1, "pinned": 2, "spare": 2}
_COLOURS = {"retired": "red", "cooling": "yellow"}
_CELLS = sorted(column.cell for column in COLUMNS if column.cell)

#: What `--sort` offers, each with its sort key.
_ORDERS = {"trouble": lambda row: (_STATES.get(row["state"], 0), -row["failed"])} | {
    column.sort: column.sort_key for column in COLUMNS if column.sort
}
SORTS = tuple(_ORDERS)


def ordered(rows: Iterable[Row], sort: str) -> list[Row]:
    """The rows by one of `SORTS`, equal ones by their proxy."""
    return sorted(rows, key=lambda row: (_ORDERS[sort](row), row["proxy"]))


def proxy_table(document: Row, *, sort: str = "trouble", faults: bool = False, colour: bool = False) -> str:
    """One line a proxy, none longer than `WIDTH`; with `faults`, what went wrong is below each."""
    rows = ordered(document["proxies"], sort)
    cells = [[cell.title for cell in _CELLS], *([cell.text(row) for cell in _CELLS] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    widths[-1] = min(widths[-1], WHY_WIDTH)
    room = max(20, WIDTH - sum(widths) - 2 * len(widths))  # at least a scheme, a few letters, and the port
    labels = ["proxy", *short_labels([one_line(row["proxy"]) for row in rows], room)]
    width = max(map(len, labels))
    lines = []
    for row, label, (state, good, *numbers, why) in zip((None, *rows), labels, cells, strict=True):
        padded = [label.ljust(width), state.ljust(widths[0]), good.ljust(widths[1])]
        padded += [number.rjust(column) for number, column in zip(numbers, widths[2:-1], strict=True)]
        line = cut("  ".join([*padded, why]).rstrip(), WIDTH)
        if row and colour and row["state"] in _COLOURS:
            line = style(line, fg=_COLOURS[row["state"]])
        lines.append(line)
        if row and faults:
            lines += [cut(f"    {detail}", WIDTH) for detail in _details(row)]
    return "\n".join(lines)


def proxy_csv(rows: Iterable[Row]) -> str:
    """
    The rows as CSV (RFC 4180): the columns of `stats --json`, but one column for each fault, always in the same order.

    An apostrophe goes before a text that a spreadsheet would take for a formula.
    """
    faults = [*Fault, "unknown"]
    out = io.StringIO(newline="")
    names = [name for column in COLUMNS for name in (faults if column.name == "faults" else [column.name])]
    table = csv.DictWriter(out, names, extrasaction="ignore")
    table.writeheader()
    for row in rows:
        cells = {**row, **dict.fromkeys(faults, 0)}
        for fault, count in row["faults"].items():
            cells[fault if fault in faults else "unknown"] += count
        table.writerow({name: formula_safe(cell) if isinstance(cell, str) else cell for name, cell in cells.items()})
    return out.getvalue()


def short_labels(labels: Sequence[str], width: int) -> list[str]:
    """
    Labels of at most `width` characters, long ones without their middle.

    Where that makes different labels alike, the part in which they differ is shown instead, or else their number.
    """
    by_text: defaultdict[str, list[str]] = defaultdict(list)
    for label in dict.fromkeys(labels):
        by_text[cut_middle(label, width)].append(label)
    short: dict[str, str] = {}
    for text, alike in by_text.items():
        short |= zip(alike, _distinct(alike, width) if len(alike) > 1 else [text], strict=True)
    return [short[label] for label in labels]


def _distinct(labels: Sequence[str], width: int) -> list[str]:
    """Different labels by the part in which they differ, or numbered if that does not fit."""
    start = _common_start(labels)
    end = _common_start([label[start:][::-1] for label in labels])
    short = []
    for label in labels:
        core, tail = label[start : len(label) - end], label[len(label) - end :]
        half = (width - len(core) - 2) // 2
        before = label[:start] if start <= half else label[: max(0, half)] + "…"
        after = tail if end <= half else "…" + label[len(label) - max(1, half) :]
        short.append(before + core + after)
    if len(set(short)) == len(labels) and all(len(text) <= width for text in short):
        return short
    room = width - len(f"~{len(labels)}")
    return [f"{cut_middle(label, room)}~{number}" for number, label in enumerate(labels, 1)]


def _common_start(texts: Sequence[str]) -> int:
    """How many characters are the same at the start of all."""
    return sum(1 for _ in takewhile(lambda letters: len(set(letters)) == 1, zip(*texts, strict=False)))


def _details(row: Row) -> list[str]:
    lines = []
    if row["reason"]:
        until = f", until {row['until']}" if row.get("until") else ""
        lines.append(f"{row['state']}: {one_line(row['reason'])}{until}")
    if row["faults"]:
        faults = ", ".join(f"{one_line(fault)} {count}" for fault, count in row["faults"].items())
        lines.append(f"{faults}; {row['charged']} charged, {row['forgiven']} forgiven")
    if row["attempts"]:
        parts = [f"pins {row['pins']}", f"busy {row['busy_seconds']:.1f} s"]
        if row["failed"]:
            wasted = megabytes_column(row["wasted_bytes"])
            parts.append(f"wasted {row['wasted_seconds']:.1f} s and {wasted} MB")
        if row["gone"]:
            parts.append(counted(row["gone"], "page gone", "pages gone"))
        lines.append(", ".join(parts))
    for which in ("first", "last"):
        if row[f"{which}_error"] and (which == "first" or row["failed"] > 1):
            at = row[f"{which}_error_at"] or ""
            lines.append(f"{which} error {at}: {one_line(row[f'{which}_error'])}")
    return lines
