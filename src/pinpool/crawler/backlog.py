"""Tasks as the journal has them, with what was tried before."""

from pinpool.crawler.scheduler import Entry
from pinpool.journal.records import Doubted, Waiting
from pinpool.journal.writer import Journal
from pinpool.model import FailedAttempt
from pinpool.policy.faults import FAULTS
from pinpool.policy.reputation import Reputation


class Backlog:
    """Makes entries for the frontier from rows of the journal. `reputation` says which proxies are on the list."""

    def __init__(self, journal: Journal, reputation: Reputation) -> None:
        self._journal = journal
        self._reputation = reputation

    def entry(self, row: Waiting, *, is_index: bool) -> Entry:
        """The task of this row."""
        entry = Entry(row.id, row.task, is_index, is_seed=row.is_seed, follows=bool(row.follows))
        if row.attempts:
            failures = self.history(entry)
            entry.tried = frozenset(one.proxy for one in failures if one.proxy and not one.site_down)
            entry.deadly = entry.alone = any(FAULTS[one.fault].loses_worker for one in failures)
        return entry

    def second_look(self, row: Doubted) -> Entry:
        """The page in doubt of this row."""
        entry = self.entry(row.waiting, is_index=row.is_index)
        entry.doubted, entry.tried = row.proxy, entry.tried | {row.proxy}
        return entry

    def history(self, entry: Entry) -> list[FailedAttempt]:
        """The failed attempts of a task. A proxy that is not on this start's list counts as unknown."""
        return [
            failure if failure.proxy in self._reputation else failure._replace(proxy=None)
            for failure in self._journal.history(entry.id)
        ]

    def past(self, entry: Entry) -> list[FailedAttempt]:
        """
        The same for a task whose page has come. One that came at once costs no look into the journal. Who failed a page
        before another gave it was blamed for it then.
        """
        return self.history(entry) if entry.tried and not entry.doubted else []
