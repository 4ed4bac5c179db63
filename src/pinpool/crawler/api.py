"""The library's front: `crawl` and `resume` run a spider and return a `Run`, which reads the journal."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pinpool.crawler.launch import Ended, Launch
from pinpool.errors import (
    JournalError,
    NoUsableProxy,
    PinpoolError,
    SettingsError,
    SpiderError,
    StorageError,
    UsageError,
)
from pinpool.files import SQLITE_SIDES
from pinpool.journal.reader import Reader
from pinpool.journal.records import RunInfo, read_settings
from pinpool.journal.sqlite import refuse_claimed
from pinpool.journal.verify import Coverage, coverage
from pinpool.journal.writer import Journal
from pinpool.journal.yields import RunYield
from pinpool.model import EventKind, Task
from pinpool.output.outputs import check_targets
from pinpool.output.target import Target, parse_target
from pinpool.pool.child_process import end_if_starting
from pinpool.pool.ground import check_ground
from pinpool.pool.registry import DEFAULT_ENGINE, EngineChoice
from pinpool.proxies.proxy import ProxyList
from pinpool.proxies.source import VARIABLE, proxies_from, source_of
from pinpool.proxies.watch import WatchedList
from pinpool.settings import settings_from
from pinpool.spider.loader import load, parse_ref
from pinpool.spider.seeds import seeds_of
from pinpool.spider.spider import Spider
from pinpool.stats.capacity import free_capacity
from pinpool.stats.columns import stats_document
from pinpool.stats.fields import StageFields, fields_filled
from pinpool.stats.figures import figures
from pinpool.stats.prometheus import Metrics
from pinpool.stats.recommendation import advice_after
from pinpool.stats.resources import Usage, Utilization
from pinpool.stats.snapshot import Snapshot
from pinpool.stats.verdict import verdict
from pinpool.text import counted


class Run:
    """A run as its journal has it, during the run or afterwards. Nothing is kept in memory."""

    def __init__(self, journal: Path, ended: Ended | None = None) -> None:
        self.journal = journal
        self.ended = ended

    def __repr__(self) -> str:
        return f"<Run {self.journal} {self.stats['run']['state']}>"

    @property
    def complete(self) -> bool:
        """True if the journal proves that every task ended exactly once and none failed."""
        return self.coverage.complete

    @property
    def coverage(self) -> Coverage:
        """The result of `pinpool verify`."""
        return self.checked()

    def checked(self, *, hashes: bool = False) -> Coverage:
        """The result of `pinpool verify`; with `hashes` every downloaded file is read, too."""
        with Reader(self.journal) as reader:
            return coverage(reader, hashes=hashes)

    @property
    def found(self) -> RunYield:
        """What each stage has yielded, and what keeps the run from being a success."""
        with Reader(self.journal) as reader:
            return reader.run_yield()

    @property
    def verdict(self) -> str:
        """What became of the run, in a few words: "complete" only if nothing is missing."""
        with Reader(self.journal) as reader:
            info = reader.run_info()
            return verdict(info.state, info.tasks["failed"], reader.run_yield())

    @property
    def fields(self) -> list[StageFields]:
        """Which fields of the items are filled, stage by stage. Reads every item."""
        with Reader(self.journal) as reader:
            return fields_filled(reader.items())

    @property
    def stats(self) -> dict[str, Any]:
        """The document of `pinpool stats --json`. Raises JournalError."""
        with Reader(self.journal) as reader:
            return stats_document(reader.run_info(), reader.proxies(), figures(reader.attempts()), reader.pins())

    @property
    def advice(self) -> str:
        """A sentence: would another number of workers do better? Empty if the run was too short to say."""
        return self.advice_on(self.stats)

    def advice_on(self, stats: dict[str, Any]) -> str:
        """The advice, when the `stats` are there already: these read every attempt."""
        with Reader(self.journal) as reader:
            utilization = Utilization.parse(reader.last(EventKind.WORKED))
            used = Usage.parse(reader.last(EventKind.MEASURED))
            address = read_settings(reader.run_info().settings).address
        return advice_after(stats, utilization, used, address)

    @property
    def proxies(self) -> list[dict[str, Any]]:
        """The figures of each proxy, as in `stats`."""
        proxies: list[dict[str, Any]] = self.stats["proxies"]
        return proxies

    def items(self) -> Iterator[dict[str, Any]]:
        """Every item once, in the order in which they were stored. Parsed JSON objects."""
        with Reader(self.journal) as reader:
            for _, _, text in reader.items():
                yield json.loads(text)

    def failures(self) -> list[dict[str, Any]]:
        """The tasks that were given up, each with its history; the document of `pinpool failures --json`."""
        with Reader(self.journal) as reader:
            return list(reader.failures())


def crawl(
    spider: Spider | str | Path,
    proxies: str | Path | Sequence[str] | ProxyList | None = None,
    *,
    workers: int | None = None,
    journal: str | Path | None = None,
    outputs: Iterable[str | Target] = (),
    seeds: Iterable[str | Task] | None = None,
    limit: int | None = None,
    max_failures: int = 0,
    fresh: bool = False,
    reload: bool = False,
    engine: str = DEFAULT_ENGINE,
    start_method: str | None = None,
    raises: bool = False,
    address: str | None = None,
    metrics: str | Path | None = None,
    watch: Callable[[Snapshot], None] = lambda view: None,
    tell: Callable[[str], None] = lambda line: None,
    **settings: object,
) -> Run:
    """
    Scrape a site. Returns when all is done, or after Ctrl-C. `spider` may be the name of a file, Python or TOML.

    `proxies` is the path of a list, or its lines; without it PINPOOL_PROXIES is read. By default there is one worker
    for each proxy, and `journal` is ``<spider>.db`` in the working directory. `outputs` are ``FILE[:FORMAT]``, appended
    to. `limit` is the number of pages after which to stop. A stage whose first pages all yield nothing is stopped,
    unless they are no more than `max_failures`. `fresh` keeps an earlier journal under another name and starts over.
    `engine` carries the workers: "processes", "inline" (in this process, one page after another) or "ray", for which
    there is the `address` of a cluster. With `raises` (inline) the first exception of the spider ends the run and is
    raised here. With `reload` the list's file is watched: new lines join within two seconds, removed ones retire when
    their page is done; without it, only SIGHUP does that. `metrics` is a file, ending in .prom, that is kept up to date
    for Prometheus. `watch` gets a snapshot many times a second, `tell` gets lines for people. `settings` override those
    of the spider.

    Raises UsageError before anything is written; NoUsableProxy if no proxy is left (the run can be resumed).
    """
    if not isinstance(spider, Spider | str | Path):
        raise SpiderError(
            f"crawl() takes a Spider, not {type(spider).__name__}: give what a function returns a name at the top level"
            " of the file, shoes = spider(...), and crawl that"
        )
    end_if_starting()
    choice = EngineChoice(engine, start_method, raises, address)
    choice.check(threads=settings_from(settings).threads > 1)
    check_ground(choice.where)
    if not isinstance(spider, Spider):
        spider = load(parse_ref(str(spider)))
    chosen = proxies_from(proxies)
    path = Path(journal or f"{spider.name}.db")
    launch = Launch(
        spider=spider,
        ref=spider.ref(),
        overrides=settings,
        proxies=chosen,
        proxy_source=source_of(proxies),
        journal=path,
        workers=_fitting(workers, choice, settings_from(settings, spider.settings).threads, chosen, tell),
        choice=choice,
        outputs=_targets(outputs),
        limit=limit,
        max_failures=max_failures,
        listing=_listing(proxies, reload=reload),
        watching=reload,
        tell=tell,
    )
    spider.check(seeds=seeds is None)
    tasks = seeds_of(spider, seeds)
    refuse_claimed(path)
    check_targets(launch.outputs, _files_in_use(launch, proxies, metrics))
    gauges = Metrics(Path(metrics), path, tell) if metrics else None
    if path.exists():
        tell(f"{path}: the earlier run is kept as {make_way(path, fresh=fresh)}")
    journal_of_run = launch.begin(tasks)
    made = path.stat()
    try:
        return _go(launch, journal_of_run, watch, gauges)
    except (UsageError, StorageError):
        _remove_unused(path, made)
        raise


def _remove_unused(path: Path, made: os.stat_result) -> None:
    """Remove the journal of a run that could not even begin: there is nothing in it to go on with."""
    with suppress(PinpoolError, OSError), Reader(path) as reader:
        if reader.place().attempt == 0 and os.path.samestat(made, path.stat()):
            path.unlink()


def resume(
    journal: str | Path,
    proxies: str | Path | Sequence[str] | ProxyList | None = None,
    *,
    workers: int | None = None,
    outputs: Iterable[str | Target] = (),
    limit: int | None = None,
    max_failures: int = 0,
    reload: bool = False,
    engine: str | None = None,
    raises: bool = False,
    address: str | None = None,
    metrics: str | Path | None = None,
    watch: Callable[[Snapshot], None] = lambda view: None,
    tell: Callable[[str], None] = lambda line: None,
    **settings: object,
) -> Run:
    """
    Go on with a run where it stopped, however it stopped. What is not given is as it was, also the list of proxies and
    the arguments of the spider. Another `engine` is that of later starts too.
    If a list is given, its retired proxies are tried once more. The rest as in `crawl`, also what is raised.
    """
    end_if_starting()
    path = Path(journal)
    refuse_claimed(path)
    with Reader(path) as reader:
        info = reader.run_info()
        earlier = reader.outputs()
    recorded = read_settings(info.settings)
    choice = resumed_choice(info, engine, raises=raises, address=address)
    choice.check(threads=settings_from(settings).threads > 1)
    check_ground(choice.where)
    ref = parse_ref(info.spider_ref)._replace(arguments=recorded.arguments)
    source = info.proxies or None if proxies is None else proxies
    chosen = proxies_from(source)
    spider, overrides = load(ref), {**recorded.settings, **settings}
    if spider.name != info.spider:
        raise JournalError(
            f"{path}: belongs to the spider {info.spider}, not {spider.name}: name another journal, "
            f"or name the spider {info.spider} again"
        )
    launch = Launch(
        spider=spider,
        ref=spider.origin or ref,  # of a TOML spider as it is now
        overrides=overrides,
        proxies=chosen,
        proxy_source=info.proxies if proxies is None else source_of(proxies),
        journal=path,
        workers=_fitting(
            workers or info.workers, choice, settings_from(overrides, spider.settings).threads, chosen, tell
        ),
        choice=choice,
        outputs=_targets(outputs),
        limit=limit,
        max_failures=max_failures,
        forgiving=proxies is not None,
        listing=_listing(source, reload=reload),
        watching=reload,
        tell=tell,
    )
    check_targets(launch.outputs, _files_in_use(launch, source, metrics), earlier)
    gauges = Metrics(Path(metrics), path, tell) if metrics else None
    return _go(launch, launch.go_on(), watch, gauges)


def resumed_choice(info: RunInfo, engine: str | None, *, raises: bool, address: str | None) -> EngineChoice:
    """The engine of a start that goes on with this run: what is not given is as it was, if the engine is."""
    if engine not in (None, info.engine):
        return EngineChoice(engine, None, raises, address)
    return EngineChoice(info.engine, info.start_method, raises, address or read_settings(info.settings).address)


def make_way(journal: Path, *, fresh: bool) -> Path:
    """
    Rename an earlier journal to ``<name>.<time>.db`` if its run is finished, or with `fresh`. Returns the new path.

    Raises JournalError if it holds an unfinished run, is no journal, or is in use.
    """
    refuse_claimed(journal)
    with Reader(journal) as reader:
        info = reader.run_info()
    if not fresh and info.state != "complete":
        raise JournalError(
            f"{journal}: holds a run of the spider {info.spider} that is {info.state}: "
            f"`pinpool resume {journal}` goes on with it, --fresh keeps it under another name and starts over"
        )
    Journal.open(journal).close()  # also folds the write-ahead log of a killed run into the file
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    target = journal.with_name(f"{journal.stem}.{stamp}{journal.suffix}")
    if target.exists():
        raise JournalError(f"{target}: exists already: wait a second and try again")
    for suffix in ("", *SQLITE_SIDES):
        side = Path(f"{journal}{suffix}")
        if side.exists():
            side.rename(f"{target}{suffix}")
    return target


def _go(launch: Launch, journal: Journal, watch: Callable[[Snapshot], None], gauges: Metrics | None) -> Run:
    def watch_all(snapshot: Snapshot) -> None:
        watch(snapshot)
        if gauges is not None:
            gauges(snapshot)

    try:
        ended = launch.go(journal, watch_all)
    finally:
        if gauges is not None:
            gauges.finish()
    if ended.end == "starved":
        raise NoUsableProxy(
            f"{ended.why}\n`pinpool stats {launch.journal}` says more, "
            f"`pinpool resume {launch.journal} -p LIST` goes on, with a better list or at a better time"
        )
    return Run(launch.journal, ended)


def _fitting(
    wanted: int | None, choice: EngineChoice, threads: int, proxies: ProxyList, tell: Callable[[str], None]
) -> int:
    for note in proxies.notes:
        tell(note)
    listed = len(proxies.proxies)
    fitting = wanted or listed
    if choice.where != "hosts":
        capacity = free_capacity(fitting if choice.where == "caller" else threads)
        shortage, fitting = capacity.shortage(fitting), min(fitting, capacity.workers)
        if shortage:
            tell(f"{shortage}, so {fitting:,} are started")
    if fitting > listed:
        tell(f"{fitting} workers on {counted(listed, 'proxy', 'proxies')}: {fitting - listed} of them wait for a spare")
    return fitting


def _listing(proxies: str | Path | Sequence[str] | ProxyList | None, *, reload: bool) -> WatchedList | None:
    """The file of the list, None if it is not from a file. Raises SettingsError if such a list should be watched."""
    source = os.environ.get(VARIABLE, "") if proxies is None else proxies
    # Path.is_file raises where the variable holds a list that is too long for a path.
    if isinstance(source, str | Path) and str(source) != "-" and os.path.isfile(source):  # noqa: PTH113
        return WatchedList(source)
    if reload:
        raise SettingsError("only a list of proxies in a file can be watched; name one with -p FILE")
    return None


def _files_in_use(
    launch: Launch, proxies: str | Path | Sequence[str] | ProxyList | None, metrics: str | Path | None
) -> dict[str, str | Path]:
    """The files of a run by what they are: no output may be one of them."""
    source = os.environ.get(VARIABLE, "") if proxies is None else source_of(proxies)
    module = sys.modules.get(launch.ref.module or "")
    spider = launch.ref.path or getattr(module, "__file__", None)
    files = {
        "the journal": launch.journal,
        "the list of proxies": source,
        "the spider": spider,
        "the file of metrics": metrics,
    }
    return {name: path for name, path in files.items() if path}


def _targets(outputs: Iterable[str | Target]) -> list[Target]:
    return [parse_target(output) if isinstance(output, str) else output for output in outputs]
