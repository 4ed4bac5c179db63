"""
From figures to the path data and coordinates of the report's SVGs. Pure.

A slice or a bucket is one unit wide, so that numbers stay short. The SVG's viewBox stretches them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from pinpool.model import Charge, Fault, ProxyState
from pinpool.policy.faults import FAULTS
from pinpool.report.axes import Mark, level_marks, levels
from pinpool.report.harvest import Share
from pinpool.report.timeline import Slice, Strip, TimeAxis
from pinpool.stats.histogram import Histogram
from pinpool.text import tallied

#: Faults by the party that may be to blame, in the order in which the chart stacks them.
GROUPS: Mapping[str, str] = {
    Charge.PROXY: "proxy cannot be used",
    Charge.DOUBTFUL: "blocked, empty or no connection",
    Charge.OPEN: "cut off or too slow",
    Charge.SITE: "site",
    Charge.PAGE: "page or spider",
    Charge.WORKER: "our own worker",
}
HEIGHT = 100  # of the timeline's charts
BUCKETS = 24  # of a latency histogram
HISTOGRAM_HEIGHT = 20


class Band(NamedTuple):
    """One stacked layer of a chart: the group of faults and the path of its bars."""

    group: str
    label: str
    total: int
    path: str


class Area(NamedTuple):
    """One chart as an area: its path, and the marks of its axis."""

    path: str
    levels: list[Mark]


class Timeline(NamedTuple):
    """
    Charts on one axis: pages and items a second as areas, failed attempts as stacked bars with their `levels`.

    `items` is None without any. `notes` tell each slice's figures in words.
    """

    pages: Area
    items: Area | None
    bands: list[Band]
    levels: list[Mark]
    notes: list[str]
    slice_seconds: float


def group_of(fault: str) -> str:
    """The group of a fault. An unknown one, from a newer pinpool, is open."""
    return FAULTS[Fault(fault)].charge if fault in FAULTS else Charge.OPEN


def timeline(axis: TimeAxis, slices: Sequence[Slice], when: Sequence[str]) -> Timeline:
    """The charts of a run; `when` names the beginning of each slice."""
    width = axis.seconds / axis.slices
    worst = levels(max(part.faults.total() for part in slices), whole=True)
    floor = [0.0] * len(slices)
    bands = []
    for group, label in GROUPS.items():
        counts = [sum(count for fault, count in part.faults.items() if group_of(fault) == group) for part in slices]
        if any(counts):
            bands.append(Band(group, label, sum(counts), _bars(counts, floor, HEIGHT / worst[-1])))
            floor = [low + count for low, count in zip(floor, counts, strict=True)]
    return Timeline(
        _area([part.pages / width for part in slices]),
        _area([part.items / width for part in slices]) if any(part.items for part in slices) else None,
        bands,
        level_marks(worst),
        [_note(at, part, width) for at, part in zip(when, slices, strict=True)],
        width,
    )


def _note(at: str, part: Slice, width: float) -> str:
    items = f", {part.items / width:.1f} items/s" if part.items else ""
    failed = f"; failed: {tallied(part.faults)}" if part.faults else ""
    return f"{at}: {part.pages / width:.1f} pages/s{items}{failed}"


def _area(values: Sequence[float]) -> Area:
    scale = levels(max(values))
    tops = "".join(f"V{_short(HEIGHT * (1 - value / scale[-1]))}h1" for value in values)
    return Area(f"M0 {HEIGHT}{tops}V{HEIGHT}z", level_marks(scale))


def _bars(counts: Sequence[int], floor: Sequence[float], scale: float) -> str:
    return "".join(
        f"M{n} {_short(HEIGHT - low * scale)}h1v{_short(-count * scale)}h-1z"
        for n, (count, low) in enumerate(zip(counts, floor, strict=True))
        if count
    )


class Scale(NamedTuple):
    """A logarithmic axis from `low` to `high` seconds, shared by all histograms so that they can be compared."""

    low: float
    high: float

    @classmethod
    def over(cls, histograms: Iterable[Histogram]) -> Scale:
        """The axis that holds all latencies."""
        latencies = [seconds for each in histograms for seconds, _ in each.counts()]
        low, high = (min(latencies), max(latencies)) if latencies else (0.1, 1.0)
        return cls(low, max(high, low * 1.5))

    def bucket(self, seconds: float) -> int:
        """The number of the bucket, from 0, that holds a duration."""
        share = math.log(max(seconds, self.low) / self.low) / math.log(self.high / self.low)
        return min(int(share * BUCKETS), BUCKETS - 1)


def histogram_path(latencies: Histogram, scale: Scale) -> str:
    """The bars of one proxy's latencies, the commonest at full height; empty without any."""
    counts = [0] * BUCKETS
    for seconds, count in latencies.counts():
        counts[scale.bucket(seconds)] += count
    highest = max(counts)
    return "".join(
        f"M{n} {HISTOGRAM_HEIGHT}v-{_short(max(1.0, HISTOGRAM_HEIGHT * count / highest))}h1V{HISTOGRAM_HEIGHT}z"
        for n, count in enumerate(counts)
        if count
    )


def share_paths(shares: Sequence[Share]) -> dict[str, str]:
    """How often a field is filled over time, as bars of the items of each slice: with a value, and without."""
    filled, missing = "", ""
    for n, (count, items) in enumerate(shares):
        if items:
            height = HISTOGRAM_HEIGHT * count / items
            filled += f"M{n} {HISTOGRAM_HEIGHT}v{_short(-height)}h1V{HISTOGRAM_HEIGHT}z" if count else ""
            missing += f"M{n} 0v{_short(HISTOGRAM_HEIGHT - height)}h1V0z" if count < items else ""
    return {name: path for name, path in (("filled", filled), ("missing", missing)) if path}


def strip_paths(strip: Strip) -> dict[str, str]:
    """A proxy's states over time, one path of blocks each. Spare has none: the background shows it."""
    paths: dict[str, str] = {}
    for state, first, count in strip.segments:
        if state is not ProxyState.SPARE:
            paths[state] = paths.get(state, "") + f"M{first} 0h{count}v1h-{count}z"
    return paths


def shade(count: int, highest: int) -> int:
    """
    The shade of a heat map's cell, from 0 for none to 5, which stands for 10 attempts at least. A step is a factor, so
    that rare faults show too.
    """
    return math.ceil(5 * math.log1p(count) / math.log1p(max(highest, 10)) - 1e-9)


def _short(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
