"""A worker whose unproven proxy has failed lets the next task go by: the parent may want it to go elsewhere."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pinpool.model import Assignment, Ending, Evidence, Outcome, Sign, Step, Task
from pinpool.pool import worker as workers
from pinpool.pool.worker import Worker
from pinpool.settings import Settings

TASK = Assignment(Task("detail", "http://films.test/1", b"1" * 16))
TIMEOUT = Evidence(Step.HEAD, Sign.TIMEOUT)


def pinned(monkeypatch: pytest.MonkeyPatch, *, served: bool) -> Any:
    """A worker with a pin that has just failed a page, without its process."""
    monkeypatch.setattr(workers, "DECLINE_SECONDS", 0.0)
    one: Any = Worker.__new__(Worker)
    one.pin = SimpleNamespace(
        lease=SimpleNamespace(proxy=7), strikes=0, served=served, hesitates=False, probing=False
    )
    one._seat = SimpleNamespace(show=lambda *_: None, is_to_leave=lambda proxy: False)
    one._job = SimpleNamespace(settings=Settings())
    one._answer_failure(Outcome(1, 1, 7, Ending.FAILED, 0.0, 5.0, evidence=TIMEOUT), TIMEOUT)
    return one


def test_after_a_failure_an_unproven_pin_declines_one_task_and_takes_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worker = pinned(monkeypatch, served=False)

    first, second = (worker._keep_or_change_pin(serial, TASK) for serial in (2, 3))

    assert (first.serial, first.ending) == (2, Ending.DECLINED)
    assert second is None


def test_a_pin_that_has_served_a_page_takes_the_next_task_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = pinned(monkeypatch, served=True)

    assert worker._keep_or_change_pin(2, TASK) is None
