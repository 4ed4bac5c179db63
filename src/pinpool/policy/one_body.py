"""
Which proxies hand out one body for many URLs, and who can tell.

A body that a proxy gives for several URLs is odd, unless a proxy that gives different pages gives it for several too.
One of its pages is then asked for once more, through such a proxy. If that shows something else, the body is a lie; if
two show the same, it is believed for the rest of this start. One is not enough: it may be the page whose body is handed
out for all. Where a site shows one page to everybody, or each proxy one of its own, nobody gives different pages, so
nothing is asked twice.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple
from zlib import crc32

#: URLs for which a proxy gives one body before that is odd.
REPEATS = 3
#: Pages of a proxy before it can tell. More than half of them must differ.
ENOUGH = 4
#: Pages with one body that are asked for once more, until it is believed for want of an answer; and how many of these
#: must be the same before.
SAMPLES, SAME = 3, 2
#: Bodies of which a page is asked for once more at the same time.
MOST_SAMPLES = 4
#: The latest bodies that are remembered of each proxy.
REMEMBERED = 32
#: Bodies that were judged, or are odd. One that is forgotten may be asked for once more.
MOST_JUDGED = 10_000


def digest_of(body: bytes) -> int:
    """
    A number that tells one body from another, in 63 bits; 0 if there is none. No proof against somebody who wants two
    alike.
    """
    return (len(body) & 0x7FFFFFFF) << 32 | crc32(body)


class Sample(NamedTuple):
    """A page to ask for once more: `proxy` gave it, with a body that it gives for other URLs too."""

    body: int
    proxy: int
    task: int


@dataclass(slots=True)
class _Given:
    """What a proxy has given: `different` of its `pages`, and the first tasks with each of the latest bodies."""

    pages: int = 0
    different: int = 0
    bodies: OrderedDict[int, list[int]] = field(default_factory=OrderedDict)


class Bodies:
    """The bodies that each proxy has given in this start. Its memory does not grow with the pages."""

    def __init__(self) -> None:
        self._given = defaultdict[int, _Given](_Given)
        self._odd: dict[int, int] = {}  # the proxy that gave each
        self._asked: dict[int, int] = {}  # how many of its pages were asked for once more, and how many were the same
        self._same: dict[int, int] = {}
        self._under_way: set[int] = set()
        self._believed: dict[int, None] = {}
        self._lies: dict[int, None] = {}
        self._liars: set[int] = set()

    @property
    def are_odd(self) -> bool:
        """True if a body is odd, so that there may be samples to ask for."""
        return bool(self._odd)

    def recall(self, proxy: int, pages: int, different: int) -> None:
        """What the proxy gave in an earlier start."""
        given = self._given[proxy]
        given.pages, given.different = given.pages + pages, given.different + different

    def gave(self, proxy: int, task: int, body: int) -> None:
        """The proxy has given a page, and its task is done."""
        given = self._given[proxy]
        given.pages += 1
        tasks = given.bodies.get(body)
        if tasks is None:
            given.different += 1
            given.bodies[body] = [task]
            if len(given.bodies) > REMEMBERED:
                given.bodies.popitem(last=False)
            return
        given.bodies.move_to_end(body)
        if len(tasks) < REPEATS and task not in tasks:
            tasks.append(task)
        if len(tasks) >= REPEATS and body not in self._believed and body not in self._lies:
            _remember(self._odd, body, proxy)

    def tells(self, proxy: int) -> bool:
        """True if the proxy gives different pages for different URLs, so that it can show what others should."""
        given = self._given.get(proxy)
        is_known = given is not None and given.pages >= ENOUGH and 2 * given.different > given.pages
        return is_known and proxy not in self._liars

    def lies(self, proxy: int) -> bool:
        """True if the proxy was found out."""
        return proxy in self._liars

    def repeats(self, proxy: int, task: int, body: int) -> bool:
        """True if the proxy has given this body for another URL too: it tells nothing of this one."""
        given = self._given.get(proxy)
        return given is not None and any(other != task for other in given.bodies.get(body, ()))

    def is_lie(self, body: int) -> bool:
        """True if some proxy gave this body in place of another page."""
        return body in self._lies

    def samples(self, witnesses: Collection[int]) -> list[Sample]:
        """The pages to ask for once more now, if these proxies can be asked, and are able to tell."""
        found = []
        for body, proxy in list(self._odd.items()):
            others = [witness for witness in witnesses if witness != proxy]
            if any(len(self._given[other].bodies.get(body, ())) > 1 for other in others):
                self.believe(body)
            elif others and body not in self._under_way and len(self._under_way) < MOST_SAMPLES:
                number, tasks = self._asked.get(body, 0), self._given[proxy].bodies.get(body, ())
                if number >= min(SAMPLES, len(tasks)):
                    self.believe(body)
                    continue
                self._asked[body] = number + 1
                self._under_way.add(body)
                found.append(Sample(body, proxy, tasks[number]))
        return found

    def same(self, body: int) -> None:
        """Another proxy shows the same on the page that was asked for once more."""
        self._under_way.discard(body)
        self._same[body] = self._same.get(body, 0) + 1
        if self._same[body] >= SAME:
            self.believe(body)

    def unanswered(self, body: int) -> None:
        """The sample came to nothing: nobody had the page, or nobody who tells."""
        self._under_way.discard(body)

    def believe(self, body: int) -> None:
        """It is what the site shows."""
        self._forget(body)
        self._lies.pop(body, None)
        _remember(self._believed, body, None)

    def doubt(self, body: int) -> set[int]:
        """
        It is a lie. Returns the proxies that gave it for several URLs: they tell nothing any more. It may be the right
        body of one of them.
        """
        self._forget(body)
        _remember(self._lies, body, None)
        liars = {proxy for proxy, given in self._given.items() if len(given.bodies.get(body, ())) > 1}
        self._liars |= liars
        return liars

    def distrust(self, proxy: int) -> None:
        """The proxy was found out: it tells nothing any more."""
        self._liars.add(proxy)

    def clear(self, proxy: int) -> None:
        """The proxy shows what others do again."""
        self._liars.discard(proxy)

    def _forget(self, body: int) -> None:
        self._odd.pop(body, None)
        self._asked.pop(body, None)
        self._same.pop(body, None)
        self._under_way.discard(body)


def _remember(judged: dict[int, int] | dict[int, None], body: int, value: int | None) -> None:
    """Remember a body, and forget the oldest if there are too many."""
    judged[body] = value  # type: ignore[assignment]
    if len(judged) > MOST_JUDGED:
        del judged[next(iter(judged))]
