"""Round numbers at the axes of charts: where marks stand, and what they say. Pure."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from pinpool.report.timeline import TimeAxis
from pinpool.text import fine_duration

MOST_TICKS = 6
MOST_LEVELS = 4
#: Below this a run shows the time since its start: its ticks would have the same time of day, or nearly so.
SHORT = 120.0  # seconds
#: A tick that stands closer behind another one, in percent of the axis, is left out.
CLOSEST = 9.0

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
_STEPS = (
    *(1.0, 2.0, 5.0, 10.0, 15.0, 30.0),
    *(minutes * _MINUTE for minutes in (1, 2, 5, 10, 15, 30)),
    *(hours * _HOUR for hours in (1, 2, 3, 6, 12)),
)


class Mark(NamedTuple):
    """A mark at `place` percent of an axis, from the left or from the top."""

    place: float
    label: str


def levels(highest: float, *, whole: bool = False) -> list[float]:
    """Values from 0 to the first round number that is not below `highest`, in round steps; `whole` makes them whole."""
    step = round_step(highest / MOST_LEVELS)
    if whole:
        step = max(1.0, step)
    return [number * step for number in range(max(1, math.ceil(highest / step - 1e-9)) + 1)]


def round_step(least: float) -> float:
    """The smallest 1, 2 or 5 times a power of ten that is not below `least`; 1 for 0."""
    if least <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in (1.0, 2.0, 5.0, 10.0) if step * power >= least * (1 - 1e-9))


def level_marks(values: list[float]) -> list[Mark]:
    """The marks of an axis of values: the highest at the top."""
    return [Mark(round(100 * (1 - value / values[-1]), 2), f"{value:,.10g}") for value in values]


def time_marks(axis: TimeAxis) -> list[Mark]:
    """The marks of the time axis, at round moments: since its start in a short run, else the time of day in UTC."""
    if axis.seconds < SHORT:
        step = round_step(axis.seconds / MOST_TICKS)
        count = math.floor(axis.seconds / step + 1e-9)
        return [
            Mark(_percent(number * step, axis), fine_duration(number * step) if number else "0 s")
            for number in range(count + 1)
        ]
    step = next((step for step in _STEPS if axis.seconds / step <= MOST_TICKS), None) or _days(axis.seconds)
    label = _label(axis.end - axis.begin, step)
    marks: list[Mark] = []
    for at in _multiples(axis, step):
        place = _percent(axis.elapsed(at), axis)
        if not marks or place - marks[-1].place >= CLOSEST:
            marks.append(Mark(place, f"{datetime.fromtimestamp(at, UTC):{label}}"))
    return marks


def _days(seconds: float) -> float:
    return max(1.0, round_step(seconds / _DAY / MOST_TICKS)) * _DAY


def _label(span: float, step: float) -> str:
    if step >= _DAY:
        return "%d %b"
    time_of_day = "%H:%M" if step >= _MINUTE else "%H:%M:%S"
    return f"%d %b {time_of_day}" if span > _DAY else time_of_day


def _multiples(axis: TimeAxis, step: float) -> Iterator[float]:
    """The round moments in which the run went on."""
    starts = [axis.begin, *(stop for _, stop in axis.pauses)]
    ends = [*(start for start, _ in axis.pauses), axis.end]
    for begin, end in zip(starts, ends, strict=True):
        for number in range(math.ceil(begin / step), math.floor(end / step) + 1):
            yield number * step


def _percent(seconds: float, axis: TimeAxis) -> float:
    return round(100 * seconds / axis.seconds, 2)
