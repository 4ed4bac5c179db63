"""Snapshots of a run for tests."""

from __future__ import annotations

from pinpool.model import Fault, ProxyState
from pinpool.pool.engine import Census
from pinpool.stats.snapshot import FaultCount, Snapshot


def snapshot(*faults: tuple[Fault, str], ended: int = 11, stopping: bool = False, resting: bool = False) -> Snapshot:
    """A run on two proxies, one of them retired; the faults were met at 7 s of a monotonic clock."""
    states = {1: ProxyState.COOLING if resting else ProxyState.PINNED, 2: ProxyState.RETIRED}
    census = Census(4, 1, 1, parked=1, states=states, wakes_in=90.0 if resting else None)
    recent: dict[Fault, FaultCount] = {}
    for fault, message in faults:
        recent.setdefault(fault, FaultCount()).add(message, 7.0)
    return Snapshot(1022, ended, ended, 10, 1, 1, census, "timeout: no answer", stopping, faults=recent)
