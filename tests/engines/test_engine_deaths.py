"""Workers with processes die, hang and are killed: their tasks are charged or done again. Every wait has a deadline."""

from __future__ import annotations

import os
import signal

import pytest

from engine_kinds import Has, Kind, Started, ready
from engines import all_pinned
from pinpool.model import Ending, Sign

pytestmark = pytest.mark.needs(Has.PROCESSES)


@pytest.mark.grid(keep=1)
@pytest.mark.parametrize("death", ["exit", "kill", "segfault"])
def test_t1_a_crash_in_a_task_costs_that_task_only_and_frees_the_proxy(
    started: Started, engine_kind: Kind, death: str
) -> None:
    ledger = started(workers=3, proxies=3)

    for number in range(60):
        ledger.submit(death if number in (5, 25) else "ok")
    ledger.run()
    all_pinned(ledger, 3)

    assert ledger.good == 58
    assert ledger.charged == [(death, Sign.CRASH)] * 2
    if engine_kind.threads == 1:
        assert len(ledger.lost) == 2
        assert (ledger.engine.census().losses, ledger.engine.census().rebuilds) == (2, 0)


@pytest.mark.grid(keep=1)
@pytest.mark.parametrize("hang", ["loop", "swallow", "grip"])
def test_t4_a_hung_task_is_ended_and_reported(started: Started, engine_kind: Kind, hang: str) -> None:
    ledger = started(workers=2, proxies=2, hang=1.5)

    ledger.submit(hang)
    for _ in range(20):
        ledger.submit("ok")
    ledger.run()
    all_pinned(ledger, 2)

    assert ledger.good == 20
    assert ledger.charged == [(hang, Sign.HANG)]
    if engine_kind.threads == 1:
        assert (len(ledger.lost), ledger.engine.census().rebuilds) == (1, 0)
    [lost] = [lost for _, lost in ledger.lost if lost.sign is not None]
    assert "hung for more than 1.5 s" in lost.message


def test_a_worker_that_is_killed_on_purpose_loses_its_attempt_and_the_others_go_on(started: Started) -> None:
    ledger = started(workers=2, proxies=2)
    ready(ledger, 2)
    overtaken = ledger.submit("sleep:60")
    ledger.run(until=lambda: overtaken in ledger.engine.census().held)

    ledger.engine.kill(ledger.engine.census().held[overtaken].worker)
    ledger.engine.kill(-5)  # no effect: there is no such worker
    for _ in range(20):
        ledger.submit("ok")
    ledger.run(until=lambda: overtaken not in ledger.flight and ledger.good == 20)

    [lost] = [lost for _, lost in ledger.lost if lost.serial == overtaken]
    assert lost.outcome(0.0).ending is Ending.FAILED
    all_pinned(ledger, 2)


def test_a_busy_worker_that_is_killed_from_outside_loses_nothing(started: Started) -> None:
    ledger = started(workers=3, proxies=3)
    ready(ledger, 3)
    for _ in range(40):
        ledger.submit("sleep:0.05")
    ledger.run(until=lambda: ledger.engine.census().running > 0)

    os.kill(next(iter(ledger.engine.census().held.values())).pid, signal.SIGKILL)
    ledger.run()

    assert ledger.good == 40
    assert ledger.engine.census().losses > 0
    all_pinned(ledger, 3)
