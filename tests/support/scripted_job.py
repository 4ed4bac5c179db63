"""A job for tests of engines: it does what its work says, without a network."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from typing import NoReturn

from pinpool.model import Assignment, Call, Ending, Evidence, Sign, Step
from pinpool.pool.job import JobResult
from pinpool.pool.pin import Pin
from pinpool.settings import Settings

_EVIDENCE = {
    "refused": Evidence(Step.CONNECT, Sign.REFUSED, "refused"),
    "timeout": Evidence(Step.HEAD, Sign.TIMEOUT, "timed out"),
    "broken": Evidence(Step.EXTRACT, Sign.RAISED, "raised"),
}


class ScriptedJob:
    """
    `work` is a verb, and after a colon what it needs: ``ok``, ``sleep:0.1``, ``exit``, ``refused:1,2`` and so on.

    It is that of a call, or the URL of a page.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def perform(self, pin: Pin, work: Assignment | Call) -> JobResult:
        time.sleep(self.seconds(work))
        return self.result(pin.lease.proxy, work)

    def seconds(self, work: Assignment | Call) -> float:
        """How long the work takes, besides what its verb does."""
        verb, rest = _read(work)
        return float(rest) if verb == "sleep" else 0.0

    def result(self, proxy: int, work: Assignment | Call) -> JobResult:
        """What the work comes to through this proxy."""
        verb, rest = _read(work)
        match verb:
            case "ok" | "sleep":
                return JobResult(Ending.OK, result=str(proxy).encode())
            case "modules":
                return JobResult(Ending.OK, result="\n".join(sys.modules).encode())
            case "big":
                return JobResult(Ending.OK, result=bytes(int(rest)))
            case "refused" | "timeout" | "broken":
                # With proxies named, only these are at fault; the others serve.
                if rest and str(proxy) not in rest.split(","):
                    return JobResult(Ending.OK, result=str(proxy).encode())
                return JobResult(Ending.FAILED, evidence=_EVIDENCE[verb])
            case "gone":
                return JobResult(Ending.GONE)
            case "exit":
                os._exit(3)
            case "leave":
                sys.exit("a spider that leaves")
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "segfault":
                ctypes.string_at(0)
            case "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "loop":
                _loop_for_ever()
            case "swallow":
                _swallow_for_ever()
            case "grip":
                _keep_the_gil()
            case "unprintable":
                raise Unprintable
            case "interrupt":
                raise KeyboardInterrupt("a spider that interrupts")
            case "unpicklable":
                return JobResult(Ending.OK, items=(Unprintable(),))  # type: ignore[arg-type]
        return JobResult(Ending.OK)


def _read(work: Assignment | Call) -> tuple[str, str]:
    text = work.blob.decode() if isinstance(work, Call) else work.task.url
    verb, _, rest = text.partition(":")
    return verb, rest


class Unprintable(BaseException):
    """Cannot be printed or pickled."""

    def __init__(self) -> None:
        super().__init__(lambda: None)

    def __str__(self) -> str:
        raise RuntimeError("not even this")

    def __reduce__(self) -> NoReturn:
        raise RuntimeError("nor that")


def _loop_for_ever() -> None:
    while True:
        pass


def _swallow_for_ever() -> None:
    while True:
        try:
            time.sleep(60)
        except BaseException:
            continue


def _keep_the_gil() -> None:
    # One call into C that never comes back to the interpreter: no other thread of Python runs, no handler either.
    sum(range(10**15))
