"""
What a run cost, from the price of its proxies. Pure.

Providers sell proxies in two ways: each proxy by the month, or the traffic by the gigabyte. By the month, a proxy costs
its share for as long as the run took, whether the run used it or not.
"""

import re
from typing import NamedTuple

MONTH_SECONDS = 30.44 * 86_400  # an average month
GIGABYTE = 1e9  # as providers count
_PRICE = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*(?:/\s*(month|gb))?", re.IGNORECASE | re.ASCII)


class Price(NamedTuple):
    """An amount in any currency, for a proxy and month or for a gigabyte."""

    amount: float
    per_gigabyte: bool = False

    def cost(self, run_seconds: float, size: int) -> float:
        """What one proxy cost in a run of `run_seconds`, when `size` bytes came through it."""
        if self.per_gigabyte:
            return self.amount * size / GIGABYTE
        return self.amount * run_seconds / MONTH_SECONDS


def parse_price(text: str) -> Price:
    """Read ``2.50`` or ``2.50/month`` (one proxy for a month) or ``3/GB``. Raises ValueError, with these examples."""
    match = _PRICE.fullmatch(text.strip())
    if not match or not float(match[1]):
        raise ValueError("a price is 2.50 (of one proxy for a month) or 3/GB (of a gigabyte), without a currency")
    return Price(float(match[1]), per_gigabyte=(match[2] or "").lower() == "gb")
