"""Applies a new version of the list of proxies to a running crawl: journal, reputation and engine follow it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from pinpool.crawler.signals import Stop
from pinpool.errors import ProxyListError
from pinpool.journal.records import ProxyRow
from pinpool.journal.schema import WITHDRAWN
from pinpool.journal.writer import Journal
from pinpool.model import ProxyState
from pinpool.policy.reputation import Reputation
from pinpool.pool.clock import SYSTEM_CLOCK, Clock
from pinpool.pool.engine import Engine
from pinpool.pool.lease_types import Standing
from pinpool.proxies.proxy import Proxy, with_distinct_labels
from pinpool.proxies.watch import Change, WatchedList, compare
from pinpool.text import counted


def admit(reputation: Reputation, known: ProxyRow, address: Proxy, now: float, *, forgiving: bool) -> Standing:
    """
    Admit a proxy of the list, with what the journal knows of it. `now` is epoch seconds.

    A withdrawn proxy comes back. With `forgiving`, so does one that was retired for its faults: as after a rest, one
    trial page decides.
    """
    record = known
    if known.state == ProxyState.RETIRED and known.reason == WITHDRAWN:
        state = ProxyState.COOLING if known.coolings else ProxyState.SPARE
        record = known._replace(state=state, until=now)
    elif known.state == ProxyState.RETIRED and forgiving:
        record = known._replace(state=ProxyState.COOLING, until=now, coolings=0)
    reputation.admit(record.id, record.label, record.coolings)
    return Standing(record.id, address, ProxyState(record.state), max(0.0, (record.until or now) - now))


@dataclass(eq=False, repr=False)
class ListReload:
    """
    Makes a running crawl follow the file of its list. The loop calls it between two turns.

    `present` is the list with its ids; `listing` is None if it did not come from a file. Without `watching` the file is
    read only when `stop` asks for it. `tell` gets lines for people, `learn` the new proxies, whose secrets no log may
    hold.
    """

    engine: Engine
    journal: Journal
    reputation: Reputation
    present: dict[Proxy, int]
    listing: WatchedList | None
    watching: bool
    workers: int
    stop: Stop
    tell: Callable[[str], None]
    learn: Callable[[Iterable[Proxy]], None]
    clock: Clock = SYSTEM_CLOCK
    _answered: int = field(default=0, init=False)
    _asked: bool = field(default=False, init=False)
    _complained: bool = field(default=False, init=False)

    def __call__(self) -> None:
        """Apply a new version if there is one. A bad one is reported once, and changes nothing."""
        if self.stop.reloads != self._answered:
            self._answered = self.stop.reloads
            if self.listing is None:
                self.tell("SIGHUP: the list of proxies came from no file, so it is not read again")
            else:
                self._asked = True
                self.listing.insist()
        if self.listing is None or not (self.watching or self._asked):
            return
        found = self.listing.look(self.clock.monotonic())
        if isinstance(found, ProxyListError):
            ignored = f"{self.listing.name}: the new version is ignored, the old list stays:"
            self.tell("\n".join((ignored, *found.problems)))
            self._asked, self._complained = False, True
        elif found is not None:
            change = compare(self.present, found)
            if change.joined or change.withdrawn:
                self.tell(f"{self.listing.name}: {self._apply(change)}")
                for note in found.notes:
                    self.tell(note)
            elif self._asked or self._complained:
                self.tell(f"{self.listing.name}: read again, the list is as it was")
            self._asked = self._complained = False

    def _apply(self, change: Change) -> str:
        """Returns a sentence about what has changed."""
        states = self.engine.census().states
        withdrawn = [self.present.pop(proxy) for proxy in change.withdrawn]
        busy = sum(states[proxy] is ProxyState.PINNED for proxy in withdrawn)
        labels = {proxy.label for proxy in self.present}
        entries = [*self.present, *with_distinct_labels(change.joined, labels)]
        salt, now = self.journal.about.salt, self.clock.epoch()
        records = self.journal.enroll([(proxy.label, proxy.fingerprint(salt)) for proxy in entries])
        for number in withdrawn:
            self.reputation.withdraw(number, WITHDRAWN)
            # The lease queue reports it as well, unless its Manager dies at this moment.
            if states[number] not in (ProxyState.PINNED, ProxyState.RETIRED):
                coolings = self.reputation[number].coolings
                self.journal.proxy(number, ProxyState.RETIRED, WITHDRAWN, coolings=coolings)
        self.learn(change.joined)
        self.engine.withdraw(withdrawn, WITHDRAWN)
        standings = []
        for proxy, known in list(zip(entries, records, strict=True))[len(self.present) :]:
            standings.append(admit(self.reputation, known, proxy, now, forgiving=True))
            if known.state == ProxyState.RETIRED:
                coolings = self.reputation[known.id].coolings
                self.journal.proxy(known.id, ProxyState.SPARE, coolings=coolings)
        self.engine.join(standings)
        self.present |= {one.address: one.proxy for one in standings}
        return _summary(len(standings), len(withdrawn), busy, self.workers)


def _summary(joined: int, withdrawn: int, busy: int, workers: int) -> str:
    changes = []
    if joined:
        changes.append(f"{counted(joined, 'proxy', 'proxies')} joined")
    if withdrawn:
        finishing = f" ({busy} after the page in hand)" if busy else ""
        changes.append(f"{counted(withdrawn, 'proxy', 'proxies')} withdrawn{finishing}")
    return f"{', '.join(changes)}; {counted(workers, 'worker stays as it is', 'workers stay as they are')}"
