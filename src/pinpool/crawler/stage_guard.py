"""Holds back the tasks of a stage that yields nothing, and stops it; see `policy.stage_watch`."""

from collections import defaultdict
from collections.abc import Callable, Collection
from functools import partial

from pinpool.crawler.scheduler import Entry
from pinpool.journal.writer import Journal
from pinpool.journal.yields import NOTHING
from pinpool.model import Ending, Event, EventKind, Fault, Outcome, TaskState
from pinpool.policy.stage_watch import StageWatch, Witnesses
from pinpool.pool.engine import Census
from pinpool.pool.settle import Settler
from pinpool.text import counted


class StageGuard:
    """
    What may go out, stage by stage. A run may have `max_failures` pages without anything in hand.

    `held` are the stages of which nothing new goes out, `stopped` those of which nothing does. Their tasks stay in the
    journal. A stage that has yielded something, now or in an earlier start, is never held.
    """

    def __init__(self, journal: Journal, settler: Settler, max_failures: int) -> None:
        self._journal = journal
        self._settler = settler
        self._max_failures = max_failures
        self._watches = defaultdict[str, StageWatch](partial(StageWatch, max_failures))
        for stage in journal.stage_yields():
            self._watches[stage.stage].fruitful = bool(stage.fruitful)
        self.held: set[str] = set()
        self.stopped: set[str] = set()
        self._suspects: set[str] = set()
        self._again: set[int] | None = None

    def admits(self, entry: Entry) -> bool:
        """True if the task may go out."""
        stage = entry.task.stage
        return (
            entry.doubted > 0
            or stage not in self.held
            or (stage not in self.stopped and entry.id in self._watches[stage].fruitless)
        )

    def failed(self, entry: Entry, proxy: int, fault: Fault) -> bool:
        """An attempt of the task has failed; its end comes after that. True if the stage is to blame: it is stopped."""
        if fault in NOTHING and not (watch := self._watches[entry.task.stage]).fruitful:
            watch.failed(entry.id, proxy)
            self._suspects.add(entry.task.stage)
            if watch.holds:
                self.held.add(entry.task.stage)
            if entry.task.stage in self.stopped:
                self._clear(entry.id, {proxy})
                return True
        return False

    def wants_others(self, entry: Entry) -> bool:
        """True if other pages of the stage should go before this one is tried again: it may be the stage."""
        return entry.task.stage in self._suspects - self.held

    def ended(self, entry: Entry, outcome: Outcome, state: TaskState, fault: Fault | None) -> None:
        """A task has ended."""
        stage = entry.task.stage
        watch = self._watches[stage]
        if watch.fruitful:
            return
        if state is TaskState.DONE and (outcome.ending is Ending.OK or outcome.tasks):
            if watch.settled or stage in self.held:
                self._again = (self._again or set()) | watch.settled
            self._watches[stage] = watch = StageWatch(fruitful=True)
        else:
            watch.ended(entry.id, fruitless=state is not TaskState.GONE and fault in NOTHING)
        if not watch.suspect:
            self._suspects.discard(stage)
        if not watch.holds and (stage in self.held or stage in self.stopped):
            self.held.discard(stage)
            self.stopped.discard(stage)
            self._again = self._again or set()

    def review(self, left: Callable[[], Collection[Entry] | None], census: Census, now: float) -> None:
        """
        Stop what has to be stopped. `left` returns the tasks that are left, None if there are more than are at hand.
        """
        suspects = self._suspects - self.stopped
        if not suspects:
            return
        at_hand, reputation, live = left(), self._settler.reputation, census.living
        asked = [proxy for proxy in live if proxy in reputation and not reputation.unproven(proxy)]
        witnesses = Witnesses(live, asked, usable=bool(census.usable))
        is_all = at_hand is not None and all(entry.id in self._watches[entry.task.stage].fruitless for entry in at_hand)
        for stage in suspects:
            watch = self._watches[stage]
            if watch.stops(witnesses, is_all=is_all):
                self.stopped.add(stage)
                self.held.add(stage)
                for task, proxies in watch.fruitless.items():
                    self._clear(task, proxies)
                pages = counted(len(watch.fruitless), "page")
                why = f"stage {stage} stops: its first {pages} yielded nothing"
                self._settler.noted(Event(now, EventKind.STAGE_STOPPED, detail=why))

    def take_again(self) -> set[int] | None:
        """
        None, but once after a stage was let go: then the tasks that had ended with nothing before it yielded anything.
        Proxies that show something else in place of pages are quicker than those that fetch them.
        """
        again, self._again = self._again, None
        return again

    def found_nothing(self) -> bool:
        """True if a stage has ended, or was stopped, with nothing in hand. Reads the journal."""
        barren = (one for one in self._journal.stage_yields() if one.is_barren and one.settled)
        return bool(self.stopped) or any(one.fruitless > self._max_failures for one in barren)

    def _clear(self, task: int, proxies: set[int]) -> None:
        """The spider is to blame: no proxy pays for this page."""
        self._journal.forgive(task, proxies)
        for proxy in proxies & self._settler.reputation.keys():
            if self._settler.reputation.clear(proxy, task):
                self._settler.release(proxy)
