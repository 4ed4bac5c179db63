"""
From a spider, a list of proxies and a journal to a run. Everything is checked before anything is written.
"""

import json
import secrets
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

from pinpool.crawler import PRELOAD
from pinpool.crawler.file_store import FileStore, check_folder, file_folder
from pinpool.crawler.list_reload import ListReload, admit
from pinpool.crawler.loop import Loop
from pinpool.crawler.page_job import PageJob
from pinpool.crawler.run_log import log
from pinpool.crawler.signals import Stop, answering_signals
from pinpool.errors import StorageError
from pinpool.journal.records import About, RunEnd, settings_text
from pinpool.journal.writer import Journal
from pinpool.model import Event, EventKind, Task, TaskState
from pinpool.output.outputs import Outputs, first_marks
from pinpool.output.target import Target
from pinpool.policy.reputation import Reputation
from pinpool.pool.child_process import own_folder
from pinpool.pool.clock import SYSTEM_CLOCK
from pinpool.pool.engine import Engine
from pinpool.pool.ground import default_start_method
from pinpool.pool.registry import EngineChoice, EnginePlan, make_engine
from pinpool.proxies.proxy import Proxy, ProxyList
from pinpool.proxies.redaction import Redaction, redacting
from pinpool.proxies.watch import WatchedList
from pinpool.settings import RULES, Settings, settings_from
from pinpool.spider.shipping import ship
from pinpool.spider.spider import Spider, SpiderRef
from pinpool.spider.user_errors import is_from_page, page_trace
from pinpool.stats.resources import Meter
from pinpool.stats.snapshot import Snapshot


@dataclass(frozen=True)
class Ended:
    """How a start of a run ended. `why`: what it lacks if it is starved."""

    end: RunEnd
    failed: int
    why: str = ""

    @property
    def limited(self) -> bool:
        """True if it ended at the wanted number of pages."""
        return self.end == "limited"


