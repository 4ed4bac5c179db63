"""Every engine answers every task once, whatever the job does. Every wait has a deadline."""

from __future__ import annotations

import threading
from collections import defaultdict

import pytest

from engine_kinds import Has, Kind, Started, ready
from pinpool.model import Ending, Outcome, ProxyState


def test_every_task_is_answered_through_a_pinned_proxy(started: Started) -> None:
    ledger = started(workers=4, proxies=4)

    for _ in range(200):
        ledger.submit("ok")
    ledger.run()

    assert ledger.good == 200
    assert ledger.lost == []
    assert {answered.outcome.result for _, answered in ledger.answers} <= {b"1", b"2", b"3", b"4"}


def test_as_many_workers_as_proxies_hold_one_each(started: Started) -> None:
    ledger = started(workers=5, proxies=5)
    ready(ledger, 5)

    for _ in range(50):
        ledger.submit("sleep:0.01")
    ledger.run()

    used = defaultdict(set)
    for _, answered in ledger.answers:
        used[answered.outcome.worker].add(answered.outcome.proxy)
    assert sorted(line.proxy for line in ledger.engine.census().lines) == [1, 2, 3, 4, 5]
    assert all(len(proxies) == 1 for proxies in used.values())
    assert len(set.union(*used.values())) == len(used)


def test_tasks_that_are_submitted_while_answers_are_taken_are_answered_too(started: Started) -> None:
    """As a page's links are: three chains, each of twenty tasks."""
    ledger = started(workers=3, proxies=3)
    left = {f"ok:{chain}": 20 for chain in "abc"}

    def follow(work: str, outcome: Outcome) -> None:
        left[work] -= 1
        if left[work]:
            ledger.submit(work)

    ledger.on_answer = follow
    for work in left:
        ledger.submit(work)
    ledger.run()

    assert set(left.values()) == {0}
    assert ledger.good == 60


def test_a_large_answer_comes_whole(started: Started) -> None:
    ledger = started(workers=1, proxies=1)

    serial = ledger.submit("big:4000000")
    ledger.run()

    assert ledger.outcome(serial).result == bytes(4_000_000)


def test_the_census_shows_what_is_in_hand_and_by_whom(started: Started) -> None:
    ledger = started(workers=2, proxies=2)
    ready(ledger, 2)
    assert ledger.engine.census().held == {}

    serial = ledger.submit("sleep:0.4")
    ledger.run(until=lambda: serial in ledger.engine.census().held or not ledger.flight)
    seen = ledger.engine.census().held  # an engine that does one page after another has none in hand when it is asked
    ledger.run()
    ready(ledger, 2)

    for serial, line in seen.items():
        assert (line.proxy, line.worker) == (ledger.outcome(serial).proxy, ledger.outcome(serial).worker)
    ledger.until_states({1: ProxyState.PINNED, 2: ProxyState.PINNED})


@pytest.mark.needs(Has.GUARD)
@pytest.mark.parametrize(
    ("work", "message"),
    [
        ("leave", "SystemExit: a spider that leaves"),
        ("unprintable", "Unprintable: (its text cannot be shown)"),
    ],
)
def test_whatever_a_job_raises_is_evidence_and_its_worker_goes_on(started: Started, work: str, message: str) -> None:
    ledger = started(workers=1, proxies=1, resubmit=False)

    raised, served = ledger.submit(work), ledger.submit("ok")
    ledger.run()

    evidence = ledger.outcome(raised).evidence
    assert evidence is not None
    assert evidence.message == message
    assert ledger.outcome(served).ending is Ending.OK
    assert ledger.outcome(raised).worker == ledger.outcome(served).worker
    assert ledger.engine.census().losses == 0


@pytest.mark.needs(Has.PROCESSES)
def test_a_ctrl_c_that_a_job_raises_is_evidence_too(started: Started) -> None:
    """In the calling process it is the user's, and ends the run."""
    ledger = started(workers=1, proxies=1, resubmit=False)

    raised, served = ledger.submit("interrupt"), ledger.submit("ok")
    ledger.run()

    evidence = ledger.outcome(raised).evidence
    assert evidence is not None
    assert evidence.message == "KeyboardInterrupt: a spider that interrupts"
    assert ledger.outcome(served).worker == ledger.outcome(raised).worker


@pytest.mark.needs(Has.PROCESSES)
def test_a_result_that_cannot_be_pickled_costs_its_task_and_nothing_else(started: Started) -> None:
    """No job has such a result; if one had, its worker would begin anew."""
    ledger = started(workers=1, proxies=1, resubmit=False)

    ledger.submit("unpicklable")
    ledger.run()
    ledger.submit("ok")
    ledger.run()

    assert [work for work, _ in ledger.lost] == ["unpicklable"]
    assert ledger.good == 1


@pytest.mark.needs(Has.CLOCK)
def test_wake_ends_a_poll_that_waits_from_any_thread(
    started: Started, engine_kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{engine_kind.module}.TICK_SECONDS", 3600.0)
    ledger = started(workers=1, proxies=1)
    ledger.engine.poll(0.0)  # the next tick is in an hour
    waker = threading.Timer(0.05, ledger.engine.wake)
    polled = threading.Event()

    def poll() -> None:
        while not polled.is_set():
            ledger.engine.poll(3600.0)
            polled.set()

    poller = threading.Thread(target=poll, daemon=True)
    poller.start()
    waker.start()

    assert polled.wait(30)
    poller.join()
    waker.join()
