"""The figures of each proxy of a `PinnedPool`."""

from __future__ import annotations

from pinpool.calls.ledger import Ledger
from pinpool.model import Ending, Evidence, Fault, Outcome, ProxyState, Sign, Step
from pinpool.pool.clock import FakeClock

START = 1_700_000_000.0
OK = Outcome(1, 7, 1, Ending.OK, START, 0.5)
REFUSED = OK._replace(ending=Ending.FAILED, evidence=Evidence(Step.CONNECT, Sign.REFUSED, "no"))
STATES = {1: ProxyState.PINNED, 2: ProxyState.COOLING}


def ledger() -> Ledger:
    return Ledger({1: "http://192.0.2.1:80", 2: "http://192.0.2.2:80"}, FakeClock(START))


def test_what_is_forgiven_is_no_longer_charged() -> None:
    made = ledger()
    made.add(1, REFUSED, Fault.REFUSED, charged=True)
    made.add(2, REFUSED, Fault.REFUSED, charged=True)

    made.forgive(1, [1])

    first, _ = made.documents(STATES)
    assert (first["failed"], first["charged"], first["forgiven"]) == (2, 1, 1)


def test_a_failure_that_was_not_charged_is_charged_once_another_proxy_serves_the_call() -> None:
    made = ledger()
    made.add(1, REFUSED, Fault.HTTP_ERROR)
    made.add(1, REFUSED, Fault.TIMEOUT, charged=True)

    made.charge(1, [1])
    made.charge(1, [1])

    assert made.documents(STATES)[0]["charged"] == 2


def test_a_charge_is_forgiven_once() -> None:
    made = ledger()
    made.add(1, REFUSED, Fault.TIMEOUT, charged=True)

    made.forgive(1, [1])
    made.add(1, REFUSED, Fault.TIMEOUT, charged=True)
    made.forgive(1, [1])

    first, _ = made.documents(STATES)
    assert (first["charged"], first["forgiven"]) == (0, 2)


def test_a_call_has_no_status_and_its_time_counts_only_if_it_came_to_an_end() -> None:
    made = ledger()
    made.add(1, OK)
    made.add(1, REFUSED._replace(seconds=9.0), Fault.REFUSED, charged=True)

    first, _ = made.documents(STATES)

    assert round(first["latency_p95"], 1) == 0.5
    assert (first["ok"], first["busy_seconds"], first["first_error"]) == (1, 9.5, "refused: no")


def test_a_reason_is_shown_while_the_proxy_is_out_and_not_afterwards() -> None:
    made = ledger()
    made.cooled(2, Fault.REFUSED, 30)

    resting = made.documents(STATES)[1]
    back = made.documents({**STATES, 2: ProxyState.SPARE})[1]

    assert (resting["reason"], resting["until"]) == ("refused", "2023-11-14T22:13:50Z")
    assert (back["reason"], back["until"]) == (None, None)


def test_it_knows_why_proxies_were_taken_out() -> None:
    made = ledger()
    made.cooled(1, Fault.REFUSED, 30)
    made.cooled(2, None, 30)
    made.retired(1, "proxy_auth")

    assert made.reasons() == {"proxy_auth": 1}


def test_an_attempt_through_no_known_proxy_counts_nowhere() -> None:
    made = ledger()

    made.add(1, REFUSED._replace(proxy=-1), Fault.CRASH)

    assert [row["attempts"] for row in made.documents(STATES)] == [0, 0]


def test_memory_does_not_grow_with_the_calls() -> None:
    made = ledger()
    for number in range(5000):
        made.add(1, OK._replace(seconds=0.001 * number))

    figures = made.figures[1]

    assert figures.attempts == 5000
    assert len(figures.latencies.buckets) < 250
