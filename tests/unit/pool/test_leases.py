"""The lease queue: a proxy is pinned by one worker at most, and none is ever lost."""

import math
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines import spare, spares
from pinpool.model import ProxyState
from pinpool.pool.clock import SYSTEM_CLOCK, Clock, FakeClock
from pinpool.pool.leases import LeaseQueue

SPARE, PINNED, COOLING, RETIRED = ProxyState.SPARE, ProxyState.PINNED, ProxyState.COOLING, ProxyState.RETIRED


def queue(proxies: int, *, seats: int = 20, cooling: float = 3600.0, clock: Clock = SYSTEM_CLOCK) -> LeaseQueue:
    return LeaseQueue(spares(proxies), seats, cooling, clock)


def states(leases: LeaseQueue) -> dict[int, ProxyState]:
    return dict(leases.report().states)


def test_a_worker_that_asks_twice_gets_the_same_proxy() -> None:
    leases = queue(2)
    _, first = leases.check_in(7, 100, 0)

    again = leases.get(7, timeout=0.0)

    assert first == again
    assert states(leases) == {1: PINNED, 2: SPARE}


def test_a_swap_rests_the_old_proxy_and_gives_a_spare() -> None:
    leases = queue(2)
    leases.check_in(7, 100, 0)

    lease = leases.swap(7, b"answer")

    assert lease is not None
    assert lease.proxy == 2
    assert states(leases) == {1: COOLING, 2: PINNED}


def test_a_swap_without_a_spare_keeps_the_answer_for_the_parent_once() -> None:
    leases = queue(1)
    leases.check_in(7, 100, 0)

    lease = leases.swap(7, b"answer")

    assert lease is None
    assert leases.report().answers == (b"answer",)
    assert leases.report().answers == ()


def test_the_proxy_of_a_dead_worker_is_spare_again_and_its_seat_free() -> None:
    leases = queue(1, seats=1)
    seat, _ = leases.check_in(7, 100, 0)

    leases.reap([7])

    again, lease = leases.check_in(8, 101, 0)
    assert again == seat
    assert lease is not None
    assert lease.proxy == 1


def test_a_reaped_token_gets_nothing_and_an_error() -> None:
    """A worker killed while it waits must not swallow the next proxy (hazard 4e); one that lives must end itself."""
    leases = queue(1)
    leases.check_in(7, 100, 0)
    leases.reap([7])

    with pytest.raises(LookupError):
        leases.get(7, timeout=0.0)
    with pytest.raises(LookupError):
        leases.swap(7, b"")
    with pytest.raises(LookupError):
        leases.exchange(7, avoid=())

    assert states(leases) == {1: SPARE}


def test_a_worker_of_an_earlier_pool_is_turned_away() -> None:
    leases = queue(1)
    leases.begin(2)

    with pytest.raises(LookupError):
        leases.check_in(7, 100, 1)

    assert states(leases) == {1: SPARE}


def test_a_proxy_that_has_rested_before_it_is_judged_retires_all_the_same() -> None:
    leases = queue(1, cooling=0.0)
    leases.check_in(7, 100, 0)
    leases.swap(7, b"")
    leases.reap([7])
    leases.report()

    leases.retire(1, "it refuses our login")

    assert states(leases) == {1: RETIRED}


def test_the_next_worker_learns_how_long_a_proxy_has_been_idle() -> None:
    """Pace belongs to the proxy: a new worker must not ask the site again at once."""
    clock = FakeClock()
    leases = queue(1, clock=clock)
    _, fresh = leases.check_in(7, 100, 0)
    leases.reap([7])
    clock.advance(5.0)

    _, used = leases.check_in(8, 101, 0)

    assert fresh is not None and used is not None
    assert (fresh.idle, used.idle) == (math.inf, 5.0)


