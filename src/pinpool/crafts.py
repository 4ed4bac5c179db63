"""What a worker can be good at: crawling with a spider, or calling any function through its pin."""

from __future__ import annotations

import pickle
import time
import traceback

from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from pinpool.deadline import limit
from pinpool.errors import DeadlinePassed, FetchFailed
from pinpool.extract import extract
from pinpool.faults import answer, is_gone
from pinpool.fetch import evidence_of
from pinpool.model import Assignment, Ending, Evidence, Fetched, Settings, Sign, Step, Task
from pinpool.spider import SpiderRef, load
from pinpool.worker import Done, Pin, describe

__all__ = ["Calling", "Crawling"]


class Crawling:
    """Fetches a task's page and runs the spider's stage on it."""

    def __init__(self, ref: SpiderRef, settings: Settings) -> None:
        self.spider = load(ref)
        self.settings = settings

    def perform(self, pin: Pin, work: Assignment | bytes) -> Done:
        assert isinstance(work, Assignment)
        step, fetched = Step.HEAD, None
        try:
            with limit(self.settings.deadline):
                until = time.monotonic() + self.settings.deadline
                if not pin.warm:
                    self._warm(pin)
                fetched = pin.fetcher.fetch(work.task, until)
                step = Step.EXTRACT
                return self._judge(pin, work.task, fetched)
        except FetchFailed as failed:
            evidence = _doubted(failed.evidence, pin, work.task)
            return Done(Ending.FAILED, evidence.status, evidence=evidence)
        except DeadlinePassed:
            told = f"took longer than {self.settings.deadline:g} s"
            size, status = (fetched.size, fetched.status) if fetched else (0, None)
            return Done(Ending.FAILED, status, size, Evidence(step, Sign.DEADLINE, told))

    def _warm(self, pin: Pin) -> None:
        if self.spider.warm is not None:
            try:
                self.spider.warm(pin.fetcher.session)
            except Exception as error:  # noqa: BLE001  whatever it is, this pin did not come to life
                evidence = evidence_of(error) or Evidence(Step.PAGE, Sign.BAN, f"on_pin: {describe(error)}")
                raise FetchFailed(evidence) from None
        pin.warm = True

    def _judge(self, pin: Pin, task: Task, fetched: Fetched) -> Done:
        status, settings = fetched.status, self.settings
        # What comes through a tunnel was said by the site: its 407 is no word of the proxy.
        tunnelled = fetched.url.startswith("https:") or pin.lease.address.scheme.startswith("socks")
        found = answer(status, settings.ban_status, tunnelled=tunnelled)
        if found is None and is_gone(status):
            return Done(Ending.GONE, status, fetched.size)
        if found is not None:
            return Done(
                Ending.FAILED, status, fetched.size, found._replace(retry_after=_retry_after(fetched))
            )
        extracted = extract(self.spider, task, fetched, settings)
        if isinstance(extracted, Evidence):
            return Done(Ending.FAILED, status, fetched.size, extracted)
        if extracted.empty and not settings.empty_ok:
            return Done(
                Ending.FAILED, status, fetched.size, Evidence(Step.PAGE, Sign.EMPTY, "nothing extracted")
            )
        return Done(Ending.OK, status, fetched.size, items=extracted.items, tasks=extracted.tasks)


def _doubted(evidence: Evidence, pin: Pin, task: Task) -> Evidence:
    """
    A refused login, unless the site may have said it: on plain http a hostile site could answer 407 and have proxy
    after proxy retired. One that has served pages with this login is taken for banned.
    """
    if evidence.sign is Sign.AUTH and evidence.status and pin.served and task.url.startswith("http:"):
        return evidence._replace(step=Step.PAGE, sign=Sign.BAN)
    return evidence


def _retry_after(fetched: Fetched) -> float | None:
    """The seconds that the answer asks to wait, by number or by date; None if it does not, or makes no sense."""
    text = fetched.headers.get("retry-after")
    if not text:
        return None
    try:
        return Retry().parse_retry_after(text)
    except (InvalidHeader, ValueError, OverflowError):  # 5,000 digits, or a year that no calendar has
        return None


class Calling:
    """Calls a pickled function. What it raises through the network is the proxy's affair, all else the caller's."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def perform(self, pin: Pin, work: Assignment | bytes) -> Done:
        assert isinstance(work, bytes)
        try:
            with limit(self.settings.deadline):
                function, arguments = pickle.loads(work)
                return Done(Ending.OK, result=pickle.dumps((True, function(*arguments))))
        except DeadlinePassed:
            told = f"took longer than {self.settings.deadline:g} s"
            return Done(Ending.FAILED, evidence=Evidence(Step.HEAD, Sign.DEADLINE, told))
        except BaseException as error:  # noqa: BLE001  also SystemExit, and what cannot be pickled
            evidence = evidence_of(error) if isinstance(error, Exception) else None
            if evidence is not None:
                return Done(Ending.FAILED, evidence.status, evidence=evidence)
            kind, _, message = describe(error).partition(": ")
            trace = "".join(traceback.format_exception(error))
            return Done(Ending.OK, result=pickle.dumps((False, (kind, message, trace))))
