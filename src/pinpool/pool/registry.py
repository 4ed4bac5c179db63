"""The engines by name. To add one: write it in a file of its own here, and give it a line in `ENGINES`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from pinpool.policy.reputation import until_judged
from pinpool.pool.engine import Engine
from pinpool.pool.job import Job
from pinpool.pool.lease_types import Standing
from pinpool.pool.processes import ProcessEngine
from pinpool.settings import Settings


class EngineFactory(Protocol):
    """
    Makes an engine, not started yet. `job` makes the job in each worker, and must survive a pickle.

    An attempt that runs for more than `hang_seconds` hangs. A swapped proxy rests for `cooling` seconds until it is
    judged. `preload` names modules that every worker needs.
    """

    def __call__(
        self,
        job: Callable[[], Job],
        proxies: Sequence[Standing],
        *,
        workers: int,
        hang_seconds: float,
        cooling: float,
        start_method: str | None,
        preload: Sequence[str],
    ) -> Engine: ...


ENGINES: Mapping[str, EngineFactory] = {
    "processes": ProcessEngine,
}
DEFAULT_ENGINE = "processes"


def make_engine(
    job: Callable[[], Job],
    proxies: Sequence[Standing],
    settings: Settings,
    *,
    workers: int,
    start_method: str | None,
    preload: Sequence[str],
    name: str = DEFAULT_ENGINE,
) -> Engine:
    """The engine of that name for a run with these settings, not started yet. See `EngineFactory`."""
    return ENGINES[name](
        job,
        proxies,
        workers=workers,
        hang_seconds=settings.deadline + settings.grace,
        cooling=until_judged(settings.cooling),
        start_method=start_method,
        preload=preload,
    )
