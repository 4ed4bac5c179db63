"""What every engine does with its proxies: who has one, who waits for one, who has to leave it. Every wait ends."""

from __future__ import annotations

import pytest

from engine_kinds import Started, ready
from engines import all_pinned, spare
from pinpool.model import Ending, Outcome, ProxyState
from pinpool.pool.engine import Noted

SPARE, PINNED, COOLING, RETIRED = ProxyState.SPARE, ProxyState.PINNED, ProxyState.COOLING, ProxyState.RETIRED


# Fewer proxies than workers


def test_workers_without_a_proxy_take_no_task(started: Started) -> None:
    ledger = started(workers=5, proxies=2)

    for _ in range(60):
        ledger.submit("sleep:0.01")
    ledger.run()

    assert ledger.good == 60
    assert len({answered.outcome.worker for _, answered in ledger.answers}) <= 2
    ready(ledger, 5, pinned=2)


def test_workers_that_wait_take_proxies_that_join(started: Started) -> None:
    ledger = started(workers=3, proxies=1)
    ready(ledger, 3, pinned=1)

    ledger.engine.join([spare(2), spare(3)])
    assert ledger.engine.census().alive == 3  # at once, or a run whose last proxy has just retired would end
    ready(ledger, 3)
    for _ in range(30):
        ledger.submit("sleep:0.01")
    ledger.run()

    assert ledger.good == 30
    assert sorted(line.proxy for line in ledger.engine.census().lines) == [1, 2, 3]


def test_without_any_proxy_a_task_waits_for_the_first_that_joins(started: Started) -> None:
    ledger = started(workers=2, proxies=0)
    serial = ledger.submit("ok")
    for _ in range(3):
        ledger.poll()
    assert ledger.flight

    ledger.engine.join([spare(7)])
    ledger.run()

    assert ledger.outcome(serial).proxy == 7


def test_when_the_last_proxy_has_rested_the_parked_workers_go_on(started: Started) -> None:
    ledger = started(workers=2, proxies=2, resubmit=False)
    ready(ledger, 2)

    while ledger.engine.census().parked < 2:
        ledger.submit("refused")
        ledger.run(until=lambda: not ledger.flight or ledger.engine.census().parked == 2)
    for proxy in (1, 2):
        ledger.engine.cool(proxy, 0.5)
    for _ in range(10):
        ledger.submit("ok")
    ledger.run()

    assert ledger.good >= 10
    ledger.run(until=lambda: ("rested", 1) in ledger.moves)


# Swaps


def test_a_worker_swaps_a_proxy_that_refuses_and_its_task_is_done_through_another(started: Started) -> None:
    ledger = started(workers=2, proxies=3)
    ready(ledger, 2)
    faulty = min(ledger.holders)

    while ("faulted", faulty) not in ledger.moves:
        for _ in range(10):
            ledger.submit(f"refused:{faulty}")
        ledger.run()

    swapped = [answered.outcome.proxy for _, answered in ledger.answers if answered.outcome.swapped]
    assert swapped == [faulty]
    assert ledger.good == len(ledger.answers) - 1
    ready(ledger, 2)
    ledger.run(until=lambda: ledger.engine.census().states[faulty] is COOLING)


def test_a_failing_worker_without_a_spare_parks_and_keeps_no_task_hostage(started: Started) -> None:
    """Proxy 1 refuses every task. Its worker parks, and the answer still reaches the parent."""
    ledger = started(workers=2, proxies=2)
    ready(ledger, 2)

    while ledger.engine.census().count(PINNED) == 2:  # the other worker may be so quick that it does all of them
        for _ in range(40):
            ledger.submit("refused:1")
        ledger.run()

    assert ledger.good == len(ledger.answers) - 1
    assert ledger.engine.census().count(COOLING) == 1
    ready(ledger, 2, pinned=1)


