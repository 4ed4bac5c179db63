"""
A file survives kill -9 between each pair of steps: from its part to its name in the journal to its place.

A child does what worker and parent do with one file, and is killed before its nth step, for each n. The next child goes
on like a resume. In the end the file is there once, whole, and nothing is left of its parts.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from file_sites import BODY, FileSite, attempt
from journals import START, new_journal, rows
from peers import Peer
from pinpool.crawler.file_store import FileFolder, FileStore
from pinpool.errors import FetchFailed
from pinpool.fetch.download import Arrived
from pinpool.journal.reader import Reader
from pinpool.journal.records import Settlement
from pinpool.journal.verify import coverage
from pinpool.journal.writer import Journal
from pinpool.model import Download, Ending, Outcome, TaskState
from pinpool.proxies.proxy import Proxy
from pinpool.tasks import file_task

TASK = file_task("http://site.test/files/report.pdf")
_STEPS = frozenset({"open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"})

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
]


class Steps:
    """Counts what touches a folder, and kills the process before the step `deadly`."""

    def __init__(self, folder: Path, deadly: int) -> None:
        self.count = 0
        self._folder = str(folder)
        self._deadly = deadly
        sys.addaudithook(self._see)

    def step(self) -> None:
        self.count += 1
        if self.count == self._deadly:
            os.kill(os.getpid(), signal.SIGKILL)

    def _see(self, event: str, args: tuple[object, ...]) -> None:
        if event in _STEPS and (event == "os.truncate" or any(self._folder in str(one) for one in args[:2])):
            self.step()


def in_a_child(work: Callable[[], int]) -> int | None:
    """What `work` returns in a process of its own; None if that was killed."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads serve the site, and are not forked
        pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, b"%d" % work())
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading) as said:
        text = said.read()
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) in (0, -signal.SIGKILL)
    return int(text) if text else None


def one_start(journal_path: Path, folder: FileFolder, proxy: Proxy, deadly: int) -> int:
    """One start of a run: download what waits, and settle it. Returns how many steps it took."""
    steps = Steps(folder.files, deadly)
    with Journal.open(journal_path) as journal, FileStore(journal, folder) as store:
        for waiting in journal.waiting(False, 0, 10):
            for _ in range(2):  # the first request of a site may be cut
                try:
                    found = attempt(proxy, folder.parts, waiting.task)
                    break
                except FetchFailed:
                    continue
            assert isinstance(found, Arrived)
            file = Download(found.part, found.name, found.sha256, found.size, found.type)
            outcome = Outcome(1, 7, 1, Ending.OK, START, 0.1, 200, found.received, file=file)
            outcome = store.ended(waiting.id, waiting.task, outcome)
            journal.settle(Settlement(waiting.id, outcome, None, False, TaskState.DONE), START)
            steps.step()
            journal.commit()
            steps.step()
            store.place()
    return steps.count


@pytest.mark.parametrize("first", [None, 60_000], ids=["whole", "cut"])
def test_a_file_is_there_once_whatever_step_is_the_last(tmp_path: Path, first: int | None) -> None:
    deadly, killed = 1, 0
    while True:
        run = tmp_path / str(deadly)
        run.mkdir()
        journal, folder = run / "run.db", FileFolder(run / "run.files", run / "run.files" / ".parts")
        new_journal(journal, TASK).close()
        with Peer(FileSite(first=first)) as peer:
            proxy = peer.proxy()
            count = in_a_child(lambda: one_start(journal, folder, proxy, deadly))  # noqa: B023
            if count is None:
                killed += 1
                assert in_a_child(lambda: one_start(journal, folder, proxy, 0)) is not None  # noqa: B023
        assert [path.name for path in folder.files.iterdir()] == ["report.pdf"], deadly
        assert (folder.files / "report.pdf").read_bytes() == BODY, deadly
        ((name, digest, placed),) = rows(journal, "SELECT name, sha256, placed FROM files")
        assert (name, digest, placed) == ("report.pdf", hashlib.sha256(BODY).hexdigest(), 1), deadly
        with Reader(journal) as reader:
            assert coverage(reader).complete, deadly
        if count is not None:
            break
        deadly += 1
    assert killed > 10
