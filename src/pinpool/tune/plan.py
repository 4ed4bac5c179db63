"""What the trials of `pinpool tune` will do, checked before anything is fetched or written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pinpool.crawler.api import seeds_of
from pinpool.crawler.launch import Launch
from pinpool.errors import SettingsError
from pinpool.model import Task
from pinpool.pool.child_process import end_if_starting
from pinpool.proxies.proxy import ProxyList
from pinpool.proxies.source import proxies_from, source_of
from pinpool.spider.spider import Spider
from pinpool.stats.capacity import free_capacity
from pinpool.text import counted
from pinpool.tune.search import doublings

#: A trial measures for so many seconds at most, or for so many paces if these are longer.
SECONDS, PACES = 20.0, 12
#: Pages of the budget for each worker of each trial, and the least budget.
PAGES_EACH, LEAST_BUDGET = 20, 2_000
#: A trial with fewer pages for each worker shows nothing.
FEWEST_EACH = 4
MINUTES = 10.0


@dataclass(frozen=True)
class Plan:
    """
    `sizes` are numbers of workers in growing order, `fixed` if the user asked for just these. One trial takes about
    `seconds` at most; `pages` and `minutes` are the budget of all.
    """

    launch: Launch
    seeds: Sequence[Task]
    sizes: Sequence[int]
    fixed: bool
    pages: int
    minutes: float
    seconds: float
    fresh: bool

    @property
    def words(self) -> str:
        """The plan in one sentence, for the user who pays for it."""
        trials = ("" if len(self.sizes) == 1 else "up to ") + counted(len(self.sizes), "trial")
        listed = counted(len(self.launch.proxies.proxies), "proxy", "proxies")
        workers = ", ".join([*map(str, self.sizes[:-1]), counted(self.sizes[-1], "worker")])
        return (
            f"{trials} with {workers} through {listed}, "
            f"of about {self.seconds:.0f} s or less: at most {counted(self.pages, 'page')} and {self.minutes:g} min "
            f"in all; what they fetch is kept in {self.launch.journal}"
        )


def plan(
    spider: Spider,
    proxies: str | Path | Sequence[str] | ProxyList | None = None,
    *,
    seeds: Iterable[str | Task] | None = None,
    sizes: Sequence[int] | None = None,
    pages: int | None = None,
    minutes: float | None = None,
    journal: str | Path | None = None,
    fresh: bool = False,
    tell: Callable[[str], None] = lambda line: None,
    **settings: object,
) -> Plan:
    """
    Check everything, and plan what `experiment.run` will do. Nothing is written. The defaults are 2, 4, 8 workers and
    so on up to one a proxy, 20 pages for each worker of each trial, and ten minutes. `tell` gets lines for people.

    Raises UsageError as `pinpool.crawl` does.
    """
    end_if_starting()
    spider.check(seeds=seeds is None)
    start = seeds_of(spider, seeds)
    chosen = proxies_from(proxies)
    for note in chosen.notes:
        tell(note)
    capacity = free_capacity()
    wanted = sorted(set(sizes or doublings(min(len(chosen.proxies), capacity.workers))))
    if shortage := capacity.shortage(wanted[-1]):
        raise SettingsError(f"sizes: {shortage}: give smaller ones")
    budget, least = pages or max(LEAST_BUDGET, PAGES_EACH * sum(wanted)), FEWEST_EACH * wanted[0]
    if budget < least:
        few = f"pages: {budget} are too few for {counted(wanted[0], 'worker')}"
        raise SettingsError(f"{few}: give {least} at least, or smaller sizes")
    launch = Launch(
        spider=spider,
        ref=spider.ref(),
        overrides=settings,
        proxies=chosen,
        proxy_source=source_of(proxies),
        journal=Path(journal or f"{spider.name}.db"),
        workers=wanted[0],
        tell=tell,
    )
    seconds = max(SECONDS, PACES * launch.settings.pace)
    return Plan(launch, start, wanted, sizes is not None, budget, minutes or MINUTES, seconds, fresh)
