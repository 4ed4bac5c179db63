"""Whatever happens to workers, tasks and proxies, in whatever order: nothing is lost where the parent leads."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from dispatching import COOLING, PINNED, REFUSED, TASK, TIMEOUT, answer, clock_of, dispatch, outcomes, starts
from engines import spare
from pinpool.model import Assignment, Call, Evidence
from pinpool.pool.dispatch import Slot


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
