"""
The crawl loop: take, submit, judge, record, resubmit. One thread, and the only place where outcomes become decisions.

An engine's callbacks post the outcomes, and this loop alone reads them. What follows from one goes into one transaction
of the journal. A task leaves the loop only by ending in the journal.
"""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from random import Random

from pinpool.crawler.backlog import Backlog
from pinpool.crawler.file_store import NoFiles
from pinpool.crawler.gone_pages import GonePages
from pinpool.crawler.outgoing import Outgoing, Submissions
from pinpool.crawler.outlook import Outlook
from pinpool.crawler.proxy_records import ProxyRecords
from pinpool.crawler.run_log import RunLog
from pinpool.crawler.scheduler import Entry, Frontier, offer_delay
from pinpool.crawler.second_looks import SecondLooks
from pinpool.crawler.signals import Stop
from pinpool.crawler.site_probe import SiteProbe
from pinpool.crawler.stage_guard import StageGuard
from pinpool.crawler.tally import Tally
from pinpool.journal.records import RunEnd, Settlement
from pinpool.journal.schema import INDEX_STAGE
from pinpool.journal.writer import Journal
from pinpool.model import Ending, Event, EventKind, Fault, Outcome, ProxyState, Sign, TaskState
from pinpool.policy.decision import Decision, Judge, failed_attempt
from pinpool.policy.faults import FAULTS
from pinpool.policy.proxy_reports import ProxyReports
from pinpool.policy.reputation import Reputation
from pinpool.policy.retry import Believe, GiveUp, Resubmit
from pinpool.pool.attempts import Attempts
from pinpool.pool.clock import SYSTEM_CLOCK, Clock
from pinpool.pool.engine import Answered, Census, Engine, Lost, Noted, Signal
from pinpool.pool.settle import Settler
from pinpool.settings import Settings
from pinpool.stats.resources import Utilization
from pinpool.stats.snapshot import FaultCount, Snapshot

#: Seconds that a first Ctrl-C waits for the attempts in flight.
DRAIN_SECONDS = 10.0
#: Failures of one page that are not counted because the site may be down. After that it is the page that looks so.
EXCUSES = 4
#: A heartbeat is due also when nothing happens, or readers take the run for dead.
HEARTBEAT_SECONDS = 5.0


