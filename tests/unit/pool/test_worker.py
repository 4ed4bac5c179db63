"""A worker whose unproven proxy has failed declines the next task: the parent may want another proxy for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engines import spares
from pinpool.errors import AttemptFailed
from pinpool.model import Assignment, Call, Ending, Evidence, Outcome, Sign, Step, Task
from pinpool.pool.job import JobResult, WorkerConfig, pack_work, unpack
from pinpool.pool.leases import LeaseQueue
from pinpool.pool.log_pipe import LogPipe
from pinpool.pool.pin import Pin
from pinpool.pool.pinned_worker import describe
from pinpool.pool.status_board import WIDTH, StatusBoard
from pinpool.pool.worker import Worker
from pinpool.settings import Settings

TASK = pack_work(Assignment(Task("detail", "http://films.test/1", b"1" * 16)))
TIMEOUT = Evidence(Step.HEAD, Sign.TIMEOUT)
OK, FAILED = JobResult(Ending.OK), JobResult(Ending.FAILED, evidence=TIMEOUT)


class Listed:
    """A job whose results come from a list."""

    settings = Settings()

    def __init__(self, results: list[JobResult]) -> None:
        self._results = iter(results)

    def perform(self, pin: Pin, work: Assignment | Call) -> JobResult:
        return next(self._results)


def started(*results: JobResult) -> Worker:
    """A worker in this process, with its own lease queue and board."""
    leases = LeaseQueue(spares(1), 1, 60.0)
    board = StatusBoard([0] * WIDTH)
    config = WorkerConfig(leases, 0, board, lambda: Listed(list(results)), 30.0, Path(), LogPipe(str).reporting())
    worker = Worker(config)
    worker.start()
    return worker


def outcome_of(worker: Worker, serial: int) -> Outcome:
    try:
        return unpack(worker.run(serial, TASK))
    except AttemptFailed as failed:
        return unpack(failed.payload)


@pytest.mark.parametrize(
    ("results", "endings"),
    [
        ([FAILED, OK], [Ending.FAILED, Ending.DECLINED, Ending.OK]),
        ([OK, FAILED, OK], [Ending.OK, Ending.FAILED, Ending.OK]),
    ],
    ids=["an unproven pin declines one task", "a pin that has served a page takes the next at once"],
)
def test_what_a_pin_does_with_the_task_after_a_failure(results: list[JobResult], endings: list[Ending]) -> None:
    worker = started(*results)

    outcomes = [outcome_of(worker, serial) for serial in range(1, len(endings) + 1)]

    assert [(outcome.serial, outcome.ending) for outcome in outcomes] == list(enumerate(endings, 1))


@pytest.mark.parametrize("work", [Assignment(Task("detail", "", b""), (1,)), Call(b"", (1,))])
def test_what_a_pin_must_not_have_is_declined(work: Assignment | Call) -> None:
    worker = started(OK)

    outcome = unpack(worker.run(1, pack_work(work)))

    assert (outcome.ending, outcome.proxy) == (Ending.DECLINED, 1)


def test_an_exception_is_described_without_what_could_drive_a_terminal() -> None:
    text = describe(RuntimeError("\x1b]0;owned\x07 and \x9b31m red\nsecond line"))

    assert all(letter.isprintable() for letter in text)
    assert text.startswith("RuntimeError: ")


def test_an_exception_that_cannot_be_printed_is_described_all_the_same() -> None:
    class Mute(Exception):
        def __str__(self) -> Any:
            raise ValueError

    assert describe(Mute()) == "Mute: (its text cannot be shown)"
