"""The engines by name. To add one: write it in a file of its own here, and give it a line in `ENGINES`."""

from collections.abc import Callable, Mapping, Sequence

from pinpool.policy.reputation import until_judged
from pinpool.pool.engine import Engine
from pinpool.pool.job import Job
from pinpool.pool.lease_types import Standing
from pinpool.pool.processes import ProcessEngine
from pinpool.settings import Settings

#: Each is called as `ProcessEngine` is.
ENGINES: Mapping[str, Callable[..., Engine]] = {
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
    logs_prints: bool = False,
    name: str = DEFAULT_ENGINE,
) -> Engine:
    """An engine for a run with these settings, not started yet. The arguments are those of `ProcessEngine`."""
    return ENGINES[name](
        job,
        proxies,
        workers=workers,
        threads=settings.threads,
        hang_seconds=settings.deadline + settings.grace,
        cooling=until_judged(settings.cooling),
        start_method=start_method,
        preload=preload,
        logs_prints=logs_prints,
    )
