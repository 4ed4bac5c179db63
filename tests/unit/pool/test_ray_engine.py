"""What the engine makes of what Ray's driver says. The driver is played by the test."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar, cast

import pytest

from engines import spare, spares
from pinpool.errors import UsageError
from pinpool.model import Call, Ending, Evidence, Outcome, ProxyState, Sign, Step
from pinpool.pool import ray_engine
from pinpool.pool.engine import Answered, EngineError, Lost, Signal
from pinpool.pool.job import pack
from pinpool.pool.ray_engine import RayEngine
from pinpool.pool.ray_fence import TTL_SECONDS
from pinpool.pool.ray_messages import (
    Answer,
    Board,
    Disband,
    Disbanded,
    Gone,
    Joined,
    Kill,
    LetGo,
    Loss,
    Refused,
    Run,
    Slots,
    Spawn,
    WorkerLine,
)
from pinpool.pool.status_board import Activity
from pinpool.settings import Settings
from scripted_job import ScriptedJob

M = TypeVar("M")
HANG = 5.0
FAILED = Evidence(Step.CONNECT, Sign.REFUSED, "refused")


class Played:
    """The engine's link to a driver that says what the test wants."""

    is_ready = True
    pid = 0

    def __init__(self, folder: Path, plan: object) -> None:
        self.sent: list[object] = []
        self.says: list[object] = []
        self.is_dead = False

    def send(self, message: object) -> None:
        self.sent.append(message)
        if isinstance(message, Disband):
            self.says.append(Disbanded(frozenset({1})))

    def receive(self, timeout: float) -> list[object]:
        if self.is_dead:
            raise EOFError
        said, self.says = self.says, []
        return said

    def last_words(self) -> str:
        return "Failed to connect to GCS"

    def end(self) -> None:
        """Nothing to end."""

    def asked_for(self, kind: type[M]) -> list[M]:
        return [message for message in self.sent if isinstance(message, kind)]


class Play:
    """An engine, started, with its carriers as they join."""

    def __init__(self, **options: object) -> None:
        given: dict[str, object] = {"workers": 2, "hang_seconds": HANG, "cooling": 60.0, **options}
        standings = given.pop("standings", spares(4))
        self.engine = RayEngine(partial(ScriptedJob, Settings()), standings, **given)  # type: ignore[arg-type]
        self.engine.start()
        self.link = cast(Played, self.engine._link)

    def join(self) -> None:
        for spawn in self.link.asked_for(Spawn):
            self.link.says.append(Joined(spawn.carrier, "far", 4711))
        self.poll()

    def submit(self, *serials: int) -> list[Run]:
        """Submit work, and return what was given to workers."""
        self.link.sent.clear()
        for serial in serials:
            self.engine.submit(serial, Call(b"ok"))
        self.poll()
        return self.link.asked_for(Run)

    def poll(self, *says: object) -> list[Signal]:
        self.link.says += says
        return self.engine.poll(0.0)

    def lost(self, run: Run, loss: Loss, *, hold: float = 0.0, silent: float = 1.0) -> list[Lost]:
        """The carrier of this attempt is lost. Returns what became of the attempts."""
        signals = self.poll(Gone(run.carrier, loss, hold, silent, "as Ray says"))
        return [one for one in signals if isinstance(one, Lost)]


@pytest.fixture(autouse=True)
def played(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_engine, "Link", Played)


@pytest.fixture
def play() -> Iterator[Callable[..., Play]]:
    plays: list[Play] = []

    def begin(**options: object) -> Play:
        plays.append(Play(**options))
        return plays[-1]

    yield begin
    for one in plays:
        one.engine.close()


def answer(run: Run, outcome: Outcome | None = None, *, owed: float = 0.0) -> Answer:
    outcome = outcome or Outcome(run.serial, 2, run.lease.proxy, Ending.OK, 0.0, 0.1)
    return Answer(run.carrier, run.place, run.serial, pack(outcome), owed)


