"""
Whether to believe that a page is gone. A proxy may say 404 to everything, and a task that is gone is not tried again.

The word of a proxy that has served pages is enough, unless its share of gone pages stands out. Whatever else is said
needs a second proxy, and so does a seed, with which everything behind it would be lost.
"""

from collections import Counter
from collections.abc import Collection

from pinpool.policy.retry import WITNESSES

#: Gone pages from which on a share can stand out, and how many times that of the others it is then.
FEWEST, TIMES = 3, 4


class GoneClaims:
    """How many pages each proxy has served, and of how many it has said that they are gone."""

    def __init__(self) -> None:
        self._served = Counter[int]()
        self._gone = Counter[int]()
        self._all_served = self._all_gone = 0

    def serves(self, proxy: int) -> None:
        """The proxy has served a page."""
        self._served[proxy] += 1
        self._all_served += 1

    def says_gone(self, proxy: int) -> None:
        """The proxy says that a page is gone."""
        self._gone[proxy] += 1
        self._all_gone += 1

    def stands_out(self, proxy: int) -> bool:
        """True if the proxy calls far more pages gone than the others do."""
        gone, served = self._gone[proxy], self._served[proxy]
        # Of odds, not of shares: where half of all pages are gone, no share is four times as large.
        others = (self._all_gone - gone + 1) / (self._all_served - served + 1)
        return gone >= FEWEST and gone / (served + 1) > TIMES * others

    def trusts(self, proxy: int) -> bool:
        """True if the word of this proxy alone ends a task that is no seed."""
        return self._served[proxy] > 0 and not self.stands_out(proxy)

    def believed(self, said: Collection[int], *, is_seed: bool, voters: Collection[int]) -> bool:
        """
        True if the page is gone on the word of the proxies that `said` so. `voters` are the proxies that can be asked.

        If none of them is trusted, because none has served a page, it takes three.
        """
        trusted = any(map(self.trusts, said))
        if trusted and not is_seed:
            return True
        needed = 2 if trusted else WITNESSES
        return len(said) >= min(needed, len({*said, *voters}))
