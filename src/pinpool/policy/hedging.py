"""
Second attempts (hedging): a page that hangs is also asked for through another proxy, whose worker has nothing to do.

The first complete answer counts. So a slow proxy costs a request, and not the time of the whole run; see "hedged
requests" in J. Dean and L. A. Barroso, The Tail at Scale (2013). Reads no clock.
"""

from collections import deque
from collections.abc import Collection

from pinpool.policy.reputation import Reputation

#: Latencies that are remembered.
WINDOW = 200
#: Seconds after which a page is late before any page was answered, and the least at any time.
FIRST_PATIENCE, LEAST_PATIENCE = 3.0, 1.0
#: A page is late after twice what nineteen in twenty pages take, or ten times what half of them take. The second
#: holds where slow proxies have many of the answers.
OF_LATE, OF_MEDIAN = 2.0, 10.0
#: Second attempts are at most this share of all, and a few. At the end, when nothing else is left, no share holds.
SHARE, FEW = 0.05, 3
#: Bytes of a file that is large: while it comes, it is not asked for twice, and says nothing of how long pages take.
LARGE = 1_000_000


def patience(median: float, late: float) -> float:
    """Seconds after which a page is late, if half of all pages take `median` at most, and nineteen in twenty `late`."""
    return max(LEAST_PATIENCE, min(OF_LATE * late, OF_MEDIAN * median))


class Hedging:
    """How long pages of this run take, and how many second attempts it has made. Both count attempts of workers."""

    def __init__(self) -> None:
        self.attempts = self.second_attempts = 0
        self._latencies: deque[float] = deque(maxlen=WINDOW)
        self._latest: dict[int, float] = {}  # by proxy

    def answered(self, proxy: int, seconds: float) -> None:
        """An attempt that took so long was answered."""
        self._latencies.append(seconds)
        self._latest[proxy] = seconds

    @property
    def patience(self) -> float:
        """Seconds after which a page is late."""
        if not self._latencies:
            return FIRST_PATIENCE
        ordered = sorted(self._latencies)
        return patience(ordered[len(ordered) // 2], ordered[len(ordered) * 19 // 20])

    @property
    def allowed(self) -> int:
        """How many more second attempts there may be while other tasks are left."""
        return int(FEW + SHARE * self.attempts) - self.second_attempts

    def ranked(self, proxies: Collection[int], reputation: Reputation) -> list[set[int]]:
        """
        The proxies for second attempts, the best first: those that work, those that have served a page and failed none
        since, and those that are not doubtful. None whose last page was late, or was overtaken.
        """
        late = self.patience
        fast = [one for one in proxies if not reputation[one].overtaken and self._latest.get(one, 0.0) < late]
        works, clean = set(filter(reputation.works, fast)), set(filter(reputation.is_clean, fast))
        return [works, clean, {one for one in fast if not reputation.doubtful(one)}]
