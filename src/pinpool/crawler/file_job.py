"""What a worker does with the task of a file: downloads it into the run's folder of parts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from pinpool.errors import DeadlinePassed, StorageError
from pinpool.fetch.diagnosis import retry_after
from pinpool.fetch.download import Arrived, FileAttempt, Needless, Wanted
from pinpool.fetch.part_file import PartFile
from pinpool.model import Download, Ending, Evidence, Sign, Step, Task
from pinpool.policy.faults import answer as judged
from pinpool.policy.faults import is_gone
from pinpool.policy.hedging import LARGE
from pinpool.pool.deadline import limit
from pinpool.pool.job import JobResult
from pinpool.pool.pin import Pin
from pinpool.settings import Settings

#: How often a download looks around: whether it is still needed, and to show that it goes on.
LOOK_SECONDS = 1.0
#: This share of a page's deadline passes before a download has to show that it goes on.
PATIENT_SHARE = 1 / 3
#: More than any file takes that is fast enough.
_LONGEST = 366 * 86_400.0


class FileWish(NamedTuple):
    """What the task of a file carries: the name and the content type that it should have, and fields of its item."""

    name: str | None = None
    type: str | None = None
    data: dict[str, Any] | None = None


def wish_of(task: Task) -> FileWish:
    """What `tasks.file_task` has put into a task."""
    return FileWish(**json.loads(task.data)) if task.data else FileWish()


def download(pin: Pin, task: Task, settings: Settings, parts: Path, goes_on: Callable[[], None]) -> JobResult:
    """
    Download the file of a task through the pin. `goes_on` is called now and then while it comes: the worker has not
    hung, and nobody need ask for the file through another proxy.

    Raises FetchFailed. A disk that does not take the file is the result `Ending.UNSTORED`.
    """
    try:
        with _part(parts, task) as part:
            look = _Look(part, settings.deadline, goes_on)
            wish = wish_of(task)
            wanted = Wanted(wish.name, (wish.type,) if wish.type else ())
            with limit(min(_LONGEST, settings.deadline + settings.max_file / settings.file_speed)):
                attempt = FileAttempt(pin.fetcher, task, part, wanted, settings, look)
                found = attempt.run()
    except Needless:
        return JobResult(Ending.DECLINED)
    except StorageError as error:
        return JobResult(Ending.UNSTORED, note=str(error))
    except DeadlinePassed:
        return JobResult(Ending.FAILED, evidence=Evidence(Step.BODY, Sign.DEADLINE, "the file took too long"))
    if found is None:
        return JobResult(Ending.GONE, attempt.status)
    if isinstance(found, Evidence):
        return JobResult(Ending.FAILED, found.status, evidence=found)
    return _result(found, wish)


def ask_for_head(pin: Pin, task: Task, settings: Settings, until: float) -> JobResult:
    """Ask whether the file is there, without it: a look whether the site answers. Raises FetchFailed."""
    answer = pin.fetcher.fetch(task._replace(method="HEAD"), until)
    tunnelled = not pin.fetcher.session.pin.asks_proxy(answer.url)
    if (evidence := judged(answer.status, settings.ban_status, tunnelled=tunnelled)) is not None:
        return JobResult(Ending.FAILED, answer.status, evidence=evidence._replace(retry_after=retry_after(answer)))
    return JobResult(Ending.GONE if is_gone(answer.status) else Ending.OK, answer.status)


def _result(found: Arrived, wish: FileWish) -> JobResult:
    file = Download(found.part, found.name, found.sha256, found.size, found.type, json.dumps(wish.data or {}))
    return JobResult(Ending.OK, found.status, found.received, note=found.note, file=file)


def _part(parts: Path, task: Task) -> PartFile:
    part = PartFile.hold(parts, task.key)
    if part is None:
        raise Needless
    return part


class _Look:
    """Looks around while a file comes. Raises Needless if another attempt has it, or a large one is on its way."""

    def __init__(self, part: PartFile, deadline: float, goes_on: Callable[[], None]) -> None:
        self._part = part
        self._goes_on = goes_on
        self._patient_until = time.monotonic() + PATIENT_SHARE * deadline
        self._next = 0.0
        self._is_first_look = True

    def __call__(self, received: int, total: int | None) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + LOOK_SECONDS
        is_large = max(received, total or 0) >= LARGE
        # A large file is not worth a second attempt: the first one shows that it comes.
        if self._part.removed or (is_large and self._is_first_look and self._part.first_is_held):
            raise Needless
        self._is_first_look = self._is_first_look and not is_large
        if is_large or now >= self._patient_until:
            self._goes_on()