def test_a_worker_gets_a_task_once_it_has_joined_and_one_at_a_time(play: Callable[..., Play]) -> None:
    crawl = play()
    assert crawl.submit(1, 2, 3) == []
    crawl.link.says += [Joined(carrier, "far", 1) for carrier in crawl.engine._spawned]
    crawl.poll()
    runs = crawl.link.asked_for(Run)
    assert [run.serial for run in runs] == [1, 2]
    assert runs[0].lease.proxy != runs[1].lease.proxy
    crawl.poll(answer(runs[0]))
    assert [run.serial for run in crawl.link.asked_for(Run)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("loss", "silent", "sign"),
    [("died", 1.0, Sign.CRASH), ("died", TTL_SECONDS - 1, Sign.HANG), ("out of reach", 16.0, None)],
    ids=["its process died", "it kept the interpreter's lock until its fence", "its host is out of reach"],
)
def test_a_lost_carrier_says_what_becomes_of_its_page(
    loss: Loss, silent: float, sign: Sign | None, play: Callable[..., Play]
) -> None:
    crawl = play()
    crawl.join()
    run, _ = crawl.submit(1, 2)
    [lost] = crawl.lost(run, loss, silent=silent)
    assert (lost.serial, lost.sign, lost.suspect) == (run.serial, sign, False)
    assert ("hung for more than 5 s, in a call that runs no Python" in lost.message) is (sign is Sign.HANG)
    assert len(crawl.link.asked_for(Spawn)) == 1  # another takes its place


def test_with_several_pages_in_work_nobody_is_charged_and_each_is_tried_alone(play: Callable[..., Play]) -> None:
    crawl = play(threads=2)
    crawl.join()
    run, _ = crawl.submit(1, 2)
    assert [(lost.sign, lost.suspect) for lost in crawl.lost(run, "died")] == [(None, True), (None, True)]
    crawl.join()
    crawl.engine.submit(3, Call(b"ok"), alone=True)
    [alone] = crawl.submit(4)
    assert [lost.sign for lost in crawl.lost(alone, "died")] == [Sign.CRASH]


def test_the_proxy_of_a_worker_out_of_reach_is_held_back(play: Callable[..., Play]) -> None:
    crawl = play(workers=1, standings=spares(1))
    crawl.join()
    [run] = crawl.submit(1)
    crawl.lost(run, "out of reach", hold=1000.0)
    crawl.link.sent.clear()
    crawl.link.says.append(Joined(next(iter(crawl.engine._spawned)), "near", 2))
    assert crawl.submit(2) == []


def test_that_of_a_worker_that_has_died_is_not(play: Callable[..., Play]) -> None:
    crawl = play(workers=1, standings=spares(1))
    crawl.join()
    [run] = crawl.submit(1)
    crawl.lost(run, "died")
    crawl.link.says.append(Joined(next(iter(crawl.engine._spawned)), "near", 2))
    assert [run.serial for run in crawl.submit(2)] == [2]


def test_what_a_killed_parent_had_pinned_is_held_back(play: Callable[..., Play]) -> None:
    crawl = play(standings=[spare(1, ProxyState.PINNED), spare(2)])
    crawl.join()
    assert [run.lease.proxy for run in crawl.submit(1, 2)] == [2]


def test_a_page_that_hangs_costs_its_carrier_and_no_other_page(play: Callable[..., Play]) -> None:
    crawl = play(threads=2)
    crawl.join()
    hung, other = crawl.submit(1, 2)
    ages = ((hung, 6.0, "in parse"), (other, 1.0, ""))
    lines = tuple(WorkerLine(run.place, Activity.RUN, run.serial, ago, stack) for run, ago, stack in ages)
    crawl.poll(Board(hung.carrier, lines, b""))
    assert crawl.link.asked_for(Kill) == [Kill(hung.carrier)]
    losses = {lost.serial: lost for lost in crawl.lost(hung, "killed")}
    signs = {serial: (lost.sign, lost.suspect) for serial, lost in losses.items()}
    assert signs == {hung.serial: (Sign.HANG, True), other.serial: (None, False)}
    assert losses[hung.serial].message == "hung for more than 5 s\nin parse"


def test_a_swapped_pin_is_let_go(play: Callable[..., Play]) -> None:
    crawl = play()
    crawl.join()
    run, _ = crawl.submit(1, 2)
    failed = Outcome(run.serial, 2, run.lease.proxy, Ending.FAILED, 0.0, 0.1, evidence=FAILED)
    signals = crawl.poll(answer(run, failed))
    assert [one.outcome.swapped for one in signals if isinstance(one, Answered)] == [True]
    assert crawl.link.asked_for(LetGo) == [LetGo(run.carrier, run.place, run.pins)]


