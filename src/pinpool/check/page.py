"""One page, fetched and read as in a crawl, but without a journal or a worker: what `pinpool try` does."""

import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import NamedTuple

from pinpool.crawler.page_job import warm
from pinpool.errors import DeadlinePassed, FetchFailed
from pinpool.fetch.direct import DirectFetcher
from pinpool.fetch.fetcher import Fetcher
from pinpool.fetch.robots import ask_robots
from pinpool.fetch.session import first_profile
from pinpool.model import Charge, Evidence, Fault, Fetched, Sign, Step, Task
from pinpool.policy.faults import FAULTS, fault_of
from pinpool.pool.deadline import limit
from pinpool.proxies.proxy import Proxy
from pinpool.spider.extraction import Extracted, read
from pinpool.spider.spider import Spider


class PageTry(NamedTuple):
    """
    One try. `fetched` is the answer, None if none came. `result` is what the spider makes of it, or the evidence of a
    failure; None means that the page is gone or, without an answer, that robots.txt forbids it. `proxy` is None if
    none was used.
    """

    fetched: Fetched | None
    result: Extracted | Evidence | None
    proxy: Proxy | None = None

    @property
    def fault(self) -> Fault | None:
        """The fault, None if the site has answered."""
        return fault_of(self.result) if isinstance(self.result, Evidence) else None

    @property
    def settled(self) -> bool:
        """Whether another proxy would not change the result."""
        return self.fault is None or FAULTS[self.fault].charge in (Charge.PAGE, Charge.SITE)


def try_proxies(spider: Spider, task: Task, proxies: Iterable[Proxy]) -> Iterator[PageTry]:
    """Try one proxy after another until the result is settled."""
    for proxy in proxies:
        with closing(Fetcher(proxy, spider.settings, first_profile(spider.settings))) as fetcher:
            attempt = _attempt(spider, task, fetcher, proxy)
        yield attempt
        if attempt.settled:
            return


def try_directly(spider: Spider, task: Task) -> PageTry:
    """Try it from this machine's own address."""
    with closing(DirectFetcher(spider.settings)) as fetcher:
        return _attempt(spider, task, fetcher, None)


def try_again(spider: Spider, task: Task, fetched: Fetched) -> PageTry:
    """Let the spider read an earlier answer."""
    try:
        with limit(spider.settings.deadline):
            return PageTry(fetched, read(spider, task, fetched, spider.settings, tunnelled=True))
    except DeadlinePassed:
        return PageTry(fetched, _too_late(spider, Step.EXTRACT))


def _attempt(spider: Spider, task: Task, fetcher: Fetcher | DirectFetcher, proxy: Proxy | None) -> PageTry:
    settings, step, fetched = spider.settings, Step.HEAD, None
    try:
        with limit(settings.deadline):
            until = time.monotonic() + settings.deadline
            warm(spider, fetcher.session)
            agent = str(fetcher.session.headers.get("User-Agent") or "")
            if settings.robots and not ask_robots(fetcher.fetch, task.url, until).allow(task.url, agent):
                return PageTry(None, None, proxy)
            fetched = fetcher.fetch(task, until)
            step = Step.EXTRACT
            by_site = proxy is None or proxy.scheme.startswith("socks") or fetched.url.startswith("https:")
            return PageTry(fetched, read(spider, task, fetched, settings, tunnelled=by_site), proxy)
    except FetchFailed as failed:
        late = failed.evidence.sign is Sign.DEADLINE
        return PageTry(None, _too_late(spider, failed.evidence.step) if late else failed.evidence, proxy)
    except DeadlinePassed:
        return PageTry(fetched, _too_late(spider, step), proxy)


def _too_late(spider: Spider, step: Step) -> Evidence:
    return Evidence(step, Sign.DEADLINE, f"took longer than {spider.settings.deadline:g} s")
