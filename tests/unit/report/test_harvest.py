"""What the items hold: shares by field and slice of time, and samples from the whole run."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from pinpool.report.harvest import SAMPLES, Share, Spread, StageHarvest, StoredItem, harvest_of
from pinpool.report.timeline import TimeAxis

AXIS = TimeAxis(0.001, 100, slices=4)


def stored(at: float | None, stage: str = "detail", **fields: Any) -> StoredItem:
    return StoredItem(stage, json.dumps(fields), at)


def only(*items: StoredItem) -> StageHarvest:
    (found,) = harvest_of(items, AXIS)
    return found


def test_each_field_is_counted_by_the_slice_in_which_its_item_was_stored() -> None:
    found = only(stored(1, title="a", year=1), stored(2, title=""), stored(99, title="b", score=[]), stored(None))

    assert found.items == [3, 0, 0, 1]
    assert found.shares("title") == [Share(1, 3), Share(0, 0), Share(0, 0), Share(1, 1)]
    assert found.shares("year") == [Share(1, 3), Share(0, 0), Share(0, 0), Share(0, 1)]
    assert found.shares("score") == [Share(0, 3), Share(0, 0), Share(0, 0), Share(0, 1)]
    assert (found.fields.items, found.fields.filled) == (4, {"title": 2, "year": 1, "score": 0})


def test_stages_stand_in_the_order_of_their_first_items() -> None:
    found = harvest_of([stored(1, "reviews"), stored(1, "detail"), stored(2, "reviews")], AXIS)

    assert [(stage.fields.stage, stage.fields.items) for stage in found] == [("reviews", 2), ("detail", 1)]


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 20, 21, 22, 1000, 12_345])
def test_samples_are_spread_over_the_whole_run(count: int) -> None:
    spread = Spread()
    for number in range(count):
        spread.add(str(number))

    chosen = [int(text) for text in spread.chosen()]

    assert len(chosen) == min(count, SAMPLES)
    assert chosen == sorted(set(chosen))
    if count > 2 * SAMPLES:
        gaps = [later - earlier for earlier, later in pairwise(chosen)]
        assert max(gaps) <= 2.1 * min(gaps)
        assert (chosen[0], chosen[-1] > 0.75 * count) == (0, True)
