"""
The crawl loop: take, submit, judge, journal, resubmit. One thread, and the only place where outcomes become decisions.

An engine's callbacks have posted the outcomes; this loop alone reads them, and whatever it decides about one goes into
one transaction. A task leaves the loop's hands only by ending in the journal.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from pinpool import machine
from pinpool.chronicle import Chronicle
from pinpool.engines.base import Answered, Census, Engine, Lost, Noted, Signal, window
from pinpool.faults import judge
from pinpool.frontier import Entry, Frontier
from pinpool.journal import Journal, RunEnd, Settlement
from pinpool.model import (
    Assignment,
    Ending,
    Event,
    Fault,
    Outcome,
    ProxyState,
    Settings,
    Sign,
    TaskState,
)
from pinpool.outage import CANARIES, Mood, Outage
from pinpool.outlook import RecentFaults
from pinpool.referee import Failure, Referee, Ruling
from pinpool.retry import Believe, GiveUp, Resubmit
from pinpool.roster import AT_ONCE, Retire, Roster, Sentence
from pinpool.schema import INDEX_STAGE
from pinpool.steering import doubtful, steer
from pinpool.timesheet import Timesheet
from pinpool.view import View

__all__ = ["Loop", "Stop", "View"]

#: Tasks read from the journal at a time.
BATCH = 500
#: How long a first Ctrl-C waits for what is in flight.
DRAIN_SECONDS = 10.0
#: A task that workers decline comes back after 20 ms, doubling up to half a second.
DECLINE_SECONDS, DECLINE_CAP = 0.02, 0.5
POLL_SECONDS = 0.1
#: Also when nothing happens, or readers would take the run for dead.
HEARTBEAT_SECONDS = 5.0
_STATE_AFTER = {
    "leased": ProxyState.PINNED,
    "returned": ProxyState.SPARE,
    "lost": ProxyState.SPARE,
    "faulted": ProxyState.COOLING,
    "rested": ProxyState.SPARE,
    "withdrawn": ProxyState.RETIRED,
    "joined": ProxyState.SPARE,
}


@dataclass(slots=True)
class Stop:
    """How often somebody asked to stop, or to read the list again. Plain: handlers take no lock (hazard 7f)."""

    asked: int = 0
    reloads: int = 0


@dataclass(slots=True)
class Tally:
    """The loop's own running counts; the journal has the truth."""

    known: int = 0
    ended: int = 0
    pages: int = 0
    items: int = 0
    failed: int = 0
    gone: int = 0
    last_fault: str = ""
    faults: RecentFaults = field(default_factory=RecentFaults)
    unread: dict[bool, bool] = field(default_factory=lambda: {True: True, False: True})
    cursor: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})


