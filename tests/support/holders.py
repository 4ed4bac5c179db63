"""
Who held which proxy from when to when, by the books of the lab's proxies.

With `SIGNED` in its spider, a worker says with every request which process it is, and by which of its pins it asks: who
pins a proxy for the second time is another holder than before.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import combinations
from typing import NamedTuple

from pinpool.lab.request_log import Seen

__all__ = ["SIGNED", "Holding", "holdings", "overlaps", "pid_of"]

#: Put behind a spider. The User-Agent becomes "SESSION PID NUMBER"; a host of `ray_hosts` is a session.
SIGNED = """

import itertools, os

pins = itertools.count(1)


@spider.on_pin
def sign(session):
    session.headers["User-Agent"] = f"{os.getsid(0)} {os.getpid()} {next(pins)}"
"""


class Holding(NamedTuple):
    """A proxy, by its index, in one pair of hands: from the first request to the end of the last, as `Seen` has it."""

    proxy: int
    host: int
    pid: int
    number: int
    since: float
    until: float
    requests: int


def pid_of(seen: Seen) -> int:
    """The process that has sent a request."""
    return int(seen.agent.split()[1])


def holdings(requests: Iterable[Seen]) -> list[Holding]:
    """Every holding, the earliest first. One with a request that is still under way has no end."""
    found: dict[tuple[int, int, int, int], Holding] = {}
    for seen in requests:
        assert seen.proxy is not None, seen
        host, pid, number = map(int, seen.agent.split())
        key = (seen.proxy, host, pid, number)
        before = found.get(key) or Holding(*key, seen.at, -math.inf, 0)
        ended = math.inf if seen.ended is None else seen.ended
        found[key] = before._replace(until=max(before.until, ended), requests=before.requests + 1)
    return sorted(found.values(), key=lambda holding: holding.since)


def overlaps(requests: Iterable[Seen]) -> list[tuple[Holding, Holding]]:
    """Two holders of one proxy at the same time: also one that asks again after another has begun."""
    pairs = combinations(holdings(requests), 2)
    return [(one, other) for one, other in pairs if one.proxy == other.proxy and other.since < one.until]
