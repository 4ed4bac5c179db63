"""What workers, the lease queue and the parent say to each other about proxies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from pinpool.model import Event, ProxyState
from pinpool.proxies.proxy import Proxy


class Lease(NamedTuple):
    """
    A proxy in a worker's hand. A `probing` one has just rested: the first doubt swaps it.

    `idle` is how many seconds ago a worker let go of it, so that its pace is kept from hand to hand.
    """

    proxy: int
    address: Proxy
    probing: bool
    idle: float = math.inf


class Standing(NamedTuple):
    """Where a proxy stands when the queue is built, so that a resumed run or a new Manager goes on with it."""

    proxy: int
    address: Proxy
    state: ProxyState
    rest_seconds: float = 0.0


class Holder(NamedTuple):
    """A worker that has checked in; `proxy` is -1 while it waits for one."""

    token: int
    pid: int
    seat: int
    proxy: int


class Report(NamedTuple):
    """
    What the parent reads at each tick. `answers` are outcomes of workers that are parked.

    `leaving` are withdrawn proxies that are still pinned, with the reason.
    """

    moves: tuple[Event, ...]
    answers: tuple[bytes, ...]
    complaints: tuple[str, ...]
    states: Mapping[int, ProxyState]
    rests: Mapping[int, float]  # seconds, of the cooling ones
    holders: tuple[Holder, ...]
    leaving: Mapping[int, str]
