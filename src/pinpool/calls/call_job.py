"""The job of a `PinnedPool`'s workers: one call of a function."""

import pickle
import traceback

import requests

from pinpool.calls.sending import Place
from pinpool.errors import DeadlinePassed
from pinpool.fetch.diagnosis import evidence_of, retry_after
from pinpool.model import Assignment, Call, Ending, Evidence, Fetched, Sign, Step
from pinpool.policy.faults import answer
from pinpool.pool.deadline import limit
from pinpool.pool.job import JobResult
from pinpool.pool.pin import Pin
from pinpool.pool.pinned_worker import describe
from pinpool.settings import Settings

#: Characters of a traceback that go to the parent.
MAX_TRACE = 20_000


class CallJob:
    """
    Calls a pickled function. An error of the network counts against the proxy, and so does a status for which the
    function called `raise_for_status`. Any other error goes to the caller.

    The result is a pickle: (True, what was returned) or (False, (place, class, message, traceback)). Only texts of an
    error are sent, because many exceptions cannot be pickled, or cannot be made again. A failed attempt has the
    traceback in place of a result.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def perform(self, pin: Pin, work: Assignment | Call) -> JobResult:
        assert isinstance(work, Call)
        progress = pin.fetcher.session.pin.progress
        before = progress.received
        return self._call(pin, work.blob)._replace(size=progress.received - before)

    def _call(self, pin: Pin, blob: bytes) -> JobResult:
        place = Place.LOADING
        try:
            with limit(self.settings.deadline):
                function, arguments, named = pickle.loads(blob)
                place = Place.CALLING
                result = function(*arguments, **named)
                place = Place.SENDING
                return JobResult(Ending.OK, result=pickle.dumps((True, result)))
        except DeadlinePassed as passed:
            message = f"took longer than {self.settings.deadline:g} s"
            return _failed(Evidence(Step.HEAD, Sign.DEADLINE, message), passed)
        except BaseException as error:  # noqa: BLE001  also SystemExit, and what cannot be pickled
            evidence = self._evidence(pin, error) if place is Place.CALLING else None
            if evidence is not None:
                return _failed(evidence, error)
            kind, _, message = describe(error).partition(": ")
            told = place.value, kind, message, shown_trace(error)
            return JobResult(Ending.OK, result=pickle.dumps((False, told)))

    def _evidence(self, pin: Pin, error: BaseException) -> Evidence | None:
        """The evidence in what the function raised; None if that is its own affair, as a page that is gone is."""
        if not isinstance(error, requests.HTTPError):
            return evidence_of(error) if isinstance(error, Exception) else None
        response, adapter = error.response, pin.fetcher.session.pin
        if response is None or getattr(response, "connection", None) is not adapter:
            return evidence_of(error)
        tunnelled = not adapter.asks_proxy(response.url)
        found = answer(response.status_code, self.settings.ban_status, tunnelled=tunnelled)
        fetched = Fetched(response.url, response.status_code, response.headers, b"", 0.0, 0)
        return found._replace(retry_after=retry_after(fetched)) if found else None


def _failed(evidence: Evidence, error: BaseException) -> JobResult:
    trace = shown_trace(error).encode("utf-8", "replace")
    return JobResult(Ending.FAILED, evidence.status, evidence=evidence, result=trace)


def shown_trace(error: BaseException) -> str:
    """The traceback of what a function has raised, from its own first line on; empty if that is not in it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    if trace is None:
        return ""
    try:
        text = "".join(traceback.format_exception(type(error), error, trace))
    except Exception:  # noqa: BLE001  the exception is the user's code as well
        return ""
    if len(text) <= MAX_TRACE:
        return text
    # Cut between two words: half a password would not be recognised, and would be shown.
    head, tail = text[: MAX_TRACE // 2].rpartition(" ")[0], text[-MAX_TRACE // 2 :].partition(" ")[2]
    return f"{head}\n  …\n{tail}"
