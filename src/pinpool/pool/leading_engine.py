"""What all engines have in common whose workers are led by a `Dispatch` in the calling process."""

from collections.abc import Collection

from pinpool.model import Assignment, Call
from pinpool.pool.dispatch import Dispatch
from pinpool.pool.engine import Census, Signal
from pinpool.pool.lease_types import Standing


class LeadingEngine:
    """The part of the protocol (`Engine`) that is about tasks and proxies, and not about what carries the workers."""

    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch

    def submit(self, serial: int, work: Assignment | Call, *, alone: bool = False) -> None:
        self._dispatch.submit(serial, work, alone=alone)

    def census(self) -> Census:
        return self._dispatch.census

    def cool(self, proxy: int, seconds: float) -> None:
        self._dispatch.queue.cool(proxy, seconds)

    def retire(self, proxy: int, reason: str) -> None:
        self._dispatch.queue.retire(proxy, reason)

    def join(self, standings: Collection[Standing]) -> None:
        self._dispatch.join(standings)

    def withdraw(self, proxies: Collection[int], reason: str) -> None:
        self._dispatch.withdraw(proxies, reason)

    def ask_to_swap(self, proxy: int) -> None:
        self._dispatch.ask_to_swap(proxy)

    def flush(self) -> list[Signal]:
        return self._dispatch.flush()
