"""Which fields of a run's items are filled. One pass over the items."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pinpool.spider.items import is_empty
from pinpool.text import percent

#: Fields that are named in one line, the emptiest first if there are more.
MOST_SHOWN = 12


@dataclass(slots=True)
class StageFields:
    """The items of one stage: how many, and in how many of them each field has a value, in the order of the fields."""

    stage: str
    items: int = 0
    filled: dict[str, int] = field(default_factory=dict)

    def add(self, fields: Mapping[str, object]) -> None:
        """Count one item."""
        self.items += 1
        for name, value in fields.items():
            self.filled[name] = self.filled.get(name, 0) + (not is_empty(value))

    @property
    def shares(self) -> dict[str, float]:
        """The share of items in which each field is filled, from 0 to 1."""
        return {name: count / self.items for name, count in self.filled.items()}

    @property
    def empty(self) -> list[str]:
        """The fields that are empty in all items."""
        return [name for name, count in self.filled.items() if not count]

    @property
    def shown(self) -> list[tuple[str, float]]:
        """The fields to show, with their shares: all of them, or the emptiest ones."""
        shares = list(self.shares.items())
        if len(shares) > MOST_SHOWN:
            shares = sorted(shares, key=lambda entry: entry[1])[:MOST_SHOWN]
        return shares

    def __str__(self) -> str:
        left_out = len(self.filled) - len(self.shown)
        more = f", {left_out} others at least as often" if left_out else ""
        return ", ".join(f"{name} {percent(share)}" for name, share in self.shown) + more


def fields_filled(items: Iterable[tuple[int, str, str]]) -> list[StageFields]:
    """The fields by stage, from (id, stage, JSON text) of every item."""
    stages: dict[str, StageFields] = {}
    for _, stage, text in items:
        stages.setdefault(stage, StageFields(stage)).add(json.loads(text))
    return list(stages.values())
