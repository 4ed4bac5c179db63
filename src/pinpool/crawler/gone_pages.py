"""Pages that are said to be gone: which of them are believed, and which are asked for once more; see `policy.gone`."""

from collections.abc import Collection, Sequence
from http import HTTPStatus

from pinpool.crawler.scheduler import Entry
from pinpool.journal.writer import Journal
from pinpool.model import Ending, Evidence, FailedAttempt, Outcome, Sign, Step
from pinpool.policy.decision import Judge
from pinpool.policy.gone import GoneClaims
from pinpool.pool.settle import Settler


class GonePages:
    """
    Judges answers that say that a page is gone. One that is not believed counts as a failed attempt, `http_error`.

    A proxy whose share of gone pages begins to stand out is found out: what ended on its word alone waits again.
    """

    def __init__(self, journal: Journal, settler: Settler, judge: Judge) -> None:
        self._journal = journal
        self._settler = settler
        self._judge = judge
        self._claims = GoneClaims()
        self._found_out: set[int] = set()
        self._put_back = 0

    def judged(
        self, entry: Entry, outcome: Outcome, history: Sequence[FailedAttempt], living: Collection[int]
    ) -> Outcome:
        """The outcome, which says that the page is gone; as a failed attempt if that is not believed."""
        proxy, reputation = outcome.proxy, self._settler.reputation
        said = _said_gone(history)
        if proxy not in said:
            self._claims.says_gone(proxy)
            self._expose(proxy)
        voters = [one for one in living if not reputation.unproven(one)]
        if self._claims.believed({*said, proxy}, is_seed=entry.is_seed, voters=voters):
            return outcome
        entry.wary = True
        status = HTTPStatus(outcome.status or HTTPStatus.NOT_FOUND)
        message = f"says {status} {status.phrase}, which another proxy has to confirm"
        evidence = Evidence(Step.PAGE, Sign.STATUS, message, status)
        return outcome._replace(ending=Ending.FAILED, evidence=evidence)

    def credit(self, task: int, outcome: Outcome, history: Sequence[FailedAttempt]) -> None:
        """
        The proxy has fetched the page, or is believed that it is gone: those that showed something else are to blame.
        """
        proxy, said = outcome.proxy, _said_gone(history) - {outcome.proxy}
        if outcome.ending is Ending.GONE:
            for other in said:
                if self._settler.reputation.clear(other, task):
                    self._settler.release(other)
            if not self._claims.trusts(proxy):
                return  # it may call everything gone
            history, said = [failure for failure in history if not failure.gone], set()
        else:
            self._claims.serves(proxy)
        self._settler.fetched(task, proxy, self._judge.fetched(proxy, task, history))
        for liar in said:
            self._settler.refuted(liar)

    def take_put_back(self) -> int:
        """How many tasks wait again since the last call, because the proxy that called them gone was found out."""
        count, self._put_back = self._put_back, 0
        return count

    def _expose(self, proxy: int) -> None:
        if not self._claims.stands_out(proxy):
            self._found_out.discard(proxy)
        elif proxy not in self._found_out:
            self._found_out.add(proxy)
            self._put_back += self._journal.doubt_gone(proxy)


def _said_gone(history: Sequence[FailedAttempt]) -> set[int]:
    return {failure.proxy for failure in history if failure.gone and failure.proxy is not None}
