"""Gives work to an engine as the crawl does, and counts what comes back."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from pinpool.model import Call, Ending, Sign
from pinpool.pool.engine import Answered, Lost, Noted, Signal
from pinpool.pool.processes import ProcessEngine


class Ledger:
    """Submits work until it has an answer. What failed is submitted again, unless `resubmit` is false."""

    def __init__(self, engine: ProcessEngine, resubmit: bool = True) -> None:
        self.engine = engine
        self.resubmit = resubmit
        self.flight: dict[int, str] = {}
        self.answers: list[tuple[str, Answered]] = []
        self.lost: list[tuple[str, Lost]] = []
        self.events: Counter[str] = Counter()
        self.moves: list[tuple[str, int | None]] = []
        self._serial = 0

    def submit(self, work: str, *, alone: bool = False) -> None:
        self._serial += 1
        self.flight[self._serial] = work
        self.engine.submit(self._serial, Call(work.encode()), alone=alone)

    def run(self, *, until: Callable[[], bool] | None = None, seconds: float = 90.0) -> None:
        give_up = time.monotonic() + seconds
        done = until or (lambda: not self.flight)
        while not done():
            assert time.monotonic() < give_up, f"still waiting for {len(self.flight)} of the tasks"
            for signal_ in self.engine.poll(0.05):
                self.take(signal_)

    def take(self, signal_: Signal) -> None:
        match signal_:
            case Answered(outcome):
                work = self.flight.pop(outcome.serial)
                self.answers.append((work, signal_))
                if outcome.evidence is not None and self.resubmit:
                    self.submit(work)
            case Lost():
                work = self.flight.pop(signal_.serial)
                self.lost.append((work, signal_))
                if signal_.sign is None or (self.resubmit and work in ("ok", "sleep:0.05")):
                    self.submit(work, alone=signal_.suspect)
            case Noted(event):
                self.events[event.kind] += 1
                self.moves.append((event.kind, event.proxy))

    @property
    def charged(self) -> list[tuple[str, Sign]]:
        """The work that was lost by its own fault, and how."""
        return [(work, lost.sign) for work, lost in self.lost if lost.sign is not None]

    @property
    def good(self) -> int:
        return sum(1 for _, answered in self.answers if answered.outcome.ending is Ending.OK)
