"""What each stage of a run has yielded: a run with nothing in hand is no success, however well its tasks ended."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from pinpool.journal.schema import COUNT_DOUBTED
from pinpool.model import EventKind, Fault, TaskState
from pinpool.text import counted

#: How an attempt fails whose page came, but gave nothing.
NOTHING = (Fault.EMPTY, Fault.EXTRACT)

Query = Callable[[str, tuple[Any, ...]], Iterable[Any]]

_FAULTS = ", ".join(f"'{fault}'" for fault in NOTHING)
#: The pages that gave nothing: those whose last attempt since they were put back came to nothing.
FRUITLESS = (
    "tasks JOIN attempts ON task = tasks.id AND n = tasks.attempts"
    f" WHERE ending = 'failed' AND fault IN ({_FAULTS}) AND n > forgotten"
    " AND tasks.id NOT IN (SELECT task FROM doubts)"  # those gave something, and were asked for once more
)


class StageYield(NamedTuple):
    """
    The pages of one stage: `fruitful` ones gave items or links, or may be empty; `fruitless` ones gave nothing, or the
    spider raised on them, and `settled` counts those of them that have ended. `failed` ones were given up for another
    reason. `proxies` have fetched fruitless pages; `url` is the first of these pages, `fault` and `message` what was
    said of it.
    """

    stage: str
    fruitful: int = 0
    fruitless: int = 0
    settled: int = 0
    gone: int = 0
    failed: int = 0
    waiting: int = 0
    proxies: int = 0
    url: str = ""
    fault: str = ""
    message: str = ""

    @property
    def is_barren(self) -> bool:
        """True if some pages gave nothing, and none gave anything."""
        return bool(self.fruitless) and not self.fruitful

    @property
    def is_empty(self) -> bool:
        """True if the spider did not raise: it found nothing."""
        return self.fault == Fault.EMPTY

    def __str__(self) -> str:
        pages, proxies = counted(self.fruitless, "page"), counted(self.proxies, "proxy", "proxies")
        return f"stage {self.stage} yielded nothing from {pages} on {proxies}: {self.message}"


class RunYield(NamedTuple):
    """
    What a whole run has yielded. `seeds` counts them by state; with `empty_ok` no items may be right. `stopped`: that
    is how the run ended. `in_doubt` are pages of proxies that were found out, which no other has given.
    """

    stages: tuple[StageYield, ...]
    items: int
    seeds: Mapping[str, int]
    empty_ok: bool = False
    stopped: bool = False
    in_doubt: int = 0

    @property
    def doubt(self) -> str:
        """That pages are in doubt, in a sentence; empty if none is."""
        pages = counted(self.in_doubt, "page is", "pages are")
        words = "in doubt: the proxy that gave them was found out, and no other has given them yet"
        return f"{pages} {words}" if self.in_doubt else ""

    @property
    def barren(self) -> list[StageYield]:
        """The stages with an end, and nothing in hand."""
        return [stage for stage in self.stages if stage.is_barren and (stage.settled or self.stopped)]

    @property
    def fruitless(self) -> int:
        """How many pages ended without anything in hand, whatever the reason."""
        return sum(stage.settled + stage.failed + stage.gone for stage in self.stages)

    def problems(self) -> list[str]:
        """What keeps the run from being a success though all its tasks may have ended, each in a sentence."""
        return [*self._lacks(), *filter(None, [self.doubt])]

    def _lacks(self) -> list[str]:
        found = [str(stage) for stage in self.barren]
        if found or self.items or any(stage.waiting for stage in self.stages):
            return found
        if self.seeds and not self.seeds.keys() - {TaskState.GONE}:
            return [f"every seed is gone (404 or 410): {counted(sum(self.seeds.values()), 'page')}"]
        return [] if self.empty_ok else ["there are no items: no page gave one"]


def run_yield(rows: Query) -> RunYield:
    """What the tables say, asked by `rows`."""
    ((items,),) = rows("SELECT count(*) FROM items", ())
    seeds = dict(rows("SELECT state, count(*) FROM tasks WHERE parent IS NULL GROUP BY state", ()))
    rules = rows("SELECT detail FROM events WHERE kind = ? ORDER BY id DESC LIMIT 1", (EventKind.RULES,))
    empty_ok = any(_allows_empty(detail) for (detail,) in rules)
    stopped = any(state == "stopped" for (state,) in rows("SELECT state FROM run", ()))
    ((in_doubt,),) = rows(COUNT_DOUBTED, ())
    return RunYield(tuple(stage_yields(rows)), items, seeds, empty_ok, stopped, in_doubt)


def stage_yields(rows: Query) -> list[StageYield]:
    """The yield of each stage, in the order in which the stages began. One look at each task."""
    counts: dict[str, dict[tuple[str, bool], int]] = {}
    query = (
        "SELECT stage, state, items_n > 0 OR links_n > 0, count(*) FROM tasks GROUP BY 1, 2, 3 ORDER BY min(tasks.id)"
    )
    for stage, state, gave, count in rows(query, ()):
        counts.setdefault(stage, {})[state, bool(gave)] = count
    return [_stage_yield(rows, stage, of_stage) for stage, of_stage in counts.items()]


def _stage_yield(rows: Query, stage: str, counts: Mapping[tuple[str, bool], int]) -> StageYield:
    of_state = {state: counts.get((state, False), 0) + counts.get((state, True), 0) for state in TaskState}
    found = StageYield(
        stage,
        fruitful=of_state[TaskState.DONE],
        gone=of_state[TaskState.GONE],
        failed=of_state[TaskState.FAILED],
        waiting=of_state[TaskState.WAITING],
    )
    if counts.get((TaskState.DONE, True)):
        return found  # the usual case: no need to know how the others ended
    by_state = dict(rows(f"SELECT state, count(*) FROM {FRUITLESS} AND stage = ? GROUP BY state", (stage,)))
    if not by_state:
        return found
    fruitless, done, failed = (sum(by_state.values()), *(by_state.get(one, 0) for one in ("done", "failed")))
    ((proxies,),) = rows(
        "SELECT count(DISTINCT proxy) FROM attempts JOIN tasks ON tasks.id = task"
        f" WHERE stage = ? AND fault IN ({_FAULTS}) AND n > forgotten",
        (stage,),
    )
    ((url, fault, message),) = rows(
        f"SELECT url, fault, coalesce(message, fault) FROM {FRUITLESS} AND stage = ? ORDER BY tasks.id LIMIT 1",
        (stage,),
    )
    return found._replace(
        fruitful=found.fruitful - done,
        fruitless=fruitless,
        settled=done + failed,
        failed=found.failed - failed,
        proxies=proxies,
        url=url,
        fault=fault,
        message=message,
    )


def _allows_empty(rules: str) -> bool:
    try:
        found = json.loads(rules)
    except ValueError:
        return False
    return isinstance(found, dict) and found.get("empty_ok") is True
