"""
Pages that are done, and are asked for once more because their proxy may show something else than the site does.

What is odd is decided by `policy.one_body` and `policy.missing_fields`. First a page or two are on trial: asked for
through a proxy that can tell. If that shows something else, the first proxy is found out: all its pages of that kind
are asked for once more, and it serves no more of them. A page in doubt stays done, with its items, until another proxy
has answered (`journal.second_looks`).
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from http import HTTPStatus
from typing import Literal

from pinpool.crawler.scheduler import LOW_WATER, Entry
from pinpool.journal.records import Doubted
from pinpool.journal.second_looks import Doubt, OfBody, OfLiar, OfStage, OfTask, SecondAnswer
from pinpool.journal.writer import Journal
from pinpool.model import (
    FILE_STAGE,
    Assignment,
    Ending,
    Event,
    EventKind,
    Evidence,
    Fault,
    Outcome,
    ProxyState,
    Sign,
    Step,
)
from pinpool.policy.missing_fields import Fields, Lack, fields_in
from pinpool.policy.one_body import Bodies
from pinpool.policy.retry import WITNESSES
from pinpool.pool.clock import Clock
from pinpool.pool.engine import Census
from pinpool.pool.settle import Settler
from pinpool.text import counted, first_few, one_line

#: Pages in doubt that are read from the journal at a time.
BATCH = 500
#: Pages in a row that others show too, after which the pages of a proxy that was found out are believed again.
CONFIRMED = 5
ONE_BODY = "shows one page for many URLs"
_NAMED = 3  # proxies in one message
_AT_HAND = (ProxyState.PINNED, ProxyState.SPARE)


class SecondLooks:
    """
    Looks for proxies that show something else, and sees to it that their pages are asked for once more.

    The loop tells it of every page: `judged` before it is settled, `settled` after that. An entry with `doubted` set is
    a second look: `heard` and then `answered`, or `unanswered`.
    """

    def __init__(self, journal: Journal, settler: Settler, clock: Clock) -> None:
        self._journal = journal
        self._settler = settler
        self._clock = clock
        self._bodies = Bodies()
        self._fields = Fields()
        self._said: dict[int, set[int]] = {}  # by task, the proxies that gave what is a lie
        self._trials: dict[int, int | Lack] = {}  # by task, the body that is on trial, or what may be left out
        self._confirmed = Counter[int]()  # by proxy that was found out, its pages in a row that others show too
        self._caught: set[int] = set()
        self._last_read = 0
        self._at_hand = 0
        self._seen: Census | None = None
        self._unread = bool(journal.doubted(0, 1))
        if self._unread:  # an earlier start was not done with them
            for proxy, pages, different, found_out in journal.bodies_given():
                self._bodies.recall(proxy, pages, different)
                if found_out:
                    self._bodies.distrust(proxy)

    # ------------------------------------------------------------------ every page

    def judged(self, entry: Entry, outcome: Outcome, living: Collection[int]) -> Outcome:
        """The outcome, which is a page; as a failed attempt if that page is known to be shown in place of others."""
        lacks = self._lacks(entry, outcome)
        if not lacks and not self._bodies.is_lie(outcome.digest):
            return outcome
        if not lacks and not self._bodies.lies(outcome.proxy):
            if not self._bodies.repeats(outcome.proxy, entry.id, outcome.digest):
                return outcome  # it may be the page whose body is handed out for all: it is asked for once more
            self._bodies.distrust(outcome.proxy)
        said = self._said.setdefault(entry.id, set())
        said.add(outcome.proxy)
        others = {proxy for proxy in living if not self._bodies.lies(proxy)}
        if len(said) >= min(WITNESSES, len(others | said)):
            return outcome  # nobody else is left who could show another, or enough of them show the same
        self._caught.add(outcome.proxy)
        return _failed(outcome, Sign.BAN, _left_out(lacks[0]) if lacks else ONE_BODY)

    def settled(self, entry: Entry, outcome: Outcome) -> None:
        """The page has ended its task. A file has a place by then, and no other takes that."""
        if entry.task.stage == FILE_STAGE:
            return
        self._gave(entry, outcome)
        self._said.pop(entry.id, None)
        if self._bodies.is_lie(outcome.digest) or self._lacks(entry, outcome):
            self._doubt(OfTask(entry.id, sure=True), "shows what it was found out for")
        elif outcome.digest and self._bodies.lies(outcome.proxy):  # no file, which would be written over
            self._doubt(OfTask(entry.id), "was found out")

    def _lacks(self, entry: Entry, outcome: Outcome) -> list[Lack]:
        return self._fields.lies_of(entry.task.stage, outcome.proxy, outcome.fields) if outcome.items else []

    def _gave(self, entry: Entry, outcome: Outcome) -> None:
        if outcome.digest:
            self._bodies.gave(outcome.proxy, entry.id, outcome.digest)
        if outcome.items and outcome.fields:
            self._fields.gave(entry.task.stage, outcome.proxy, entry.id, len(outcome.items), outcome.fields)

    # ------------------------------------------------------------------ second looks

    def review(self, census: Census) -> None:
        """Ask once more for a page of each proxy that begins to look odd, where another proxy can tell."""
        for proxy in self._caught:
            self._settler.refuted(proxy, Fault.BANNED)
        self._caught.clear()
        if census is self._seen:
            return
        is_last, self._seen = self._seen is None, census
        if self._bodies.are_odd:
            for body, _, task in self._bodies.samples(self._witnesses(census)):
                self._try(task, body, ONE_BODY)
        for lack, tasks in self._fields.suspects(now=is_last):
            for task in tasks:
                self._try(task, lack, _left_out(lack))

    def due(self) -> list[Doubted]:
        """The next pages to ask for once more."""
        if not self._unread or self._at_hand >= LOW_WATER:
            return []
        found = self._journal.doubted(self._last_read, BATCH)
        self._unread = len(found) == BATCH
        self._at_hand += len(found)
        self._last_read = found[-1].id if found else self._last_read
        return found

    def over(self, census: Census) -> bool:
        """True if no page is left to ask for once more. Ask when all else is done, and nothing is at hand."""
        self._seen, self._at_hand = None, 0
        self.review(census)
        return not self._unread

    def text(self) -> str:
        """What the end of the run waits for, if these pages are all that is left."""
        return f"second answers for {counted(self._at_hand, 'page')}" if self._at_hand else ""

    def next_step(self, entry: Entry, census: Census) -> Assignment | Literal["wait", "over"]:
        """
        An assignment for the proxies that can tell and were not asked yet. If the last of these rest, "wait": one that
        rests again is not waited for. If there are none the second look is "over".
        """
        able = {proxy for proxy in census.states if proxy not in entry.tried and self._bodies.tells(proxy)}
        for stage, _, name in self._may_lack(entry):
            able = {proxy for proxy in able if self._fields.has(stage, proxy, name)}
        at_hand = {proxy for proxy in able if census.states[proxy] in _AT_HAND}
        if at_hand:
            return Assignment(entry.task, tuple(census.states.keys() - at_hand), exchange=True)
        reputation = self._settler.reputation
        resting = (proxy for proxy in able if census.states[proxy] is ProxyState.COOLING and proxy in reputation)
        if entry.id not in self._trials and any(reputation[proxy].coolings <= 1 for proxy in resting):
            return "wait"
        self.unanswered(entry)
        return "over"

    def heard(self, entry: Entry, outcome: Outcome) -> Outcome:
        """The outcome of a second look; as a failed attempt if it tells nothing of the page."""
        if outcome.ending is Ending.GONE:
            status = HTTPStatus(outcome.status or HTTPStatus.NOT_FOUND)
            return _failed(outcome, Sign.STATUS, f"says {status} {status.phrase} of a page that another proxy gave")
        if outcome.ending is Ending.OK and self._bodies.lies(outcome.proxy):
            return _failed(outcome, Sign.STATUS, "was found out while it was asked")
        is_new = outcome.ending is Ending.OK and outcome.digest != self._trials.get(entry.id)
        if is_new and self._bodies.repeats(outcome.proxy, entry.id, outcome.digest):
            return _failed(outcome, Sign.STATUS, "shows what it shows for other URLs too")
        return outcome

    def answered(self, entry: Entry, outcome: Outcome) -> SecondAnswer:
        """Another proxy has given the page. What it gave is stored if it differs. Returns how."""
        self._at_hand -= 1
        # Where it is about a field, pages may well differ in others from one minute to the next.
        lacks, there = self._may_lack(entry), fields_in(outcome.fields)
        counts = not lacks or any(lack.name in there for lack in lacks)
        now = self._clock.epoch()
        found = self._journal.answer_again(entry.id, outcome, now, counts=counts) or SecondAnswer(differs=False)
        if found.differs:
            self._blame(entry.doubted, entry.id)
        elif self._bodies.lies(entry.doubted):
            self._confirmed[entry.doubted] += 1
            if self._confirmed[entry.doubted] >= CONFIRMED:
                self._bodies.clear(entry.doubted)
        match self._trials.pop(entry.id, None):
            case int(body) if found.differs and outcome.digest != body:
                liars = sorted(self._bodies.doubt(body))
                self._find_out(liars, [OfBody(body), *map(OfLiar, liars)], ONE_BODY)
            case int(body):
                self._bodies.same(body)
            case Lack() as lack:
                if self._fields.shown(lack, there=found.differs and lack.name in there):
                    self._bodies.distrust(lack.proxy)
                    self._find_out([lack.proxy], [OfStage(lack.proxy, lack.stage)], _left_out(lack))
        self._gave(entry, outcome)
        return found

    def unanswered(self, entry: Entry) -> None:
        """No other proxy gives the page: it stays as it is."""
        self._at_hand -= 1
        self._journal.end_look(entry.id)
        if (trial := self._trials.pop(entry.id, None)) is not None:
            self._no_answer(trial)

    def _may_lack(self, entry: Entry) -> list[Lack]:
        """What this is about, if it is about fields that the proxy in doubt leaves out."""
        trial = self._trials.get(entry.id)
        known = self._fields.lies_at(entry.task.stage, entry.doubted)
        return [*known, trial] if isinstance(trial, Lack) else [*known]

    def _try(self, task: int, trial: int | Lack, why: str) -> None:
        if self._doubt(OfTask(task), why):
            self._trials[task] = trial
        else:  # it was asked for once more before
            self._no_answer(trial)

    def _no_answer(self, trial: int | Lack) -> None:
        if isinstance(trial, Lack):
            self._fields.unanswered(trial)
        else:
            self._bodies.unanswered(trial)

    def _doubt(self, what: Doubt, why: str) -> int:
        pages = self._journal.doubt(what, why)
        self._unread |= pages > 0
        return pages

    def _witnesses(self, census: Census) -> set[int]:
        """The proxies at hand that can tell, and have not begun to fail."""
        reputation = self._settler.reputation
        return {
            proxy
            for proxy, state in census.states.items()
            if state in _AT_HAND
            and self._bodies.tells(proxy)
            and proxy in reputation
            and not reputation.unproven(proxy)
        }

    def _blame(self, proxy: int, task: int) -> None:
        self._confirmed[proxy] = 0
        reputation = self._settler.reputation
        if proxy in reputation:
            reputation.strike(proxy, task, counts=True)
            reputation.blame(proxy, task)
            self._caught.add(proxy)

    def _find_out(self, liars: Sequence[int], doubts: Iterable[Doubt], why: str) -> None:
        """All these pages are in doubt."""
        reputation = self._settler.reputation
        labels = [reputation[proxy].label for proxy in liars if proxy in reputation]
        pages = sum(self._doubt(what, why) for what in doubts)
        many = f"{counted(pages, 'more page is', 'more pages are')} asked for once more" if pages else "no other had it"
        detail = f"{first_few(labels, _NAMED)} {why}: {many}"
        self._settler.noted(Event(self._clock.epoch(), EventKind.FOUND_OUT, detail=detail))


def _left_out(lack: Lack) -> str:
    return one_line(f"leaves {lack.name} out of the items of stage {lack.stage}, which others have there")


def _failed(outcome: Outcome, sign: Sign, message: str) -> Outcome:
    evidence = Evidence(Step.PAGE, sign, message, outcome.status)
    return outcome._replace(ending=Ending.FAILED, evidence=evidence)
