"""
The lease queue: who holds which proxy. It lives in a Manager process, and a proxy never leaves it inside a message.

A plain queue would lose a proxy with each worker that dies, and a worker killed while it waits in ``get()`` would
still swallow the next one put in. Here a proxy is always in exactly one state of the life-cycle table; a worker is
known by a random token, asks again and again in short waits, and is given the same proxy however often it asks. The
parent hands in the tokens of the dead, and their proxies are spare again.

The worker's swap rests its proxy for a provisional time; the parent judges later, and lengthens the rest or retires it.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from multiprocessing.managers import BaseManager

from pinpool.model import Event, EventKind, ProxyState
from pinpool.pool.lease_client import LeaseProxy
from pinpool.pool.lease_types import Holder, Lease, Report, Standing
from pinpool.proxies.lifecycle import move
from pinpool.proxies.proxy import Proxy


class LeaseQueue:
    """All proxies of a run and who holds them. Methods may be called by many threads; none waits over `timeout`."""

    def __init__(self, standings: Iterable[Standing], seats: int, cooling: float) -> None:
        self._changed = threading.Condition()
        self._cooling = cooling
        self._addresses: dict[int, Proxy] = {}
        self._states: dict[int, ProxyState] = {}
        self._fresh: deque[int] = deque()
        self._rested: deque[int] = deque()
        self._probing: set[int] = set()
        self._leaving: dict[int, str] = {}
        self._until: dict[int, float] = {}
        self._holds: dict[int, int] = {}
        self._workers: dict[int, tuple[int, int]] = {}
        self._free_seats = deque(range(seats))
        self._let_go: dict[int, float] = {}
        self._generation = 0
        self._moves: list[Event] = []
        self._answers: list[bytes] = []
        self._complaints: list[str] = []
        self._next_turn = 0.0
        for proxy, address, state, rest in standings:
            self._addresses[proxy] = address
            self._states[proxy] = state
            if state is ProxyState.PINNED:
                # Whoever used it in an earlier life of the run may have done so a moment ago.
                self._let_go[proxy] = time.monotonic()
            if state is ProxyState.COOLING:
                self._until[proxy] = time.monotonic() + rest
            elif state is not ProxyState.RETIRED:
                # Whoever pinned it in an earlier life of the run is gone.
                self._states[proxy] = ProxyState.SPARE
                self._fresh.append(proxy)

    def __repr__(self) -> str:
        with self._changed:
            counts = {state: list(self._states.values()).count(state) for state in ProxyState}
        return f"<LeaseQueue {', '.join(f'{n} {state}' for state, n in counts.items() if n)}>"

    # ------------------------------------------------------------------ for workers

    def check_in(self, token: int, pid: int, generation: int) -> tuple[int, Lease | None]:
        """
        Give a worker its seat on the board, -1 if none is free yet, and a proxy if there is one.

        Raises LookupError if its pool is not the present one: it came up too late and has nothing to do any more.
        """
        with self._changed:
            if generation != self._generation:
                raise LookupError("this pool is over")
            if token not in self._workers:
                if not self._free_seats:
                    return -1, None
                self._workers[token] = (pid, self._free_seats.popleft())
            return self._workers[token][1], self._lease(token)

    def get(self, token: int, timeout: float) -> Lease | None:
        """
        The worker's proxy: the one it holds, or a spare within `timeout` seconds, or None.

        Raises LookupError, as do `swap` and `exchange`, for a worker that was taken for dead: it must end itself.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            while (lease := self._lease(token)) is None:
                now = time.monotonic()
                if now >= deadline:
                    return None
                self._changed.wait(min([deadline, *self._until.values()]) - now)
            return lease

    def swap(self, token: int, answer: bytes) -> Lease | None:
        """
        Rest the worker's proxy and give it a spare.

        If there is none the worker parks, and cannot return its answer; it is kept here for the parent's next report.
        """
        with self._changed:
            self._check_known(token)
            held = self._release(token, EventKind.FAULTED)
            if held is not None and self._states[held] is ProxyState.COOLING:
                self._until[held] = time.monotonic() + self._cooling
            return self._lease_or_keep(token, answer)

    def leave(self, token: int, answer: bytes) -> Lease | None:
        """Give the worker a spare for its proxy if that was withdrawn; without a spare it parks as in `swap`."""
        with self._changed:
            self._check_known(token)
            if self._holds.get(token) in self._leaving:
                self._release(token, EventKind.RETURNED)
            return self._lease_or_keep(token, answer)

    def exchange(self, token: int, avoid: Iterable[int]) -> Lease | None:
        """Give a worker a spare that is not in `avoid` for its proxy, which is spare again; None if there is none."""
        with self._changed:
            self._check_known(token)
            self._wake()
            for shelf in (self._fresh, self._rested):
                proxy = next((spare for spare in shelf if spare not in avoid), None)
                if proxy is not None:
                    shelf.remove(proxy)
                    self._put_back(self._release(token, EventKind.RETURNED))
                    return self._hand_out(token, proxy)
            return None

    def proven(self, token: int) -> None:
        """The worker's proxy has served a page after its rest: it counts as healthy."""
        with self._changed:
            self._probing.discard(self._holds.get(token, -1))

    def turn(self, seconds: float) -> float:
        """
        How many seconds from now a worker's turn at the site begins; it takes so many `seconds`, then others follow.

        So the rate at the site holds over all workers, however many of them have waited for something else meanwhile.
        """
        with self._changed:
            now = time.monotonic()
            start = max(now, self._next_turn)
            self._next_turn = start + seconds
            return start - now

    def complain(self, text: str) -> None:
        """A worker cannot do its work at all, for instance because the spider no longer loads."""
        with self._changed:
            self._complaints.append(text)

    # ------------------------------------------------------------------ for the parent

    def begin(self, generation: int) -> None:
        """From now on only workers of this pool may check in; 0 is nobody's."""
        with self._changed:
            self._generation = generation

    def reap(self, tokens: Iterable[int]) -> None:
        """Workers have died: their seats are free and their proxies are spare."""
        with self._changed:
            for token in tokens:
                _, seat = self._workers.pop(token, (0, -1))
                if seat >= 0:
                    self._free_seats.append(seat)
                self._put_back(self._release(token, EventKind.LOST))
            self._changed.notify_all()

    def cool(self, proxy: int, seconds: float) -> None:
        """Judge a resting proxy: it rests for `seconds` from now. One that does not rest is left alone."""
        with self._changed:
            if self._states.get(proxy) is ProxyState.COOLING:
                self._until[proxy] = time.monotonic() + seconds
                self._changed.notify_all()

    def retire(self, proxy: int, reason: str) -> None:
        """Judge a resting proxy, or one that has rested meanwhile: it is out for this run. A pinned one stays."""
        with self._changed:
            state = self._states.get(proxy)
            if state is ProxyState.COOLING:
                del self._until[proxy]
                self._move(proxy, EventKind.EXHAUSTED, reason)
            elif state is ProxyState.SPARE:
                self._take_off(proxy, reason)

    def join(self, standings: Iterable[Standing]) -> None:
        """
        These proxies are on the list now. One that stands as cooling has to prove itself before it counts as healthy.

        One that is still on its way out stays, and keeps its worker.
        """
        with self._changed:
            for proxy, address, state, _ in standings:
                self._leaving.pop(proxy, None)
                self._addresses[proxy] = address
                if self._states.setdefault(proxy, ProxyState.RETIRED) is ProxyState.RETIRED:
                    if state is ProxyState.COOLING:
                        self._probing.add(proxy)
                    self._move(proxy, EventKind.JOINED)
                    self._shelve(proxy)
            self._changed.notify_all()

    def withdraw(self, proxies: Iterable[int], reason: str) -> None:
        """These proxies are off the list: they are retired, a pinned one as soon as its worker lets go of it."""
        with self._changed:
            for proxy in proxies:
                state = self._states[proxy]
                if state is ProxyState.PINNED:
                    self._leaving[proxy] = reason
                elif state is not ProxyState.RETIRED:  # which has a better reason
                    self._take_off(proxy, reason)

    def report(self) -> Report:
        """Everything since the last report, and how things stand now."""
        with self._changed:
            self._wake()
            now = time.monotonic()
            report = Report(
                moves=tuple(self._moves),
                answers=tuple(self._answers),
                complaints=tuple(self._complaints),
                states=dict(self._states),
                rests={proxy: until - now for proxy, until in self._until.items()},
                holders=tuple(
                    Holder(token, pid, seat, self._holds.get(token, -1))
                    for token, (pid, seat) in self._workers.items()
                ),
                leaving=dict(self._leaving),
            )
            self._moves, self._answers, self._complaints = [], [], []
            return report

    # ------------------------------------------------------------------ within the lock

    def _check_known(self, token: int) -> None:
        if token not in self._workers:
            raise LookupError("this worker was taken for dead")

    def _lease(self, token: int) -> Lease | None:
        self._check_known(token)
        self._wake()
        if token in self._holds:
            return self._as_lease(self._holds[token])
        if not self._fresh and not self._rested:
            return None
        return self._hand_out(token, self._fresh.popleft() if self._fresh else self._rested.popleft())

    def _lease_or_keep(self, token: int, answer: bytes) -> Lease | None:
        lease = self._lease(token)
        if lease is None:
            self._answers.append(answer)
        return lease

    def _release(self, token: int, how: EventKind) -> int | None:
        """Take the worker's proxy out of its hand; a withdrawn one retires."""
        held = self._holds.pop(token, None)
        if held is not None:
            self._let_go[held] = time.monotonic()
            self._move(held, how)
            if held in self._leaving:
                self._move(held, EventKind.WITHDRAWN, self._leaving.pop(held))
        return held

    def _put_back(self, proxy: int | None) -> None:
        if proxy is not None and self._states[proxy] is ProxyState.SPARE:
            self._shelve(proxy)

    def _take_off(self, proxy: int, reason: str) -> None:
        self._until.pop(proxy, None)
        for shelf in (self._fresh, self._rested):
            with suppress(ValueError):
                shelf.remove(proxy)
        self._move(proxy, EventKind.WITHDRAWN, reason)

    def _hand_out(self, token: int, proxy: int) -> Lease:
        self._holds[token] = proxy
        self._move(proxy, EventKind.LEASED, worker=self._workers[token][0])
        return self._as_lease(proxy)

    def _as_lease(self, proxy: int) -> Lease:
        idle = time.monotonic() - self._let_go.get(proxy, -math.inf)
        return Lease(proxy, self._addresses[proxy], proxy in self._probing, idle)

    def _wake(self) -> None:
        now = time.monotonic()
        for proxy in [proxy for proxy, until in self._until.items() if until <= now]:
            del self._until[proxy]
            self._probing.add(proxy)
            self._move(proxy, EventKind.RESTED)
            self._shelve(proxy)

    def _shelve(self, proxy: int) -> None:
        # A proxy that has not proven itself since its rest is taken last.
        (self._rested if proxy in self._probing else self._fresh).append(proxy)
        self._changed.notify()

    def _move(self, proxy: int, what: EventKind, detail: str = "", worker: int | None = None) -> None:
        self._states[proxy] = move(self._states[proxy], what)
        self._moves.append(Event(time.time(), what, proxy, worker, detail))


class LeaseManager(BaseManager):
    """The process that serves the lease queue."""

    def leases(self, standings: Iterable[Standing], seats: int, cooling: float) -> LeaseProxy:
        raise AttributeError("replaced by register() below")

    def end(self, patience: float) -> None:
        """
        End the process: ask it to go, and kill it if it has not gone after `patience` seconds.

        It is asked in a thread, for a Manager that somebody has stopped would keep us waiting for ever.
        """
        shutdown = getattr(self, "shutdown", None)  # made by start(), when that comes to its end
        if shutdown is not None:
            asking = threading.Thread(target=shutdown, name="pinpool-manager-end", daemon=True)
            asking.start()
            asking.join(patience)
        self.kill()

    def kill(self) -> None:
        """End the process at once, if it has not ended by itself."""
        process = getattr(self, "_process", None)
        if process is not None:
            process.kill()


LeaseManager.register("leases", LeaseQueue, proxytype=LeaseProxy)
