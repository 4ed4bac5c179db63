"""Which fields of the items are filled."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pinpool.stats.fields import MOST_SHOWN, StageFields, fields_filled


def of_films(*items: Mapping[str, object]) -> StageFields:
    (found,) = fields_filled((1, "detail", json.dumps(item)) for item in items)
    return found


def test_each_field_has_the_share_of_items_in_which_it_has_a_value() -> None:
    found = of_films({"title": "Up", "score": 0}, {"title": " ", "score": 8.5}, {"title": None}, {"title": []})

    assert found.shares == {"title": 0.25, "score": 0.5}
    assert str(found) == "title 25%, score 50%"


def test_a_field_that_is_never_filled_is_named() -> None:
    assert of_films({"title": "Up", "score": None}, {"title": "Her", "score": ""}).empty == ["score"]


def test_stages_are_apart() -> None:
    found = fields_filled([(1, "detail", '{"title": "Up"}'), (2, "reviews", '{"stars": null}')])

    assert [(stage.stage, stage.empty) for stage in found] == [("detail", []), ("reviews", ["stars"])]


def test_of_many_fields_the_emptiest_are_shown() -> None:
    found = of_films({f"field {n}": "x" for n in range(30)} | {"last": ""})

    assert len(found.shown) == MOST_SHOWN
    assert str(found).startswith("last 0%, ")
    assert str(found).endswith("19 others at least as often")
