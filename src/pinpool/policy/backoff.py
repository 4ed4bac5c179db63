"""The one back-off: each wait is twice the one before, up to a longest, with jitter so that waits do not coincide."""

from math import inf

#: 2.0 ** 1024 raises; no wait of pinpool doubles this often before it reaches its longest.
_MOST_DOUBLINGS = 16


def backoff(
    first: float, times: int, jitter: float, *, longest: float = inf, low: float = 0.75, high: float = 1.25
) -> float:
    """
    Seconds to wait after `times` earlier waits: ``first * 2 ** times``, multiplied by a number from `low` to `high`
    that `jitter` (0 to 1) chooses.

    Never more than `longest`. The base stays below it, so that jitter spreads the longest waits too.
    """
    base = min(first * 2.0 ** min(max(times, 0), _MOST_DOUBLINGS), longest / high)
    return base * (low + (high - low) * jitter)
