"""Who does what next where the parent leads its workers; and whatever happens in whatever order, nothing is lost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from engines import spare, spares
from pinpool.model import Assignment, Call, Ending, Evidence, Outcome, ProxyState, Sign, Step, Task
from pinpool.pool.clock import FakeClock
from pinpool.pool.dispatch import Dispatch, Slot, Start
from pinpool.pool.engine import Answered, Noted
from pinpool.pool.status_board import Activity

TASK = Task("detail", "http://films.test/1", b"1" * 16)
PAGE, CALL = Assignment(TASK), Call(b"")
REFUSED, TIMEOUT = Evidence(Step.CONNECT, Sign.REFUSED), Evidence(Step.HEAD, Sign.TIMEOUT)
SPARE, PINNED, COOLING, RETIRED = ProxyState.SPARE, ProxyState.PINNED, ProxyState.COOLING, ProxyState.RETIRED


def dispatch(proxies: int, *processes: object, cooling: float = 60.0) -> Dispatch:
    """With a worker for each of the processes, whose tokens and numbers are 1, 2 and so on."""
    made = Dispatch(spares(proxies), 50, cooling, 3, FakeClock())
    for number, process in enumerate(processes, 1):
        made.add(number, number=number, pid=number, process=process)
    return made


def clock_of(dispatch: Dispatch) -> FakeClock:
    assert isinstance(dispatch.clock, FakeClock)
    return dispatch.clock


def starts(dispatch: Dispatch) -> list[Start]:
    """All attempts that can be made now."""
    found = []
    while (start := dispatch.next()) is not None:
        found.append(start)
    return found


def pairs(dispatch: Dispatch) -> list[tuple[int, int]]:
    """Worker and serial of each attempt that can be made now."""
    return [(start.worker.number, start.serial) for start in starts(dispatch)]


def answer(dispatch: Dispatch, worker: int | Slot, evidence: Evidence | None = None, **changes: Any) -> None:
    """The worker answers its attempt, well or with evidence of a failure."""
    slot = dispatch.workers[worker] if isinstance(worker, int) else worker
    ending = Ending.OK if evidence is None else Ending.FAILED
    outcome = Outcome(slot.serial, slot.number, slot.proxy, ending, 0.0, 0.0, evidence=evidence)
    dispatch.answered(slot, outcome._replace(**changes))


def outcomes(dispatch: Dispatch) -> list[Outcome]:
    return [signal.outcome for signal in dispatch.take_signals() if isinstance(signal, Answered)]


def moves(dispatch: Dispatch) -> list[tuple[str, int | None, str]]:
    events = [signal.event for signal in dispatch.flush() if isinstance(signal, Noted)]
    return [(event.kind, event.proxy, event.detail) for event in events]


# Tasks and workers


def test_each_worker_gets_one_task_and_the_next_when_it_has_answered() -> None:
    made = dispatch(2, "a", "b")
    for serial in (1, 2, 3):
        made.submit(serial, CALL)

    assert pairs(made) == [(1, 1), (2, 2)]
    answer(made, 2)
    assert pairs(made) == [(2, 3)]
    assert made.flight == {1, 3}


def test_the_worker_that_has_waited_longest_gets_the_next_task() -> None:
    made = dispatch(3, "a", "b", "c")
    for serial in (1, 2, 3):
        made.submit(serial, CALL)
    starts(made)
    for worker in (3, 1, 2):
        answer(made, worker)

    for serial in (4, 5, 6):
        made.submit(serial, CALL)

    assert pairs(made) == [(3, 4), (1, 5), (2, 6)]


def test_a_worker_without_a_proxy_gets_no_task() -> None:
    made = dispatch(1, "a", "b")
    for serial in (1, 2):
        made.submit(serial, CALL)

    assert pairs(made) == [(1, 1)]
    made.tick()
    assert (made.census.running, made.census.parked) == (1, 1)


def test_a_new_worker_that_has_a_proxy_at_once_does_not_wait_behind_those_that_have_none() -> None:
    """They could never have its proxy, so it would never be used."""
    made = dispatch(1, "a", "b")
    made.lost(made.workers[1])

    made.add(3, number=3, pid=3)
    made.submit(1, CALL)

    assert pairs(made) == [(3, 1)]


def test_the_lease_of_a_worker_without_a_proxy_is_a_mistake_of_its_engine() -> None:
    made = dispatch(0, "a")

    with pytest.raises(RuntimeError, match="worker 1 has no proxy"):
        _ = made.workers[1].lease


# Proxies


def test_a_sure_fault_swaps_the_proxy_and_the_answer_says_so() -> None:
    made = dispatch(2, "a")
    made.submit(1, CALL)
    starts(made)
    first = made.workers[1].pins

    answer(made, 1, REFUSED)

    assert [(one.proxy, one.swapped) for one in outcomes(made)] == [(1, True)]
    assert (made.workers[1].proxy, made.workers[1].pins) == (2, first + 1)


def test_a_doubtful_fault_swaps_the_proxy_at_the_third_in_a_row_only() -> None:
    made = dispatch(2, "a")
    swapped = []
    for serial, evidence in enumerate([TIMEOUT, TIMEOUT, None, TIMEOUT, TIMEOUT, TIMEOUT], 1):
        made.submit(serial, CALL)
        starts(made)
        answer(made, 1, evidence)
        swapped += [one.swapped for one in outcomes(made)]

    assert swapped == [False] * 5 + [True]


@pytest.mark.parametrize(
    ("served", "is_proven"),
    [({}, True), ({"ending": Ending.GONE}, True), ({"ending": Ending.GONE, "unasked": "robots.txt"}, False)],
    ids=["a page", "a page that is gone", "a page that was never asked for"],
)
def test_a_rested_proxy_is_swapped_at_its_first_doubt_unless_it_has_served(
    served: dict[str, Any], is_proven: bool
) -> None:
    made = dispatch(1, "a")
    for serial in (1, 2, 3):
        made.submit(serial, CALL)
    starts(made)
    answer(made, 1, REFUSED)
    clock_of(made).advance(60.0)
    starts(made)

    answer(made, 1, **served)
    proven = made.queue.get(1, 0.0)
    starts(made)
    answer(made, 1, TIMEOUT)

    assert proven is not None
    assert proven.probing is not is_proven
    assert outcomes(made)[-1].swapped is not is_proven


def test_without_a_spare_the_worker_parks_and_takes_the_proxy_that_has_rested() -> None:
    made = dispatch(1, "a")
    for serial in (1, 2):
        made.submit(serial, CALL)
    starts(made)

    answer(made, 1, REFUSED)

    assert pairs(made) == []
    assert made.workers[1].activity is Activity.PARK
    clock_of(made).advance(60.0)
    assert pairs(made) == [(1, 2)]


def test_a_proxy_that_is_withdrawn_is_left_before_the_next_page_and_the_task_goes_back_untried() -> None:
    made = dispatch(1, "a")
    made.submit(1, CALL)
    starts(made)

    made.withdraw([1], "off the list")
    answer(made, 1)
    made.submit(2, CALL)

    assert pairs(made) == []
    assert [(one.serial, one.ending, one.proxy) for one in outcomes(made)] == [
        (1, Ending.OK, 1),
        (2, Ending.DECLINED, 1),
    ]
    assert made.census.states == {1: PINNED}  # as of the last tick
    made.tick()
    assert (made.census.states, made.census.parked) == ({1: RETIRED}, 1)


def test_a_worker_that_leaves_its_proxy_for_a_spare_does_the_task_itself() -> None:
    made = dispatch(2, "a")
    made.withdraw([1], "off the list")
    made.submit(1, CALL)

    [start] = starts(made)

    assert (start.worker.proxy, start.declined) == (2, None)


def test_a_slow_proxy_is_swapped_before_the_next_page() -> None:
    made = dispatch(2, "a")
    made.ask_to_swap(1)
    made.submit(1, CALL)

    [start] = starts(made)

    assert start.worker.proxy == 2
    assert ("faulted", 1, "slow") in moves(made)


def test_a_proxy_that_joins_again_before_it_was_left_stays_with_its_worker() -> None:
    made = dispatch(2, "a")
    made.withdraw([1], "off the list")
    made.join([spare(1)])
    made.submit(1, CALL)

    [start] = starts(made)

    assert start.worker.proxy == 1


def test_flush_returns_the_moves_that_no_poll_has_returned_and_each_once() -> None:
    made = dispatch(2, "a")
    made.withdraw([2], "off the list")

    assert moves(made) == [("leased", 1, ""), ("withdrawn", 2, "off the list")]
    assert moves(made) == []


# Declines


@pytest.mark.parametrize("work", [PAGE._replace(avoid=(1,)), CALL._replace(avoid=(1,))], ids=["page", "call"])
def test_a_task_that_its_proxy_has_tried_is_declined(work: Assignment | Call) -> None:
    made = dispatch(2, "a")
    made.submit(1, work)

    [start] = starts(made)

    assert start.declined is not None
    assert (start.declined.ending, start.declined.proxy) == (Ending.DECLINED, 1)
    made.tick()
    assert (made.census.pacing, made.census.running) == (1, 0)


def test_it_is_exchanged_for_a_spare_that_has_not_if_the_task_asks_for_that() -> None:
    made = dispatch(3, "a")
    made.submit(1, PAGE._replace(avoid=(1, 2), exchange=True))

    [start] = starts(made)

    assert (start.declined, start.worker.proxy) == (None, 3)
    made.tick()
    assert made.census.states == {1: SPARE, 2: SPARE, 3: PINNED}


def test_no_exchange_without_such_a_spare() -> None:
    made = dispatch(2, "a")
    made.submit(1, PAGE._replace(avoid=(1, 2), exchange=True))

    [start] = starts(made)

    assert (start.declined is not None, start.worker.proxy) == (True, 1)


@pytest.mark.parametrize(
    ("before", "work", "declines"),
    [((TIMEOUT,), PAGE, True), ((None, TIMEOUT), PAGE, False), ((TIMEOUT,), CALL, False)],
    ids=["it has served nothing", "it has served a page", "a call"],
)
def test_after_a_failure_a_worker_declines_one_page(
    before: tuple[Evidence | None, ...], work: Assignment | Call, declines: bool
) -> None:
    """The parent may want another proxy for it, once it knows of the failure."""
    made = dispatch(1, "a")
    for serial, evidence in enumerate(before, 1):
        made.submit(serial, work)
        starts(made)
        answer(made, 1, evidence)

    found = []
    for serial in (8, 9):
        made.submit(serial, work)
        found += starts(made)
        answer(made, 1)

    assert [start.declined is not None for start in found] == [declines, False]


# Losses


def test_the_attempt_of_a_lost_worker_is_named_and_its_proxy_is_spare_at_once() -> None:
    made = dispatch(1, "a", "b")
    made.submit(7, CALL)
    starts(made)

    lost = made.lost(made.workers[1])
    made.submit(8, CALL)

    assert (lost, made.losses) == (7, 1)
    assert pairs(made) == [(2, 8)]
    assert made.flight == {8}


def test_the_proxy_of_a_worker_out_of_reach_is_held_back_and_handed_out_when_its_time_is_over() -> None:
    made = dispatch(1, "a", "b")
    starts(made)
    made.submit(1, CALL)

    made.lost(made.workers[1], hold=17.0)

    assert pairs(made) == []
    clock_of(made).advance(16.9)
    assert pairs(made) == []
    clock_of(made).advance(0.1)
    assert pairs(made) == [(2, 1)]


def test_a_proxy_that_is_held_back_is_not_exchanged_for_either() -> None:
    made = dispatch(2, "a", "b")
    made.lost(made.workers[2], hold=17.0)
    made.submit(1, PAGE._replace(avoid=(1,), exchange=True))

    [start] = starts(made)

    assert (start.declined is not None, start.worker.proxy) == (True, 1)


def test_a_proxy_is_held_back_though_it_is_taken_off_the_list_and_put_back() -> None:
    made = dispatch(1, "a", "b")
    made.withdraw([1], "off the list")
    made.lost(made.workers[1], hold=17.0)
    made.join([spare(1)])
    made.submit(1, CALL)

    assert pairs(made) == []
    clock_of(made).advance(17.0)
    assert pairs(made) == [(2, 1)]


@pytest.mark.parametrize("is_parked", [False, True], ids=["idle", "parked"])
def test_a_worker_that_is_lost_without_a_task_gets_none(is_parked: bool) -> None:
    made = dispatch(0 if is_parked else 1, "a")

    assert made.lost(made.workers[1]) == 0
    made.join([spare(2)])
    made.submit(1, CALL)

    assert pairs(made) == []
    made.tick()
    assert (made.census.workers, made.census.losses) == (0, 1)


# Alone


def test_a_task_that_is_to_be_alone_shares_its_process_with_no_other_until_it_is_over() -> None:
    made = dispatch(4, "a", "a", "b", "b")
    made.submit(1, CALL, alone=True)
    for serial in (2, 3, 4):
        made.submit(serial, CALL)

    assert pairs(made) == [(1, 1), (3, 2), (4, 3)]
    answer(made, 1)
    assert pairs(made) == [(2, 4)]


def test_while_no_process_is_free_for_it_one_is_kept_and_others_go_on() -> None:
    made = dispatch(4, "a", "a", "b", "b")
    for serial in (1, 2, 3, 4):
        made.submit(serial, CALL)
    starts(made)
    made.submit(5, CALL, alone=True)
    for serial in (6, 7, 8):
        made.submit(serial, CALL)

    answer(made, 1)
    assert pairs(made) == []  # it is kept for 5, which waits for the other worker there
    answer(made, 3)
    assert pairs(made) == [(3, 6)]
    answer(made, 2)
    assert pairs(made) == [(1, 5)]
    answer(made, 1)
    assert sorted(serial for _, serial in pairs(made)) == [7, 8]


def test_two_that_are_to_be_alone_follow_one_another() -> None:
    made = dispatch(2, "a", "a")
    made.submit(1, CALL, alone=True)
    made.submit(2, CALL, alone=True)

    assert pairs(made) == [(1, 1)]
    answer(made, 1)
    assert pairs(made) == [(2, 2)]


def test_if_the_process_that_is_kept_dies_another_is_taken() -> None:
    made = dispatch(3, "a", "a", "b")
    for serial in (1, 2, 3):
        made.submit(serial, CALL)
    starts(made)
    made.submit(4, CALL, alone=True)
    answer(made, 1)
    assert pairs(made) == []  # "a" is kept

    for worker in (made.workers[1], made.workers[2]):
        made.lost(worker)
    answer(made, 3)

    assert pairs(made) == [(3, 4)]


def test_if_the_process_that_is_kept_has_no_proxy_any_more_another_is_taken() -> None:
    made = dispatch(3, "a", "a", "b", cooling=1e6)
    for serial in (1, 2, 3):
        made.submit(serial, CALL)
    starts(made)
    made.submit(4, CALL, alone=True)
    answer(made, 1)
    assert pairs(made) == []  # "a" is kept

    made.withdraw([1], "off the list")
    answer(made, 2, REFUSED)
    made.submit(5, CALL, alone=True)
    assert pairs(made) == []  # 4 went back untried, and both workers of "a" are parked
    answer(made, 3)

    assert pairs(made) == [(3, 5)]


def test_a_process_that_was_kept_for_a_task_that_went_back_untried_takes_others_again() -> None:
    made = dispatch(2, "a", "a")
    for serial in (1, 2):
        made.submit(serial, CALL)
    starts(made)
    made.submit(3, CALL, alone=True)
    answer(made, 1)
    assert pairs(made) == []
    made.withdraw([1], "off the list")
    answer(made, 2)
    assert pairs(made) == []  # 3 went to worker 1, which has left its proxy
    made.submit(4, CALL)

    assert pairs(made) == [(2, 4)]


# Whatever happens, in whatever order


class AnyOrder(RuleBasedStateMachine):
    """Everything that an engine, a loop and the world can do to a dispatch; every promise is looked at each time."""

    processes: Bundle[str] = Bundle("processes")

    @initialize(proxies=st.integers(0, 4), processes=st.lists(st.sampled_from("abc"), max_size=5))
    def begin(self, proxies: int, processes: list[str]) -> None:
        self.made = dispatch(proxies, *processes, cooling=20.0)
        self.last_proxy = self.last_worker = max(proxies, len(processes))
        self.last_serial = 0
        self.open: set[int] = set()
        self.alone: set[int] = set()
        self.held_back: dict[int, float] = {}

    def submit_one(self, work: Assignment | Call, *, alone: bool = False) -> None:
        self.last_serial += 1
        self.open.add(self.last_serial)
        self.alone |= {self.last_serial} if alone else set()
        self.made.submit(self.last_serial, work, alone=alone)

    @rule(
        avoid=st.sets(st.integers(1, 3)).map(tuple),
        exchange=st.booleans(),
        is_call=st.booleans(),
        alone=st.booleans(),
    )
    def submit(self, avoid: tuple[int, ...], exchange: bool, is_call: bool, alone: bool) -> None:
        work = Call(b"", avoid) if is_call else Assignment(TASK, avoid, exchange)
        self.submit_one(work, alone=alone)

    @rule()
    def next(self) -> None:
        for start in starts(self.made):
            assert start.serial in self.open
            assert start.serial == start.worker.serial
            assert self.held_back.get(start.worker.proxy, 0.0) <= clock_of(self.made).now
            assert start.declined or start.worker.proxy not in start.work.avoid
        self.take()
        idle = [one for one in self.made.workers.values() if one.pin is not None and not one.serial]
        waiting = self.open - {one.serial for one in self.made.workers.values()}
        assert not idle or not waiting or self.alone & self.open

    def busy(self) -> list[Slot]:
        return [one for one in self.made.workers.values() if one.serial]

    @precondition(lambda self: self.busy())
    @rule(data=st.data(), evidence=st.sampled_from([None, None, TIMEOUT, REFUSED]))
    def answer(self, data: st.DataObject, evidence: Evidence | None) -> None:
        answer(self.made, data.draw(st.sampled_from(self.busy())), evidence)
        self.take()

    @precondition(lambda self: self.made.workers)
    @rule(data=st.data(), hold=st.sampled_from([0.0, 17.0]))
    def lose(self, data: st.DataObject, hold: float) -> None:
        process = data.draw(st.sampled_from(sorted({str(one.process) for one in self.made.workers.values()})))
        for worker in [one for one in self.made.workers.values() if one.process == process]:
            if hold and worker.proxy >= 0:
                self.held_back[worker.proxy] = clock_of(self.made).now + hold
            serial = self.made.lost(worker, hold=hold)
            if serial:
                self.open.remove(serial)

    @rule(process=st.sampled_from("abc"))
    def add(self, process: str) -> None:
        self.last_worker += 1
        self.made.add(self.last_worker, number=self.last_worker, pid=self.last_worker, process=process)

    @rule(proxy=st.integers(1, 6))
    def join(self, proxy: int) -> None:
        self.made.join([spare(proxy)])

    @rule(data=st.data(), how=st.sampled_from(["withdraw", "ask_to_swap", "cool", "end the rest", "retire"]))
    def treat(self, data: st.DataObject, how: str) -> None:
        known = sorted(self.made.census.states)
        if not known:
            return
        proxy = data.draw(st.sampled_from(known))
        match how:
            case "withdraw":
                self.made.withdraw([proxy], "off the list")
            case "ask_to_swap":
                self.made.ask_to_swap(proxy)
            case "cool":
                self.made.queue.cool(proxy, 5.0)
            case "end the rest":
                self.made.queue.cool(proxy, 0.0)
            case _:
                self.made.queue.retire(proxy, "enough")

    @rule(seconds=st.sampled_from([0.1, 5.0, 30.0]))
    def wait(self, seconds: float) -> None:
        clock_of(self.made).advance(seconds)

    def take(self) -> None:
        for outcome in outcomes(self.made):
            self.open.remove(outcome.serial)  # fails for one that is answered twice

    @invariant()
    def nothing_is_lost_or_shared_and_the_census_is_right(self) -> None:
        workers = list(self.made.workers.values())
        pins = [one.proxy for one in workers if one.pin is not None]
        serials = [one.serial for one in workers if one.serial]
        assert len(set(pins)) == len(pins)
        assert len(set(serials)) == len(serials)
        assert self.made.flight == self.open
        assert all(one.pin is not None for one in workers if one.serial)
        for one in workers:
            if one.serial in self.alone:
                assert [other for other in workers if other.process == one.process and other.serial] == [one]
        self.made.tick()
        census = self.made.census
        assert {proxy for proxy, state in census.states.items() if state is PINNED} == set(pins)
        assert census.workers == len(workers)
        assert census.running + census.pacing == len(serials)
        assert census.parked == len(workers) - len(pins)
        assert set(census.held) == set(serials)
        assert (census.wakes_in is None) == (COOLING not in census.states.values())
        assert sorted(line.proxy for line in census.lines if line.proxy >= 0) == sorted(pins)

    def teardown(self) -> None:
        """With one more worker and one more proxy, every task comes to its end."""
        if not hasattr(self, "made"):
            return
        self.add("d")
        self.join(9)
        for _ in range(3 * len(self.open) + 3):
            for worker in self.busy():
                answer(self.made, worker)
            self.next()
            self.take()
        assert self.open == set()


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=60, stateful_step_count=40)
