"""Gives work to an engine as the crawl does, counts what comes back, and holds the engine to what it says of itself."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Generic, TypeVar

from pinpool.model import Assignment, Call, Ending, Event, EventKind, Outcome, ProxyState, Sign, Task
from pinpool.pool.engine import Answered, Census, Engine, Lost, Noted, Signal
from pinpool.pool.status_board import Activity

E = TypeVar("E", bound=Engine)

#: After these, no worker holds the proxy any more.
_LET_GO = (EventKind.RETURNED, EventKind.LOST, EventKind.FAULTED)


class Ledger(Generic[E]):
    """
    Submits work until it has an answer. What failed is submitted again, unless `resubmit` is false.

    It fails for a serial that is answered twice, for a proxy that two workers hold, for a worker that holds two, and
    for a census that does not add up. `on_answer` is called with the work and the outcome of each answer.
    """

    def __init__(self, engine: E, resubmit: bool = True) -> None:
        self.engine = engine
        self.resubmit = resubmit
        self.flight: dict[int, str] = {}
        self.answers: list[tuple[str, Answered]] = []
        self.lost: list[tuple[str, Lost]] = []
        self.events: Counter[str] = Counter()
        self.moves: list[tuple[str, int | None]] = []
        self.details: list[str] = []
        self.holders: dict[int, int] = {}
        self.on_answer: Callable[[str, Outcome], None] = lambda work, outcome: None
        self._serial = 0

    def submit(self, work: str, *, alone: bool = False) -> int:
        """Submit a call. Returns its serial."""
        return self._submit(work, Call(work.encode()), alone=alone)

    def submit_page(self, work: str, avoid: tuple[int, ...] = (), *, exchange: bool = False) -> int:
        """Submit a page, whose URL is the work. Returns its serial."""
        return self._submit(work, Assignment(Task("detail", work, work.encode()), avoid, exchange))

    def _submit(self, name: str, work: Assignment | Call, *, alone: bool = False) -> int:
        self._serial += 1
        self.flight[self._serial] = name
        self.engine.submit(self._serial, work, alone=alone)
        return self._serial

    def run(self, *, until: Callable[[], bool] | None = None, seconds: float = 90.0) -> None:
        give_up = time.monotonic() + seconds
        done = until or (lambda: not self.flight)
        while not done():
            assert time.monotonic() < give_up, f"still waiting for {len(self.flight)} of the tasks"
            self.poll()

    def until_states(self, states: dict[int, ProxyState]) -> None:
        """Go on until the census shows the proxies in these states: that of the last tick may be older."""
        self.run(until=lambda: dict(self.engine.census().states) == states, seconds=30.0)

    def poll(self) -> None:
        """Take what the engine has to say now."""
        signals = self.engine.poll(0.05)
        census = self.engine.census()
        for signal_ in signals:
            self.take(signal_)
        self._check(census)

    def take(self, signal_: Signal) -> None:
        match signal_:
            case Answered(outcome):
                work = self._settled(outcome.serial)
                self.answers.append((work, signal_))
                if outcome.evidence is not None and self.resubmit:
                    self.submit(work)
                self.on_answer(work, outcome)
            case Lost():
                work = self._settled(signal_.serial)
                self.lost.append((work, signal_))
                if signal_.sign is None or (self.resubmit and work in ("ok", "sleep:0.05")):
                    self.submit(work, alone=signal_.suspect)
            case Noted(event):
                self.events[event.kind] += 1
                self.moves.append((event.kind, event.proxy))
                self.details.append(event.detail)
                self._move(event)

    def _settled(self, serial: int) -> str:
        assert serial in self.flight, f"{serial} was answered before, or never submitted"
        return self.flight.pop(serial)

    def _move(self, event: Event) -> None:
        proxy, worker = event.proxy or 0, event.worker or 0
        if event.kind is EventKind.LEASED:
            assert proxy not in self.holders, f"proxy {proxy} is held by {self.holders[proxy]}, and given to {worker}"
            assert worker not in self.holders.values(), f"{worker} holds a proxy, and is given {proxy}"
            self.holders[proxy] = worker
        elif event.kind in _LET_GO:
            self.holders.pop(proxy, None)
        elif event.kind is EventKind.REBUILT and event.detail.startswith("the Manager died"):
            self.holders.clear()  # its last moves are lost with it

    def _check(self, census: Census) -> None:
        if not census.lines:  # nobody is there yet
            return
        doing = Counter(line.activity for line in census.lines)
        counted = (census.workers, census.running, census.pacing, census.parked)
        parked = doing[Activity.PARK] + doing[Activity.INIT]
        assert counted == (len(census.lines), doing[Activity.RUN], doing[Activity.PACE], parked)
        assert census.idle == doing[Activity.IDLE]
        assert all(1 <= serial <= self._serial for serial in census.held)
        assert {proxy for proxy, state in census.states.items() if state is ProxyState.PINNED} == set(self.holders)
        assert (census.wakes_in is None) == (census.count(ProxyState.COOLING) == 0)

    def outcome(self, serial: int) -> Outcome:
        """The outcome of an attempt that was answered."""
        return next(answered.outcome for _, answered in self.answers if answered.outcome.serial == serial)

    @property
    def charged(self) -> list[tuple[str, Sign]]:
        """The work that was lost by its own fault, and how."""
        return [(work, lost.sign) for work, lost in self.lost if lost.sign is not None]

    @property
    def good(self) -> int:
        return sum(1 for _, answered in self.answers if answered.outcome.ending is Ending.OK)
