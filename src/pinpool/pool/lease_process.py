"""The Manager process with the lease queue: how it is called, and how the parent starts, replaces and ends it."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from functools import partial
from multiprocessing import managers
from multiprocessing.context import BaseContext
from multiprocessing.managers import BaseManager, BaseProxy
from multiprocessing.util import get_temp_dir
from typing import Any, cast

from pinpool.model import Event, EventKind, ProxyState
from pinpool.pool.child_process import forget, leave_signals_to_parent, never_outlive_parent, starting_children
from pinpool.pool.lease_types import Report, Standing
from pinpool.pool.leases import LeaseQueue
from pinpool.pool.pids import born, is_gone, send
from pinpool.proxies.lifecycle import STATE_AFTER

#: The longest wait for an answer; a worker's own `timeout` of a second is part of it.
ANSWER_SECONDS = 10.0
#: How long a killed Manager may take to end.
END_SECONDS = 1.5
#: The rest of a proxy whose worker cannot be killed, and may still use it.
UNKILLABLE_SECONDS = 3600.0
#: For a call to a Manager that is dead: the next `report` sees that, and its successor starts from the standings.
_UNLESS_DEAD = suppress(OSError, EOFError)


class LeaseProxy(BaseProxy):
    """
    Has the public methods of `LeaseQueue`, and is used in its place.

    They raise OSError (TimeoutError) or EOFError if the Manager does not answer, and whatever the queue raises.
    """

    _exposed_ = tuple(name for name in vars(LeaseQueue) if not name.startswith("_"))
    _mute = False

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in self._exposed_:
            raise AttributeError(name)
        return partial(self._ask, name)

    def _ask(self, method: str, *arguments: object) -> Any:
        """As BaseProxy._callmethod, but a Manager that somebody has stopped must not stop the run."""
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

    def disconnect(self) -> None:
        """Let go of a Manager that has ended. Whoever asks once more gets an OSError."""
        proxy = cast(Any, self)
        if (connection := vars(proxy._tls).pop("connection", None)) is not None:
            connection.close()
        proxy._manager = None


class Standings:
    """
    The parent's copy of where each proxy stands. The lease queue owns that; this is what a new Manager starts from.

    It holds the queue's last report, and what the parent has told the queue since.
    """

    def __init__(self, proxies: Iterable[Standing]) -> None:
        self._all = {standing.proxy: standing for standing in proxies}
        self._leaving: dict[int, str] = {}
        self._slow: frozenset[int] = frozenset()

    def __repr__(self) -> str:
        return f"<Standings {len(self._all)} proxies, {len(self._leaving)} leaving>"

    def __iter__(self) -> Iterator[Standing]:
        return iter(self._all.values())

    def update(self, report: Report) -> None:
        """Copy what the lease queue reports."""
        self._leaving, self._slow = dict(report.leaving), report.slow
        for proxy, state in report.states.items():
            rest = report.rests.get(proxy, 0.0)
            self._all[proxy] = self._all[proxy]._replace(state=state, rest_seconds=rest)

    def move(self, proxy: int, how: EventKind, rest_seconds: float = 0.0) -> None:
        """A proxy moves. A withdrawn or retired one stays off, whatever follows from its last page."""
        standing = self._all[proxy]
        if proxy not in self._leaving and standing.state is not ProxyState.RETIRED:
            self._all[proxy] = standing._replace(state=STATE_AFTER[how], rest_seconds=rest_seconds)

    def join(self, standings: Iterable[Standing]) -> None:
        """These proxies are on the list now."""
        for standing in standings:
            if self._leaving.pop(standing.proxy, None) is None:
                self._all[standing.proxy] = standing

    def withdraw(self, proxies: Collection[int], reason: str) -> None:
        """These proxies are off the list; a pinned one leaves when its worker lets go of it."""
        for proxy in proxies:
            if self._all[proxy].state is ProxyState.PINNED:
                self._leaving[proxy] = reason
            else:
                self.move(proxy, EventKind.WITHDRAWN)

    def to_leave(self, proxy: int) -> int:
        """`proxy` if its worker is to leave it, else 0."""
        return proxy if proxy in self._leaving or proxy in self._slow else 0

    def retire_leaving(self) -> list[Event]:
        """All workers are dead, so the proxies that were leaving are retired. Returns the events."""
        leaving, self._leaving = self._leaving, {}
        for proxy in leaving:
            self.move(proxy, EventKind.WITHDRAWN)
        return [Event(time.time(), EventKind.WITHDRAWN, proxy, None, reason) for proxy, reason in leaving.items()]


class _Manager(BaseManager):
    """The process that serves the lease queue."""

    def leases(self, standings: Iterable[Standing], seats: int, cooling: float) -> LeaseQueue:
        raise AttributeError("replaced by register() below")


_Manager.register("leases", LeaseQueue, proxytype=LeaseProxy)


class LeaseProcess:
    """The lease queue in its Manager process. What the parent asks of it also goes into `standings`."""

    def __init__(self, standings: Iterable[Standing], context: BaseContext, *, seats: int, cooling: float) -> None:
        self.standings = Standings(standings)
        self._context = context
        self._seats = seats
        self._cooling = cooling
        self._manager: _Manager | None = None
        self._birth = 0
        self.queue: LeaseQueue

    @property
    def pid(self) -> int | None:
        """The Manager's process id, None while there is none."""
        process = getattr(self._manager, "_process", None)
        return process.pid if process is not None else None

    def start(self) -> None:
        """Start a Manager with the standings. Raises whatever comes of its death, or of a lack; call `end` then."""
        with starting_children():
            get_temp_dir()  # ours: a Manager that is killed would leave a folder of its own behind
            # Kept before signals are let through again, so that `end` ends it in any case.
            self._manager = _Manager(ctx=self._context)
            self._manager.start(initializer=_enter_manager)
        self._birth = born(self.pid) if self.pid else 0
        self.queue = self._manager.leases(tuple(self.standings), self._seats, self._cooling)

    def bury(self, in_use: Iterable[int]) -> list[Event]:
        """
        End a Manager in doubt, before another is started. All workers are dead but those that cannot be killed, which
        hold the proxies `in_use`. Returns the moves that the Manager did not report.
        """
        self.end()
        for proxy in in_use:
            self.standings.move(proxy, EventKind.FAULTED, UNKILLABLE_SECONDS)
        return self.standings.retire_leaving()

    def end(self) -> None:
        """End the process, however far its start came. Within seconds: one that cannot be ended is left behind."""
        # Killed first: nothing in it is needed any more, and a stopped Manager would keep us waiting for ever.
        self.kill()
        manager, process = cast(Any, self._manager), getattr(self._manager, "_process", None)
        self._manager, self._birth = None, 0
        shutdown = getattr(manager, "shutdown", None)  # made by start(), if that came to its end
        if process is not None and process.pid is not None and process.is_alive():
            # Killed, but its end is not reported. The shutdown would wait for that without a deadline.
            forget(process)
            if shutdown is not None:
                shutdown.cancel()
        elif shutdown is not None:
            shutdown()
        if (queue := vars(self).get("queue")) is not None:
            queue.disconnect()
        if manager is not None:
            with suppress(OSError, TypeError):  # it has none, or it is no path
                os.unlink(manager.address)  # noqa: PTH108

    def kill(self) -> None:
        """Kill the process; it may be dead already, or not there."""
        if (pid := self.pid) is None:
            return
        # By its pid: once its forkserver is dead, the stdlib takes it for dead as well, and would not kill it.
        if not is_gone(pid, self._birth):
            send(pid, signal.SIGKILL)
        cast(Any, self._manager)._process.join(END_SECONDS)

    # ------------------------------------------------------------------ what the parent asks of the queue

    def report(self) -> Report | None:
        """What the queue reports; None if the Manager is dead."""
        try:
            report = self.queue.report()
        except (OSError, EOFError):
            return None
        self.standings.update(report)
        return report

    def begin(self, generation: int, solo: int = 0) -> None:
        """Only workers of these pools may check in; with 0 none may."""
        with _UNLESS_DEAD:
            self.queue.begin(generation, solo)

    def reap(self, tokens: list[int]) -> None:
        """These workers are dead."""
        if tokens:
            with _UNLESS_DEAD:
                self.queue.reap(tokens)

    def cool(self, proxy: int, seconds: float) -> None:
        """Rest a proxy that a worker has swapped."""
        self.standings.move(proxy, EventKind.FAULTED, seconds)
        with _UNLESS_DEAD:
            self.queue.cool(proxy, seconds)

    def retire(self, proxy: int, reason: str) -> None:
        """Retire a proxy that a worker has swapped."""
        self.standings.move(proxy, EventKind.EXHAUSTED)
        with _UNLESS_DEAD:
            self.queue.retire(proxy, reason)

    def join(self, standings: Collection[Standing]) -> None:
        """These proxies are on the list now."""
        self.standings.join(standings)
        with _UNLESS_DEAD:
            self.queue.join(tuple(standings))

    def ask_to_swap(self, proxy: int) -> None:
        """The worker of this proxy is to swap it."""
        with _UNLESS_DEAD:
            self.queue.ask_to_swap(proxy)

    def withdraw(self, proxies: Collection[int], reason: str) -> None:
        """These proxies are off the list."""
        self.standings.withdraw(proxies, reason)
        with _UNLESS_DEAD:
            self.queue.withdraw(tuple(proxies), reason)


def _enter_manager() -> None:
    # It runs no code but ours. If it cannot start or dies, the parent sees that, and says it in its own words.
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123  for the life of the process
    # One that can start no thread for a new connection would live on, and keep the workers waiting for ever.
    threading.excepthook = lambda _: os._exit(1)
    leave_signals_to_parent()
    never_outlive_parent()
