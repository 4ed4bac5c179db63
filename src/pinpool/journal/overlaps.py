"""
A listing that shifts while it is crawled: a list page shows again what the page before it has shown. What was pushed
on came twice and does no harm; what was pulled back was never seen. Nobody can prove that, so it is a doubt.
"""

import json
import re
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from pinpool.model import Event, EventKind, Task
from pinpool.text import bare_url, counted

#: Links of one page that are looked up: SQLite takes so many values at most.
_MOST_LINKS = 500
#: With fewer pages nobody can tell a list that shifts from one that shows some things on all its pages.
_FEWEST_PAGES = 3

_NUMBER = re.compile(r"\d+")
#: Which other pages of its stage have asked for the tasks of these keys before the page did, and for how many of them.
_SHOWN_BEFORE = """
    SELECT other.url, page.url, other.id = page.parent, other.parent IS page.parent AND abs(other.id - page.id) = 1,
        count(*)
    FROM tasks AS page JOIN tasks AS child ON child.key IN ({keys})
    JOIN tasks AS other ON other.id = child.parent AND other.stage = page.stage AND other.id <> page.id
    WHERE page.id = ? GROUP BY other.id
"""


class Overlap(NamedTuple):
    """
    Of the `shown` links of a list page, `known` stand on earlier pages of its list, too, `near` of them on the page
    before it.
    """

    stage: str
    url: str
    near: int
    known: int
    shown: int


def overlap_of(db: sqlite3.Connection, task_id: int, links: Sequence[Task], now: float) -> Event | None:
    """The event of a page whose `links` to other stages were known from pages of its own; None if none were."""
    (stage,) = db.execute("SELECT stage FROM tasks WHERE id = ?", (task_id,)).fetchone()
    keys = list({link.key for link in links if link.stage != stage})[:_MOST_LINKS]
    if not keys:
        return None
    page, near, known = "", 0, 0
    for other, page, asked, adjacent, count in db.execute(
        _SHOWN_BEFORE.format(keys=", ".join("?" * len(keys))), (*keys, task_id)
    ):
        # Two seeds in a row may be two categories of a shop. Two pages of one list differ in a number.
        if asked or _NUMBER.sub("#", other) == _NUMBER.sub("#", page):
            known += count
            near += count if asked or adjacent else 0
    found = Overlap(stage, page, near, known, len(keys))
    return Event(now, EventKind.OVERLAP, detail=json.dumps(found)) if known else None


def doubts(rows: Callable[[str, tuple[Any, ...]], Iterable[Any]]) -> list[str]:
    """What speaks against it that the lists of a run were seen as a whole. `rows` answers a query."""
    events = list(rows("SELECT detail FROM events WHERE kind = ? ORDER BY id", (EventKind.OVERLAP,)))
    overlaps = [Overlap(*json.loads(detail)) for (detail,) in events]
    pages = dict(rows("SELECT stage, count(*) FROM tasks WHERE state = 'done' GROUP BY stage", ())) if overlaps else {}
    found = []
    for stage in dict.fromkeys(overlap.stage for overlap in overlaps):
        same = {overlap.url: overlap for overlap in overlaps if overlap.stage == stage}.values()
        most = [overlap for overlap in same if 2 * overlap.known > overlap.shown]
        near = [overlap for overlap in same if overlap.near]
        if most:
            found.append(
                f"{_pages(most, stage)} mostly what earlier pages have shown: the list has shifted, or the site"
                " gives the same page for several addresses"
            )
        # What all pages of a list show is known from the first of them, and only the second page stands beside that.
        elif pages.get(stage, 0) >= _FEWEST_PAGES and 2 * len(near) > len(same):
            found.append(
                f"{_pages(near, stage)} some of what the page before has shown: the list has shifted while it was"
                " crawled, and may have lost as much; a second crawl would find it"
            )
    return found


def _pages(overlaps: Sequence[Overlap], stage: str) -> str:
    first = overlaps[0]
    where = f"the first is {bare_url(first.url)} with {first.known} of {first.shown} links"
    shows = "shows" if len(overlaps) == 1 else "show"
    return f"{counted(len(overlaps), 'page')} of the stage {stage} ({where}) {shows}"