def test_a_rest_ends_when_its_time_is_over_and_the_parent_may_set_another() -> None:
    clock = FakeClock()
    leases = queue(2, cooling=60.0, clock=clock)
    for token in (7, 8):
        leases.check_in(token, 100, 0)
    for token in (7, 8):
        leases.swap(token, b"")
    leases.cool(2, 90.0)

    clock.advance(59.0)
    before = states(leases)
    clock.advance(1.0)
    between = leases.report()
    clock.advance(30.0)

    assert before == {1: COOLING, 2: COOLING}
    assert dict(between.states) == {1: SPARE, 2: COOLING}
    assert dict(between.rests) == {2: 30.0}
    assert states(leases) == {1: SPARE, 2: SPARE}


@pytest.mark.parametrize(
    "happens",
    [lambda leases: leases.reap([7]), lambda leases: leases.join([spare(2)])],
    ids=["comes free", "joins"],
)
def test_a_parked_worker_is_woken_by_the_first_proxy_that(happens: Callable[[LeaseQueue], None]) -> None:
    leases = queue(1)
    leases.check_in(7, 100, 0)
    leases.check_in(8, 101, 0)
    got: list[object] = []
    waiter = threading.Thread(target=lambda: got.append(leases.get(8, timeout=30.0)))
    waiter.start()

    happens(leases)

    waiter.join(timeout=30.0)
    assert not waiter.is_alive()
    assert got[0] is not None


def test_a_rested_proxy_comes_back_on_probation_until_it_has_served_a_page() -> None:
    leases = queue(1, cooling=0.0)
    leases.check_in(7, 100, 0)
    probing = leases.swap(7, b"") or leases.get(7, timeout=5.0)
    assert probing is not None
    assert probing.probing

    leases.proven(7)

    proven = leases.get(7, 0.0)
    assert proven is not None
    assert not proven.probing


def test_a_fresh_proxy_is_taken_before_one_on_probation() -> None:
    leases = queue(2, cooling=0.0)
    leases.check_in(7, 100, 0)
    leases.swap(7, b"")
    leases.report()  # proxy 1 has rested by now
    leases.reap([7])

    _, lease = leases.check_in(8, 101, 0)

    assert lease is not None
    assert lease.proxy == 2


def test_a_retired_proxy_never_comes_back() -> None:
    leases = queue(1, cooling=0.0)
    leases.check_in(7, 100, 0)
    leases.cool(1, 0.0)  # not resting: nothing happens
    held = leases.get(7, 0.0)
    assert held is not None
    assert held.proxy == 1
    stubborn = queue(1)
    stubborn.check_in(7, 100, 0)
    stubborn.swap(7, b"")

    stubborn.retire(1, "it refuses our login")

    assert stubborn.get(7, timeout=0.0) is None
    report = stubborn.report()
    assert dict(report.states) == {1: RETIRED}
    assert report.moves[-1].detail == "it refuses our login"


def test_an_exchange_gives_a_spare_that_has_not_tried_the_task() -> None:
    leases = queue(3)
    leases.check_in(7, 100, 0)

    lease = leases.exchange(7, avoid=(1, 2))

    assert lease is not None
    assert lease.proxy == 3
    assert states(leases) == {1: SPARE, 2: SPARE, 3: PINNED}


def test_an_exchange_without_such_a_spare_changes_nothing() -> None:
    leases = queue(2)
    leases.check_in(7, 100, 0)

    assert leases.exchange(7, avoid=(1, 2)) is None
    assert states(leases) == {1: PINNED, 2: SPARE}


# The list changes


def test_a_spare_a_cooling_and_a_pinned_proxy_are_withdrawn_the_last_when_its_worker_lets_go() -> None:
    leases = queue(3)
    leases.check_in(7, 100, 0)
    leases.swap(7, b"")
    assert states(leases) == {1: COOLING, 2: PINNED, 3: SPARE}

    leases.withdraw([1, 2, 3], "off the list")

    before = leases.report()
    parked = leases.leave(7, b"answer")
    after = leases.report()
    assert dict(before.states) == {1: RETIRED, 2: PINNED, 3: RETIRED}
    assert dict(before.leaving) == {2: "off the list"}
    assert parked is None
    assert after.answers == (b"answer",)
    assert dict(after.states) == {1: RETIRED, 2: RETIRED, 3: RETIRED}
    assert after.moves[-1].detail == "off the list"
    assert not after.leaving