class Loop:
    """One start of a run, from the first submission to the last commit."""

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        roster: Roster,
        settings: Settings,
        *,
        workers: int,
        stop: Stop,
        limit: int | None = None,
        committed: Callable[[], None] = lambda: None,
        watch: Callable[[View], None] = lambda view: None,
        between: Callable[[], None] = lambda: None,
        random: Random | None = None,
    ) -> None:
        """`limit`: pages after which to stop. `committed` is called after each commit, `between` before each turn."""
        self._engine = engine
        self._journal = journal
        self._random = random or Random()
        self._chronicle = Chronicle(roster)
        self._referee = Referee(roster, settings, self._random)
        self._outage = Outage()
        self._canary = journal.witness()
        self._canaries: set[int] = set()
        self.why = ""
        self._settings = settings
        self._workers = workers
        self._stop = stop
        self._limit = limit
        self._committed = committed
        self._watch = watch
        self._between = between
        self._frontier = Frontier()
        self._serials = itertools.count(1)
        self._next_request = self._next_beat = 0.0
        self._sheet = Timesheet()
        self._last_look = 0.0
        self._sentenced: dict[int, float] = {}
        counts = journal.task_counts()
        self._tally = Tally(
            known=sum(counts.values()),
            ended=sum(counts.values()) - counts[TaskState.WAITING],
            failed=counts[TaskState.FAILED],
            gone=counts[TaskState.GONE],
            items=journal.last_item(),  # none is ever taken away
        )

    @property
    def limited(self) -> bool:
        """True if the run stopped because it had fetched as many pages as it was told to."""
        return self._limit is not None and self._tally.pages >= self._limit

    def run(self) -> RunEnd:
        """Crawl until all is done, nothing can be done any more, or somebody says stop. The engine is started."""
        end = self._crawl()
        self._sheet.cpu += machine.cpu_seconds()
        self._journal.event(Event(time.time(), "worked", detail=self._sheet.text()))
        for signal in self._engine.flush():
            self._take(signal)
        return end

    def _crawl(self) -> RunEnd:
        drain_until: float | None = None
        while True:
            self._between()
            self._fill()
            for signal in self._engine.poll(self._patience()):
                self._take(signal)
            self._save()
            if drain_until is None and (self._stop.asked or self.limited):
                drain_until = time.monotonic() + DRAIN_SECONDS
            if drain_until is not None:
                over = time.monotonic() > drain_until or self._stop.asked > 1
                if over or not self._frontier.in_flight:
                    return "complete" if self._complete else "interrupted"
            elif self._complete:
                return "complete"
            elif self._engine.census().alive == 0:
                self.why = "no usable proxy is left"
                return "starved"
            elif (silent := self._outage.seconds(time.monotonic())) > self._settings.site_patience:
                self.why = (
                    f"every proxy has failed for {silent / 60:.0f} min: the site seems to be down for good"
                )
                return "starved"

    @property
    def _complete(self) -> bool:
        return self._frontier.empty and not any(self._tally.unread.values())

    # ------------------------------------------------------------------ what goes out

    def _fill(self) -> None:
        if self._stop.asked or self.limited:
            return
        if self._outage.mood is not Mood.WELL:
            self._ask_again()
            return
        for kind in (True, False):
            if self._tally.unread[kind] and self._frontier.runs_short(kind):
                self._read(kind)
        room = self._room()
        while self._frontier.in_flight < room and time.monotonic() >= self._next_request:
            entry = self._frontier.take(time.monotonic(), room)
            if entry is None:
                return
            self._send(entry)

    def _room(self) -> int:
        room = window(min(self._workers, self._engine.census().usable))
        return room if self._limit is None else min(room, max(0, self._limit - self._tally.pages))

    def _read(self, is_index: bool) -> None:
        rows = self._journal.waiting(is_index, self._tally.cursor[is_index], BATCH)
        self._tally.unread[is_index] = len(rows) == BATCH
        now = time.time()
        for row in rows:
            self._tally.cursor[is_index] = row.id
            entry = Entry(row.id, row.task, is_index)
            if row.attempts:
                past = self._history(entry)
                entry.tried = frozenset(one.proxy for one in past if one.proxy and not one.excused)
            if row.not_before and row.not_before > now:
                self._frontier.delay(entry, time.monotonic() + row.not_before - now)
            else:
                self._frontier.push(entry)

    def _send(self, entry: Entry) -> None:
        states = self._engine.census().states
        left = self._tally.known - self._tally.ended
        doubted = (
            doubtful(states, self._referee.roster.healthy, left) if left <= self._workers else frozenset()
        )
        assignment = steer(entry, states, doubted)
        if assignment is None:
            self._frontier.delay(entry, time.monotonic() + DECLINE_CAP)
            return
        serial = next(self._serials)
        self._frontier.depart(serial, entry)
        self._engine.submit(serial, assignment)
        self._take_turn()

    def _take_turn(self) -> None:
        if self._settings.site_rate:
            # From now, not from the last slot: what was not used is not made up for.
            self._next_request = time.monotonic() + 1 / self._settings.site_rate

    def _ask_again(self) -> None:
        """Send a page that was fetched before through a few proxies, to see whether the site is there."""
        now, usable = time.monotonic(), self._engine.census().usable
        if self._canary is None or not usable or not self._outage.due(now):
            return
        for _ in range(min(CANARIES, usable)):
            serial = next(self._serials)
            self._canaries.add(serial)
            self._outage.sent()
            self._engine.submit(serial, Assignment(self._canary))
            self._take_turn()

    def _patience(self) -> float:
        now, patience = time.monotonic(), POLL_SECONDS
        for moment in (self._frontier.next_moment(), self._next_request, self._outage.next_moment()):
            # One that is past waits for room in the engine, and whatever makes room ends the wait by itself.
            if moment is not None and moment > now:
                patience = min(patience, moment - now)
        return patience

    # ------------------------------------------------------------------ what comes back

    def _take(self, signal: Signal) -> None:
        match signal:
            case Answered(outcome) if outcome.serial in self._canaries:
                self._hear(outcome)
            case Lost(serial) if serial in self._canaries:
                self._hear(signal.outcome(time.time()))
            case Answered(outcome):
                entry = self._frontier.land(outcome.serial)
                if entry is not None:
                    self._settle(entry, outcome)
            case Lost():
                entry = self._frontier.land(signal.serial)
                if entry is not None:
                    self._settle_lost(entry, signal)
            case Noted(event):
                self._note(event)

    def _settle(self, entry: Entry, outcome: Outcome) -> None:
        if outcome.ending is Ending.DECLINED:
            entry.declined += 1
            wait = min(DECLINE_SECONDS * 2 ** min(entry.declined, 10), DECLINE_CAP)
            self._frontier.delay(entry, time.monotonic() + wait)
        elif outcome.evidence is None:
            if not outcome.unasked:
                self._credit(entry, outcome)
            state = TaskState.GONE if outcome.ending is Ending.GONE else TaskState.DONE
            self._end(entry, outcome, state, reason=outcome.unasked or None)
        else:
            self._judge(entry, outcome)

    def _credit(self, entry: Entry, outcome: Outcome) -> None:
        acquittal = self._referee.credit(outcome.proxy, entry.id, self._history(entry) if entry.tried else ())
        if acquittal.proven and self._is_pinned(outcome.proxy):
            self._journal.proxy(outcome.proxy, ProxyState.PINNED)
        if acquittal.liars:
            self._journal.charge(entry.id, acquittal.liars)
        if outcome.ending is Ending.OK and entry.task.method == "GET":
            self._canary = entry.task
        self._site_answered(outcome)

    def _is_pinned(self, proxy: int) -> bool:
        return self._engine.census().states.get(proxy) is ProxyState.PINNED

    def _history(self, entry: Entry) -> list[Failure]:
        history = self._journal.history(entry.id)
        return [Failure(proxy, fault, excused) for proxy, fault, _, excused in history if fault]

    def _settle_lost(self, entry: Entry, lost: Lost) -> None:
        # Whoever stops a service ends its workers too, by a signal to all: no page is to blame for that.
        if lost.sign is None or (self._stop.asked and lost.sign is Sign.CRASH):
            self._frontier.push(entry, first=True)
            return
        self._judge(entry, lost.outcome(time.time()))

    def _judge(self, entry: Entry, outcome: Outcome) -> None:
        assert outcome.evidence is not None
        census = self._engine.census()
        excused = self._canary is not None and self._outage.failed(
            outcome.proxy,
            entry.id,
            judge(outcome.evidence),
            outcome.at + outcome.seconds,
            time.monotonic(),
            in_use=census.count(ProxyState.PINNED),
            alive=census.alive,
        )
        ruling = self._referee.rule(
            entry.id,
            outcome,
            self._history(entry),
            alive=census.living,
            is_index=entry.is_index,
            excused=excused,
        )
        message = outcome.evidence.message.partition("\n")[0]
        self._tally.last_fault = f"{ruling.fault}: {message}"[:80]
        self._tally.faults.add(ruling.fault, message, time.monotonic())
        self._chronicle.attempt_failed(entry.task.url, outcome, ruling.fault)
        if ruling.sentence is not None:
            self._carry_out(ruling.sentence, outcome.proxy, ruling.fault)
        match ruling.verdict:
            case GiveUp(reason):
                self._end(entry, outcome, TaskState.FAILED, ruling, reason)
            case Believe(reason):
                self._end(entry, outcome, TaskState.DONE, ruling, reason)
            case Resubmit(after):
                self._put_back(entry, outcome, ruling, after, excused=excused)
        if ruling.forgiven:
            self._journal.forgive(entry.id, ruling.forgiven)
        for proxy in ruling.woken:
            self._wake(proxy)

    # ------------------------------------------------------------------ when the whole site is silent

    def _hear(self, outcome: Outcome) -> None:
        """A canary came back. It is no attempt of its task, which has ended."""
        self._canaries.discard(outcome.serial)
        if outcome.ending is Ending.DECLINED:  # its worker had lost its proxy before it could send it
            self._outage.returned()
            return
        if outcome.evidence is None:
            self._outage.returned()
            if not outcome.unasked:
                self._referee.credit(outcome.proxy, 0)
            self._site_answered(outcome)
            return
        if outcome.swapped:
            self._carry_out(AT_ONCE, outcome.proxy, None)
        now, retry_after = time.monotonic(), outcome.evidence.retry_after
        if self._outage.silenced(now, retry_after, self._random.random()):
            self._note(Event(time.time(), "paused", detail=self._outage.words(now)))
            for proxy, task in self._outage.excused():
                self._journal.excuse(task, proxy)
                if self._referee.roster.pardon(proxy, task):
                    self._wake(proxy)

    def _site_answered(self, outcome: Outcome) -> None:
        if self._outage.answered(outcome.at + outcome.seconds):
            self._note(Event(time.time(), "continued"))

    def _wake(self, proxy: int) -> None:
        """It rests for what was not its own doing; one that does not rest is left alone."""
        if self._referee.roster[proxy].withdrawn:
            return
        self._engine.cool(proxy, 0.0)
        if self._engine.census().states.get(proxy) is ProxyState.COOLING:
            coolings = self._referee.roster[proxy].coolings
            self._journal.proxy(proxy, ProxyState.COOLING, None, time.time(), coolings)

    def _put_back(
        self, entry: Entry, outcome: Outcome, ruling: Ruling, after: float, *, excused: bool
    ) -> None:
        not_before = time.time() + after if after else None
        settlement = Settlement(entry.id, outcome, ruling.fault, ruling.charged, None, None, not_before)
        self._journal.settle(settlement, time.time())
        entry.declined = 0
        if excused:
            self._journal.excuse(entry.id, outcome.proxy)
        elif outcome.proxy > 0:
            entry.tried |= {outcome.proxy}
        if after:
            self._frontier.delay(entry, time.monotonic() + after)
        else:
            self._frontier.push(entry, first=True)

    def _end(
        self,
        entry: Entry,
        outcome: Outcome,
        state: TaskState,
        ruling: Ruling | None = None,
        reason: str | None = None,
    ) -> None:
        fault, charged = (ruling.fault, ruling.charged) if ruling else (None, False)
        settlement = Settlement(entry.id, outcome, fault, charged, state, reason)
        new = self._journal.settle(settlement, time.time())
        if state is TaskState.FAILED:
            self._chronicle.given_up(entry.task.url, outcome, reason or "")
        else:
            self._chronicle.page_done(entry.task.url, outcome, state)
        tally = self._tally
        tally.known += new
        tally.ended += 1
        tally.pages += 1
        tally.items += len(outcome.items)
        tally.failed += state is TaskState.FAILED
        tally.gone += state is TaskState.GONE
        if new:
            for kind in {task.stage == INDEX_STAGE for task in outcome.tasks}:
                tally.unread[kind] = True

    def _carry_out(self, sentence: Sentence, proxy: int, fault: Fault | None) -> None:
        self._sentenced[proxy] = time.time()
        record = self._referee.roster[proxy]
        if record.withdrawn:  # whatever it did with its last page
            sentence = Retire(record.withdrawn)
        coolings = record.coolings
        if isinstance(sentence, Retire):
            self._engine.retire(proxy, sentence.reason)
            self._journal.proxy(proxy, ProxyState.RETIRED, sentence.reason, coolings=coolings)
            self._chronicle.retired(proxy, sentence.reason)
        else:
            self._engine.cool(proxy, sentence.seconds)
            until = time.time() + sentence.seconds
            self._journal.proxy(proxy, ProxyState.COOLING, fault, until, coolings)
            self._chronicle.cooled(proxy, fault or "the site was silent", sentence.seconds)

    def _note(self, event: Event) -> None:
        self._journal.event(event)
        self._chronicle.happened(event)
        if event.proxy is None or event.kind not in _STATE_AFTER:
            return
        # The answer of a worker is quicker than the lease queue's report of its swap: moves from before a sentence
        # must not overwrite it.
        if event.at > self._sentenced.get(event.proxy, 0.0):
            state = _STATE_AFTER[event.kind]
            until = event.at + self._settings.cooling if state is ProxyState.COOLING else None
            reason = event.detail if state is ProxyState.RETIRED else None
            self._journal.proxy(event.proxy, state, reason, until, self._referee.roster[event.proxy].coolings)

    # ------------------------------------------------------------------ what is kept

    def _save(self) -> None:
        now, census = time.time(), self._engine.census()
        self._account(census)
        if self._journal.due(now) or now >= self._next_beat:
            self._next_beat = now + HEARTBEAT_SECONDS
            self._journal.progress(self._frontier.in_flight, census.losses, census.rebuilds, now)
            self._journal.commit()
            self._committed()
        tally = self._tally
        self._watch(
            View(
                tally.known,
                tally.ended,
                tally.pages,
                tally.items,
                tally.failed,
                self._frontier.in_flight,
                census,
                tally.last_fault,
                bool(self._stop.asked),
                self._outage.words(time.monotonic()),
                tally.gone,
                tally.faults,
            )
        )

    def _account(self, census: Census) -> None:
        """Enter what the workers do in the timesheet, from the first page on: before it they only start."""
        now = time.monotonic()
        if self._last_look:
            self._sheet.add(
                now - self._last_look, census.workers, census.running, census.pacing, census.parked
            )
        elif self._tally.pages:
            self._sheet.cpu, self._sheet.cores = -machine.cpu_seconds(), machine.cores()
        if self._tally.pages:
            self._last_look = now
