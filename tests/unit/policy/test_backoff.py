"""Waits double up to a longest, and jitter spreads them."""

from hypothesis import given
from hypothesis import strategies as st

from pinpool.policy.backoff import backoff


def test_each_wait_is_twice_the_one_before() -> None:
    assert [backoff(2.0, times, 0.5) for times in range(4)] == [2.0, 4.0, 8.0, 16.0]


@given(st.integers(-5, 5000), st.floats(0, 1))
def test_a_wait_is_never_longer_than_the_longest_and_jitter_spreads_that_too(times: int, jitter: float) -> None:
    assert 0.75 * 2.0 <= backoff(2.0, times, jitter, longest=300.0) <= 300.0
    assert backoff(2.0, 5000, 0.0, longest=300.0) < backoff(2.0, 5000, 1.0, longest=300.0)


def test_the_spread_can_be_chosen() -> None:
    assert [backoff(1.0, 0, jitter, low=0.5, high=1.0) for jitter in (0.0, 1.0)] == [0.5, 1.0]
