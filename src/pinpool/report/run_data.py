"""
The account of a run: all that a report draws and concludes from, folded from the journal's rows in one pass. Pure.

Memory grows with the number of proxies, and not with the number of attempts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappush, heappushpop
from typing import NamedTuple

from pinpool.journal.records import AttemptRow, ProxyRow, RunInfo
from pinpool.model import Ending
from pinpool.report.timeline import Clock, Gap, Slice, Strip
from pinpool.stats.figures import ProxyFigures

SLOWEST = 15  # pages that a report lists


@dataclass(slots=True)
class Waste:
    """What failed attempts cost: `bytes` over the wire, `seconds` of workers' time."""

    attempts: int = 0
    bytes: int = 0
    seconds: float = 0.0

    def add(self, row: AttemptRow) -> None:
        """Count one failed attempt."""
        self.attempts += 1
        self.bytes += row.size
        self.seconds += row.seconds


@dataclass(slots=True)
class Ledger:
    """
    One proxy's figures and how its failures lie in time.

    `tail` are the faults held against it since its last good page, `since` the epoch second of the first of them.
    """

    figures: ProxyFigures = field(default_factory=ProxyFigures)
    tail: Counter[str] = field(default_factory=Counter)
    since: float | None = None

    def add(self, row: AttemptRow) -> None:
        """Count one attempt; they come in the order in which they ended."""
        self.figures.add(row)
        if row.ending == Ending.FAILED:
            if row.charged and not row.forgiven:
                self.since = row.at if self.since is None else self.since
                self.tail[row.fault or "unknown"] += 1
        elif self.tail:
            self.tail, self.since = Counter(), None


class SlowPage(NamedTuple):
    """A page that was answered, but late; `task` is its id, `proxy` 0 where it never got known."""

    seconds: float
    task: int
    proxy: int
    size: int


class GivenUp(NamedTuple):
    """A task that failed for good; `fault` and `message` are those of its last attempt."""

    task: int
    stage: str
    url: str
    reason: str
    attempts: int
    proxies: int
    fault: str | None
    message: str | None


class Totals:
    """The fold: `add` every attempt, then read off the figures."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.slices = [Slice() for _ in range(clock.slices)]
        self.ledgers: dict[int, Ledger] = {}
        self.waste: dict[str, Waste] = {}
        self.attempts = 0
        self.bytes = 0
        self.seconds = 0.0
        self._slowest: list[SlowPage] = []

    def __repr__(self) -> str:
        return f"<Totals {self.attempts} attempts, {len(self.ledgers)} proxies>"

    @property
    def slowest(self) -> list[SlowPage]:
        """The pages that took longest, the slowest first."""
        return sorted(self._slowest, reverse=True)

    def add(self, row: AttemptRow) -> None:
        """Count one attempt; they come in the order in which they ended."""
        self.attempts += 1
        self.bytes += row.size
        self.seconds += row.seconds
        slice_ = self.slices[self.clock.slice_of(row.at + row.seconds)]
        if row.proxy is not None:
            ledger = self.ledgers.get(row.proxy)
            if ledger is None:
                ledger = self.ledgers[row.proxy] = Ledger()
            ledger.add(row)
        if row.ending == Ending.FAILED:
            fault = row.fault or "unknown"
            slice_.faults[fault] += 1
            self.waste.setdefault(fault, Waste()).add(row)
        else:
            slice_.pages += 1
            self._rank(row)

    def _rank(self, row: AttemptRow) -> None:
        if len(self._slowest) == SLOWEST and row.seconds <= self._slowest[0].seconds:
            return
        put = heappush if len(self._slowest) < SLOWEST else heappushpop
        put(self._slowest, SlowPage(row.seconds, row.task, row.proxy or 0, row.size))


@dataclass(frozen=True, slots=True)
class RunData:
    """
    A run, ready to be drawn. `journal` is the file's name as a command would take it; `faults_of_failed` counts the
    tasks given up by their last fault, of which `given_up` holds the first few; `urls` are those of the slow pages,
    by task; `complete` is what `verify` found, `damage` those of its problems that no resume will mend.
    `silences` are the times in which the whole site did not answer; `advice` is on the number of workers, or empty.
    `page` is the id of the page sample for the first of `given_up`, None if there is none.
    """

    journal: str
    run: RunInfo
    proxies: Sequence[ProxyRow]
    pins: Mapping[int, int]
    strips: Mapping[int, Strip]
    totals: Totals
    urls: Mapping[int, tuple[str, str]]
    given_up: Sequence[GivenUp]
    faults_of_failed: Mapping[str, int]
    complete: bool
    damage: Sequence[str]
    silences: Sequence[Gap]
    advice: str
    page: int | None

    @property
    def present(self) -> list[ProxyRow]:
        """The proxies that are on the list now: those about which its owner can do something."""
        return [proxy for proxy in self.proxies if proxy.listed]

    @property
    def listed(self) -> list[ProxyRow]:
        """The proxies of the list, and those that it no longer names but that were tried."""
        return [proxy for proxy in self.proxies if proxy.listed or proxy.id in self.totals.ledgers]

    def figures(self, proxy: int) -> ProxyFigures:
        """The figures of a proxy, all nought if it was never tried."""
        ledger = self.totals.ledgers.get(proxy)
        return ledger.figures if ledger else ProxyFigures()

    def waste(self, *faults: str) -> Waste:
        """What attempts that failed by these faults cost together; without faults, all that failed."""
        total = Waste()
        for fault, waste in self.totals.waste.items():
            if not faults or fault in faults:
                total.attempts += waste.attempts
                total.bytes += waste.bytes
                total.seconds += waste.seconds
        return total
