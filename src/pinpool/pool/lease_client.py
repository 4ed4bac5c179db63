"""The lease queue as a worker and the parent see it: method calls through the Manager's socket, with a time limit."""

from __future__ import annotations

from collections.abc import Iterable
from multiprocessing import managers
from multiprocessing.managers import BaseProxy
from typing import Any, cast

from pinpool.pool.lease_types import Lease, Report, Standing

#: The longest wait for an answer; a worker's own `timeout` of a second is part of it.
ANSWER_SECONDS = 10.0


class LeaseProxy(BaseProxy):
    """The methods of `leases.LeaseQueue`, with the same meaning."""

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
        As BaseProxy._callmethod, but with a time limit: a Manager that somebody has stopped must not stop the run.

        Raises OSError (TimeoutError) or EOFError if the Manager does not answer, and whatever the queue raises.
        """
        proxy = cast(Any, self)
        if self._mute:
            raise TimeoutError("the Manager does not answer")
        if not hasattr(proxy._tls, "connection"):
            proxy._connect()
        connection = proxy._tls.connection
        connection.send((proxy._id, method, arguments, {}))
        if not connection.poll(ANSWER_SECONDS):
            # For good: a new connection would wait for the Manager's greeting.
            self._mute = True
            raise TimeoutError(f"the Manager did not answer within {ANSWER_SECONDS:g} s")
        kind, answer = connection.recv()
        if kind != "#RETURN":
            raise cast(Any, managers).convert_to_error(kind, answer)
        return answer