@pytest.mark.grid(share=0.5)
@pytest.mark.parametrize(
    ("state", "work", "swaps"),
    [
        (SPARE, ["timeout", "timeout", "timeout"], [False, False, True]),
        (SPARE, ["timeout", "timeout", "ok", "timeout"], [False, False, False, False]),
        (COOLING, ["timeout"], [True]),
        (COOLING, ["ok", "timeout"], [False, False]),
        (COOLING, ["gone", "timeout"], [False, False]),
        (SPARE, ["refused"], [True]),
    ],
    ids=["at the third doubt", "a page between", "first after a rest", "served after its rest", "gone", "sure"],
)
def test_when_a_worker_swaps_its_proxy(started: Started, state: ProxyState, work: list[str], swaps: list[bool]) -> None:
    ledger = started(workers=1, proxies=[spare(1, state)], resubmit=False)

    serials = []
    for verb in work:
        serials.append(ledger.submit(verb))
        ledger.run()

    assert [ledger.outcome(serial).swapped for serial in serials] == swaps


# The parent's word


def test_a_rest_of_no_seconds_ends_at_once(started: Started) -> None:
    ledger = started(workers=1, proxies=1)
    ledger.on_answer = lambda work, outcome: ledger.engine.cool(1, 0.0) if outcome.swapped else None
    ledger.engine.cool(1, 60.0)  # no effect: it does not rest

    ledger.submit("refused")
    ledger.run(until=lambda: len(ledger.answers) == 3)  # it was resubmitted, and through the same proxy again

    assert all(answered.outcome.swapped for _, answered in ledger.answers)
    ledger.run(until=lambda: ("rested", 1) in ledger.moves)


def test_a_rest_lasts_as_long_as_the_parent_says(started: Started) -> None:
    ledger = started(workers=1, proxies=1, resubmit=False)
    ledger.submit("refused")
    ledger.run()
    ready(ledger, 1, pinned=0)

    ledger.engine.cool(1, 1e6)
    served = ledger.submit("ok")
    ledger.run(until=lambda: (ledger.engine.census().wakes_in or 0) > 3600)
    for _ in range(3):
        ledger.poll()

    assert served in ledger.flight
    ledger.until_states({1: COOLING})


def test_a_swapped_proxy_that_is_retired_never_comes_back_and_a_pinned_one_stays(started: Started) -> None:
    ledger = started(workers=1, proxies=2, resubmit=False)
    ledger.submit("refused:1")
    ledger.run()
    ready(ledger, 1)

    ledger.engine.retire(1, "it refuses our login")
    ledger.engine.retire(2, "it is pinned")
    ledger.engine.cool(1, 0.0)
    ledger.run(until=lambda: ("exhausted", 1) in ledger.moves)
    for _ in range(10):
        ledger.submit("ok")
    ledger.run()

    assert {answered.outcome.proxy for _, answered in ledger.answers[1:]} == {2}
    assert "it refuses our login" in ledger.details
    ledger.until_states({1: RETIRED, 2: PINNED})


def test_a_worker_whose_proxy_is_withdrawn_gives_the_task_back_untried_and_waits_for_one_that_joins(
    started: Started,
) -> None:
    ledger = started(workers=1, proxies=1)
    ready(ledger, 1)

    ledger.engine.withdraw([1], "off the list")
    given_back = ledger.submit("ok")
    ledger.run(until=lambda: ledger.engine.census().alive == 0 and not ledger.flight)
    ledger.engine.join([spare(2)])
    served = ledger.submit("ok")
    ledger.run(until=lambda: not ledger.flight and ("leased", 2) in ledger.moves)

    assert (ledger.outcome(given_back).ending, ledger.outcome(given_back).proxy) == (Ending.DECLINED, 1)
    assert ledger.outcome(served).proxy == 2
    assert ledger.moves == [("leased", 1), ("returned", 1), ("withdrawn", 1), ("joined", 2), ("leased", 2)]


def test_a_spare_proxy_that_is_withdrawn_is_out_at_once_and_may_join_again(started: Started) -> None:
    ledger = started(workers=1, proxies=2)
    ready(ledger, 1)

    ledger.engine.withdraw([2], "off the list")
    ledger.until_states({1: PINNED, 2: RETIRED})
    ledger.run(until=lambda: "off the list" in ledger.details)
    ledger.engine.join([spare(2)])
    ledger.until_states({1: PINNED, 2: SPARE})


