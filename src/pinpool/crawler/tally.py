"""What the crawl loop counts while it runs."""

from dataclasses import dataclass, field
from math import inf

from pinpool.model import Fault
from pinpool.stats.snapshot import FaultCount

#: Seconds since pages led to new ones, within which it is likely that they go on.
GROWS_ON = 30.0
#: So many pages of a start must have led nowhere before its list pages are taken for the last ones.
ENOUGH = 20


@dataclass(slots=True)
class Tally:
    """
    The loop's own running counts; the journal has the truth. `unread` and `cursor` are by kind of task, True for list
    pages: whether the journal holds more of them, and the id of the last one read. `grew` is when a page last led to
    new ones, in seconds of a monotonic clock.
    """

    known: int = 0
    ended: int = 0
    pages: int = 0
    items: int = 0
    failed: int = 0
    gone: int = 0
    grew: float = -inf
    last_fault: str = ""
    faults: dict[Fault, FaultCount] = field(default_factory=dict)
    unread: dict[bool, bool] = field(default_factory=lambda: {True: True, False: True})
    cursor: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})

    @property
    def left(self) -> int:
        """Tasks that have not ended."""
        return self.known - self.ended

    @property
    def more_in_journal(self) -> bool:
        """True if tasks wait there that were not read yet."""
        return self.unread[True] or self.unread[False]

    def finds_more(self, now: float, *, lists_open: bool) -> bool:
        """True if pages are still to be found, so that no share of all can be told. `lists_open`: list pages are."""
        if not self.left:
            return False
        lists_lead_on = lists_open and (self.grew > -inf or self.pages < ENOUGH)
        return lists_lead_on or now - self.grew < GROWS_ON

    def put_back(self, ended: int, failed: int, gone: int) -> None:
        """So many tasks wait again. The journal is read from its start."""
        self.ended, self.failed, self.gone = self.ended - ended, self.failed - failed, self.gone - gone
        self.unread, self.cursor = {True: True, False: True}, {True: 0, False: 0}
