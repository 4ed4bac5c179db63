"""
The process engine under fault injection: rows T1 to T17 of the research on pools, over forkserver and spawn.

Every wait has a deadline. Whether a proxy was used twice is asked of the workers' answers here, and of real proxies in
the stories.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ledger import Ledger
from pinpool.model import Ending, ProxyState, Sign
from pinpool.pool import lease_client
from pinpool.pool.engine import Noted
from pinpool.pool.lease_types import Standing
from pinpool.pool.processes import ProcessEngine
from pinpool.pool.status_board import Activity, Line
from pinpool.proxies.proxy import Proxy
from pinpool.settings import Settings
from scripted_job import ScriptedJob

pytestmark = pytest.mark.processes

METHODS = ["forkserver", "spawn"]
Maker = Callable[..., ProcessEngine]


@pytest.fixture(params=METHODS)
def method(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture
def make(method: str) -> Iterator[Maker]:
    """Builds started engines, and sees to it that none leaves a process behind."""
    engines: list[ProcessEngine] = []

    def build(
        workers: int, proxies: int, *, hang: float = 30.0, cooling: float = 3600.0, swap_after: int = 3
    ) -> ProcessEngine:
        standings = [
            Standing(n, Proxy("http", f"192.0.2.{n}", 80), ProxyState.SPARE) for n in range(1, proxies + 1)
        ]
        settings = Settings(swap_after=swap_after)
        engine = ProcessEngine(
            partial(ScriptedJob, settings),
            standings,
            workers=workers,
            hang_seconds=hang,
            cooling=cooling,
            start_method=method,
        )
        engines.append(engine)
        engine.start()
        return engine

    yield build
    pids = [pid for engine in engines for pid in everybody(engine)]
    for engine in engines:
        engine.close()
    assert [pid for pid in pids if is_alive(pid)] == []


def everybody(engine: ProcessEngine) -> list[int]:
    generation = engine._generation
    if generation is None:
        return []
    return [child.pid for child in generation.children() if child.pid is not None]


def proxyless(engine: ProcessEngine) -> list[Line]:
    return [line for line in lines_of(engine) if line.proxy < 0]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


def all_pinned(engine: ProcessEngine, ledger: Ledger, wanted: int) -> None:
    ledger.run(until=lambda: engine.census().count(ProxyState.PINNED) == wanted)


def all_idle(engine: ProcessEngine, ledger: Ledger, wanted: int) -> None:
    ledger.run(until=lambda: [line.activity for line in lines_of(engine)] == [Activity.IDLE] * wanted)


def test_a_worker_whose_proxy_is_withdrawn_gives_the_task_back_untried_and_waits_for_one_that_joins(
    make: Maker,
) -> None:
    engine = make(1, 1)
    ledger = Ledger(engine)
    all_pinned(engine, ledger, 1)

    engine.withdraw([1], "off the list")
    ledger.submit("ok")
    ledger.run(until=lambda: engine.census().alive == 0 and not ledger.flight)
    given_back = ledger.answers[-1][1].outcome
    engine.join([Standing(2, Proxy("http", "192.0.2.2", 80), ProxyState.SPARE)])
    ledger.submit("ok")
    ledger.run(until=lambda: not ledger.flight and ("leased", 2) in ledger.moves)

    assert (given_back.ending, given_back.proxy) == (Ending.DECLINED, 1)
    assert ledger.answers[-1][1].outcome.proxy == 2
    assert ledger.moves == [("leased", 1), ("returned", 1), ("withdrawn", 1), ("joined", 2), ("leased", 2)]


@pytest.mark.parametrize("victim", ["worker", "manager"])
def test_a_withdrawn_proxy_is_gone_for_good_though_its_worker_or_the_manager_dies_first(
    make: Maker, victim: str
) -> None:
    engine = make(2, 2)
    ledger = Ledger(engine)
    ledger.run(until=lambda: [line.activity for line in lines_of(engine)] == [Activity.IDLE] * 2)
    all_pinned(engine, ledger, 2)
    engine.withdraw([1], "off the list")
    [line] = [line for line in lines_of(engine) if line.proxy == 1]

    if victim == "worker":
        os.kill(line.pid, signal.SIGKILL)
    else:
        assert engine._manager is not None
        engine._manager.kill()
    ledger.run(until=lambda: engine.census().rebuilds > 0)
    for _ in range(10):
        ledger.submit("ok")
    ledger.run()

    assert {answered.outcome.proxy for _, answered in ledger.answers} == {2}
    assert engine.census().states[1] is ProxyState.RETIRED
    assert ledger.events["withdrawn"] == 1


def lines_of(engine: ProcessEngine) -> list[Line]:
    return engine._present().board.read()


def test_every_task_is_answered_through_a_pinned_proxy(make: Maker) -> None:
    engine = make(workers=4, proxies=4)
    ledger = Ledger(engine)

    for _ in range(200):
        ledger.submit("ok")
    ledger.run()

    assert ledger.good == 200
    assert ledger.lost == []


@pytest.mark.parametrize("death", ["exit", "kill", "segfault"])
def test_t1_a_crash_in_a_task_loses_that_attempt_only_and_frees_the_proxy(make: Maker, death: str) -> None:
    engine = make(workers=3, proxies=3)
    ledger = Ledger(engine)

    for number in range(60):
        ledger.submit(death if number in (5, 25) else "ok")
    ledger.run()
    all_pinned(engine, ledger, 3)

    assert ledger.good == 58
    assert [(work, lost.sign) for work, lost in ledger.lost] == [(death, Sign.CRASH)] * 2
    assert engine.census().rebuilds == 0
    assert engine.census().losses == 2


def test_t1_leaving_by_sys_exit_is_evidence_not_a_death(make: Maker) -> None:
    engine = make(workers=1, proxies=1)
    ledger = Ledger(engine, resubmit=False)

    ledger.submit("leave")
    ledger.run()

    outcome = ledger.answers[0][1].outcome
    assert outcome.evidence is not None
    assert outcome.evidence.message == "SystemExit: a spider that leaves"
    assert engine.census().losses == 0


def test_t2_killing_an_idle_worker_builds_a_new_pool_and_loses_nothing(make: Maker) -> None:
    """It may have held the lock of the task pipe: nobody can tell, so the pool is not trusted any more."""
    engine = make(workers=4, proxies=4)
    ledger = Ledger(engine)

    for _ in range(3):
        all_idle(engine, ledger, 4)
        rebuilds = ledger.events["rebuilt"]
        os.kill(everybody(engine)[0], signal.SIGKILL)
        ledger.run(until=lambda before=rebuilds: ledger.events["rebuilt"] > before)  # type: ignore[misc]
        for _ in range(20):
            ledger.submit("ok")
        ledger.run()

    all_pinned(engine, ledger, 4)
    assert ledger.good == 60
    assert engine.census().rebuilds == 3


def test_t3_killing_a_worker_while_it_writes_its_answer_loses_nothing(make: Maker) -> None:
    engine = make(workers=2, proxies=2)
    ledger = Ledger(engine)
    all_pinned(engine, ledger, 2)

    for _ in range(30):
        ledger.submit("big:4000000")
    for _ in range(3):
        # Board says IDLE while put() runs, and an answer of 4 MB takes a while to write.
        victim = None
        give_up = time.monotonic() + 10
        while victim is None and time.monotonic() < give_up:
            victim = next(
                (li.pid for li in lines_of(engine) if li.activity is Activity.IDLE and li.serial), None
            )
        if victim is not None:
            os.kill(victim, signal.SIGKILL)
        ledger.run(until=lambda: True)
    ledger.run(seconds=60)

    assert ledger.good == 30


@pytest.mark.parametrize("hang", ["loop", "swallow", "grip", "stop"])
def test_t4_a_hung_task_is_ended_and_told_with_its_stack(make: Maker, hang: str) -> None:
    engine = make(workers=2, proxies=2, hang=1.0)
    ledger = Ledger(engine)

    ledger.submit(hang)
    for _ in range(20):
        ledger.submit("ok")
    ledger.run(seconds=20)
    all_pinned(engine, ledger, 2)

    assert ledger.good == 20
    (work, lost), *others = ledger.lost
    assert (work, lost.sign, others) == (hang, Sign.HANG, [])
    assert engine.census().rebuilds == 0
    if hang != "stop":  # a stopped process cannot answer
        assert "scripted_job.py" in lost.message


def test_t5_workers_without_a_proxy_take_no_task_and_wake_when_one_rests_out(make: Maker) -> None:
    engine = make(workers=8, proxies=2)
    ledger = Ledger(engine)

    for _ in range(60):
        ledger.submit("sleep:0.01")
    ledger.run()

    used = {answered.outcome.worker for _, answered in ledger.answers}
    assert ledger.good == 60
    assert len(used) <= 2
    ledger.run(until=lambda: engine.census().parked == 6)


def test_t5_a_failing_worker_swaps_and_a_parked_one_keeps_no_task_hostage(make: Maker) -> None:
    """Proxy 1 refuses all: its worker parks inside the call, and the answer reaches the parent nevertheless."""
    engine = make(workers=2, proxies=2)
    ledger = Ledger(engine)
    all_pinned(engine, ledger, 2)

    rounds = 0
    while (
        engine.census().count(ProxyState.PINNED) == 2
    ):  # the other worker may be so quick that it does all of them
        for _ in range(40):
            ledger.submit("refused:1")
        ledger.run()
        rounds += 1

    assert ledger.good == 40 * rounds
    assert engine.census().count(ProxyState.COOLING) == 1
    assert engine.census().parked == 1


def test_t5_a_worker_that_parks_for_a_moment_only_answers_once_and_truly(make: Maker) -> None:
    """Its proxy rests for less than a tick: the call comes back before the parent has read the answer left behind."""
    engine = make(workers=2, proxies=1, cooling=0.0)
    ledger = Ledger(engine, resubmit=False)

    for _ in range(20):
        ledger.submit("refused")
    ledger.run()

    assert [answered.outcome.ending for _, answered in ledger.answers] == [Ending.FAILED] * 20
    assert ledger.lost == []


def test_t6_when_the_last_proxy_has_rested_the_parked_workers_go_on(make: Maker) -> None:
    engine = make(workers=2, proxies=2, cooling=1.0)
    ledger = Ledger(engine, resubmit=False)
    all_pinned(engine, ledger, 2)

    ledger.submit("refused")
    ledger.submit("refused")
    ledger.run()
    ledger.run(until=lambda: engine.census().parked == 2)
    for _ in range(10):
        ledger.submit("ok")
    ledger.run()

    assert ledger.good == 10
    ledger.run(until=lambda: ("rested", 1) in ledger.moves)


def test_t7_parked_workers_that_are_killed_swallow_no_proxy(make: Maker) -> None:
    engine = make(workers=6, proxies=2, cooling=3600.0)
    ledger = Ledger(engine, resubmit=False)
    all_pinned(engine, ledger, 2)

    for kills in range(1, 9):
        ledger.run(until=lambda: bool(proxyless(engine)))
        victim = proxyless(engine)[0]
        os.kill(victim.pid, signal.SIGKILL)
        ledger.run(until=lambda wanted=kills: ledger.events["worker_lost"] == wanted)  # type: ignore[misc]
    for _ in range(20):
        ledger.submit("ok")
    ledger.run()

    assert ledger.good == 20
    assert engine.census().count(ProxyState.PINNED) == 2
    assert engine.census().rebuilds == 0


def test_t8_what_cannot_travel_becomes_evidence_and_the_result_thread_lives(make: Maker) -> None:
    engine = make(workers=1, proxies=1)
    ledger = Ledger(engine, resubmit=False)

    ledger.submit("unprintable")
    ledger.submit("ok")
    ledger.run()

    evidence = ledger.answers[0][1].outcome.evidence
    assert evidence is not None
    assert evidence.message == "Unprintable: (its message cannot be printed)"
    assert ledger.good == 1


def test_t11_the_manager_may_die_and_the_run_goes_on(make: Maker) -> None:
    engine = make(workers=3, proxies=4)
    ledger = Ledger(engine)
    all_pinned(engine, ledger, 3)
    for _ in range(30):
        ledger.submit("sleep:0.05")

    assert engine._manager is not None
    os.kill(engine._manager._process.pid, signal.SIGKILL)  # type: ignore[attr-defined]
    ledger.run()
    all_pinned(engine, ledger, 3)

    assert ledger.good == 30
    assert engine.census().rebuilds == 1
    assert len(engine.census().states) == 4


def test_t11_a_resting_proxy_still_rests_under_the_new_manager(make: Maker) -> None:
    engine = make(workers=1, proxies=2)
    ledger = Ledger(engine)
    ledger.submit("refused:1")
    ledger.run()
    ledger.run(until=lambda: engine.census().count(ProxyState.COOLING) == 1)

    assert engine._manager is not None
    os.kill(engine._manager._process.pid, signal.SIGKILL)  # type: ignore[attr-defined]
    ledger.run(until=lambda: ledger.events["rebuilt"] == 1)
    all_pinned(engine, ledger, 1)

    assert engine.census().states == {1: ProxyState.COOLING, 2: ProxyState.PINNED}


def test_t9_an_answer_that_makes_no_sense_costs_its_attempt_and_not_the_run(make: Maker) -> None:
    """The callbacks only post, so the worst that can reach the loop is an object that nobody expects."""
    engine = make(workers=1, proxies=1)
    ledger = Ledger(engine, resubmit=False)
    ledger.submit("sleep:0.2")

    engine._answers.put((1, ValueError("from nowhere")))
    ledger.run()
    ledger.submit("ok")
    ledger.run()

    assert [(lost.sign, lost.message) for _, lost in ledger.lost] == [
        (Sign.CRASH, "the pool said ValueError")
    ]
    assert ledger.good == 1


def test_t17_workers_that_cannot_reach_the_manager_do_not_become_a_storm(make: Maker) -> None:
    """An initializer that failed at once would be started again at once: 147 processes a second with four seats."""
    engine = make(workers=4, proxies=4)
    ledger = Ledger(engine)
    all_pinned(engine, ledger, 4)
    assert engine._manager is not None
    os.kill(engine._manager._process.pid, signal.SIGKILL)  # type: ignore[attr-defined]
    for pid in everybody(engine):
        os.kill(pid, signal.SIGKILL)

    # Nobody polls, so nobody builds anew: what the pool does by itself is all there is.
    seen: set[int] = set()
    give_up = time.monotonic() + 3.5
    while time.monotonic() < give_up:
        seen |= set(everybody(engine))
    for _ in range(8):
        ledger.submit("ok")
    ledger.run()

    assert len(seen) <= 4 * 5
    assert ledger.good == 8


def test_t11_a_manager_that_somebody_has_stopped_is_replaced(
    make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers no more and is not dead; the parent's patience is what ends the wait."""
    monkeypatch.setattr(lease_client, "ANSWER_SECONDS", 2.0)
    engine = make(workers=2, proxies=2)
    ledger = Ledger(engine)
    all_pinned(engine, ledger, 2)

    assert engine._manager is not None
    os.kill(engine._manager._process.pid, signal.SIGSTOP)  # type: ignore[attr-defined]
    ledger.run(until=lambda: ledger.events["rebuilt"] == 1)
    for _ in range(10):
        ledger.submit("ok")
    ledger.run()

    assert ledger.good == 10


