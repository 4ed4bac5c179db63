"""The job of a `PinnedPool`'s workers: one call of a function."""

import pickle
import traceback

from pinpool.errors import DeadlinePassed
from pinpool.fetch.diagnosis import evidence_of
from pinpool.model import Assignment, Call, Ending, Evidence, Sign, Step
from pinpool.pool.deadline import limit
from pinpool.pool.job import JobResult
from pinpool.pool.pin import Pin
from pinpool.pool.worker import describe
from pinpool.settings import Settings


class CallJob:
    """Calls a pickled function. An error of the network counts against the proxy, any other goes to the caller."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def perform(self, pin: Pin, work: Assignment | Call) -> JobResult:
        assert isinstance(work, Call)
        progress = pin.fetcher.session.pin.progress
        before = progress.received
        return self._call(work.blob)._replace(size=progress.received - before)

    def _call(self, work: bytes) -> JobResult:
        try:
            with limit(self.settings.deadline):
                function, arguments = pickle.loads(work)
                return JobResult(Ending.OK, result=pickle.dumps((True, function(*arguments))))
        except DeadlinePassed:
            message = f"took longer than {self.settings.deadline:g} s"
            return JobResult(Ending.FAILED, evidence=Evidence(Step.HEAD, Sign.DEADLINE, message))
        except BaseException as error:  # noqa: BLE001  also SystemExit, and what cannot be pickled
            evidence = evidence_of(error) if isinstance(error, Exception) else None
            if evidence is not None:
                return JobResult(Ending.FAILED, evidence.status, evidence=evidence)
            kind, _, message = describe(error).partition(": ")
            trace = "".join(traceback.format_exception(error))
            return JobResult(Ending.OK, result=pickle.dumps((False, (kind, message, trace))))
