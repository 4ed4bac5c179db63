"""
The lease queue: which worker holds which proxy. It lives in a Manager process, and no proxy is ever lost in a message.

A plain queue would lose a proxy with each worker that dies, and a worker killed while it waits in ``get()`` would
still swallow the next one put in. Here each proxy is always in exactly one state of the life-cycle table. A worker has
a random token, asks again and again in short waits, and gets the same proxy however often it asks. The parent reports
the tokens of dead workers, and their proxies are spare again.

A worker's swap rests its proxy for a provisional time. The parent judges later: it sets the real rest, or retires it.
"""

import math
import threading
from collections import deque
from collections.abc import Iterable

from pinpool.model import Event, EventKind, Fault, ProxyState
from pinpool.pool.clock import SYSTEM_CLOCK, Clock
from pinpool.pool.lease_types import Holder, Lease, Report, Standing
from pinpool.proxies.lifecycle import move
from pinpool.proxies.proxy import Proxy


class LeaseQueue:
    """
    All proxies of a run and who holds them; the one owner of their states. Many threads may call it at once.

    `seats` is the number of lines on the status board, `cooling` the provisional rest of a swapped proxy in seconds.
    """

    def __init__(self, standings: Iterable[Standing], seats: int, cooling: float, clock: Clock = SYSTEM_CLOCK) -> None:
        self._changed = threading.Condition()
        self._cooling = cooling
        self._clock = clock
        self._addresses: dict[int, Proxy] = {}
        self._states: dict[int, ProxyState] = {}
        self._spare: list[int] = []  # in the order in which they became spare
        self._until: dict[int, float] = {}  # when the rests of cooling ones end
        self._probing: set[int] = set()  # have not served a page since their rest
        self._leaving: dict[int, str] = {}
        self._slow: set[int] = set()  # pinned, and to be swapped
        self._holds: dict[int, int] = {}  # token -> proxy
        self._workers: dict[int, tuple[int, int, int]] = {}  # token -> pid, number, seat
        self._free_seats = deque(range(seats))
        self._released: dict[int, float] = {}
        self._held_back: dict[int, float] = {}  # not handed out before
        self._generation = self._solo = 0
        self._soloists: set[int] = set()  # tokens of workers of the solo pool
        self._moves: list[Event] = []
        self._answers: list[bytes] = []
        self._complaints: list[str] = []
        self._next_turn = 0.0
        now = clock.monotonic()
        for standing in standings:
            proxy, state = standing.proxy, standing.state_without_worker
            self._addresses[proxy] = standing.address
            self._states[proxy] = state
            if state is not standing.state:
                self._released[proxy] = now  # by a worker of an earlier pool, which may have used it until now
            if state is ProxyState.COOLING:
                self._until[proxy] = now + standing.rest_seconds
            elif state is ProxyState.SPARE:
                self._spare.append(proxy)

    def __repr__(self) -> str:
        with self._changed:
            counts = {state: list(self._states.values()).count(state) for state in ProxyState}
        return f"<LeaseQueue {', '.join(f'{n} {state}' for state, n in counts.items() if n)}>"

    # ------------------------------------------------------------------ for workers

    def check_in(self, token: int, pid: int, generation: int, worker: int = 0) -> tuple[int, Lease | None]:
        """
        Give a worker its seat on the board, -1 if none is free yet, and a proxy if there is one. `worker` is its number
        where that is not its pid.

        Raises LookupError if the worker belongs to a pool that is over: it started too late, and must end itself.
        """
        with self._changed:
            if generation != self._generation and not (self._solo and generation == self._solo):
                raise LookupError("this pool is over")
            if generation != self._generation:
                self._soloists.add(token)
            if token not in self._workers:
                if not self._free_seats:
                    return -1, None
                self._workers[token] = (pid, worker or pid, self._free_seats.popleft())
            return self._workers[token][2], self._lease(token)

    def get(self, token: int, timeout: float) -> Lease | None:
        """
        The worker's proxy: the one it holds, or a spare within `timeout` seconds, or None.

        Raises LookupError, as all methods for workers do, if the parent took the worker for dead: it must end itself.
        """
        deadline = self._clock.monotonic() + timeout
        with self._changed:
            while (lease := self._lease(token)) is None:
                now = self._clock.monotonic()
                if now >= deadline:
                    return None
                self._changed.wait(min([deadline, *self._until.values(), *self._held_back.values()]) - now)
            return lease

    def swap(self, token: int, answer: bytes) -> Lease | None:
        """
        Rest the worker's proxy and give it a spare.

        Without a spare the worker parks and cannot return its answer. The next report to the parent holds it then.
        """
        with self._changed:
            self._check_known(token)
            self._release(token, EventKind.FAULTED)
            return self._lease_or_keep(token, answer)

    def leave(self, token: int, answer: bytes) -> Lease | None:
        """Replace the worker's proxy by a spare if it was withdrawn. Without a spare the worker parks as in `swap`."""
        with self._changed:
            self._check_known(token)
            proxy = self._holds.get(token)
            if proxy in self._leaving or proxy in self._slow:
                self._release(token, EventKind.RETURNED)
            return self._lease_or_keep(token, answer)

    def exchange(self, token: int, avoid: Iterable[int]) -> Lease | None:
        """Replace the worker's proxy, which is spare again, by a spare that is not in `avoid`. None without such."""
        with self._changed:
            self._check_known(token)
            self._end_rests()
            proxy = self._next_spare(avoid)
            if proxy is None:
                return None
            self._release(token, EventKind.RETURNED)
            return self._hand_out(token, proxy)

    def proven(self, token: int) -> None:
        """The worker's proxy has served a page after its rest: it counts as healthy."""
        with self._changed:
            self._probing.discard(self._holds.get(token, -1))

    def turn(self, seconds: float) -> float:
        """
        Seconds from now until the worker's turn at the site. The turn takes `seconds`; then the next worker's begins.

        This keeps the site's rate over all workers, however long some of them have waited for something else.
        """
        with self._changed:
            now = self._clock.monotonic()
            start = max(now, self._next_turn)
            self._next_turn = start + seconds
            return start - now

    def complain(self, text: str) -> None:
        """A worker cannot do its work at all, for instance because the spider no longer loads."""
        with self._changed:
            self._complaints.append(text)

    # ------------------------------------------------------------------ for the parent

    def begin(self, generation: int, solo: int = 0) -> None:
        """
        From now on only workers of this pool may check in; with 0 none may. If there is a `solo` pool beside it, one
        proxy is kept for its worker.
        """
        with self._changed:
            self._generation, self._solo = generation, solo
            self._changed.notify_all()

    def reap(self, tokens: Iterable[int]) -> None:
        """These workers are dead: their seats are free and their proxies are spare."""
        with self._changed:
            for token in tokens:
                _, _, seat = self._workers.pop(token, (0, 0, -1))
                if seat >= 0:
                    self._free_seats.append(seat)
                self._release(token, EventKind.LOST)
                self._soloists.discard(token)
            self._changed.notify_all()

    def hold_back(self, proxies: Iterable[int], seconds: float) -> None:
        """
        Hand these proxies out in `seconds` at the earliest, whatever their state: a worker out of reach may use them
        until then.
        """
        with self._changed:
            until = self._clock.monotonic() + seconds
            self._held_back |= dict.fromkeys(proxies, until)

    def cool(self, proxy: int, seconds: float) -> None:
        """Rest a cooling proxy for `seconds` from now. No effect on any other."""
        with self._changed:
            if self._states.get(proxy) is ProxyState.COOLING:
                self._until[proxy] = self._clock.monotonic() + seconds
                self._changed.notify_all()

    def retire(self, proxy: int, reason: str) -> None:
        """Retire a cooling proxy, or one whose rest is over. A pinned one stays."""
        with self._changed:
            state = self._states.get(proxy)
            if state is ProxyState.COOLING:
                self._move(proxy, EventKind.EXHAUSTED, reason)
            elif state is ProxyState.SPARE:
                self._move(proxy, EventKind.WITHDRAWN, reason)

    def join(self, standings: Iterable[Standing]) -> None:
        """
        These proxies are on the list now. A cooling one is on probation: it must serve a page before it is healthy.

        A withdrawn one that is still pinned stays, and keeps its worker.
        """
        with self._changed:
            for proxy, address, state, _ in standings:
                self._leaving.pop(proxy, None)
                self._addresses[proxy] = address
                if self._states.setdefault(proxy, ProxyState.RETIRED) is ProxyState.RETIRED:
                    if state is ProxyState.COOLING:
                        self._probing.add(proxy)
                    self._move(proxy, EventKind.JOINED)

    def withdraw(self, proxies: Iterable[int], reason: str) -> None:
        """These proxies are off the list: they retire, a pinned one as soon as its worker lets go of it."""
        with self._changed:
            for proxy in proxies:
                state = self._states[proxy]
                if state is ProxyState.PINNED:
                    self._leaving[proxy] = reason
                elif state is not ProxyState.RETIRED:  # a retired one keeps the reason it has
                    self._move(proxy, EventKind.WITHDRAWN, reason)

    def ask_to_swap(self, proxy: int) -> None:
        """The worker of this proxy swaps it before its next page: it rests then, until it is judged."""
        with self._changed:
            if self._states.get(proxy) is ProxyState.PINNED:
                self._slow.add(proxy)

    def report(self) -> Report:
        """Everything since the last report, and how things stand now."""
        with self._changed:
            self._end_rests()
            now = self._clock.monotonic()
            report = Report(
                moves=tuple(self._moves),
                answers=tuple(self._answers),
                complaints=tuple(self._complaints),
                states=dict(self._states),
                rests={proxy: until - now for proxy, until in self._until.items()},
                holders=tuple(
                    Holder(token, pid, seat, self._holds.get(token, -1))
                    for token, (pid, _, seat) in self._workers.items()
                ),
                leaving=dict(self._leaving),
                slow=frozenset(self._slow),
            )
            self._moves, self._answers, self._complaints = [], [], []
            return report

    # ------------------------------------------------------------------ within the lock

    def _check_known(self, token: int) -> None:
        if token not in self._workers:
            raise LookupError("this worker was taken for dead")

    def _lease(self, token: int) -> Lease | None:
        self._check_known(token)
        self._end_rests()
        if token in self._holds:
            return self._as_lease(self._holds[token])
        if (
            self._solo
            and token not in self._soloists
            and len(self._spare) == 1
            and self._soloists.isdisjoint(self._holds)
        ):
            return None  # the last spare is for the solo pool
        proxy = self._next_spare()
        return None if proxy is None else self._hand_out(token, proxy)

    def _next_spare(self, avoid: Iterable[int] = ()) -> int | None:
        # A proxy that has not served a page since its rest is handed out last.
        self._end_holds()
        spares = (proxy for proxy in self._spare if proxy not in avoid and proxy not in self._held_back)
        return min(spares, key=self._probing.__contains__, default=None)

    def _lease_or_keep(self, token: int, answer: bytes) -> Lease | None:
        lease = self._lease(token)
        if lease is None:
            self._answers.append(answer)
        return lease

    def _release(self, token: int, how: EventKind) -> None:
        """Take the worker's proxy from it, if it has one; a withdrawn one retires."""
        proxy = self._holds.pop(token, None)
        if proxy is not None:
            self._released[proxy] = self._clock.monotonic()
            is_slow = proxy in self._slow and how is EventKind.RETURNED
            self._slow.discard(proxy)
            self._move(proxy, EventKind.FAULTED if is_slow else how, Fault.SLOW if is_slow else "")
            if proxy in self._leaving:
                self._move(proxy, EventKind.WITHDRAWN, self._leaving.pop(proxy))

    def _hand_out(self, token: int, proxy: int) -> Lease:
        self._holds[token] = proxy
        self._move(proxy, EventKind.LEASED, worker=self._workers[token][1])
        return self._as_lease(proxy)

    def _as_lease(self, proxy: int) -> Lease:
        idle = self._clock.monotonic() - self._released.get(proxy, -math.inf)
        return Lease(proxy, self._addresses[proxy], proxy in self._probing, idle)

    def _end_rests(self) -> None:
        now = self._clock.monotonic()
        for proxy in [proxy for proxy, until in self._until.items() if until <= now]:
            self._probing.add(proxy)
            self._move(proxy, EventKind.RESTED)

    def _end_holds(self) -> None:
        if self._held_back:
            now = self._clock.monotonic()
            self._held_back = {proxy: until for proxy, until in self._held_back.items() if until > now}

    def _move(self, proxy: int, how: EventKind, detail: str = "", worker: int | None = None) -> None:
        before = self._states[proxy]
        after = self._states[proxy] = move(before, how)
        if before is ProxyState.SPARE:
            self._spare.remove(proxy)
        elif before is ProxyState.COOLING:
            del self._until[proxy]
        if after is ProxyState.SPARE:
            self._spare.append(proxy)
            self._changed.notify()
        elif after is ProxyState.COOLING:
            self._until[proxy] = self._clock.monotonic() + self._cooling
        self._moves.append(Event(self._clock.epoch(), how, proxy, worker, detail))
