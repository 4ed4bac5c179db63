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


class Timeline(NamedTuple):
    """
    Two charts on one axis: pages a second as an area, failed attempts as stacked bars.

    `peak` and `worst` are the values at full height; `notes` tell each slice's figures in words.
    """

    pages: str
    peak: float
    bands: list[Band]
    worst: int
    notes: list[str]
    slice_seconds: float


def group_of(fault: str) -> str:
    """The group of a fault. An unknown one, from a newer pinpool, is open."""
    return FAULTS[Fault(fault)].charge if fault in FAULTS else Charge.OPEN


def nice(value: float) -> float:
    """The smallest round number that is not below `value`: a step times a power of ten. 1 for 0."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * power >= value * (1 - 1e-9))


def timeline(axis: TimeAxis, slices: Sequence[Slice], when: Sequence[str]) -> Timeline:
    """The charts of a run; `when` names the beginning of each slice."""
    width = axis.seconds / axis.slices
    peak = nice(max(part.pages for part in slices) / width)
    worst = max(1, math.ceil(nice(max(part.faults.total() for part in slices))))
    tops = [round(HEIGHT * (1 - part.pages / width / peak), 1) for part in slices]
    area = "".join(f"V{_short(top)}h1" for top in tops)
    floor = [0.0] * len(slices)
    bands = []
    for group, label in GROUPS.items():
        counts = [sum(count for fault, count in part.faults.items() if group_of(fault) == group) for part in slices]
        if any(counts):
            bands.append(Band(group, label, sum(counts), _bars(counts, floor, HEIGHT / worst)))
            floor = [low + count for low, count in zip(floor, counts, strict=True)]
    notes = [
        f"{at}: {part.pages / width:.1f} pages/s" + (f"; failed: {tallied(part.faults)}" if part.faults else "")
        for at, part in zip(when, slices, strict=True)
    ]
    return Timeline(f"M0 {HEIGHT}{area}V{HEIGHT}z", peak, bands, worst, notes, width)


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
