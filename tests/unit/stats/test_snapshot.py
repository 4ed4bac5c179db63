from __future__ import annotations

import pytest

from pinpool.pool.engine import Census
from pinpool.stats.snapshot import Snapshot, Throughput


def test_pages_that_are_asked_for_once_more_are_neither_waiting_nor_in_flight() -> None:
    snapshot = Snapshot(10, 10, 10, 10, 0, 3, Census(4), "", stopping=False)

    assert snapshot.tasks == {"done": 10, "gone": 0, "failed": 0, "waiting": 0, "in_flight": 0}


def test_the_throughput_is_that_of_the_last_half_minute() -> None:
    throughput = Throughput(100.0)

    for second in range(60):
        throughput.add(100.0 + second, 10 * second)
    fast = throughput.per_second
    for second in range(60, 120):
        throughput.add(100.0 + second, 590)

    assert fast == pytest.approx(10.0)
    assert throughput.per_second == 0.0


def test_a_burst_between_two_looks_does_not_pass_for_the_throughput() -> None:
    throughput = Throughput(0.0)

    for tick in range(1, 301):
        throughput.add(tick / 10, 100 if tick > 250 else 0)

    assert throughput.per_second == pytest.approx(100 / 30, rel=0.05)


def test_the_time_left_is_unknown_while_nothing_moves() -> None:
    throughput = Throughput(0.0)
    assert throughput.seconds_left(10) is None

    throughput.add(5.0, 10)

    assert throughput.seconds_left(100) == pytest.approx(50.0)


def test_items_of_earlier_starts_are_none_of_this_second() -> None:
    throughput = Throughput(0.0)
    throughput.add(0.1, 0, 5000)

    throughput.add(10.0, 100, 5050)

    assert throughput.items_per_second == pytest.approx(5.0)
    assert throughput.per_second == pytest.approx(10.0)


def test_it_remembers_half_a_minute_and_no_more_however_often_it_is_fed() -> None:
    throughput = Throughput(0.0)

    for tick in range(100_000):
        throughput.add(tick / 10, tick)

    assert len(throughput.samples) == 31
