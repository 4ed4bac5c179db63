"""Proxies between workers that park, swap and die, and a Manager that dies: rows T5 to T7 and T11 of the research."""

from __future__ import annotations

import os
import signal

import pytest

from engines import Maker, all_idle, all_pinned, kill_manager, proxyless
from ledger import Ledger
from pinpool.model import Ending, ProxyState
from pinpool.pool import lease_process

#: Every test runs over forkserver or spawn, alone in a process or not; with --slow over all four.
pytestmark = [pytest.mark.processes, pytest.mark.grid(share=0.25)]


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


def test_t5_a_worker_that_parks_for_a_moment_only_answers_once_and_truly(make: Maker) -> None:
    """Its proxy rests for less than a tick: the call comes back before the parent has read the answer left behind."""
    engine = make(workers=2, proxies=1, cooling=0.0)
    ledger = Ledger(engine, resubmit=False)

    for _ in range(20):
        ledger.submit("refused")
    ledger.run()

    assert [answered.outcome.ending for _, answered in ledger.answers] == [Ending.FAILED] * 20
    assert ledger.lost == []


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
