"""One page, fetched and read as in a crawl, but without a journal or a worker: what `pinpool try` does."""

import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import NamedTuple

from pinpool.check.question import Question
from pinpool.crawler.page_job import warm
from pinpool.errors import DeadlinePassed, FetchFailed
from pinpool.fetch.direct import DirectFetcher
from pinpool.fetch.fetcher import Fetcher
from pinpool.fetch.robots import ask_robots
from pinpool.fetch.session import first_profile
from pinpool.model import Charge, Evidence, Fault, Fetched, Sign, Step
from pinpool.policy.faults import FAULTS, fault_of
from pinpool.pool.deadline import limit
from pinpool.proxies.proxy import Proxy
from pinpool.spider.extraction import Extracted, read
from pinpool.spider.spider import Spider


class PageTry(NamedTuple):
    """
    One try. `fetched` is the answer, None if none came. `result` is what the spider makes of it, or the evidence of a
    failure; None means that the page is gone or, without an answer, that robots.txt forbids it. `stage` has read it.
    `error` is what the spider's own code raised, or the deadline that ended it. `proxy` is None if none was used.
    """

    fetched: Fetched | None
    result: Extracted | Evidence | None
    stage: str
    error: BaseException | None = None
    proxy: Proxy | None = None

    @property
    def fault(self) -> Fault | None:
        """The fault, None if the site has answered."""
        return fault_of(self.result) if isinstance(self.result, Evidence) else None

    @property
    def settled(self) -> bool:
        """Whether another proxy would not change the result."""
        return self.fault is None or FAULTS[self.fault].charge in (Charge.PAGE, Charge.SITE)

    @property
    def in_spider(self) -> bool:
        """Whether the page came, and the spider's code failed on it."""
        return isinstance(self.result, Evidence) and self.result.step is Step.EXTRACT


def try_proxies(spider: Spider, question: Question, proxies: Iterable[Proxy]) -> Iterator[PageTry]:
    """Try one proxy after another until the result is settled."""
    for proxy in proxies:
        with closing(Fetcher(proxy, spider.settings, first_profile(spider.settings))) as fetcher:
            attempt = _attempt(spider, question, fetcher, proxy)
        yield attempt
        if attempt.settled:
            return


def try_directly(spider: Spider, question: Question) -> PageTry:
    """Try it from this machine's own address."""
    with closing(DirectFetcher(spider.settings)) as fetcher:
        return _attempt(spider, question, fetcher, None)


def try_again(spider: Spider, question: Question, fetched: Fetched) -> PageTry:
    """Let the spider read an earlier answer."""
    try:
        with limit(spider.settings.deadline):
            return _read(spider, question, fetched, tunnelled=True)
    except DeadlinePassed as late:
        return PageTry(fetched, _too_late(spider, Step.EXTRACT), question.stages[0], late)


def other_stages(spider: Spider, question: Question, fetched: Fetched, tried: str) -> dict[str, Extracted]:
    """What stages other than `tried` would make of the page, without those that would make nothing of it."""
    found = {}
    for stage in spider.stages:
        if stage != tried:
            attempt = try_again(spider, question._replace(stages=(stage,)), fetched)
            if isinstance(attempt.result, Extracted) and not attempt.result.empty:
                found[stage] = attempt.result
    return found


def _attempt(spider: Spider, question: Question, fetcher: Fetcher | DirectFetcher, proxy: Proxy | None) -> PageTry:
    settings, step, fetched, task = spider.settings, Step.HEAD, None, question.task
    stage = question.stages[0]
    try:
        with limit(settings.deadline):
            until = time.monotonic() + settings.deadline
            warm(spider, fetcher.session)
            agent = str(fetcher.session.headers.get("User-Agent") or "")
            if settings.robots and not ask_robots(fetcher.fetch, task.url, until).allow(task.url, agent):
                return PageTry(None, None, stage, proxy=proxy)
            fetched = fetcher.fetch(task, until)
            step = Step.EXTRACT
            by_site = proxy is None or proxy.scheme.startswith("socks") or fetched.url.startswith("https:")
            return _read(spider, question, fetched, tunnelled=by_site)._replace(proxy=proxy)
    except FetchFailed as failed:
        late = failed.evidence.sign is Sign.DEADLINE
        evidence = _too_late(spider, failed.evidence.step) if late else failed.evidence
        return PageTry(None, evidence, stage, failed.__context__, proxy)  # on_pin's own error
    except DeadlinePassed as late_error:
        return PageTry(fetched, _too_late(spider, step), stage, late_error, proxy)


def _read(spider: Spider, question: Question, fetched: Fetched, *, tunnelled: bool) -> PageTry:
    """The page as the first stage sees it that makes something of it, or the first of all if none does."""
    first: PageTry | None = None
    for stage in question.stages:
        errors: list[BaseException] = []
        task = question.task._replace(stage=stage)
        result = read(spider, task, fetched, spider.settings, tunnelled=tunnelled, notice=errors.append)
        attempt = PageTry(fetched, result, stage, errors[0] if errors else None)
        first = first or attempt
        if isinstance(result, Extracted) and not result.empty:
            return attempt
        if not isinstance(result, Extracted) and not attempt.in_spider:
            break  # it is no page, whatever the stage
    assert first is not None  # a question has a stage
    return first


def _too_late(spider: Spider, step: Step) -> Evidence:
    return Evidence(step, Sign.DEADLINE, f"took longer than {spider.settings.deadline:g} s")