@dataclass(eq=False, repr=False)
class Loop:
    """
    One start of a run, from the first submission to the last commit.

    `limit`: pages after which to stop. `max_failures`: pages that may come to nothing. `committed` is called after each
    commit, `between` before each turn, `watch` after. `files` keeps downloads. `why` is the reason of a starved run.
    Where `poll` reads the pages itself, `quits` are the exceptions by which somebody ends the run from within one.
    """

    engine: Engine
    journal: Journal
    reputation: Reputation
    settings: Settings
    _: KW_ONLY
    workers: int
    stop: Stop
    limit: int | None = None
    max_failures: int = 0
    committed: Callable[[], None] = lambda: None
    watch: Callable[[Snapshot], None] = lambda view: None
    between: Callable[[], None] = lambda: None
    files: NoFiles = field(default_factory=NoFiles)
    quits: tuple[type[BaseException], ...] = ()
    random: Random = field(default_factory=Random)
    clock: Clock = SYSTEM_CLOCK
    why: str = field(default="", init=False)

    def __post_init__(self) -> None:
        self._run_log = RunLog(self.reputation)
        self._judge = Judge(self.reputation, self.settings, self.random)
        self._records = ProxyRecords(
            self.engine, self.journal, self.reputation, self._run_log, self.settings.cooling, self.clock
        )
        self._settler = Settler(self.engine, self._judge, self._records)
        self._reports = ProxyReports(answered=self.journal.has_answer())
        self._submissions = Submissions(self.engine, self.settings.site_rate, self.clock)
        self._site_probe = SiteProbe(
            self._submissions.submit,
            self.journal,
            self._records,
            self._settler,
            self._judge,
            self._reports,
            self.random,
            self.clock,
        )
        self._stages = StageGuard(self.journal, self._settler, self.max_failures)
        patience = self.settings.site_patience
        self._outlook = Outlook(self._reports, self._site_probe, self.reputation, patience, self.clock)
        self._gone = GonePages(self.journal, self._settler, self._judge)
        self._looks = SecondLooks(self.journal, self._settler, self.clock)
        self._backlog = Backlog(self.journal, self.reputation)
        self._frontier = Frontier()
        self._attempts = Attempts[Entry](self.engine, self._settler)
        self._next_beat = 0.0
        self._utilization = Utilization()
        self._last_look = 0.0
        counts = self.journal.task_counts()
        self._tally = Tally(
            known=sum(counts.values()),
            ended=sum(counts.values()) - counts[TaskState.WAITING],
            failed=counts[TaskState.FAILED],
            gone=counts[TaskState.GONE],
            items=self.journal.item_count(),
        )
        self._outgoing = Outgoing(
            engine=self.engine,
            journal=self.journal,
            reputation=self.reputation,
            frontier=self._frontier,
            attempts=self._attempts,
            submissions=self._submissions,
            backlog=self._backlog,
            stages=self._stages,
            looks=self._looks,
            site_probe=self._site_probe,
            tally=self._tally,
            workers=self.workers,
            limit=self.limit,
            page_seconds=self.settings.deadline,
            clock=self.clock,
        )

    @property
    def limited(self) -> bool:
        """True if the run has fetched as many pages as it may."""
        return self.limit is not None and self._tally.pages >= self.limit

    def run(self) -> RunEnd:
        """Crawl until all is done, nothing more can be done, or somebody asks to stop. The engine must be started."""
        try:
            end = self._crawl()
        except self.quits:
            end = "interrupted"
        self.journal.event(Event(self.clock.epoch(), EventKind.WORKED, detail=self._utilization.text()))
        for signal in self.engine.flush():
            self._take(signal)
        return end

    def _crawl(self) -> RunEnd:
        drain_until: float | None = None
        while True:
            self.between()
            if not (self.stop.asked or self.limited):
                self._outgoing.fill()
            for signal in self.engine.poll(self._outgoing.longest_wait()):
                self._take(signal)
            self._stages.review(self._outgoing.left, self.engine.census(), self.clock.epoch())
            self._save()
            if drain_until is None and (self.stop.asked or self.limited):
                drain_until = self.clock.monotonic() + DRAIN_SECONDS
            if self._complete:
                return "stopped" if self._stages.found_nothing() else "complete"
            if drain_until is not None:
                # Where `poll` reads the pages, none is in hand here: what was submitted has not begun.
                over = self.clock.monotonic() > drain_until or self.stop.asked > (0 if self.quits else 1)
                if over or not self._attempts:
                    return "interrupted" if self.stop.asked else "limited"
            elif why := self._outlook.gave_up(self.engine.census()):
                self.why = why
                self.journal.event(Event(self.clock.epoch(), EventKind.STARVED, detail=why))
                return "starved"

    @property
    def _complete(self) -> bool:
        done = not self._attempts and self._frontier.empty and not self._tally.more_in_journal
        return done and self._looks.over(self.engine.census())

    # ------------------------------------------------------------------ what comes back

    def _take(self, signal: Signal) -> None:
        match signal:
            case Answered(outcome) if outcome.serial in self._site_probe:
                self._site_probe.answered(outcome, self.engine.census())
            case Lost(serial) if serial in self._site_probe:
                self._site_probe.lost(serial, self.engine.census())
            case Answered(outcome):
                if (entry := self._attempts.ended(outcome.serial)) is not None:
                    self._settle(entry, outcome)
                else:
                    self._attempts.ended_late(outcome)
                    self.files.dropped(outcome)
            case Lost(serial):
                if (entry := self._attempts.ended(serial)) is not None:
                    self._settle_lost(entry, signal)
                else:
                    self._attempts.ended_late(signal.outcome(self.clock.epoch()))
            case Noted(event):
                self._settler.noted(event)

    def _settle(self, entry: Entry, outcome: Outcome) -> None:
        if outcome.ending is Ending.DECLINED:
            now, pinned = self.clock.monotonic(), self.engine.census().count(ProxyState.PINNED)
            if not self._attempts.declined(entry, now, pinned):
                entry.decline(now)
                self._frontier.delay(entry, now + offer_delay(entry.declined, pinned, self.random.random()))
            return
        self.files.check(outcome)
        entry.alone = False  # its worker lives
        if entry.doubted:
            outcome = self._looks.heard(entry, outcome)
        elif outcome.ending is Ending.GONE and not outcome.unasked:
            outcome = self._gone.judged(entry, outcome, self._backlog.past(entry), self.engine.census().living)
        elif outcome.ending is Ending.OK:
            outcome = self._looks.judged(entry, outcome, self.engine.census().living)
        if outcome.evidence is None:
            if not outcome.unasked:
                self._credit(entry, outcome)
            self._overtake(entry, outcome)
            if entry.doubted:
                found = self._looks.answered(entry, outcome)
                self._tally.items += found.items
                self._found_links(found.links, outcome)
                return
            state = TaskState.GONE if outcome.ending is Ending.GONE else TaskState.DONE
            self._end(entry, outcome, state, reason=outcome.unasked or None)
            self._looks.settled(entry, outcome)
        else:
            self._settle_failed(entry, outcome)

    def _credit(self, entry: Entry, outcome: Outcome) -> None:
        self._gone.credit(entry.id, outcome, self._backlog.past(entry))
        self._site_probe.fetched(entry.task, outcome)

    def _overtake(self, entry: Entry, outcome: Outcome) -> None:
        """Record the other attempt of a page that was fetched, before the good one: that is the task's last attempt."""
        if (found := self._attempts.answered(entry, outcome, self.clock.monotonic())) is not None:
            overtaken, fault = found
            self.journal.settle(Settlement(entry.id, overtaken, fault, fault is not None, None), self.clock.epoch())
            self._run_log.overtaken(entry.task.url, overtaken, fault)

    def _settle_lost(self, entry: Entry, lost: Lost) -> None:
        entry.alone |= lost.suspect
        # A stopped service gets a signal that ends its workers too: no page is to blame for that.
        if lost.sign is None or (self.stop.asked and lost.sign is Sign.CRASH):
            if entry not in self._attempts:
                self._frontier.push(entry, first=True)
            return
        self._settle_failed(entry, lost.outcome(self.clock.epoch()))

    def _settle_failed(self, entry: Entry, outcome: Outcome) -> None:
        assert outcome.evidence is not None
        census, history, failure = self.engine.census(), self._backlog.history(entry), failed_attempt(outcome)
        undecided = self._attempts.failed(entry, self.clock.monotonic())
        entry.deadly |= FAULTS[failure.fault].loses_worker
        site_down = self._site_probe.failed(entry.id, failure, outcome, census, len(self._attempts))
        excused = site_down and sum(earlier.site_down for earlier in history) < EXCUSES
        decision = self._judge.failed(
            entry.id,
            failure._replace(site_down=excused),
            history,
            swapped=outcome.swapped,
            alive=census.living,
            retry_after=outcome.evidence.retry_after,
            is_list=entry.is_index or entry.follows,
            undecided=undecided,
            answered=self._reports.answered,
        )
        message = outcome.evidence.message.partition("\n")[0]
        self._tally.last_fault = f"{decision.fault}: {message}"[:80]
        self._tally.faults.setdefault(decision.fault, FaultCount()).add(message, self.clock.monotonic())
        self._run_log.attempt_failed(entry.task.url, outcome, decision.fault)
        # A doubted page with links would not leave its stage empty-handed.
        if not outcome.tasks and self._stages.failed(entry, outcome.proxy, decision.fault):
            decision = decision._replace(charged=False)
        match decision.verdict:
            case Resubmit(after):
                self._put_back(entry, outcome, decision, after, excused=excused)
            case GiveUp(reason):
                self._end(entry, outcome, TaskState.FAILED, decision, reason)
            case Believe(reason):
                self._end(entry, outcome, TaskState.DONE, decision, reason)
        self._settler.failed(entry.id, outcome.proxy, decision)

    def _put_back(self, entry: Entry, outcome: Outcome, decision: Decision, after: float, *, excused: bool) -> None:
        not_before = self.clock.epoch() + after if after else None
        settlement = Settlement(entry.id, outcome, decision.fault, decision.charged, None, None, not_before)
        self.journal.settle(settlement, self.clock.epoch())
        entry.declined = 0
        entry.wary |= decision.fault is Fault.EXTRACT
        if excused:
            self.journal.excuse(entry.id, outcome.proxy)
        elif outcome.proxy > 0:
            entry.tried |= {outcome.proxy}
        if entry in self._attempts:
            return  # the other attempt decides
        if after:
            self._frontier.delay(entry, self.clock.monotonic() + after)
        else:
            # A task that every living proxy has tried goes last, or each proxy would get it first after its rest.
            last = self._stages.wants_others(entry) or entry.tried.issuperset(self.engine.census().living)
            self._frontier.push(entry, first=not last)

    def _end(
        self,
        entry: Entry,
        outcome: Outcome,
        state: TaskState,
        decision: Decision | None = None,
        reason: str | None = None,
    ) -> None:
        fault, charged = (decision.fault, decision.charged) if decision else (None, False)
        if entry.doubted:
            self.journal.settle(Settlement(entry.id, outcome, fault, charged, None), self.clock.epoch())
            self._looks.unanswered(entry)
            return
        outcome = self.files.ended(entry.id, entry.task, outcome)
        settlement = Settlement(entry.id, outcome, fault, charged, state, reason)
        new = self.journal.settle(settlement, self.clock.epoch())
        self._stages.ended(entry, outcome, state, fault)
        if state is TaskState.FAILED:
            self._run_log.given_up(entry.task.url, outcome, reason or "")
        else:
            self._run_log.page_done(entry.task.url, outcome, state)
        tally = self._tally
        tally.ended += 1
        tally.pages += 1
        tally.items += len(outcome.items)
        self._run_log.yielded(entry.task.url, outcome)
        tally.failed += state is TaskState.FAILED
        tally.gone += state is TaskState.GONE
        self._found_links(new, outcome)
        if (again := self._stages.take_again()) is not None:
            self._outgoing.read_again(ended=len(again), failed=self.journal.put_back(again))
        if gone := self._gone.take_put_back():
            self._outgoing.read_again(ended=gone, gone=gone)

    def _found_links(self, new: int, outcome: Outcome) -> None:
        if new:
            self._tally.known += new
            self._tally.grew = self.clock.monotonic()
            for kind in {task.stage == INDEX_STAGE for task in outcome.tasks}:
                self._tally.unread[kind] = True

    # ------------------------------------------------------------------ what is recorded

    def _save(self) -> None:
        now, census = self.clock.epoch(), self.engine.census()
        self._add_utilization(census)
        if self.journal.due(now) or now >= self._next_beat:
            self._next_beat = now + HEARTBEAT_SECONDS
            self.journal.progress(len(self._attempts), census.losses, census.rebuilds, now)
            self.journal.commit()
            self.committed()
        tally = self._tally
        self.watch(
            Snapshot(
                known=tally.known,
                ended=tally.ended,
                pages=tally.pages,
                items=tally.items,
                failed=tally.failed,
                in_flight=len(self._attempts),
                census=census,
                last_fault=tally.last_fault,
                stopping=bool(self.stop.asked),
                waiting=self._site_probe.reason(),
                gone=tally.gone,
                faults=tally.faults,
                trouble=self._outlook.trouble,
                last_pages=self._last_pages,
                finds_more=self._finds_more,
            )
        )

    def _finds_more(self) -> bool:
        lists_open = any(entry.is_index for entry in (*self._frontier, *self._attempts.tasks()))
        return self._tally.finds_more(self.clock.monotonic(), lists_open=lists_open)

    def _last_pages(self) -> str:
        left = self._tally.left
        last = self._outlook.last_pages(self._attempts, self._frontier, left, self.settings.deadline)
        return last if left else self._looks.text()

    def _add_utilization(self, census: Census) -> None:
        """Record what the workers do, from the first page on: before it they only start."""
        now = self.clock.monotonic()
        # At the end there are fewer pages than workers, whatever their number.
        enough = self._tally.left >= self.workers
        if self._last_look and enough and not self._site_probe.hold_back:
            self._utilization.add(now - self._last_look, census.workers, census.running, census.pacing, census.parked)
        if self._tally.pages:
            self._last_look = now
