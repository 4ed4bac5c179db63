"""
Test a spider without processes, network or proxies: `crawl` runs it over pages that you give.

The crawl loop, the journal, the extraction and every decision are those of a real crawl. Only the engine is a
`FakeEngine`: time is simulated, so retries and rests take none.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, TypeVar

from pinpool.crawler.api import Run
from pinpool.crawler.file_store import FileStore, file_folder
from pinpool.crawler.loop import Loop
from pinpool.crawler.page_job import PageJob
from pinpool.crawler.signals import Stop
from pinpool.errors import FetchFailed
from pinpool.fetch.fetcher import Fetcher, Received
from pinpool.fetch.sockets import Progress
from pinpool.files import temporary_folder
from pinpool.journal.records import About
from pinpool.journal.writer import Journal
from pinpool.model import Assignment, Evidence, Fetched, Sign, Step, Task
from pinpool.policy.reputation import Reputation
from pinpool.pool.clock import FakeClock
from pinpool.pool.fake import FakeEngine, spare_proxies
from pinpool.pool.job import JobResult
from pinpool.pool.lease_types import Lease
from pinpool.pool.pin import Pin
from pinpool.settings import Settings, settings_from
from pinpool.spider.loader import load, parse_ref
from pinpool.spider.seeds import seeds_of
from pinpool.spider.spider import Spider
from pinpool.urls import clean_url

__all__ = ["crawl", "Crawled", "FakeEngine", "FakeClock", "Fetched", "Evidence", "Step", "Sign"]

T = TypeVar("T")

#: The headers of a page that is given as bytes.
_OF_BYTES = {"content-type": "text/html"}

#: What a request gets: a page, HTML as text or bytes; a status without a body; a whole answer; or a failed exchange.
Answer = str | bytes | int | Fetched | Evidence
#: Answers by URL, or a function of the task and the number of the proxy, from 1 on.
Pages = Mapping[str, Answer] | Callable[[Task, int], Answer]


class Crawled(NamedTuple):
    """
    What a crawl came to. `end` is ``complete``, ``stopped`` if a stage yielded nothing, ``limited`` if `limit` ended
    it, or ``starved`` if no usable proxy was left.

    `failures` and `stats` are the documents of `pinpool failures --json` and `pinpool stats --json`. `requests` are the
    URLs of all attempts, in order; `missing` are those that `pages` does not have, each once.
    """

    end: str
    items: list[dict[str, Any]]
    failures: list[dict[str, Any]]
    stats: dict[str, Any]
    requests: list[str]
    missing: list[str]


def crawl(
    spider: Spider | str | Path,
    pages: Pages,
    *,
    seeds: Iterable[str | Task] | None = None,
    proxies: int = 4,
    workers: int | None = None,
    limit: int | None = None,
    max_failures: int = 0,
    seconds: float = 0.1,
    **settings: object,
) -> Crawled:
    """
    Run a whole crawl of `spider`, or of the one in the file of that name, over `pages`. A URL that is not in a mapping
    is answered with 404.

    `seeds` replace those of the spider, and `settings` overrule its own. Each answer takes `seconds` of simulated time;
    with more than three, an idle proxy may be asked for the page too. `limit` is a number of pages after which to stop,
    `max_failures` of pages that may come to nothing. Downloaded files go to a folder that ends with the crawl, unless
    the setting `files` names one.
    The hook on_pin is not called, and no pace is kept. What a function `pages` raises ends the crawl and is raised
    here, as are SpiderError and SettingsError.
    """
    if not isinstance(spider, Spider):
        spider = load(parse_ref(str(spider)))
    chosen = settings_from(settings, spider.settings)
    spider.check(seeds=seeds is None)
    site = _Site(pages)
    pins = dict[int, Pin]()

    def perform(lease: Lease, work: Assignment) -> tuple[JobResult, float]:
        pin = pins.get(lease.proxy) or pins.setdefault(lease.proxy, _pin(lease, chosen, site))
        while (result := job.perform(pin, work)) is None:
            continue  # it has asked for robots.txt
        return result, seconds

    standings, clock = spare_proxies(proxies), FakeClock()
    workers = workers or proxies
    engine = FakeEngine(perform, standings, workers=workers, settings=chosen, clock=clock)
    with TemporaryDirectory(dir=temporary_folder()) as folder:
        path = Path(folder, "journal.db")
        places = file_folder(chosen, path, b"")
        job = PageJob(spider, chosen, places.parts)
        about = About(spider.name, spider.file, "", workers, engine.name, "", "{}", f"{proxies} fake", b"")
        with (
            Journal.create(path, about, clock.epoch(), seeds_of(spider, seeds)) as journal,
            FileStore(journal, places) as files,
        ):
            reputation = Reputation(chosen.cooling)
            for row in journal.enroll([(standing.address.label, "") for standing in standings]):
                reputation.admit(row.id, row.label)
            loop = Loop(
                engine,
                journal,
                reputation,
                chosen,
                workers=workers,
                stop=Stop(),
                limit=limit,
                max_failures=max_failures,
                committed=files.place,
                files=files,
                random=Random(1),
                clock=clock,
            )
            end = loop.run()
            files.finish()
            journal.finish(end, clock.epoch())
        run = Run(path)
        return Crawled(end, list(run.items()), run.failures(), run.stats, site.requests, site.missing)


class _Site:
    """Answers in place of a site, through whatever proxy."""

    def __init__(self, pages: Pages) -> None:
        self._pages = {clean_url(url): answer for url, answer in pages.items()} if isinstance(pages, Mapping) else pages
        self.requests: list[str] = []
        self.missing: list[str] = []

    def answer(self, task: Task, proxy: int) -> Fetched:
        """The answer to a task through a proxy. Raises FetchFailed where it is evidence of a failed exchange."""
        url = task.url.partition("#")[0]
        self.requests.append(url)
        if isinstance(self._pages, Mapping):
            if url not in self._pages and url not in self.missing:
                self.missing.append(url)
            answer = self._pages.get(url, 404)
        else:
            answer = self._pages(task, proxy)
        if isinstance(answer, Evidence):
            raise FetchFailed(answer)
        if isinstance(answer, Fetched):
            return answer
        status, kind = (answer, "") if isinstance(answer, int) else (200, "text/html")
        body = answer if isinstance(answer, bytes) else b""
        if isinstance(answer, str):
            body, kind = answer.encode(), "text/html; charset=utf-8"
        return Fetched(url, status, {"content-type": kind}, body, 0.0, len(body))


class _SiteFetcher(Fetcher):
    """A fetcher whose answers come from a `_Site`."""

    def __init__(self, lease: Lease, settings: Settings, site: _Site) -> None:
        super().__init__(lease.address, settings)
        self._proxy = lease.proxy
        self._site = site

    def fetch(self, task: Task, until: float) -> Fetched:
        return self._site.answer(task, self._proxy)

    def stream(
        self, task: Task, until: float, headers: Mapping[str, str], take: Callable[[Received, Progress], T]
    ) -> T:
        found = self._site.answer(task, self._proxy)
        headers = {} if found.headers == _OF_BYTES else found.headers  # bytes may be anything
        received = Received(found.url, found.status, headers, len(found.body), True, iter([found.body]))
        return take(received, Progress())


def _pin(lease: Lease, settings: Settings, site: _Site) -> Pin:
    pin = Pin(lease, settings)
    pin.fetcher = _SiteFetcher(lease, settings, site)
    pin.warm = True  # on_pin would use the network
    return pin
