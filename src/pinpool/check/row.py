"""One thing that `pinpool doctor` has looked at."""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple


class State(StrEnum):
    """How a thing is. Only `HINDERS` would keep a crawl from working."""

    FINE = "fine"
    NOTE = "note"  # unusual, but harmless
    WARNING = "warning"
    HINDERS = "hinders"


class Row(NamedTuple):
    """What was looked at, how it is, in words, and what to do; nothing if it is fine."""

    what: str
    state: State
    found: str
    todo: str = ""


def rows_of(what: str, problems: Iterable[str], state: State = State.HINDERS) -> Iterator[Row]:
    """A row for each problem, which is a sentence with what to do behind its first colon."""
    for problem in problems:
        found, _, todo = problem.partition(": ")
        yield Row(what, state, found, todo)
