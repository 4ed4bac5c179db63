"""Marks at the axes: at round numbers and round moments, and not too many."""

from __future__ import annotations

from itertools import pairwise

import pytest

from pinpool.report.axes import CLOSEST, MOST_TICKS, level_marks, levels, time_marks
from pinpool.report.timeline import TimeAxis

NINE = 1_700_038_800.0  # 2023-11-15 09:00:00 UTC
HOUR = 3600.0


@pytest.mark.parametrize(
    ("highest", "whole", "values"),
    [
        (0, False, [0, 1]),
        (0, True, [0, 1]),
        (1, True, [0, 1]),
        (4, True, [0, 1, 2, 3, 4]),
        (62, False, [0, 20, 40, 60, 80]),
        (47, False, [0, 20, 40, 60]),
        (53, False, [0, 20, 40, 60]),
        (101, False, [0, 50, 100, 150]),
        (0.8, False, [0, 0.2, 0.4, 0.6, 0.8]),
        (1e9, False, [0, 5e8, 1e9]),
    ],
)
def test_an_axis_of_values_has_few_round_steps_and_ends_above_the_highest(
    highest: float, whole: bool, values: list[float]
) -> None:
    assert levels(highest, whole=whole) == pytest.approx(values)


def test_the_highest_value_stands_at_the_top() -> None:
    assert [tuple(mark) for mark in level_marks([0, 500, 1000])] == [(100, "0"), (50, "500"), (0, "1,000")]


def labels(axis: TimeAxis) -> list[str]:
    return [mark.label for mark in time_marks(axis)]


@pytest.mark.parametrize(
    ("start", "seconds", "told"),
    [
        (NINE, 0.055, ["0 s", "10 ms", "20 ms", "30 ms", "40 ms", "50 ms"]),
        (NINE + 7, 42, ["0 s", "10 s", "20 s", "30 s", "40 s"]),
        (NINE + 7, 150, ["09:00:30", "09:01:00", "09:01:30", "09:02:00", "09:02:30"]),
        (NINE + 100, 20 * 60, ["09:05", "09:10", "09:15", "09:20"]),
        (NINE + 100, 5 * HOUR, ["10:00", "11:00", "12:00", "13:00", "14:00"]),
        (NINE, 40 * HOUR, ["15 Nov 12:00", "16 Nov 00:00", "16 Nov 12:00", "17 Nov 00:00"]),
        (NINE, 20 * 24 * HOUR, ["19 Nov", "24 Nov", "29 Nov", "04 Dec"]),
    ],
)
def test_the_time_is_marked_at_round_moments(start: float, seconds: float, told: list[str]) -> None:
    assert labels(TimeAxis(start, start + seconds)) == told


def test_a_night_that_was_cut_out_has_no_marks_and_none_stand_too_close() -> None:
    axis = TimeAxis(NINE, NINE + 100 * 24 * HOUR + 600, [(NINE + 200, NINE + 100 * 24 * HOUR)])

    marks = time_marks(axis)

    assert [mark.label for mark in marks] == ["15 Nov 09:00", "23 Feb 09:00", "23 Feb 09:05", "23 Feb 09:10"]
    assert all(later.place - earlier.place >= CLOSEST for earlier, later in pairwise(marks))


@pytest.mark.parametrize("seconds", [0.001, 0.3, 1, 7, 59, 119, 121, 1000, 4000, 9999, 1e5, 1e6, 1e8])
def test_whatever_the_length_there_are_some_marks_and_not_too_many(seconds: float) -> None:
    marks = time_marks(TimeAxis(NINE + 1, NINE + 1 + seconds))

    assert 2 <= len(marks) <= MOST_TICKS + 2
    assert all(0 <= mark.place <= 100 for mark in marks)
