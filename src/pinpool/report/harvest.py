"""What the items of a run hold: how often each field is filled, also over time, and some of them as samples. Pure."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pinpool.report.timeline import TimeAxis
from pinpool.spider.items import is_empty
from pinpool.stats.fields import StageFields

SAMPLES = 10  # items that a report shows of each stage


class StoredItem(NamedTuple):
    """An item as JSON text, with its stage, and the epoch second at which it was stored, None if that is not known."""

    stage: str
    text: str
    at: float | None


class Share(NamedTuple):
    """How many items of a slice of time have a value in a field, and how many there are."""

    filled: int
    items: int


class Spread:
    """So many of the texts that were added, spread evenly over them. Keeps twice as many."""

    def __init__(self, most: int = SAMPLES) -> None:
        self._most = most
        self._kept: list[str] = []
        self._step, self._count = 1, 0

    def add(self, text: str) -> None:
        """Note one text."""
        if self._count % self._step == 0:
            self._kept.append(text)
            if len(self._kept) > 2 * self._most:
                self._kept = self._kept[::2]
                self._step *= 2
        self._count += 1

    def chosen(self) -> list[str]:
        """The texts, in their order."""
        wanted = min(self._most, len(self._kept))
        return [self._kept[number * len(self._kept) // wanted] for number in range(wanted)]


@dataclass(slots=True)
class StageHarvest:
    """The items of one stage. `items` counts them by slices of time, `filled` those of them with a value, by field."""

    fields: StageFields
    items: list[int] = field(default_factory=list)
    filled: dict[str, list[int]] = field(default_factory=dict)
    spread: Spread = field(default_factory=Spread)

    def add(self, fields: dict[str, Any], text: str, number: int) -> None:
        """Count an item that was stored in the slice with this number."""
        self.fields.items += 1
        self.items[number] += 1
        self.spread.add(text)
        for name, value in fields.items():
            if name not in self.filled:
                self.filled[name] = [0] * len(self.items)
                self.fields.filled[name] = 0
            if not is_empty(value):
                self.filled[name][number] += 1
                self.fields.filled[name] += 1

    def shares(self, name: str) -> list[Share]:
        """How often a field is filled, slice by slice."""
        return [Share(*pair) for pair in zip(self.filled.get(name, ()), self.items, strict=False)]

    def samples(self) -> list[dict[str, Any]]:
        """Some of the items, spread over the run."""
        return [json.loads(text) for text in self.spread.chosen()]


def harvest_of(items: Iterable[StoredItem], axis: TimeAxis) -> list[StageHarvest]:
    """The harvest of each stage that gave items, in the order of their first ones."""
    stages: dict[str, StageHarvest] = {}
    for stage, text, at in items:
        if stage not in stages:
            stages[stage] = StageHarvest(StageFields(stage), [0] * axis.slices)
        stages[stage].add(json.loads(text), text, axis.slice_of(axis.begin if at is None else at))
    return list(stages.values())