@dataclass(frozen=True)
class Launch:
    """
    A checked run that is ready to go. `overrides` are settings in place of the spider's.

    With `forgiving`, retired proxies of the list are tried once more, because the user named the list again. `listing`
    is the file of the list, if it is from one: it is read again at SIGHUP, and with `watching` whenever it changes.
    `tell` gets lines for people, also the traceback of what a spider has raised and is passed on.

    Raises SettingsError for an override that cannot be used. The engine's `choice` must be checked already.
    """

    spider: Spider
    ref: SpiderRef
    overrides: Mapping[str, object]
    proxies: ProxyList
    proxy_source: str
    journal: Path
    workers: int
    choice: EngineChoice = field(default_factory=EngineChoice)
    outputs: Sequence[Target] = ()
    limit: int | None = None
    max_failures: int = 0
    forgiving: bool = False
    listing: WatchedList | None = None
    watching: bool = False
    tell: Callable[[str], None] = lambda line: None
    stop: Stop = field(default_factory=Stop)
    settings: Settings = field(init=False)

    def __post_init__(self) -> None:
        settings = settings_from(self.overrides, self.spider.settings)
        if not self.choice.has_use_for("threads"):  # a spider's own setting, or that of an earlier start
            settings = replace(settings, threads=1)
        object.__setattr__(self, "settings", settings)
        check_folder(self.settings, self.journal)

    def begin(self, seeds: Iterable[Task]) -> Journal:
        """Make the journal of a new run, with its seeds and outputs. Raises JournalError, and leaves no file then."""
        about = self._about(secrets.token_bytes(16))
        return Journal.create(self.journal, about, time.time(), seeds, first_marks(self.outputs))

    def go_on(self) -> Journal:
        """
        Open the journal of an earlier start. The pages of a stage that yielded nothing wait again: the spider may be
        mended. Raises JournalError, also if it belongs to another spider.
        """
        journal = Journal.open(self.journal)
        try:
            journal.resume(self._about(b""), time.time())
            journal.ask_again([stage.stage for stage in journal.stage_yields() if stage.is_barren])
        except BaseException:
            journal.close()
            raise
        return journal

    def go(self, journal: Journal, watch: Callable[[Snapshot], None] = lambda view: None) -> Ended:
        """Crawl to the end, or until somebody asks to stop. Closes the journal, whatever happens."""
        redaction = Redaction(self.proxies.proxies)
        with (
            journal,
            FileStore(journal, file_folder(self.settings, self.journal, journal.about.salt)) as files,
            Outputs(journal, self.outputs, self.tell) as outputs,
            answering_signals(self.stop),
            redacting(redaction),
        ):
            engine, reputation, present = self._engage(journal, files.parts)
            reloading = ListReload(
                engine,
                journal,
                reputation,
                present,
                listing=self.listing,
                watching=self.watching,
                workers=self.workers,
                stop=self.stop,
                tell=self.tell,
                learn=redaction.learn,
            )
            rules = {name: getattr(self.settings, name) for name in (*RULES, "empty_ok", "files")}
            journal.event(Event(time.time(), EventKind.RULES, detail=json.dumps(rules)))
            meter = Meter(SYSTEM_CLOCK, threads=self.settings.threads)

            def committed() -> None:
                files.place()  # first, so that an output names no file that is not there
                outputs.advance()

            def look(view: Snapshot) -> None:
                meter.look(view.pages, view.census.workers)
                watch(view)

            loop = Loop(
                engine,
                journal,
                reputation,
                self.settings,
                workers=self.workers,
                stop=self.stop,
                limit=self.limit,
                max_failures=self.max_failures,
                committed=committed,
                watch=look,
                between=reloading,
                files=files,
                quits=self.choice.quits,
            )
            numbers = len(self.proxies.proxies), self.workers
            log.info("run of %s starts with %d proxies and %d workers", self.spider.name, *numbers)
            try:
                try:
                    engine.start()
                    end = loop.run()
                    # In an inline run the CPU time of a worker is not to be told from our own.
                    if self.choice.where != "caller" and (measured := meter.event()) is not None:
                        journal.event(measured)
                finally:
                    engine.close()
                files.finish()
                outputs.finish()
            except StorageError:
                raise  # writing this to the journal would only wait and fail once more
            except BaseException as error:
                with suppress(StorageError):
                    journal.finish("interrupted", time.time())
                if is_from_page(error):
                    self.tell(redaction(page_trace(error)))
                raise
            journal.finish(end, time.time())
            log.info("run of %s ends: %s", self.spider.name, end)
            return Ended(end, journal.task_counts()[TaskState.FAILED], loop.why)

    def _engage(self, journal: Journal, parts: Path) -> tuple[Engine, Reputation, dict[Proxy, int]]:
        """The engine, not started yet, the reputation with what the journal knows of each proxy, and their ids."""
        salt, now = journal.about.salt, time.time()
        records = journal.enroll([(proxy.label, proxy.fingerprint(salt)) for proxy in self.proxies.proxies])
        reputation = Reputation(self.settings.cooling)
        standings = [
            admit(reputation, known, proxy, now, forgiving=self.forgiving)
            for proxy, known in zip(self.proxies.proxies, records, strict=True)
        ]
        ref, files = self.ref, None
        if self.choice.where == "hosts":
            files = Path(tempfile.mkdtemp(prefix="spider-", dir=own_folder()))
            ref, parts = ship(ref, files), parts.absolute()
        job = partial(PageJob, ref, self.settings, parts, self.choice.passed)
        plan = EnginePlan(job, standings, self.settings, self.workers, self.choice, PRELOAD, logs_prints=True)
        plan = plan._replace(files=files, parts=parts)
        engine = make_engine(plan)
        return engine, reputation, {one.address: one.proxy for one in standings}

    def _about(self, salt: bytes) -> About:
        has_start_method = self.choice.has_use_for("start_method")
        return About(
            spider=self.spider.name,
            spider_ref=str(self.ref),
            version=version("pinpool"),
            workers=self.workers,
            engine=self.choice.name,
            start_method=self.choice.start_method or (default_start_method() if has_start_method else None),
            settings=settings_text(self.overrides, self.ref.arguments, self.choice.address),
            proxies=self.proxy_source,
            salt=salt,
        )