def test_a_proxy_that_is_withdrawn_while_its_page_is_fetched_serves_it_and_no_other(started: Started) -> None:
    ledger = started(workers=1, proxies=2)
    ready(ledger, 1)
    first = ledger.submit("sleep:0.5")
    ledger.run(until=lambda: first in ledger.engine.census().held or not ledger.flight)

    ledger.engine.withdraw([1], "off the list")
    for _ in range(10):
        ledger.submit("ok")
    ledger.run()
    ready(ledger, 1)

    assert (ledger.outcome(first).ending, ledger.outcome(first).proxy) == (Ending.OK, 1)
    assert {answered.outcome.proxy for _, answered in ledger.answers[1:]} == {2}
    ledger.until_states({1: RETIRED, 2: PINNED})


def test_a_worker_that_is_asked_to_swap_does_so_before_a_next_page_and_its_proxy_rests(started: Started) -> None:
    ledger = started(workers=1, proxies=2)
    ready(ledger, 1)

    ledger.engine.ask_to_swap(2)  # no effect: nobody has it
    ledger.engine.ask_to_swap(1)
    while ("faulted", 1) not in ledger.moves:  # a process is told at the next tick
        ledger.submit("ok")
        ledger.run()
        ledger.poll()
    last = ledger.submit("ok")
    ledger.run()

    assert ledger.outcome(last).proxy == 2
    assert "slow" in ledger.details
    ledger.until_states({1: COOLING, 2: PINNED})


def test_flush_returns_the_moves_since_the_last_poll(started: Started) -> None:
    """The last swaps of a run, and the pins of a short one, belong in its figures."""
    ledger = started(workers=1, proxies=2)
    ready(ledger, 1)
    ledger.engine.withdraw([2], "off the list")

    moves = [(noted.event.kind, noted.event.proxy) for noted in ledger.engine.flush() if isinstance(noted, Noted)]

    assert moves[0] == ("withdrawn", 2)
    assert moves[1:] in ([], [("returned", 1)])  # some end their workers here


# Second attempts


def test_a_page_that_its_proxy_has_tried_is_declined(started: Started) -> None:
    ledger = started(workers=1, proxies=2)
    ready(ledger, 1)

    declined = ledger.submit_page("ok", avoid=(1,))
    ledger.run()

    assert (ledger.outcome(declined).ending, ledger.outcome(declined).proxy) == (Ending.DECLINED, 1)


def test_it_is_done_through_a_spare_that_has_not_if_an_exchange_is_asked_for(started: Started) -> None:
    ledger = started(workers=1, proxies=3)
    ready(ledger, 1)

    served = ledger.submit_page("ok", avoid=(1, 2), exchange=True)
    refused = ledger.submit_page("ok", avoid=(1, 2, 3), exchange=True)
    ledger.run()

    assert (ledger.outcome(served).ending, ledger.outcome(served).proxy) == (Ending.OK, 3)
    assert (ledger.outcome(refused).ending, ledger.outcome(refused).proxy) == (Ending.DECLINED, 3)
    ledger.until_states({1: SPARE, 2: SPARE, 3: PINNED})


def test_the_worker_of_an_unproven_proxy_declines_one_page_after_a_failure(started: Started) -> None:
    """The parent may want another proxy for it, once it knows of the failure."""
    ledger = started(workers=1, proxies=1, resubmit=False)

    serials = []
    for verb in ("timeout", "ok", "ok", "timeout", "ok"):
        serials.append(ledger.submit_page(verb))
        ledger.run()

    endings = [ledger.outcome(serial).ending for serial in serials]
    assert endings == [Ending.FAILED, Ending.DECLINED, Ending.OK, Ending.FAILED, Ending.OK]


def test_tasks_that_are_to_be_alone_are_answered_among_others(started: Started) -> None:
    ledger = started(workers=4, proxies=5)
    ready(ledger, 4)
    outcomes: list[Outcome] = []
    ledger.on_answer = lambda work, outcome: outcomes.append(outcome)

    for number in range(30):
        ledger.submit("sleep:0.01", alone=number in (0, 10, 11))
    ledger.run()

    assert [outcome.ending for outcome in outcomes] == [Ending.OK] * 30
    assert ledger.lost == []
    all_pinned(ledger, 4)
