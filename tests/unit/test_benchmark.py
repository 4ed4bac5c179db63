"""The benchmark's table and arithmetic. What things cost is no test's affair."""

from __future__ import annotations

import json

import pytest
from benchmark import BASELINE, PARTS
from measuring import Reading, Result, Row, cpu_of, ratios, summed_up, table

ROW = Row("fetch", "µs/page", 1e6)


def test_every_row_has_a_baseline_and_every_baseline_a_row() -> None:
    baseline = json.loads(BASELINE.read_text())

    assert sorted(baseline) == sorted(row.name for part in PARTS.values() for row in part.rows)
    assert all(ratio > 0 for ratio in baseline.values())


def test_the_ratio_is_the_median_of_the_ratios_of_each_reading() -> None:
    """On a machine that is twice as slow for a while, cost and yardstick both double."""
    readings = [Reading(1.0, 10.0), Reading(2.2, 20.0), Reading(2.4, 20.0)]

    result = summed_up(ROW, readings, 0.1)

    assert result.cost == 2.2
    assert result.ratio == pytest.approx(0.11)
    assert result.change == pytest.approx(0.10)


@pytest.mark.parametrize(
    ("ratio", "shown", "marked"),
    [(0.114, "+14.0%", False), (0.116, "+16.0%", True), (0.086, "-14.0%", False), (0.084, "-16.0%", True)],
)
def test_a_change_beyond_15_percent_is_marked(ratio: float, shown: str, marked: bool) -> None:
    line = table([Result(ROW, 250e-6, ratio, 0.1)]).splitlines()[-1]

    assert line.startswith("fetch")
    assert "250.0 µs/page" in line
    assert shown in line
    assert line.endswith("!") is marked


def test_a_row_without_a_baseline_is_new() -> None:
    result = summed_up(ROW, [Reading(1.0, 10.0)], None)

    assert result.change is None
    assert "new" in table([result])


def test_what_is_kept_are_the_ratios_to_four_digits() -> None:
    assert ratios([Result(ROW, 1.0, 0.123456, None)]) == {"fetch": 0.1235}


def test_the_cost_of_a_chunk_is_shared_by_all_that_it_does() -> None:
    calls = []

    def chunk() -> int:
        calls.append(1)
        return 1000

    readings = cpu_of(chunk, 2)

    assert len(calls) == 3  # the first is not measured
    assert len(readings) == 2
    assert all(0 <= reading.cost < reading.yardstick for reading in readings)


def test_every_part_can_be_handed_to_a_fresh_process() -> None:
    import pickle

    assert pickle.loads(pickle.dumps(PARTS))