def test_an_answer_that_was_lost_on_the_way_is_no_answer(play: Callable[..., Play]) -> None:
    crawl = play()
    crawl.join()
    run, _ = crawl.submit(1, 2)
    [lost] = [one for one in crawl.poll(Answer(run.carrier, run.place, run.serial, b"", trouble="no pickle"))
              if isinstance(one, Lost)]  # fmt: skip
    assert (lost.serial, lost.sign, lost.message) == (run.serial, Sign.CRASH, "no pickle")
    assert [again.place for again in crawl.submit(3)] == [run.place]


def test_an_answer_that_comes_after_the_loss_is_dropped(play: Callable[..., Play]) -> None:
    crawl = play()
    crawl.join()
    run, _ = crawl.submit(1, 2)
    crawl.lost(run, "out of reach")
    assert [one for one in crawl.poll(answer(run)) if isinstance(one, Answered)] == []


def test_turns_at_the_site_are_given_with_the_tasks_and_owed_ones_are_taken_off(play: Callable[..., Play]) -> None:
    crawl = play(site_rate=0.1)
    crawl.join()
    first, second = crawl.submit(1, 2)
    assert (first.wait, round(second.wait)) == (0.0, 10)
    crawl.poll(answer(first, owed=30.0))
    [third] = crawl.submit(3)
    assert round(third.wait) == 50


def test_a_driver_that_is_dead_ends_the_run_with_its_last_words(play: Callable[..., Play]) -> None:
    crawl = play()
    crawl.link.is_dead = True
    with pytest.raises(EngineError, match="the connection to Ray was lost: Failed to connect to GCS"):
        crawl.poll()


@pytest.mark.parametrize(("wrong", "kind"), [(True, UsageError), (False, EngineError)])
def test_what_the_driver_refuses_ends_the_run(wrong: bool, kind: type[Exception], play: Callable[..., Play]) -> None:
    with pytest.raises(kind, match="no token"):
        play().poll(Refused(wrong, "no token"))


@pytest.mark.parametrize(
    ("slots", "why"),
    [
        (Slots(0, 2, 0), "the 2 hosts of the cluster have no slot for workers"),
        (Slots(4, 2, 2), r"a process with 3 workers needs a host with 3 slots, and the largest has 2"),
        (Slots(9, 2, 9), "though the cluster has 9 slots for them"),
    ],
)
def test_why_no_worker_comes_up_is_said(
    slots: Slots, why: str, play: Callable[..., Play], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_engine, "START_PATIENCE", -1.0)
    crawl = play(workers=6, threads=3)
    crawl.link.says.append(slots)
    with pytest.raises(EngineError, match=why):
        crawl.poll()


def test_a_storm_of_deaths_ends_the_run(play: Callable[..., Play]) -> None:
    crawl = play(workers=1)

    def die_for_ever() -> None:
        for serial in range(1, 100):
            crawl.link.says.append(Joined(next(iter(crawl.engine._spawned)), "near", 2))
            [run] = crawl.submit(serial)
            crawl.lost(run, "died")

    with pytest.raises(EngineError, match="worker processes died in a row without one answer"):
        die_for_ever()


def test_a_storm_of_processes_that_die_while_they_start_ends_the_run_too(play: Callable[..., Play]) -> None:
    crawl = play(workers=1)

    def die_for_ever() -> None:
        for _ in range(100):
            crawl.poll(Gone(next(iter(crawl.engine._spawned)), "died", 0.0, 0.0, "as Ray says"))

    with pytest.raises(EngineError, match="worker processes died in a row without one answer"):
        die_for_ever()


@pytest.mark.parametrize(("address", "is_slept"), [("127.0.0.3:6379", True), (None, False)], ids=["cluster", "own Ray"])
def test_an_end_waits_for_those_who_do_not_confirm_it(
    address: str | None, is_slept: bool, play: Callable[..., Play], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Played says so of carrier 1 only. The next start takes it that no proxy is in use any more."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    crawl = play(address=address)
    crawl.join()
    crawl.engine.close()
    assert [round(seconds) for seconds in slept] == ([17] if is_slept else [])


def test_an_end_that_all_confirm_waits_for_nobody(play: Callable[..., Play], monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    crawl = play(workers=1, address="127.0.0.3:6379")
    crawl.join()
    crawl.engine.close()
    assert slept == []
