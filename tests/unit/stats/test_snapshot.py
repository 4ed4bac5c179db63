"""How fast a run is, how long it may take, and what has gone wrong lately."""

from __future__ import annotations

import pytest

from pinpool.model import Fault
from pinpool.stats.snapshot import RecentFaults, Speed


def test_the_speed_is_that_of_the_last_half_minute() -> None:
    speed = Speed(100.0)

    for second in range(60):
        speed.add(100.0 + second, 10 * second)
    fast = speed.per_second
    for second in range(60, 120):
        speed.add(100.0 + second, 590)

    assert fast == pytest.approx(10.0)
    assert speed.per_second == 0.0


def test_a_burst_between_two_looks_does_not_pass_for_the_speed() -> None:
    speed = Speed(0.0)

    for tick in range(1, 301):
        speed.add(tick / 10, 100 if tick > 250 else 0)

    assert speed.per_second == pytest.approx(100 / 30, rel=0.05)


def test_the_time_left_is_unknown_while_nothing_moves() -> None:
    speed = Speed(0.0)
    assert speed.seconds_left(10) is None

    speed.add(5.0, 10)

    assert speed.seconds_left(100) == pytest.approx(50.0)


def test_a_speed_that_is_asked_for_ten_times_a_second_remembers_half_a_minute_and_no_more() -> None:
    speed = Speed(0.0)

    for tick in range(100_000):
        speed.add(tick / 10, tick)

    assert len(speed._samples) <= 32


def test_the_last_kinds_of_faults_are_told_with_their_counts_and_always_in_one_order() -> None:
    faults = RecentFaults()
    faults.add(Fault.REFUSED, "first", 1.0)
    faults.add(Fault.TIMEOUT, "slow", 2.0)
    faults.add(Fault.TIMEOUT, "slower", 3.0)
    faults.add(Fault.BANNED, "go away", 4.0)
    before = [fault for fault, _ in faults.latest(2)]
    faults.add(Fault.TIMEOUT, "slowest", 5.0)

    (banned, _), (timeout, seen) = faults.latest(2)

    assert before == [banned, timeout] == [Fault.BANNED, Fault.TIMEOUT]
    assert (seen.count, seen.message, seen.at) == (3, "slowest", 5.0)