@pytest.mark.parametrize("way", ["swap", "reap", "exchange", "leave"])
def test_however_its_worker_lets_go_a_withdrawn_proxy_is_nobodys_any_more(way: str) -> None:
    leases = queue(2, cooling=0.0)
    leases.check_in(7, 100, 0)
    leases.withdraw([1], "off the list")

    match way:
        case "swap":
            leases.swap(7, b"")
        case "reap":
            leases.reap([7])
        case "exchange":
            leases.exchange(7, avoid=(1,))
        case "leave":
            leases.leave(7, b"")

    leases.check_in(8, 101, 0)
    leases.check_in(9, 102, 0)
    assert states(leases) == {1: RETIRED, 2: PINNED}


def test_a_worker_that_is_asked_to_leave_for_nothing_keeps_its_proxy() -> None:
    """The board lags behind: the proxy may be on the list again by the time its worker asks."""
    leases = queue(2)
    leases.check_in(7, 100, 0)
    leases.withdraw([1], "off the list")
    leases.join([spare(1)])

    lease = leases.leave(7, b"")

    assert lease is not None
    assert lease.proxy == 1
    assert states(leases) == {1: PINNED, 2: SPARE}


@pytest.mark.parametrize("way", ["leave", "exchange"])
def test_a_proxy_that_its_worker_is_asked_to_swap_rests_once_it_lets_go(way: str) -> None:
    leases = queue(2)
    leases.check_in(7, 100, 0)
    leases.ask_to_swap(1)
    before = leases.report()

    lease = leases.leave(7, b"") if way == "leave" else leases.exchange(7, avoid=(1,))

    after = leases.report()
    assert (dict(before.states), before.slow) == ({1: PINNED, 2: SPARE}, frozenset({1}))
    assert lease is not None
    assert lease.proxy == 2
    assert (dict(after.states), after.slow) == ({1: COOLING, 2: PINNED}, frozenset())
    assert [(move.kind, move.detail) for move in after.moves if move.proxy == 1] == [("faulted", "slow")]


def test_a_proxy_whose_worker_was_asked_to_swap_and_dies_is_spare() -> None:
    leases = queue(2)
    leases.check_in(7, 100, 0)
    leases.ask_to_swap(1)
    leases.ask_to_swap(2)  # nobody holds it

    leases.reap([7])

    assert states(leases) == {1: SPARE, 2: SPARE}
    assert not leases.report().slow


def test_a_withdrawn_proxy_that_comes_back_is_spare_and_one_that_was_failing_has_to_prove_itself() -> None:
    leases = queue(2)
    leases.withdraw([1, 2], "off the list")

    leases.join([spare(1), spare(2, COOLING)])

    _, first = leases.check_in(7, 100, 0)
    _, second = leases.check_in(8, 101, 0)
    assert first is not None
    assert second is not None
    assert (first.proxy, first.probing) == (1, False)
    assert (second.proxy, second.probing) == (2, True)


def test_a_proxy_that_has_retired_for_its_faults_keeps_that_reason_when_it_is_withdrawn() -> None:
    leases = queue(1)
    leases.check_in(7, 100, 0)
    leases.swap(7, b"")
    leases.retire(1, "it refuses our login")

    leases.withdraw([1], "off the list")

    assert [move.detail for move in leases.report().moves if move.detail] == ["it refuses our login"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["check_in", "swap", "exchange", "reap", "cool", "retire", "withdraw", "join", "leave"]),
            st.integers(1, 6),
        ),
        max_size=60,
    )
)
def test_whatever_happens_each_proxy_is_in_one_place_and_held_once(steps: list[tuple[str, int]]) -> None:
    leases = queue(4)
    seated: set[int] = set()
    for step, number in steps:
        match step:
            case "check_in":
                leases.check_in(number, 1000 + number, 0)
                seated.add(number)
            case "swap" if number in seated:
                leases.swap(number, b"")
            case "exchange" if number in seated and leases.get(number, 0.0):
                leases.exchange(number, (1, 2))
            case "reap":
                leases.reap([number])
                seated.discard(number)
            case "cool":
                leases.cool(number, 60.0)
            case "retire":
                leases.retire(number, "enough")
            case "withdraw" if number <= 4:
                leases.withdraw([number], "off the list")
            case "join" if number <= 4:
                leases.join([spare(number)])
            case "leave" if number in seated:
                leases.leave(number, b"")

        report = leases.report()
        held = [holder.proxy for holder in report.holders if holder.proxy > 0]
        assert sorted(report.states) == [1, 2, 3, 4]
        assert len(held) == len(set(held))
        assert set(held) == {proxy for proxy, state in report.states.items() if state is PINNED}
        assert set(report.leaving) <= set(held)
        assert set(report.rests) == {proxy for proxy, state in report.states.items() if state is COOLING}