def test_closing_an_engine_leaves_other_peoples_processes_alone(make: Maker, method: str) -> None:
    engine = make(workers=2, proxies=2)
    other = make(workers=1, proxies=1)
    context: Any = multiprocessing.get_context(method)
    mine = context.Process(target=time.sleep, args=(60,))
    mine.start()

    engine.close()

    assert mine.is_alive()
    ledger = Ledger(other)
    ledger.submit("ok")
    ledger.run()
    assert ledger.good == 1
    assert other.census().losses == 0
    mine.kill()
    mine.join(10)
    mine.close()


def test_t16_stop_check_kill_never_jams_the_pool(make: Maker) -> None:
    engine = make(workers=4, proxies=4)
    ledger = Ledger(engine)
    all_pinned(engine, ledger, 4)

    for _ in range(40):
        for _ in range(8):
            ledger.submit("ok")
        victim = everybody(engine)
        if victim:
            engine.kill(victim[0])
        ledger.run()

    assert ledger.good == 320
    assert engine.census().rebuilds == 0


def test_the_moves_since_the_last_poll_are_told_before_the_end(make: Maker) -> None:
    """Else the last swaps of a run would be in nobody's figures, and the pins of a short one none."""
    engine = make(workers=2, proxies=2)
    give_up = time.monotonic() + 20
    while sum(line.proxy > 0 for line in lines_of(engine)) < 2:
        assert time.monotonic() < give_up

    moves = [signal_.event.kind for signal_ in engine.flush() if isinstance(signal_, Noted)]

    assert moves == ["leased", "leased"]


def test_an_engine_that_is_closed_at_once_leaves_nothing_behind(make: Maker) -> None:
    engine = make(workers=8, proxies=8)

    engine.close()
