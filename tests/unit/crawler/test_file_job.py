"""What a worker makes of the task of a file, and when it shows that a long download goes on."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from file_sites import BODY, TASK, FileSite, head
from peers import Peer
from pinpool.crawler import file_job
from pinpool.crawler.file_job import FileWish, download, wish_of
from pinpool.fetch.fetcher import Fetcher
from pinpool.fetch.part_file import PartFile
from pinpool.model import Ending, Task
from pinpool.policy.hedging import LARGE
from pinpool.pool.job import JobResult
from pinpool.pool.pin import Pin
from pinpool.settings import Settings
from pinpool.tasks import file_task

HUGE = BODY * 15
assert len(HUGE) > LARGE


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    return tmp_path / "files" / ".parts"


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """One entry for each time that the worker shows that it goes on; it looks at every piece."""
    monkeypatch.setattr(file_job, "LOOK_SECONDS", 0.0)
    yield []


def run(site: FileSite, parts: Path, shown: list[str], task: Task = TASK, deadline: float = 20.0) -> JobResult:
    settings = Settings(deadline=deadline)
    with Peer(site) as peer, closing(Fetcher(peer.proxy(), settings)) as fetcher:
        pin = cast(Pin, SimpleNamespace(fetcher=fetcher))
        return download(pin, task, settings, parts, lambda: shown.append("goes on"))


def test_a_file_becomes_a_result_with_all_that_its_item_needs(parts: Path, shown: list[str]) -> None:
    result = run(FileSite(), parts, shown, file_task(TASK.url, "A name", data={"film": 7}))

    assert (result.ending, result.status, result.size) == (Ending.OK, 200, len(BODY))
    assert result.file is not None
    assert (result.file.name, result.file.size, result.file.data) == ("A name.pdf", len(BODY), '{"film": 7}')
    assert shown == []


def test_a_large_file_shows_that_it_goes_on_so_that_nobody_takes_it_for_late(parts: Path, shown: list[str]) -> None:
    assert run(FileSite(HUGE), parts, shown).ending is Ending.OK
    assert shown


def test_so_does_a_small_one_when_it_takes_long(parts: Path, shown: list[str]) -> None:
    run(FileSite(), parts, shown, deadline=1e-6 + 0.01)

    assert len(shown) <= 2  # it is there before a third of any deadline


def test_a_second_attempt_leaves_a_large_file_to_the_first(parts: Path, shown: list[str]) -> None:
    with PartFile.hold(parts, TASK.key):  # type: ignore[union-attr]
        assert run(FileSite(HUGE), parts, shown).ending is Ending.DECLINED


def test_a_second_attempt_at_a_small_file_is_as_good_as_the_first(parts: Path, shown: list[str]) -> None:
    with PartFile.hold(parts, TASK.key):  # type: ignore[union-attr]
        assert run(FileSite(), parts, shown).ending is Ending.OK


def test_an_attempt_whose_task_has_ended_stops_and_nobody_is_to_blame(parts: Path, shown: list[str]) -> None:
    def end_the_task(*_: object) -> None:
        for part in parts.iterdir():
            part.unlink()

    site = FileSite(HUGE)
    settings = Settings()
    with Peer(site) as peer, closing(Fetcher(peer.proxy(), settings)) as fetcher:
        pin = cast(Pin, SimpleNamespace(fetcher=fetcher))
        result = download(pin, TASK, settings, parts, end_the_task)

    assert (result.ending, result.evidence) == (Ending.DECLINED, None)
    assert list(parts.iterdir()) == []


def test_a_full_disk_is_a_result_of_its_own(parts: Path, shown: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    result = run(FileSite(), parts, shown)

    assert (result.ending, result.evidence) == (Ending.UNSTORED, None)
    assert "No space left on device" in result.note
    assert "`pinpool resume`" in result.note


def test_a_file_that_is_gone_says_how(parts: Path, shown: list[str]) -> None:
    site = FileSite(answers={0: lambda line, request: line.send(head("410 Gone", Content_Length=0))})

    result = run(site, parts, shown)

    assert (result.ending, result.status) == (Ending.GONE, 410)


def test_a_task_without_wishes_has_none() -> None:
    assert wish_of(TASK) == FileWish()
    assert wish_of(file_task(TASK.url, "x", type="image/*", data={"n": 1})) == FileWish("x", "image/*", {"n": 1})
