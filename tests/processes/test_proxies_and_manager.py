"""Proxies between workers that park, swap and die, and a Manager that dies: rows T5 to T7 and T11 of the research."""

from __future__ import annotations

import os
import signal

import pytest

from crawling import until
from engines import Maker, all_idle, all_pinned, kill_manager, proxyless, spare
from ledger import Ledger
from pinpool.model import Ending, ProxyState
from pinpool.pool import lease_process
from pinpool.pool.engine import Noted

#: Every test runs over forkserver or spawn, alone in a process or not; with --slow over all four.
pytestmark = [pytest.mark.processes, pytest.mark.grid(share=0.25)]


def test_a_worker_whose_proxy_is_withdrawn_gives_the_task_back_untried_and_waits_for_one_that_joins(
    make: Maker,
) -> None:
    engine = make(1, 1)
    ledger = Ledger(engine)
    all_idle(ledger, 1)  # before it has a seat on the board, nobody can ask it to leave
    all_pinned(ledger, 1)

    engine.withdraw([1], "off the list")
    ledger.submit("ok")
    ledger.run(until=lambda: engine.census().alive == 0 and not ledger.flight)
    given_back = ledger.answers[-1][1].outcome
    engine.join([spare(2)])
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
    all_idle(ledger, 2)
    all_pinned(ledger, 2)
    engine.withdraw([1], "off the list")
    [line] = [line for line in engine.workers() if line.proxy == 1]

    if victim == "worker":
        os.kill(line.pid, signal.SIGKILL)
    else:
        kill_manager(engine)
    ledger.run(until=lambda: engine.census().rebuilds > 0)
    for _ in range(10):
        ledger.submit("ok")
    ledger.run()

    assert {answered.outcome.proxy for _, answered in ledger.answers} == {2}
    assert engine.census().states[1] is ProxyState.RETIRED
    assert ledger.events["withdrawn"] == 1


def test_t5_workers_without_a_proxy_take_no_task(make: Maker) -> None:
    engine = make(workers=5, proxies=2)
    ledger = Ledger(engine)

    for _ in range(60):
        ledger.submit("sleep:0.01")
    ledger.run()

    used = {answered.outcome.worker for _, answered in ledger.answers}
    assert ledger.good == 60
    assert len(used) <= 2
    ledger.run(until=lambda: engine.census().parked == 3)


def test_t5_a_failing_worker_swaps_and_a_parked_one_keeps_no_task_hostage(make: Maker) -> None:
    """Proxy 1 refuses every task. Its worker parks inside the call, and the answer still reaches the parent."""
    engine = make(workers=2, proxies=2)
    ledger = Ledger(engine)
    all_pinned(ledger, 2)

    rounds = 0
    # The other worker may be so quick that it does all tasks of a round.
    while engine.census().count(ProxyState.PINNED) == 2:
        for _ in range(40):
            ledger.submit("refused:1")
        ledger.run()
        rounds += 1

    assert ledger.good == 40 * rounds
    assert engine.census().count(ProxyState.COOLING) == 1
    ledger.run(until=lambda: engine.census().parked == 1)


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
    engine = make(workers=2, proxies=2)
    ledger = Ledger(engine, resubmit=False)
    all_pinned(ledger, 2)

    ledger.submit("refused")
    ledger.submit("refused")
    ledger.run()
    ledger.run(until=lambda: engine.census().parked == 2)
    for proxy in (1, 2):
        engine.cool(proxy, 0.5)
    for _ in range(10):
        ledger.submit("ok")
    ledger.run()

    assert ledger.good == 10
    ledger.run(until=lambda: ("rested", 1) in ledger.moves)


@pytest.mark.parametrize("threads", [1], indirect=True)  # those in one process are not all parked
def test_t7_parked_workers_that_are_killed_swallow_no_proxy(make: Maker) -> None:
    engine = make(workers=6, proxies=2)
    ledger = Ledger(engine, resubmit=False)
    all_pinned(ledger, 2)

    for lost in (4, 8):
        ledger.run(until=lambda: len(proxyless(engine)) == 4)
        for victim in proxyless(engine):
            os.kill(victim.pid, signal.SIGKILL)
        ledger.run(until=lambda wanted=lost: ledger.events["worker_lost"] == wanted)  # type: ignore[misc]
    for _ in range(20):
        ledger.submit("ok")
    ledger.run()

    assert ledger.good == 20
    assert engine.census().count(ProxyState.PINNED) == 2
    assert engine.census().rebuilds == 0


def test_t11_the_manager_may_die_and_the_run_goes_on(make: Maker) -> None:
    engine = make(workers=3, proxies=4)
    ledger = Ledger(engine)
    all_pinned(ledger, 3)
    for _ in range(30):
        ledger.submit("sleep:0.05")

    kill_manager(engine)
    ledger.run()
    all_pinned(ledger, 3)

    assert ledger.good == 30
    assert engine.census().rebuilds == 1
    assert len(engine.census().states) == 4


def test_t11_a_resting_proxy_still_rests_under_the_new_manager(make: Maker) -> None:
    engine = make(workers=1, proxies=2)
    ledger = Ledger(engine)
    ledger.submit("refused:1")
    ledger.run()
    ledger.run(until=lambda: engine.census().count(ProxyState.COOLING) == 1)

    kill_manager(engine)
    ledger.run(until=lambda: ledger.events["rebuilt"] == 1)
    all_pinned(ledger, 1)

    assert engine.census().states == {1: ProxyState.COOLING, 2: ProxyState.PINNED}


def test_t11_a_manager_that_somebody_has_stopped_is_replaced(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not dead and answers nothing; the parent stops waiting after `ANSWER_SECONDS`."""
    monkeypatch.setattr(lease_process, "ANSWER_SECONDS", 2.0)
    engine = make(workers=2, proxies=2)
    ledger = Ledger(engine)
    all_pinned(ledger, 2)

    kill_manager(engine, signal.SIGSTOP)
    ledger.run(until=lambda: ledger.events["rebuilt"] >= 1)
    for _ in range(10):
        ledger.submit("ok")
    ledger.run()

    assert ledger.good == 10


def test_flush_returns_the_moves_since_the_last_poll(make: Maker) -> None:
    """The last swaps of a run, and the pins of a short one, belong in its figures."""
    engine = make(workers=2, proxies=2)
    until(lambda: sum(line.proxy > 0 for line in engine.workers()) == 2, "two pins", seconds=60)

    moves = [noted.event.kind for noted in engine.flush() if isinstance(noted, Noted)]

    assert moves == ["leased", "leased"]
