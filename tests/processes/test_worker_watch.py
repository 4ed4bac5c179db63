"""Worker processes that die or hang: rows T1 to T4, T16 and T17 of the research on pools. Every wait has a deadline."""

from __future__ import annotations

import os
import signal
import time

import pytest

from engines import Maker, all_idle, all_pinned, kill_manager
from ledger import Ledger
from pinpool.model import Sign
from pinpool.pool.processes import MANY_REBUILDS
from pinpool.pool.status_board import Activity

#: Every test runs over forkserver or spawn, alone in a process or not; with --slow over all four.
pytestmark = [pytest.mark.processes, pytest.mark.grid(share=0.25)]


def test_t2_killing_an_idle_worker_builds_a_new_pool_and_loses_nothing(make: Maker) -> None:
    """It may have held the lock of the task pipe. Nobody can tell, so the pool is replaced."""
    engine = make(workers=2, proxies=2)
    ledger = Ledger(engine)

    for _ in range(3):
        all_idle(ledger, 2)
        rebuilds = ledger.events["rebuilt"]
        os.kill(engine.worker_pids[0], signal.SIGKILL)
        ledger.run(until=lambda before=rebuilds: ledger.events["rebuilt"] > before)  # type: ignore[misc]
        for _ in range(20):
            ledger.submit("ok")
        ledger.run()

    all_pinned(ledger, 2)
    assert ledger.good == 60
    assert ledger.charged == []
    assert engine.census().rebuilds == 3


def test_a_pool_that_has_nothing_to_do_is_rebuilt_as_often_as_somebody_kills_its_workers(make: Maker) -> None:
    """Between two tries of a bad page there may be no other to answer."""
    engine = make(workers=2, proxies=2)
    ledger = Ledger(engine)

    for rebuilds in range(1, MANY_REBUILDS + 3):
        all_idle(ledger, 2)
        os.kill(engine.worker_pids[0], signal.SIGKILL)
        ledger.run(until=lambda: engine.census().rebuilds == rebuilds)  # noqa: B023

    all_idle(ledger, 2)
    ledger.submit("ok")
    ledger.run()
    assert ledger.good == 1


def test_t3_killing_a_worker_while_it_writes_its_answer_loses_nothing(make: Maker) -> None:
    engine = make(workers=2, proxies=2)
    ledger = Ledger(engine)
    all_pinned(ledger, 2)

    for _ in range(30):
        ledger.submit("big:4000000")
    for _ in range(3):
        # Board says IDLE while put() runs, and an answer of 4 MB takes a while to write.
        victim = None
        give_up = time.monotonic() + 10  # they may all be written by then
        while victim is None and time.monotonic() < give_up:
            victim = next((li.pid for li in engine.workers() if li.activity is Activity.IDLE and li.serial), None)
        if victim is not None:
            os.kill(victim, signal.SIGKILL)
        ledger.run(until=lambda: True)
    ledger.run()

    assert ledger.good == 30


@pytest.mark.parametrize("threads", [1], indirect=True)  # a thread that stops its process may go on before that stops
def test_t4_a_worker_that_is_stopped_is_ended_and_its_task_reported(make: Maker) -> None:
    """It cannot say where it stood."""
    engine = make(workers=2, proxies=2, hang=1.5)
    ledger = Ledger(engine)

    ledger.submit("stop")
    for _ in range(20):
        ledger.submit("ok")
    ledger.run()
    all_pinned(ledger, 2)

    assert ledger.good == 20
    assert ledger.charged == [("stop", Sign.HANG)]
    assert len(ledger.lost) == 1
    assert engine.census().rebuilds == 0


def test_t4_a_task_that_hangs_is_reported_with_its_stack(make: Maker) -> None:
    ledger = Ledger(make(workers=2, proxies=2, hang=1.0), resubmit=False)

    ledger.submit("swallow")
    ledger.run()

    assert "scripted_job.py" in ledger.lost[0][1].message


def test_t17_workers_that_cannot_reach_the_manager_do_not_become_a_storm(make: Maker) -> None:
    """If the initializer failed at once, the pool would start 147 processes a second for four workers."""
    engine = make(workers=4, proxies=4)
    ledger = Ledger(engine)
    all_pinned(ledger, 4)
    kill_manager(engine)
    for pid in engine.worker_pids:
        os.kill(pid, signal.SIGKILL)

    # Nobody polls, so nobody rebuilds: this is what the pool does by itself.
    seen: set[int] = set()
    give_up = time.monotonic() + 2.0
    while time.monotonic() < give_up:
        seen |= set(engine.worker_pids)
        time.sleep(0.01)
    for _ in range(8):
        ledger.submit("ok")
    ledger.run()

    assert len(seen) <= 4 * 3
    assert ledger.good == 8


def test_t16_stop_check_kill_never_jams_the_pool(make: Maker, threads: int) -> None:
    engine = make(workers=4, proxies=4)
    ledger = Ledger(engine)
    all_pinned(ledger, 4)

    for _ in range(40):
        for _ in range(8):
            ledger.submit("ok")
        victim = engine.worker_pids
        if victim:
            engine.kill(victim[0])
        ledger.run()

    assert ledger.good == 320
    if threads == 1:
        assert engine.census().rebuilds == 0
