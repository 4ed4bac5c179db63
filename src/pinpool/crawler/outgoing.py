"""What goes out: tasks are read from the journal, chosen, and handed to the engine, as many as it has workers for."""

import itertools
from dataclasses import dataclass

from pinpool.crawler.backlog import Backlog
from pinpool.crawler.scheduler import LONGEST_BREAK, Entry, Frontier, assign, proxies_to_avoid
from pinpool.crawler.second_looks import SecondLooks
from pinpool.crawler.site_probe import SiteProbe
from pinpool.crawler.stage_guard import StageGuard
from pinpool.crawler.tally import Tally
from pinpool.journal.writer import Journal
from pinpool.model import Assignment, ProxyState
from pinpool.policy.circuit_breaker import PROBES
from pinpool.policy.reputation import Reputation
from pinpool.pool.attempts import Attempts
from pinpool.pool.clock import Clock
from pinpool.pool.engine import Census, Engine, window

#: Tasks read from the journal at a time.
BATCH = 500
#: The engine waits no longer than this for news.
POLL_SECONDS = 0.1
#: How long a task waits that is to be tried alone while another one is.
ALONE_SECONDS = 0.02


class Submissions:
    """Hands assignments to the engine, each with a serial number, and knows when the site's rate allows the next."""

    def __init__(self, engine: Engine, site_rate: float | None, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._site_rate = site_rate
        self._serials = itertools.count(1)
        self.next_request = 0.0

    def submit(self, assignment: Assignment, *, alone: bool = False) -> int:
        """The serial number of this assignment, which is on its way. The rate does not hold it back."""
        serial = next(self._serials)
        self._engine.submit(serial, assignment, alone=alone)
        if self._site_rate:
            # From now on, not from the last slot: an unused slot is not made up for.
            self.next_request = self._clock.monotonic() + 1 / self._site_rate
        return serial


@dataclass(eq=False, repr=False, kw_only=True)
class Outgoing:
    """
    Keeps `frontier` filled from the journal and the engine busy. `page_seconds`: what one page may take at the most.
    `limit`: pages after which the run stops.
    """

    engine: Engine
    journal: Journal
    reputation: Reputation
    frontier: Frontier
    attempts: Attempts[Entry]
    submissions: Submissions
    backlog: Backlog
    stages: StageGuard
    looks: SecondLooks
    site_probe: SiteProbe
    tally: Tally
    workers: int
    limit: int | None
    page_seconds: float
    clock: Clock

    def __post_init__(self) -> None:
        self._at_hand: frozenset[int] = frozenset()  # read before the journal was read again from its start
        self._alone: Entry | None = None  # the last that was tried alone
        self._avoided: tuple[Census | None, frozenset[int]] = None, frozenset()
        self._began = self.clock.monotonic()

    def fill(self) -> None:
        """Send what may be sent now: site probes while the site is silent, else tasks."""
        if self.site_probe.hold_back:
            waiting = self.frontier.first(PROBES) or [entry.task for entry in self.attempts.tasks()]
            self.site_probe.send_if_due(self.engine.census(), waiting)
            return
        if self.stages.held:
            self.frontier.keep(self.stages.admits)
        self.looks.review(self.engine.census())
        for doubted in self.looks.due():
            self.frontier.push(self.backlog.second_look(doubted))
        for kind in (True, False):
            if self.tally.unread[kind] and self.frontier.runs_short(kind):
                self._read(kind)
        avoided = self._proxies_to_avoid()
        room = self._room(avoided)
        while len(self.attempts) < room and self.clock.monotonic() >= self.submissions.next_request:
            entry = self.frontier.take(self.clock.monotonic(), room)
            if entry is None:
                break
            self._send(entry, avoided)
        if not self.frontier.ready:
            self._send_second_attempts()

    def left(self) -> list[Entry] | None:
        """The tasks that are left, None if there are more in the journal."""
        return None if self.tally.more_in_journal else [*self.frontier, *self.attempts.tasks()]

    def read_again(self, *, ended: int, failed: int = 0, gone: int = 0) -> None:
        """Tasks that were dropped, or had ended, wait again: the journal is read from its start."""
        self._at_hand = frozenset(entry.id for entry in (*self.frontier, *self.attempts.tasks()))
        self.tally.put_back(ended, failed, gone)

    def longest_wait(self) -> float:
        """Seconds that the engine may wait for news."""
        now, patience = self.clock.monotonic(), POLL_SECONDS
        for moment in (self.frontier.next_ready(), self.submissions.next_request, self.site_probe.pause_ends()):
            # What is due already waits for room in the engine. Whatever makes room ends the wait.
            if moment is not None and moment > now:
                patience = min(patience, moment - now)
        return patience

    def _room(self, avoided: frozenset[int]) -> int:
        """How many tasks the engine should hold."""
        census = self.engine.census()
        able = min(self.workers, census.usable)
        declining = sum(census.states[proxy] is ProxyState.PINNED for proxy in avoided)
        # These workers pass tasks on. With as many tasks as workers they do so all the time, and keep the parent busy.
        room = window(max(1, able - declining)) + declining // 4 if declining else window(able)
        return room if self.limit is None else min(room, max(0, self.limit - self.tally.pages))

    def _read(self, is_index: bool) -> None:
        rows = self.journal.waiting(is_index, self.tally.cursor[is_index], BATCH, self.stages.held)
        self.tally.unread[is_index] = len(rows) == BATCH
        now = self.clock.epoch()
        for row in rows:
            self.tally.cursor[is_index] = row.id
            if row.id in self._at_hand:
                continue
            entry = self.backlog.entry(row, is_index=is_index)
            if row.not_before and row.not_before > now:
                self.frontier.delay(entry, self.clock.monotonic() + row.not_before - now)
            else:
                self.frontier.push(entry)

    def _send(self, entry: Entry, avoided: frozenset[int]) -> None:
        now = self.clock.monotonic()
        if entry.alone:
            if self._alone in self.attempts:  # one at a time: those that wait would take the room of others
                self.frontier.delay(entry, now + ALONE_SECONDS)
                return
            self._alone = entry
        if entry.doubted:
            match self.looks.next_step(entry, self.engine.census()):
                case Assignment() as second:
                    self.attempts.sent(self.submissions.submit(second, alone=entry.alone), entry)
                case "wait":
                    self.frontier.delay(entry, now + LONGEST_BREAK)
            return
        states = self.engine.census().states
        if entry.wary:
            avoided |= {proxy for proxy in states if proxy in self.reputation and not self.reputation.credible(proxy)}
        assignment = assign(entry, states, avoided, now)
        if assignment is None:
            entry.decline(now)
            self.frontier.delay(entry, now + LONGEST_BREAK)
            return
        self.attempts.sent(self.submissions.submit(assignment, alone=entry.alone), entry)

    def _send_second_attempts(self) -> None:
        """Idle workers ask for the pages that hang elsewhere."""
        closing = self.frontier.empty and not self.tally.more_in_journal
        for entry, avoid in self.attempts.overdue(self.clock.monotonic(), closing=closing):
            if self.clock.monotonic() < self.submissions.next_request:
                return
            self.attempts.sent(self.submissions.submit(Assignment(entry.task, avoid)), entry)

    def _proxies_to_avoid(self) -> frozenset[int]:
        left, seconds = self.tally.left, self.clock.monotonic() - self._began
        # All that is left takes less time than one page may take.
        closing = left * seconds < self.page_seconds * self.tally.pages
        if not closing and left > self.workers:
            return frozenset()
        census = self.engine.census()
        if self._avoided[0] is census and left > self.workers:
            return self._avoided[1]  # looked up once a tick: with 100 proxies each look costs as much as a page
        works, doubtful = self.reputation.works, self.reputation.doubtful
        self._avoided = census, proxies_to_avoid(census.states, left, works=works, doubtful=doubtful, closing=closing)
        return self._avoided[1]
