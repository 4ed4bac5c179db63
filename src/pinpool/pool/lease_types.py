"""What workers, the lease queue and the parent say to each other about proxies."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from pinpool.model import Event, EventKind, ProxyState
from pinpool.proxies.lifecycle import LIFE
from pinpool.proxies.proxy import Proxy


class Lease(NamedTuple):
    """
    A proxy in a worker's hand. A `probing` one has just rested: the first doubtful fault swaps it.

    `idle` is how many seconds ago the last worker let go of it, so that its pace is kept from hand to hand.
    """

    proxy: int
    address: Proxy
    probing: bool
    idle: float = math.inf


class Standing(NamedTuple):
    """The state of a proxy when a lease queue starts: that of a resumed run, or of a Manager that has died."""

    proxy: int
    address: Proxy
    state: ProxyState
    rest_seconds: float = 0.0

    @property
    def state_without_worker(self) -> ProxyState:
        """Its state once all workers are dead: a pinned proxy is spare then."""
        return LIFE.get((self.state, EventKind.LOST), self.state)


class Holder(NamedTuple):
    """A worker that has checked in; `proxy` is -1 while it waits for one."""

    token: int
    pid: int
    seat: int
    proxy: int


class Report(NamedTuple):
    """
    What the parent reads at each tick: what happened since the last report, and how things stand.

    `answers` are packed outcomes of workers that are parked, `complaints` why workers cannot start. `rests` is the
    seconds left of each cooling proxy. `leaving` are withdrawn proxies that are still pinned, with the reason, and
    `slow` those that their workers are to swap.
    """

    moves: tuple[Event, ...]
    answers: tuple[bytes, ...]
    complaints: tuple[str, ...]
    states: Mapping[int, ProxyState]
    rests: Mapping[int, float]
    holders: tuple[Holder, ...]
    leaving: Mapping[int, str]
    slow: frozenset[int] = frozenset()
