"""
Everything that a report draws and recommends from: the journal's rows, added up in one pass. Pure.

Memory grows with the number of proxies, but not with the number of attempts.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pinpool.journal.records import AttemptRow, ProxyRow, RunInfo
from pinpool.journal.yields import RunYield
from pinpool.model import Ending
from pinpool.report.harvest import StageHarvest
from pinpool.report.timeline import Gap, Slice, Strip, TimeAxis
from pinpool.stats.fields import StageFields
from pinpool.stats.figures import ProxyFigures
from pinpool.stats.verdict import verdict


class Waste(NamedTuple):
    """What failed attempts cost: `bytes` over the wire, `seconds` of workers' time."""

    attempts: int = 0
    bytes: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class History(ProxyFigures):
    """
    One proxy's figures, and the faults charged to it since its last good page: the first came at the epoch second
    `failing_since`.
    """

    last_faults: Counter[str] = field(default_factory=Counter)
    failing_since: float | None = None

    def add(self, row: AttemptRow) -> None:
        ProxyFigures.add(self, row)  # `super()` does not find its class in a dataclass with slots
        if row.ending == Ending.FAILED:
            if row.charged and not row.forgiven:
                self.failing_since = row.at if self.failing_since is None else self.failing_since
                self.last_faults[row.fault or "unknown"] += 1
        elif row.ending != Ending.OVERTAKEN and self.last_faults:
            self.last_faults, self.failing_since = Counter(), None


class SlowPage(NamedTuple):
    """A page that came late. `proxy` is a label, None if it is not known."""

    seconds: float
    size: int
    stage: str
    url: str
    proxy: str | None


class StageTasks(NamedTuple):
    """
    The tasks of one stage by state, and what they gave: `links` are new tasks. `url` is a page of it that gave items,
    None if none did.
    """

    stage: str
    tasks: int
    done: int
    gone: int
    failed: int
    waiting: int
    attempts: int
    items: int
    links: int
    url: str | None


class Totals:
    """Adds up the attempts of a run: `add` each of them, then read the figures."""

    def __init__(self, axis: TimeAxis) -> None:
        self.axis = axis
        self.slices = [Slice() for _ in range(axis.slices)]
        self.histories = defaultdict[int, History](History)
        self.waste: dict[str, Waste] = {}
        self.attempts = self.overtaken = 0
        self.bytes = 0
        self.seconds = 0.0

    @property
    def tried(self) -> int:
        """The attempts that were answered or failed."""
        return self.attempts - self.overtaken

    def add(self, row: AttemptRow) -> None:
        """Count one attempt, in the order in which attempts ended."""
        self.attempts += 1
        self.bytes += row.size
        self.seconds += row.seconds
        slice_ = self.slices[self.axis.slice_of(row.at + row.seconds)]
        if row.proxy is not None:
            self.histories[row.proxy].add(row)
        if row.ending == Ending.FAILED:
            fault = row.fault or "unknown"
            slice_.faults[fault] += 1
            attempts, size, seconds = self.waste.get(fault, Waste())
            self.waste[fault] = Waste(attempts + 1, size + row.size, seconds + row.seconds)
        elif row.ending == Ending.OVERTAKEN:
            self.overtaken += 1
        else:
            slice_.pages += 1

    def add_items(self, counts: Sequence[int]) -> None:
        """Count items by slices."""
        for slice_, count in zip(self.slices, counts, strict=True):
            slice_.items += count


@dataclass(frozen=True, slots=True)
class RunData:
    """
    A run, ready to be drawn.

    `journal` is the file's name, as a command takes it. `slowest` are the pages that took longest, the slowest first.
    `given_up` are the first tasks that failed for good, as in `failures --json`; `faults_of_failed` counts all of them
    by their last fault.
    `complete` is what `verify` found, `damage` those of its problems that no resume solves. `silences` are the times
    in which the whole site did not answer. `found` is what the run has yielded, `harvest` what its items hold, `stages`
    are the tasks of each stage, `samples` page samples by stage. `starved` is why nothing could be fetched any more.
    `advice` is on the number of workers, or empty.
    """

    journal: str
    run: RunInfo
    proxies: Sequence[ProxyRow]
    pins: Mapping[int, int]
    strips: Mapping[int, Strip]
    totals: Totals
    slowest: Sequence[SlowPage]
    given_up: Sequence[dict[str, Any]]
    faults_of_failed: Mapping[str, int]
    complete: bool
    damage: Sequence[str]
    silences: Sequence[Gap]
    found: RunYield
    harvest: Sequence[StageHarvest]
    stages: Sequence[StageTasks]
    samples: Mapping[str, int]
    starved: str
    advice: str

    @property
    def verdict(self) -> str:
        """What became of the run, in a few words."""
        return verdict(self.run.state, self.run.tasks["failed"], self.found)

    @property
    def fields(self) -> list[StageFields]:
        """Which fields of the items are filled, stage by stage."""
        return [stage.fields for stage in self.harvest]

    @property
    def shown(self) -> list[tuple[ProxyRow, History]]:
        """The proxies that are on the list now, and those that were tried before they left it."""
        histories = self.totals.histories
        pairs = [(proxy, histories.get(proxy.id) or History()) for proxy in self.proxies]
        return [(proxy, history) for proxy, history in pairs if proxy.listed or history.attempts]

    @property
    def on_list(self) -> list[tuple[ProxyRow, History]]:
        """The proxies that are on the list now, so that its owner can do something about them."""
        return [(proxy, history) for proxy, history in self.shown if proxy.listed]

    def waste(self, *faults: str) -> Waste:
        """What the attempts with these faults cost together; without faults, all failed attempts."""
        chosen = [waste for fault, waste in self.totals.waste.items() if not faults or fault in faults]
        return Waste(*map(sum, zip(*chosen, strict=True)))
