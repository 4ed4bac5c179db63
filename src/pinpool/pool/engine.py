"""
The protocol of an engine: what runs assignments in workers. An engine never decides a retry.

    start() · submit(serial, assignment) · poll(timeout) → signals · census() · cool() · retire() · join() · withdraw()
    ask_to_swap() · kill() · flush() · close()

The caller gives each attempt a serial of its own, which comes back in exactly one `Answered` or `Lost`.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, Protocol

from pinpool.errors import PinpoolError
from pinpool.model import Assignment, Call, Ending, Event, Evidence, Outcome, ProxyState, Sign, Step
from pinpool.pool.lease_types import Standing
from pinpool.pool.status_board import Activity, Line

UNGUARDED = (
    "a script that starts a crawl or a PinnedPool must do so under `if __name__ == '__main__':`, "
    "because each worker process imports it"
)


class EngineError(PinpoolError):
    """The workers cannot be kept alive; the run was stopped and can be resumed."""


class Answered(NamedTuple):
    """A worker has answered."""

    outcome: Outcome


class Lost(NamedTuple):
    """
    An attempt that nobody will answer.

    `sign` is CRASH or HANG if the task itself probably caused that, None if its worker was lost with others. A
    `suspect` may have caused it: it is to be submitted `alone`. `proxy` is -1 if it is not known; `message` may hold
    the stack where the worker hung.
    """

    serial: int
    sign: Sign | None
    message: str = ""
    worker: int = 0
    proxy: int = -1
    suspect: bool = False

    def outcome(self, now: float) -> Outcome:
        """The loss as the outcome of an attempt, to be judged like any other; `now` is epoch seconds."""
        evidence = Evidence(Step.WORKER, self.sign or Sign.CRASH, self.message)
        return Outcome(self.serial, self.worker, self.proxy, Ending.FAILED, now, 0.0, evidence=evidence)


class Noted(NamedTuple):
    """An event for the journal."""

    event: Event


Signal = Answered | Lost | Noted


@dataclass(frozen=True)
class Census:
    """
    Workers by activity, and the state of each proxy.

    `parked` workers wait for a proxy. `wakes_in` is seconds until the next cooling proxy is spare, None if none cools.
    `lines` are the workers one by one.
    """

    workers: int = 0
    running: int = 0
    pacing: int = 0
    parked: int = 0
    losses: int = 0
    rebuilds: int = 0
    states: Mapping[int, ProxyState] = field(default_factory=dict)
    wakes_in: float | None = None
    lines: Sequence[Line] = ()

    @cached_property
    def held(self) -> dict[int, Line]:
        """The attempts that workers have in hand, by serial: those that fetch, and those that wait for their turn."""
        return {line.serial: line for line in self.lines if line.activity in (Activity.RUN, Activity.PACE)}

    @property
    def idle(self) -> int:
        """Workers without anything to do."""
        return max(0, self.workers - self.running - self.pacing - self.parked)

    # The crawl loop asks at every turn, and the census changes only once a tick.
    @cached_property
    def _counts(self) -> Counter[ProxyState]:
        return Counter(self.states.values())

    def count(self, state: ProxyState) -> int:
        """Proxies in this state."""
        return self._counts[state]

    @property
    def usable(self) -> int:
        """Proxies that are pinned or spare."""
        return self.count(ProxyState.PINNED) + self.count(ProxyState.SPARE)

    @cached_property
    def living(self) -> tuple[int, ...]:
        """The proxies that are not retired."""
        return tuple(proxy for proxy, state in self.states.items() if state is not ProxyState.RETIRED)

    @property
    def alive(self) -> int:
        """Proxies that are not retired."""
        return len(self.states) - self.count(ProxyState.RETIRED)


def window(able: int) -> int:
    """How many tasks an engine should hold: one for each of the `able` workers with a proxy, and a few to take next."""
    return able + max(2, able // 4) if able else 0


class Engine(Protocol):
    """What every engine does."""

    name: str

    def start(self) -> None:
        """Start the workers; each pins a proxy by itself."""

    def submit(self, serial: int, work: Assignment | Call, *, alone: bool = False) -> None:
        """
        Give an assignment, or a pickled call, to the next free worker. Never waits. `alone`: where it harms no other if
        its process dies; for a suspect (`Lost`).
        """

    def poll(self, timeout: float) -> list[Signal]:
        """Wait up to `timeout` seconds for signals; the list may be empty."""

    def wake(self) -> None:
        """End a `poll` that waits. Any thread may call this."""

    def census(self) -> Census:
        """The counts of the last tick."""

    def cool(self, proxy: int, seconds: float) -> None:
        """Rest a proxy that a worker has swapped for `seconds`."""

    def retire(self, proxy: int, reason: str) -> None:
        """Retire a proxy that a worker has swapped: it is out for this run."""

    def join(self, standings: Collection[Standing]) -> None:
        """These proxies are on the list now, for the first time or again; workers that wait for one take them."""

    def withdraw(self, proxies: Collection[int], reason: str) -> None:
        """These proxies are off the list: they retire with that reason, a pinned one when its page is done."""

    def ask_to_swap(self, proxy: int) -> None:
        """The worker of this proxy, if there is one, is to swap it before its next page."""

    def kill(self, worker: int) -> None:
        """End a worker; its attempt comes back as `Lost`, and those of other workers in its process uncharged."""

    def flush(self) -> list[Signal]:
        """The moves of proxies since the last `poll`. Call it last, just before `close`."""

    def close(self) -> None:
        """End every process of this engine. Attempts in flight are not answered any more."""
