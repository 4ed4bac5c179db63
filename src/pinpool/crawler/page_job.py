"""The job of a crawl's workers: fetch the page of a task and run the spider's stage on it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from pinpool.crawler.file_job import ask_for_head, download
from pinpool.errors import DeadlinePassed, FetchFailed
from pinpool.fetch.diagnosis import evidence_of, retry_after
from pinpool.fetch.robots import FORBIDDEN, ask_robots
from pinpool.journal.page_samples import kind_of, may_send, sample_of, was_read
from pinpool.model import FILE_STAGE, Assignment, Call, Charge, Ending, Evidence, Fetched, Sign, Step, Task
from pinpool.policy.faults import FAULTS, fault_of
from pinpool.policy.missing_fields import names_of
from pinpool.policy.one_body import digest_of
from pinpool.pool.deadline import limit
from pinpool.pool.job import JobResult
from pinpool.pool.pin import Pin
from pinpool.pool.pinned_worker import describe
from pinpool.pool.this_worker import goes_on
from pinpool.proxies.redaction import spellings
from pinpool.settings import Settings
from pinpool.spider.extraction import read
from pinpool.spider.loader import load
from pinpool.spider.spider import Spider, SpiderRef

if TYPE_CHECKING:
    import requests


class PageJob:
    """
    Fetches a task's page and runs the spider's stage on it; a file goes into the folder of `parts`.

    `perform` returns None after an extra step, and is called again: on_pin comes before the first page of a pin,
    robots.txt before the first page of a site. What the spider raises is evidence, but for exceptions that are
    `passed` on: these go to whoever calls `perform`.
    """

    def __init__(
        self,
        spider: SpiderRef | Spider,
        settings: Settings,
        parts: Path | None = None,
        passed: tuple[type[BaseException], ...] = (),
    ) -> None:
        self.spider = load(spider) if isinstance(spider, SpiderRef) else spider
        self.settings = settings
        self._parts = parts
        self._passed = passed
        self._sent_kinds: set[str] = set()

    def perform(self, pin: Pin, work: Assignment | Call) -> JobResult | None:
        assert isinstance(work, Assignment)
        step, fetched = Step.HEAD, None
        try:
            with limit(self.settings.deadline):
                until = time.monotonic() + self.settings.deadline
                if self.spider.warm is not None and not pin.warm:
                    warm(self.spider, pin.fetcher.session, self._passed)
                    pin.warm = True
                    return None
                if self.settings.robots:
                    rules = pin.rules_for(work.task.url)
                    if rules is None:
                        pin.heed(work.task.url, ask_robots(pin.fetcher.fetch, work.task.url, until))
                        return None
                    if not rules.allow(work.task.url, pin.agent):
                        return JobResult(Ending.GONE, unasked=FORBIDDEN)
                if work.task.stage != FILE_STAGE:
                    fetched = pin.fetcher.fetch(work.task, until)
                    step = Step.EXTRACT
                    return self._extract(pin, work.task, fetched)
                if work.task.method == "HEAD" or self._parts is None:
                    return ask_for_head(pin, work.task, self.settings, until)
            # Not inside the limit of a page: a file that comes may take long.
            return download(pin, work.task, self.settings, self._parts, goes_on)
        except FetchFailed as failed:
            evidence = refused_login_or_ban(failed.evidence, pin, work.task)
            return JobResult(Ending.FAILED, evidence.status, evidence=evidence)
        except DeadlinePassed:
            warming = self.spider.warm is not None and not pin.warm
            message = f"{'on_pin ' if warming else ''}took longer than {self.settings.deadline:g} s"
            evidence = Evidence(step, Sign.DEADLINE, message)
            if fetched is None:
                return JobResult(Ending.FAILED, evidence=evidence)
            return self._failed(pin, work.task, fetched, evidence)

    def _extract(self, pin: Pin, task: Task, fetched: Fetched) -> JobResult:
        found = read(
            self.spider,
            task,
            fetched,
            self.settings,
            tunnelled=not pin.fetcher.session.pin.asks_proxy(fetched.url),
            notice=self._pass_on,
        )
        if found is None:
            return JobResult(Ending.GONE, fetched.status, fetched.size, note=fetched.note)
        if isinstance(found, Evidence):
            found = found._replace(retry_after=retry_after(fetched))
            return self._failed(pin, task, fetched, found)
        if found.empty and not self.settings.empty_ok:
            nothing = Evidence(Step.PAGE, Sign.EMPTY, "nothing extracted")
            # Its links are followed once the page is believed. Its items hold nothing.
            return self._failed(pin, task, fetched, nothing)._replace(tasks=found.tasks)
        items, tasks = found.items, found.tasks
        digest, fields = digest_of(fetched.body), names_of(found.filled)
        result = JobResult(Ending.OK, fetched.status, fetched.size, items=items, tasks=tasks, note=fetched.note)
        return result._replace(digest=digest, fields=fields)

    def _pass_on(self, error: BaseException) -> None:
        if isinstance(error, self._passed):
            raise error

    def _failed(self, pin: Pin, task: Task, fetched: Fetched, evidence: Evidence) -> JobResult:
        """The page came, but is of no use. The first page of each kind of failure becomes a page sample."""
        if fetched.note:
            evidence = evidence._replace(message=f"{evidence.message}; {fetched.note}")
        fault, sample = fault_of(evidence), None
        kind = kind_of(task.stage, fault, evidence.message, fetched.size)
        if FAULTS[fault].sampled and was_read(fetched.status) and may_send(kind, self._sent_kinds):
            sample = sample_of(kind, fetched, spellings(pin.lease.address))
        return JobResult(Ending.FAILED, fetched.status, fetched.size, evidence, sample=sample)


def warm(spider: Spider, session: requests.Session, passed: tuple[type[BaseException], ...] = ()) -> None:
    """
    Run the spider's on_pin. Raises FetchFailed if that fails: no page was asked for yet, so it is the proxy.

    A failure of the network is reported as it is. Anything else counts as a ban: the cause is unknown; what is `passed`
    on is raised.
    """
    if spider.warm is None:
        return
    try:
        spider.warm(session)
    except DeadlinePassed:
        raise
    except BaseException as error:
        evidence = evidence_of(error) if isinstance(error, Exception) else None
        if evidence is None and isinstance(error, passed):
            raise
        if evidence is None or FAULTS[fault_of(evidence)].charge is Charge.PAGE:
            evidence = Evidence(Step.PAGE, Sign.BAN, describe(error))
        raise FetchFailed(evidence._replace(message=f"on_pin: {evidence.message}")) from None


def refused_login_or_ban(evidence: Evidence, pin: Pin, task: Task) -> Evidence:
    """
    The evidence, but a refused login that the site may have sent counts as a ban. On plain http a hostile site could
    answer 407 and so retire proxy after proxy. Such a proxy has served pages with this login before.
    """
    if evidence.sign is Sign.AUTH and evidence.status and pin.served and task.url.startswith("http:"):
        return evidence._replace(step=Step.PAGE, sign=Sign.BAN)
    return evidence
