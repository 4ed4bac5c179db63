"""A histogram of latencies, and the confidence interval of a rate."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

WIDENING = math.log(1.04)
CONFIDENT = 1.959964  # standard deviations to either side of the mean hold 95 % of a normal distribution
SHORTEST = 1e-6  # seconds; 0 has no logarithm, and a clock that steps back gives less


def wilson(good: int, total: int) -> tuple[float, float]:
    """
    The 95 % confidence interval of a rate, both ends from 0 to 1, by the formula of E. B. Wilson (1927).

    Unlike rate ± error, it also holds for a handful of attempts. For none at all it is (0, 1).
    """
    if not total:
        return 0.0, 1.0
    square = CONFIDENT**2
    middle = (good + square / 2) / (total + square)
    reach = CONFIDENT / (total + square) * math.sqrt(good * (total - good) / total + square / 4)
    return max(0.0, middle - reach), min(1.0, middle + reach)


@dataclass(slots=True)
class Histogram:
    """Durations in seconds, counted in buckets of which each is 4 % wider than the one before."""

    total: int = 0
    buckets: Counter[int] = field(default_factory=Counter)

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self.total += 1
        self.buckets[math.floor(math.log(max(seconds, SHORTEST)) / WIDENING)] += 1

    def counts(self) -> Iterator[tuple[float, int]]:
        """(seconds in the middle, count) of each bucket that is not empty."""
        for bucket, count in self.buckets.items():
            yield math.exp((bucket + 0.5) * WIDENING), count

    def percentile(self, share: float) -> float | None:
        """The duration that `share` (0 to 1) of all do not exceed, within 2 %; None if there are none."""
        wanted = max(1, math.ceil(share * self.total))
        for bucket in sorted(self.buckets):
            wanted -= self.buckets[bucket]
            if wanted <= 0:
                return math.exp((bucket + 0.5) * WIDENING)
        return None
