from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from pinpool.stats.histogram import Histogram, wilson


@given(
    st.lists(st.floats(1e-6, 1e5), min_size=1, max_size=60),
    st.sampled_from([0.0, 0.01, 0.5, 0.9, 0.95, 1.0]),
)
def test_a_percentile_is_within_two_percent_of_a_real_one(durations: list[float], share: float) -> None:
    histogram = Histogram()
    for duration in durations:
        histogram.add(duration)

    found = histogram.percentile(share)

    real = sorted(durations)[max(0, math.ceil(share * len(durations)) - 1)]
    assert found is not None
    assert math.isclose(found, real, rel_tol=0.02)


@given(st.floats(max_value=0.0, min_value=-10.0))
def test_a_clock_that_steps_back_breaks_nothing(duration: float) -> None:
    histogram = Histogram()

    histogram.add(duration)

    found = histogram.percentile(0.5)
    assert found is not None
    assert 0 < found < 2e-6


def test_no_durations_have_no_percentile() -> None:
    assert Histogram().percentile(0.5) is None


def test_the_buckets_do_not_grow_with_the_run() -> None:
    histogram = Histogram()

    for number in range(20_000):
        histogram.add(0.001 + number / 1000)

    assert len(histogram.buckets) < 300
    assert histogram.total == 20_000


@given(st.integers(0, 500), st.integers(0, 500))
def test_the_interval_of_a_rate_holds_the_rate_and_narrows_with_the_attempts(good: int, bad: int) -> None:
    low, high = wilson(good, good + bad)
    narrower = wilson(2 * good, 2 * (good + bad))

    assert 0 <= low <= high <= 1
    if good + bad:
        assert low - 1e-9 <= good / (good + bad) <= high + 1e-9
        assert narrower[1] - narrower[0] < high - low


def test_the_interval_is_that_of_the_textbooks() -> None:
    """Newcombe, 1998, Two-sided confidence intervals for the single proportion, table I, method 3."""
    assert [round(end, 4) for end in wilson(81, 263)] == [0.2553, 0.3662]
    assert [round(end, 4) for end in wilson(15, 148)] == [0.0624, 0.1605]
    assert [round(end, 4) for end in wilson(0, 20)] == [0.0, 0.1611]
    assert [round(end, 4) for end in wilson(1, 29)] == [0.0061, 0.1718]


def test_nothing_is_known_of_a_rate_without_attempts() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
