"""Items as JSON text."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinpool.spider.items import MAX_DEPTH, MAX_ITEM, is_empty, item_text


def test_an_item_keeps_its_fields_in_their_order() -> None:
    assert item_text({"url": "u", "b": [1, 2.5, None, True], "a": {"c": "ü"}}) == (
        '{"url":"u","b":[1,2.5,null,true],"a":{"c":"ü"}}'
    )


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (date(2026, 2, 1), "2026-02-01"),
        (datetime(2026, 2, 1, 3, 4, tzinfo=UTC), "2026-02-01T03:04:00+00:00"),
        (time(3, 4), "03:04:00"),
        (Decimal("1.10"), "1.10"),
        ((1, 2), [1, 2]),
        ({"b", "a"}, ["a", "b"]),
        (frozenset({2}), [2]),
        ("a\ud800b", "a\ufffdb"),
        ("a\0b", "a\0b"),
        (10**30, 10**30),
    ],
)
def test_what_json_lacks_is_stored_as_the_nearest_thing(value: object, stored: object) -> None:
    assert json.loads(item_text({"field": value})) == {"field": stored}


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ({"image": b"GIF89a"}, "field image is bytes"),
        ({"a": {"b": [0, {"c": object()}]}}, r"field a\.b\[1\]\.c is object"),
        ({"a": float("nan")}, "field a is nan"),
        ({"a": [float("inf")]}, r"field a\[0\] is inf"),
        ({"a": Decimal("NaN")}, "field a is the Decimal NaN"),
        ({"a": {1j}}, r"field a\{\} is complex"),
        ({1: "a"}, "a key of the item is int, not text"),
        ({"a": {None: 1}}, "a key of field a is NoneType"),
        ({"a": 10**5000}, "digits"),
        ({"a": "x" * (MAX_ITEM + 1)}, "larger than 1,000,000 bytes"),
        ({"a": "ü" * (MAX_ITEM // 2)}, "larger than 1,000,000 bytes"),
        ({"x" * (MAX_ITEM + 1): 1}, "larger than 1,000,000 bytes"),
        ({"a": "\x01" * (MAX_ITEM // 2)}, "larger than 1,000,000 bytes"),
    ],
)
def test_a_value_that_cannot_be_stored_is_named_by_its_field(item: dict[Any, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refused:
        item_text(item)

    assert len(str(refused.value)) < 200


def test_a_list_that_holds_itself_ends_at_the_depth() -> None:
    ring: list[object] = []
    ring.append(ring)

    with pytest.raises(ValueError, match=f"deeper than {MAX_DEPTH} levels"):
        item_text({"ring": ring})


def test_lists_shared_a_thousandfold_end_at_the_size() -> None:
    """Ten lists of ten lists of ten …: small in memory, without end on paper."""
    value: list[object] = []
    for _ in range(40):
        value = [value] * 10

    with pytest.raises(ValueError, match="larger than"):
        item_text({"bomb": value})


@pytest.mark.parametrize("value", [None, "", " \n", [], {}, ["", None], {"a": [""]}, ((),), set()])
def test_nothing_in_any_form_is_empty(value: object) -> None:
    assert is_empty(value)


@pytest.mark.parametrize("value", [0, False, 0.0, "a", [0], {"a": "b"}, ["", "a"]])
def test_zero_and_false_are_something(value: object) -> None:
    assert not is_empty(value)


@given(
    st.dictionaries(
        st.text(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=10,
        ),
    )
)
def test_what_json_has_comes_back_as_it_was(item: dict[str, Any]) -> None:
    text = item_text(item)

    assert json.loads(text) == item
    text.encode("utf-8")
