"""
What a run cost, from what somebody pays for a proxy. Pure.

Lists of proxies are sold in two ways: each proxy for a month, or the traffic by the gigabyte. A month's price is shared
out by time: a proxy costs its part of the month for as long as the run took, whether it was used or not.
"""

from __future__ import annotations

import re
from typing import NamedTuple

MONTH_SECONDS = 30.44 * 86_400  # an average month
GIGABYTE = 1e9  # as providers count
_PRICE = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*(?:/\s*(month|gb))?", re.IGNORECASE | re.ASCII)


class Price(NamedTuple):
    """An amount in a currency that is the user's business, for a proxy and month or for a gigabyte."""

    amount: float
    per_gigabyte: bool = False

    def cost(self, run_seconds: float, size: int) -> float:
        """What one proxy cost in a run of so many seconds in which `size` bytes came through it."""
        if self.per_gigabyte:
            return self.amount * size / GIGABYTE
        return self.amount * run_seconds / MONTH_SECONDS


def parse_price(text: str) -> Price:
    """
    Read ``2.50`` or ``2.50/month`` (one proxy for a month) or ``3/GB``. Raises ValueError, which shows the forms.
    """
    found = _PRICE.fullmatch(text.strip())
    if not found or not float(found[1]):
        raise ValueError(
            "a price is 2.50 (of one proxy for a month) or 3/GB (of a gigabyte), without a currency"
        )
    return Price(float(found[1]), per_gigabyte=(found[2] or "").lower() == "gb")
