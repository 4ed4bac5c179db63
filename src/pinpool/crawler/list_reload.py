"""A new version of the list of proxies, put into force while a crawl runs: journal, roster and engine learn of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from pinpool.crawler.signals import Stop
from pinpool.errors import ProxyListError
from pinpool.journal.records import ProxyRecord
from pinpool.journal.schema import WITHDRAWN
from pinpool.journal.writer import Journal
from pinpool.model import ProxyState
from pinpool.policy.reputation import Reputation
from pinpool.pool.engine import Engine
from pinpool.pool.lease_types import Standing
from pinpool.proxies.proxy import Proxy, ProxyList, with_distinct_labels
from pinpool.proxies.watch import Change, Listing, compare
from pinpool.text import counted


def admit(
    reputation: Reputation, known: ProxyRecord, address: Proxy, now: float, *, forgiving: bool
) -> Standing:
    """
    Take a proxy of the list in, with what the journal knows of it. `now` is epoch seconds.

    One that was withdrawn comes back. With `forgiving`, so does one that was retired for its faults: as after a rest,
    one probing page decides.
    """
    record = known
    if known.state is ProxyState.RETIRED and known.reason == WITHDRAWN:
        state = ProxyState.COOLING if known.coolings else ProxyState.SPARE
        record = known._replace(state=state, until=now)
    elif known.state is ProxyState.RETIRED and forgiving:
        record = known._replace(state=ProxyState.COOLING, until=now, coolings=0)
    reputation.admit(record.id, record.label, record.coolings)
    return Standing(record.id, address, record.state, max(0.0, (record.until or now) - now))


class ListReload:
    """Keeps a running crawl to what the file of its list says. Called by the loop, between two turns."""

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        reputation: Reputation,
        present: Mapping[Proxy, int],
        *,
        listing: Listing | None,
        watching: bool,
        workers: int,
        stop: Stop,
        tell: Callable[[str], None],
        learn: Callable[[Iterable[Proxy]], None],
    ) -> None:
        """
        `present` is the list with its ids; `listing` is None if it came from no file. Without `watching` the file is
        read only when `stop` says so. `tell` gets lines for people, `learn` the proxies whose secrets no log may hold.
        """
        self._engine = engine
        self._journal = journal
        self._reputation = reputation
        self._present = dict(present)
        self._listing = listing
        self._watching = watching
        self._workers = workers
        self._stop = stop
        self._tell = tell
        self._learn = learn
        self._answered = 0
        self._asked = self._complained = False

    def __call__(self) -> None:
        """Put a new version into force if there is one. A bad one is told, once, and changes nothing."""
        self._hear()
        if self._listing is None or not (self._watching or self._asked):
            return
        found = self._listing.look(time.monotonic())
        if isinstance(found, ProxyListError):
            said = (f"{self._listing.name}: the new version is ignored, the old list stays:", *found.problems)
            self._tell("\n".join(said))
            self._asked, self._complained = False, True
        elif found is not None:
            change = compare(self._present, found)
            if change.joined or change.withdrawn:
                self._tell(f"{self._listing.name}: {self._enforce(change, found)}")
                for note in found.notes:
                    self._tell(note)
            elif self._asked or self._complained:
                self._tell(f"{self._listing.name}: read again, the list is as it was")
            self._asked = self._complained = False

    def _hear(self) -> None:
        asked = self._stop.reloads
        if asked != self._answered:
            self._answered = asked
            if self._listing is None:
                self._tell("SIGHUP: the list of proxies came from no file, so it is not read again")
            else:
                self._asked = True
                self._listing.insist()

    def _enforce(self, change: Change, new: ProxyList) -> str:
        """Returns what has changed, in words."""
        states = self._engine.census().states
        gone = [self._present.pop(proxy) for proxy in change.withdrawn]
        busy = sum(1 for one in gone if states[one] is ProxyState.PINNED)
        labels = {proxy.label for proxy in self._present}
        entries = [*self._present, *with_distinct_labels(change.joined, labels)]
        salt, now = self._journal.about.salt, time.time()
        records = self._journal.enroll([(proxy.label, proxy.fingerprint(salt)) for proxy in entries])
        for one in gone:
            self._reputation.withdraw(one, WITHDRAWN)
            # The lease queue reports it as well, unless its Manager dies at this moment.
            if states[one] not in (ProxyState.PINNED, ProxyState.RETIRED):
                coolings = self._reputation[one].coolings
                self._journal.proxy(one, ProxyState.RETIRED, WITHDRAWN, coolings=coolings)
        self._learn(change.joined)
        self._engine.withdraw(gone, WITHDRAWN)
        standings = []
        for proxy, known in list(zip(entries, records, strict=True))[len(self._present) :]:
            standings.append(admit(self._reputation, known, proxy, now, forgiving=True))
            if known.state is ProxyState.RETIRED:
                coolings = self._reputation[known.id].coolings
                self._journal.proxy(known.id, ProxyState.SPARE, coolings=coolings)
        self._engine.join(standings)
        self._present |= {one.address: one.proxy for one in standings}
        return _words(len(standings), len(gone), busy, self._workers)


def _words(joined: int, withdrawn: int, busy: int, workers: int) -> str:
    changes = []
    if joined:
        changes.append(f"{counted(joined, 'proxy', 'proxies')} joined")
    if withdrawn:
        finishing = f" ({busy} after the page in hand)" if busy else ""
        changes.append(f"{counted(withdrawn, 'proxy', 'proxies')} withdrawn{finishing}")
    return f"{', '.join(changes)}; {counted(workers, 'worker stays as it is', 'workers stay as they are')}"
