"""A histogram of latencies, and the interval of a rate."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

WIDENING = math.log(1.04)
CONFIDENT = 1.959964  # standard deviations on either side that hold 95 % of a normal distribution
SHORTEST = 1e-6  # seconds; zero has no logarithm, and a clock may step back


def wilson(good: int, all_: int) -> tuple[float, float]:
    """
    The 95 % confidence interval of a rate, both ends from 0 to 1, after E. B. Wilson (1927): unlike the textbook's
    rate ± error it also holds for a handful of attempts, and for none, where it is all that there is: 0 to 1.
    """
    if not all_:
        return 0.0, 1.0
    square = CONFIDENT**2
    middle = (good + square / 2) / (all_ + square)
    reach = CONFIDENT / (all_ + square) * math.sqrt(good * (all_ - good) / all_ + square / 4)
    return max(0.0, middle - reach), min(1.0, middle + reach)


@dataclass(slots=True)
class Histogram:
    """Durations in seconds, counted in buckets that widen by 4 % each."""

    total: int = 0
    buckets: Counter[int] = field(default_factory=Counter)

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self.total += 1
        self.buckets[math.floor(math.log(max(seconds, SHORTEST)) / WIDENING)] += 1

    def counts(self) -> Iterator[tuple[float, int]]:
        """(seconds, how many) for each bucket that holds any; the seconds are its middle."""
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
