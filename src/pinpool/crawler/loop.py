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

from pinpool.crawler.proxy_control import ProxyControl
from pinpool.crawler.run_log import RunLog
from pinpool.crawler.scheduler import LONGEST_BREAK, Entry, Frontier, doubtful, pause, steer
from pinpool.crawler.signals import Stop
from pinpool.crawler.site_probe import SiteProbe
from pinpool.journal.records import RunEnd, Settlement
from pinpool.journal.schema import INDEX_STAGE
from pinpool.journal.writer import Journal
from pinpool.model import Assignment, Ending, Event, EventKind, Outcome, ProxyState, Sign, TaskState
from pinpool.policy.blame import Blame, Decision, Failure
from pinpool.policy.reputation import Reputation
from pinpool.policy.retry import Believe, GiveUp, Resubmit
from pinpool.pool.engine import Answered, Census, Engine, Lost, Noted, Signal, window
from pinpool.settings import Settings
from pinpool.stats.snapshot import RecentFaults, Snapshot
from pinpool.stats.utilization import Utilization

#: Tasks read from the journal at a time.
BATCH = 500
#: How long a first Ctrl-C waits for what is in flight.
DRAIN_SECONDS = 10.0
POLL_SECONDS = 0.1
#: So often a page is excused because the site may be down. After that it is the page that looks so.
EXCUSES = 4
#: Also when nothing happens, or readers would take the run for dead.
HEARTBEAT_SECONDS = 5.0


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
        reputation: Reputation,
        settings: Settings,
        *,
        workers: int,
        stop: Stop,
        limit: int | None = None,
        committed: Callable[[], None] = lambda: None,
        watch: Callable[[Snapshot], None] = lambda view: None,
        between: Callable[[], None] = lambda: None,
        random: Random | None = None,
    ) -> None:
        """`limit`: pages after which to stop. `committed` is called after each commit, `between` before each turn."""
        self._engine = engine
        self._journal = journal
        self._random = random or Random()
        self._run_log = RunLog(reputation)
        self._blame = Blame(reputation, settings, self._random)
        self._proxy_control = ProxyControl(engine, journal, reputation, self._run_log, settings.cooling)
        self._site_probe = SiteProbe(self._submit, journal, self._proxy_control, self._blame, self._random)
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
        self._sheet = Utilization()
        self._last_look = 0.0
        self._began = time.monotonic()
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
        self._journal.event(Event(time.time(), EventKind.WORKED, detail=self._sheet.text()))
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
            elif why := self._site_probe.in_vain(time.monotonic(), self._settings.site_patience):
                self.why = why
                return "starved"

    @property
    def _complete(self) -> bool:
        return self._frontier.empty and not any(self._tally.unread.values())

    # ------------------------------------------------------------------ what goes out

    def _fill(self) -> None:
        if self._stop.asked or self.limited:
            return
        if self._site_probe.hold_back:
            self._site_probe.ask(time.monotonic(), self._engine.census(), self._frontier)
            return
        for kind in (True, False):
            if self._tally.unread[kind] and self._frontier.runs_short(kind):
                self._read(kind)
        doubted = self._doubted()
        room = self._room(doubted)
        while self._frontier.in_flight < room and time.monotonic() >= self._next_request:
            entry = self._frontier.take(time.monotonic(), room)
            if entry is None:
                return
            self._send(entry, doubted)

    def _room(self, doubted: frozenset[int]) -> int:
        census = self._engine.census()
        able = min(self._workers, census.usable)
        declining = sum(census.states[one] is ProxyState.PINNED for one in doubted)
        # Those pass tasks on. With as many tasks as hands they would do so without end, and burn the parent's time.
        room = window(max(1, able - declining)) + declining // 4 if declining else window(able)
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

    def _send(self, entry: Entry, doubted: frozenset[int]) -> None:
        now = time.monotonic()
        assignment = steer(entry, self._engine.census().states, doubted, now)
        if assignment is None:
            entry.decline(now)
            self._frontier.delay(entry, now + LONGEST_BREAK)
            return
        self._frontier.depart(self._submit(assignment), entry)

    def _doubted(self) -> frozenset[int]:
        left, reputation = self._tally.known - self._tally.ended, self._blame.reputation
        if not self._closing and left > self._workers:
            return frozenset()
        states = self._engine.census().states
        return doubtful(
            states, left, works=reputation.works, suspect=reputation.suspect, closing=self._closing
        )

    @property
    def _closing(self) -> bool:
        """True if all that is left takes less time than one page may take."""
        left, seconds = self._tally.known - self._tally.ended, time.monotonic() - self._began
        return left * seconds < self._settings.deadline * self._tally.pages

    def _submit(self, assignment: Assignment) -> int:
        serial = next(self._serials)
        self._engine.submit(serial, assignment)
        if self._settings.site_rate:
            # From now, not from the last slot: what was not used is not made up for.
            self._next_request = time.monotonic() + 1 / self._settings.site_rate
        return serial

    def _patience(self) -> float:
        now, patience = time.monotonic(), POLL_SECONDS
        for moment in (self._frontier.next_moment(), self._next_request, self._site_probe.next_moment()):
            # One that is past waits for room in the engine, and whatever makes room ends the wait by itself.
            if moment is not None and moment > now:
                patience = min(patience, moment - now)
        return patience

    # ------------------------------------------------------------------ what comes back

    def _take(self, signal: Signal) -> None:
        match signal:
            case Answered(outcome) if outcome.serial in self._site_probe:
                self._site_probe.hear(outcome, time.monotonic(), self._engine.census())
            case Lost(serial) if serial in self._site_probe:
                self._site_probe.lose(serial, time.monotonic(), self._engine.census())
            case Answered(outcome):
                entry = self._frontier.land(outcome.serial)
                if entry is not None:
                    self._settle(entry, outcome)
            case Lost():
                entry = self._frontier.land(signal.serial)
                if entry is not None:
                    self._settle_lost(entry, signal)
            case Noted(event):
                self._proxy_control.note(event)

    def _settle(self, entry: Entry, outcome: Outcome) -> None:
        if outcome.ending is Ending.DECLINED:
            now, pinned = time.monotonic(), self._engine.census().count(ProxyState.PINNED)
            entry.decline(now)
            self._frontier.delay(entry, now + pause(entry.declined, pinned, self._random.random()))
        elif outcome.evidence is None:
            if not outcome.unasked:
                self._credit(entry, outcome)
            state = TaskState.GONE if outcome.ending is Ending.GONE else TaskState.DONE
            self._end(entry, outcome, state, reason=outcome.unasked or None)
        else:
            self._judge(entry, outcome)

    def _credit(self, entry: Entry, outcome: Outcome) -> None:
        credit = self._blame.credit(outcome.proxy, entry.id, self._history(entry) if entry.tried else ())
        if credit.proven:
            self._proxy_control.prove(outcome.proxy)
        if credit.liars:
            self._journal.charge(entry.id, credit.liars)
        self._site_probe.fetched(entry.task, outcome)

    def _history(self, entry: Entry) -> list[Failure]:
        reputation = self._blame.reputation
        return [
            # One that is not on this start's list is nobody we know.
            Failure(proxy if proxy in reputation else None, fault, excused)
            for proxy, fault, _, excused in self._journal.history(entry.id)
            if fault
        ]

    def _settle_lost(self, entry: Entry, lost: Lost) -> None:
        # Whoever stops a service ends its workers too, by a signal to all: no page is to blame for that.
        if lost.sign is None or (self._stop.asked and lost.sign is Sign.CRASH):
            self._frontier.push(entry, first=True)
            return
        self._judge(entry, lost.outcome(time.time()))

    def _judge(self, entry: Entry, outcome: Outcome) -> None:
        assert outcome.evidence is not None
        census = self._engine.census()
        history = self._history(entry)
        suspected = self._site_probe.failed(entry.id, outcome, time.monotonic(), census)
        excused = suspected and sum(one.excused for one in history) < EXCUSES
        decision = self._blame.rule(
            entry.id,
            outcome,
            history,
            alive=census.living,
            is_index=entry.is_index,
            excused=excused,
        )
        message = outcome.evidence.message.partition("\n")[0]
        self._tally.last_fault = f"{decision.fault}: {message}"[:80]
        self._tally.faults.add(decision.fault, message, time.monotonic())
        self._run_log.attempt_failed(entry.task.url, outcome, decision.fault)
        if decision.penalty is not None:
            self._proxy_control.carry_out(decision.penalty, outcome.proxy, decision.fault)
        match decision.verdict:
            case GiveUp(reason):
                self._end(entry, outcome, TaskState.FAILED, decision, reason)
            case Believe(reason):
                self._end(entry, outcome, TaskState.DONE, decision, reason)
            case Resubmit(after):
                self._put_back(entry, outcome, decision, after, excused=excused)
        if decision.forgiven:
            self._journal.forgive(entry.id, decision.forgiven)
        for proxy in decision.woken:
            self._proxy_control.wake(proxy)

    def _put_back(
        self, entry: Entry, outcome: Outcome, decision: Decision, after: float, *, excused: bool
    ) -> None:
        not_before = time.time() + after if after else None
        settlement = Settlement(entry.id, outcome, decision.fault, decision.charged, None, None, not_before)
        self._journal.settle(settlement, time.time())
        entry.declined = 0
        if excused:
            self._journal.excuse(entry.id, outcome.proxy)
        elif outcome.proxy > 0:
            entry.tried |= {outcome.proxy}
        if after:
            self._frontier.delay(entry, time.monotonic() + after)
        else:
            # One that nobody new can try goes last: else it would be the probe of every proxy that has rested.
            self._frontier.push(entry, first=not entry.tried.issuperset(self._engine.census().living))

    def _end(
        self,
        entry: Entry,
        outcome: Outcome,
        state: TaskState,
        decision: Decision | None = None,
        reason: str | None = None,
    ) -> None:
        fault, charged = (decision.fault, decision.charged) if decision else (None, False)
        settlement = Settlement(entry.id, outcome, fault, charged, state, reason)
        new = self._journal.settle(settlement, time.time())
        if state is TaskState.FAILED:
            self._run_log.given_up(entry.task.url, outcome, reason or "")
        else:
            self._run_log.page_done(entry.task.url, outcome, state)
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
            Snapshot(
                tally.known,
                tally.ended,
                tally.pages,
                tally.items,
                tally.failed,
                self._frontier.in_flight,
                census,
                tally.last_fault,
                bool(self._stop.asked),
                self._site_probe.words(time.monotonic()),
                tally.gone,
                tally.faults,
            )
        )

    def _account(self, census: Census) -> None:
        """Enter what the workers do in the timesheet, from the first page on: before it they only start."""
        now = time.monotonic()
        # At the end there are fewer pages than workers, whatever their number.
        enough = self._tally.known - self._tally.ended >= self._workers
        if self._last_look and enough and not self._site_probe.hold_back:
            self._sheet.add(
                now - self._last_look, census.workers, census.running, census.pacing, census.parked
            )
        if self._tally.pages:
            self._last_look = now
