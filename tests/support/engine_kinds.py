"""
The engines that the contract in `tests/engines` holds for. To add one: give it a line in `KINDS`.

A test takes the fixture `started`, and runs over all engines, or over those that have what its marker `needs` names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from engines import spares
from ledger import Ledger
from pinpool.pool.engine import Engine
from pinpool.pool.lease_types import Standing
from pinpool.pool.registry import ENGINES, EngineChoice, EnginePlan, make_engine
from pinpool.settings import Settings
from scripted_job import ScriptedJob

__all__ = ["Has", "Kind", "KINDS", "Started", "kinds_for", "ready"]

#: What a test makes its engine and its ledger with; the engine is started.
Started = Callable[..., Ledger[Engine]]


class Has(Enum):
    """What some engines have, and others have not."""

    PROCESSES = "its workers have processes, so that they may die, hang and be killed"
    GUARD = "whatever a job raises is evidence"
    CLOCK = "it waits in real time"


class Kind(NamedTuple):
    """
    An engine under test. `engine` is its name in the registry; `cluster` the fixture that knows the address of its
    cluster, if it needs one.
    """

    name: str
    engine: str
    has: frozenset[Has]
    threads: int = 1
    start_method: str | None = None
    cluster: str = ""
    marks: tuple[pytest.MarkDecorator, ...] = ()

    def __str__(self) -> str:
        return self.name

    @property
    def module(self) -> str:
        """The file of the engine."""
        return ENGINES[self.engine].module

    def make(
        self,
        workers: int,
        proxies: int | list[Standing],
        *,
        hang: float = 30.0,
        cooling: float = 3600.0,
        swap_after: int = 3,
        address: str | None = None,
    ) -> Engine:
        """An engine, not started yet, whose workers do what each piece of work says."""
        settings = Settings(threads=self.threads, swap_after=swap_after, cooling=cooling, deadline=hang, grace=0.0)
        standings = spares(proxies) if isinstance(proxies, int) else proxies
        choice = EngineChoice(self.engine, self.start_method, address=address)
        job, files = partial(ScriptedJob, settings), Path(__file__).parent
        return make_engine(EnginePlan(job, standings, settings, workers, choice, files=files))

    def options(self, address: str | None) -> dict[str, Any]:
        """What `pinpool.crawl` is called with."""
        options = {"engine": self.engine, "start_method": self.start_method, "address": address}
        return options if self.threads == 1 else {**options, "threads": self.threads}


_ALL = frozenset(Has)
_PROCESSES = (pytest.mark.processes,)
#: Only with `--slow`: they differ in how they start, which `tests/processes` looks at.
_SPAWNED = (pytest.mark.processes, pytest.mark.grid(share=0.0, part="spawned"))
#: Each starts processes on hosts, and what its parent does is tested with those in this process: a part will do.
_RAY = (pytest.mark.ray, pytest.mark.processes, pytest.mark.grid(share=0.12, part="ray"))

KINDS = (
    Kind("fake", "fake", frozenset()),
    Kind("inline", "inline", frozenset({Has.GUARD, Has.CLOCK})),
    Kind("processes", "processes", _ALL, 1, "forkserver", marks=_PROCESSES),
    Kind("processes by spawn", "processes", _ALL, 1, "spawn", marks=_SPAWNED),
    Kind("threads", "processes", _ALL, 3, "forkserver", marks=_PROCESSES),
    Kind("threads by spawn", "processes", _ALL, 3, "spawn", marks=_SPAWNED),
    Kind("ray", "ray", _ALL, cluster="ray_address", marks=_RAY),
    Kind("ray with threads", "ray", _ALL, 2, cluster="ray_address", marks=_RAY),
)


def kinds_for(needs: Iterable[Has]) -> list[Any]:
    """The parameters of a test that needs this of its engine."""
    return [pytest.param(kind, id=kind.name, marks=kind.marks) for kind in KINDS if kind.has.issuperset(needs)]


def ready(ledger: Ledger[Engine], workers: int, pinned: int | None = None) -> None:
    """Go on until so many workers are there and have a proxy, or only `pinned` of them, and nobody is at work."""
    wanted = workers if pinned is None else pinned

    def is_ready() -> bool:
        census = ledger.engine.census()
        return (len(census.lines), census.idle, census.parked) == (workers, wanted, workers - wanted)

    ledger.poll()
    ledger.run(until=is_ready)