# --- pace and rate


def test_the_turns_of_all_workers_lie_one_after_the_other() -> None:
    leases = queue(1, clock=FakeClock())

    waits = [leases.turn(seconds) for seconds in (10.0, 30.0, 10.0)]

    assert waits == [0.0, 10.0, 40.0]


def test_a_proxy_that_was_pinned_in_an_earlier_life_has_just_been_used() -> None:
    leases = LeaseQueue([spare(1, PINNED), spare(2)], 4, 3600.0, FakeClock())

    _, used = leases.check_in(7, 100, 0)
    _, unused = leases.check_in(8, 101, 0)

    assert used is not None and unused is not None
    assert (used.idle, unused.idle) == (0.0, math.inf)


def test_the_last_spare_is_kept_for_the_worker_of_the_solo_pool() -> None:
    leases = queue(2)
    leases.begin(1, 2)
    leases.check_in(7, 100, 1)

    _, refused = leases.check_in(8, 101, 1)
    _, soloist = leases.check_in(9, 102, 2)

    assert refused is None
    assert soloist is not None


def test_what_was_kept_for_the_solo_pool_is_handed_out_once_that_has_ended() -> None:
    leases = queue(1)
    leases.begin(1, 2)
    leases.check_in(7, 100, 1)

    leases.begin(1)

    assert leases.get(7, timeout=0.0) is not None
    with pytest.raises(LookupError):
        leases.check_in(8, 101, 2)


def test_the_solo_worker_needs_one_proxy_and_no_second_is_kept_for_it() -> None:
    leases = queue(2)
    leases.begin(1, 2)
    leases.check_in(9, 102, 2)

    _, lease = leases.check_in(7, 100, 1)

    assert lease is not None


# Proxies that somebody out of reach may still use


def test_a_proxy_that_is_held_back_is_handed_out_when_its_time_is_over_and_others_before() -> None:
    clock = FakeClock()
    leases = queue(2, clock=clock)
    leases.hold_back([1], 17.0)

    _, first = leases.check_in(7, 100, 0)
    _, none = leases.check_in(8, 101, 0)
    clock.advance(16.9)
    still_none = leases.get(8, 0.0)
    clock.advance(0.1)
    second = leases.get(8, 0.0)

    assert (first and first.proxy, none, still_none, second and second.proxy) == (2, None, None, 1)


def test_a_worker_that_waits_for_a_proxy_gets_one_that_is_no_longer_held_back() -> None:
    leases = queue(1)
    leases.check_in(7, 100, 0)
    leases.reap([7])
    leases.hold_back([1], 0.05)

    leases.check_in(8, 101, 0)
    lease = leases.get(8, timeout=30.0)

    assert lease is not None


def test_to_hold_back_a_proxy_that_is_pinned_counts_once_it_is_let_go() -> None:
    clock = FakeClock()
    leases = queue(1, clock=clock)
    leases.check_in(7, 100, 0)
    leases.hold_back([1], 17.0)

    held = leases.get(7, 0.0)
    leases.reap([7])
    _, none = leases.check_in(8, 101, 0)
    clock.advance(17.0)

    assert (held and held.proxy, none) == (1, None)
    assert leases.get(8, 0.0) is not None
