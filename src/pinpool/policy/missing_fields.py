"""
Which proxies give items that lack a field which those of others have.

Counted are items, stage by stage and proxy by proxy. A proxy whose items all lack a field is odd if those of most
others nearly always have it. A few of its pages are then asked for once more. If others show the field there, it is the
proxy that leaves it out; if not, the proxy is cleared of it for the rest of this start.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

#: Items of a proxy before they can be odd, and of all others before they can show it.
ENOUGH, ENOUGH_OF_OTHERS = 10, 30
#: Items of one of the others before it counts, and how many of these there must be.
FEWEST, OTHERS = 5, 2
#: A field is lacking up to this share of the items, and there from that share on.
LACKING, THERE = 0.02, 0.9
#: Pages that are asked for once more before the proxy is found out, or cleared.
SAMPLES = 2
#: Characters of all names of the fields of one page. With more they are not counted.
MOST_NAMES = 1000
#: Sets of fields that are told apart, for one proxy and stage.
MOST_SETS = 64

_BETWEEN = "\0"


def names_of(filled: Collection[str]) -> str:
    """The names of fields as one text, for `Fields.gave`; empty if they are too long."""
    names = _BETWEEN.join(sorted(filled))
    return names if len(names) <= MOST_NAMES else ""


def fields_in(names: str) -> list[str]:
    """The names of fields in such a text."""
    return names.split(_BETWEEN)


class Lack(NamedTuple):
    """The items of a proxy at a stage lack a field."""

    stage: str
    proxy: int
    name: str


@dataclass(slots=True)
class _Given:
    """The items of one proxy at one stage: how many, with which fields, and the latest pages."""

    items: int = 0
    sets: Counter[str] = field(default_factory=Counter)
    tasks: deque[int] = field(default_factory=lambda: deque(maxlen=SAMPLES))

    def filled(self) -> Counter[str]:
        found = Counter[str]()
        for names, items in self.sets.items():
            for name in fields_in(names):
                found[name] += items
        return found


class Fields:
    """The fields of the items that each proxy has given in this start. Its memory does not grow with the pages."""

    def __init__(self) -> None:
        self._given = defaultdict[str, dict[int, _Given]](dict)
        self._new = 0
        self._judged: set[Lack] = set()  # lies, and what proxies are cleared of
        self._lies: set[Lack] = set()
        self._trials: dict[Lack, int] = {}  # pages that still have to show it

    def gave(self, stage: str, proxy: int, task: int, items: int, names: str) -> None:
        """A page with so many items has ended its task. `names` are those of fields that have a value."""
        of_stage = self._given[stage]
        if (given := of_stage.get(proxy)) is None:
            given = of_stage[proxy] = _Given()
        if names in given.sets or len(given.sets) < MOST_SETS:
            given.items += items
            given.sets[names] += items
            given.tasks.append(task)
            self._new += 1

    def suspects(self, *, now: bool) -> list[tuple[Lack, list[int]]]:
        """
        What is odd and was not judged yet, with the pages to ask for once more. Looks only once there are as many new
        pages as proxies, or `now`.
        """
        if not self._new or not (now or self._new >= max(map(len, self._given.values()))):
            return []
        self._new = 0
        found = []
        for stage, of_stage in self._given.items():
            for lack in _odd(stage, of_stage):
                if lack not in self._judged and lack not in self._trials:
                    tasks = list(of_stage[lack.proxy].tasks)
                    self._trials[lack] = len(tasks)
                    found.append((lack, tasks))
        return found

    def has(self, stage: str, proxy: int, name: str) -> bool:
        """True if the items of this proxy have the field."""
        given = self._given[stage].get(proxy)
        return given is not None and given.items > 0 and given.filled()[name] >= THERE * given.items

    def shown(self, lack: Lack, *, there: bool) -> bool:
        """
        A page on trial is back: whether the field is `there` when another proxy gives it. If it is not, the proxy is
        cleared. True if the proxy is found out by that.
        """
        if lack not in self._trials:
            return False
        self._trials[lack] -= 1
        if not there:
            self._clear(lack)
        elif self._trials[lack] <= 0:
            self._clear(lack)
            self._lies.add(lack)
            return True
        return False

    def unanswered(self, lack: Lack) -> None:
        """Nobody could show a page on trial: the proxy is cleared."""
        self._clear(lack)

    def lies_of(self, stage: str, proxy: int, names: str) -> list[Lack]:
        """What the proxy was found out to leave out, and has left out of these fields too."""
        if not self._lies:
            return []
        there = fields_in(names)
        return [lie for lie in self._lies if lie.stage == stage and lie.proxy == proxy and lie.name not in there]

    def lies_at(self, stage: str, proxy: int) -> Iterator[Lack]:
        """What the proxy was found out to leave out at a stage."""
        return (lie for lie in self._lies if lie.stage == stage and lie.proxy == proxy)

    def _clear(self, lack: Lack) -> None:
        self._trials.pop(lack, None)
        self._judged.add(lack)


def _odd(stage: str, of_stage: dict[int, _Given]) -> Iterable[Lack]:
    counts = {proxy: (given.items, given.filled()) for proxy, given in of_stage.items() if given.items >= FEWEST}
    if len(counts) <= OTHERS:
        return
    for name in set().union(*(filled for _, filled in counts.values())):
        shares = {proxy: filled[name] / items for proxy, (items, filled) in counts.items()}
        there = [proxy for proxy, share in shares.items() if share >= THERE]
        lacking = [proxy for proxy, share in shares.items() if share <= LACKING]
        enough = len(there) >= OTHERS and sum(counts[proxy][0] for proxy in there) >= ENOUGH_OF_OTHERS
        # Where it depends on the page, or on half of the proxies, nobody stands out.
        if enough and len(there) > len(counts) - len(there):
            for proxy in lacking:
                if counts[proxy][0] >= ENOUGH:
                    yield Lack(stage, proxy, name)
