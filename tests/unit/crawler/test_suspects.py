"""Pages that may have crashed a process of several workers are tried alone, one after the other."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

from journals import ABOUT
from pinpool.crawler.loop import Loop
from pinpool.crawler.signals import Stop
from pinpool.journal.writer import Journal
from pinpool.model import Assignment, Call, Ending, Sign, Task
from pinpool.policy.reputation import Reputation
from pinpool.pool.engine import Answered, Lost, Signal
from pinpool.pool.fake import FakeEngine
from pinpool.pool.job import JobResult
from pinpool.settings import Settings

POISON = "page 3"
PAGES = [f"page {number}" for number in range(20)]


class Crashing(FakeEngine):
    """The first five pages are lost with a shared process. One of them crashes its worker each time."""

    def begin(self) -> None:
        self.sent: list[tuple[str, bool]] = []
        self.alone: set[int] = set()  # in work now
        self.most_alone = 0

    def submit(self, serial: int, work: Assignment | Call, *, alone: bool = False) -> None:
        assert isinstance(work, Assignment)
        url = work.task.url
        first = (url, False) not in self.sent and not alone
        self.sent.append((url, alone))
        if first and url in PAGES[:5]:
            self._dispatch.tell(Lost(serial, None, "", suspect=True))
        elif url == POISON:
            self._dispatch.tell(Lost(serial, Sign.CRASH, "the worker process died", 9, 1))
        else:
            self.alone |= {serial} if alone else set()
            self.most_alone = max(self.most_alone, len(self.alone))
            super().submit(serial, work)

    def poll(self, timeout: float) -> list[Signal]:
        signals = super().poll(timeout)
        self.alone -= {signal.outcome.serial for signal in signals if isinstance(signal, Answered)}
        return signals


def crawl(path: Path) -> Crashing:
    settings = Settings()
    engine = Crashing(lambda lease, work: (JobResult(Ending.OK, 200, items=("{}",)), 0.2), 6, settings=settings)
    engine.begin()
    reputation = Reputation(settings.cooling)
    tasks = [Task("detail", name, name.encode().ljust(16)) for name in PAGES]
    with Journal.create(path, ABOUT, engine.clock.epoch(), tasks) as journal:
        for row in journal.enroll([(f"proxy {one}", str(one)) for one in range(1, 7)]):
            reputation.admit(row.id, row.label)
        loop = Loop(engine, journal, reputation, settings, workers=6, stop=Stop(), random=Random(1), clock=engine.clock)
        engine.start()
        assert loop.run() == "complete"
        states = journal.task_counts()
    assert sorted((str(state), count) for state, count in states.items() if count) == [("done", 19), ("failed", 1)]
    return engine


def test_each_suspect_is_tried_alone_once_and_the_one_that_did_it_until_it_is_given_up(path: Path) -> None:
    engine = crawl(path)

    alone = Counter(url for url, is_alone in engine.sent if is_alone)
    assert alone == {url: 3 if url == POISON else 1 for url in PAGES[:5]}


def test_one_suspect_at_a_time_so_that_the_others_leave_room(path: Path) -> None:
    engine = crawl(path)

    assert engine.most_alone == 1
