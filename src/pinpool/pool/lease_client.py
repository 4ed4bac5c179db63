"""The parent's copy of the lease queue's books: what a new Manager starts from when the old one has died."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator
from multiprocessing import managers
from multiprocessing.managers import BaseProxy
from typing import Any, cast

from pinpool.model import Event, EventKind, ProxyState
from pinpool.pool.lease_types import Lease, Report, Standing


class Standings:
    """Where each proxy stands, by id, and which of the pinned are on their way out."""

    def __init__(self, proxies: Iterable[Standing]) -> None:
        self._all = {one.proxy: one for one in proxies}
        self._leaving: dict[int, str] = {}

    def __repr__(self) -> str:
        return f"<Standings {len(self._all)} proxies, {len(self._leaving)} leaving>"

    def __iter__(self) -> Iterator[Standing]:
        return iter(self._all.values())

    def stand(self, proxy: int, state: ProxyState, rest_seconds: float = 0.0) -> None:
        """A proxy stands there now. What is off the list stays off, whatever is said of it later."""
        if proxy not in self._leaving and self._all[proxy].state is not ProxyState.RETIRED:
            self._all[proxy] = self._all[proxy]._replace(state=state, rest_seconds=rest_seconds)

    def update(self, report: Report) -> None:
        """Take over what the lease queue says."""
        self._leaving = dict(report.leaving)
        for proxy, state in report.states.items():
            rest = report.rests.get(proxy, 0.0)
            self._all[proxy] = self._all[proxy]._replace(state=state, rest_seconds=rest)

    def join(self, standings: Iterable[Standing]) -> None:
        """These are on the list now."""
        for one in standings:
            if self._leaving.pop(one.proxy, None) is None:
                self._all[one.proxy] = one

    def withdraw(self, proxies: Collection[int], reason: str) -> None:
        """These are off the list."""
        for proxy in proxies:
            if self._all[proxy].state is ProxyState.PINNED:
                self._leaving[proxy] = reason
            else:
                self.stand(proxy, ProxyState.RETIRED)

    def to_leave(self, proxy: int) -> int:
        """`proxy` if its worker is to leave it, else 0."""
        return proxy if proxy in self._leaving else 0

    def reborn(self) -> list[Event]:
        """All workers are gone: who was on its way out is out. Returns that as events."""
        now, gone = time.time(), self._leaving
        self._leaving = {}
        for proxy in gone:
            self.stand(proxy, ProxyState.RETIRED)
        return [Event(now, EventKind.WITHDRAWN, proxy, None, reason) for proxy, reason in gone.items()]


#: The longest wait for an answer, a worker's own `timeout` of a second included.
ANSWER_SECONDS = 10.0


class LeaseProxy(BaseProxy):
    """The lease queue as a worker and the parent see it, through the Manager's socket."""

    _mute = False

    _exposed_ = (
        "check_in",
        "get",
        "swap",
        "leave",
        "exchange",
        "proven",
        "turn",
        "begin",
        "complain",
        "reap",
        "cool",
        "retire",
        "join",
        "withdraw",
        "report",
    )

    def check_in(self, token: int, pid: int, generation: int) -> tuple[int, Lease | None]:
        seat, lease = self._ask("check_in", token, pid, generation)
        return seat, lease

    def get(self, token: int, timeout: float) -> Lease | None:
        lease: Lease | None = self._ask("get", token, timeout)
        return lease

    def swap(self, token: int, answer: bytes) -> Lease | None:
        lease: Lease | None = self._ask("swap", token, answer)
        return lease

    def leave(self, token: int, answer: bytes) -> Lease | None:
        lease: Lease | None = self._ask("leave", token, answer)
        return lease

    def exchange(self, token: int, avoid: Iterable[int]) -> Lease | None:
        lease: Lease | None = self._ask("exchange", token, tuple(avoid))
        return lease

    def proven(self, token: int) -> None:
        self._ask("proven", token)

    def turn(self, seconds: float) -> float:
        wait: float = self._ask("turn", seconds)
        return wait

    def complain(self, text: str) -> None:
        self._ask("complain", text)

    def begin(self, generation: int) -> None:
        self._ask("begin", generation)

    def reap(self, tokens: Iterable[int]) -> None:
        self._ask("reap", tuple(tokens))

    def cool(self, proxy: int, seconds: float) -> None:
        self._ask("cool", proxy, seconds)

    def retire(self, proxy: int, reason: str) -> None:
        self._ask("retire", proxy, reason)

    def join(self, standings: Iterable[Standing]) -> None:
        self._ask("join", tuple(standings))

    def withdraw(self, proxies: Iterable[int], reason: str) -> None:
        self._ask("withdraw", tuple(proxies), reason)

    def report(self) -> Report:
        report: Report = self._ask("report")
        return report

    def _ask(self, method: str, *arguments: object) -> Any:
        """
        As BaseProxy._callmethod, but with an end: a Manager that somebody has stopped must not stop the run.

        Raises OSError (TimeoutError) or EOFError if the Manager does not answer; what the queue raises passes through.
        """
        proxy = cast(Any, self)
        if self._mute:
            raise TimeoutError("the Manager does not answer")
        if not hasattr(proxy._tls, "connection"):
            proxy._connect()
        connection = proxy._tls.connection
        connection.send((proxy._id, method, arguments, {}))
        if not connection.poll(ANSWER_SECONDS):
            # For good: to connect anew would wait for its greeting.
            self._mute = True
            raise TimeoutError(f"the Manager did not answer within {ANSWER_SECONDS:g} s")
        kind, answer = connection.recv()
        if kind != "#RETURN":
            raise cast(Any, managers).convert_to_error(kind, answer)
        return answer
