"""Whoever writes what other pools have reads what this one has for it."""

from __future__ import annotations

import pytest

from pinpool.calls.habits import checked_settings, refuse_extra, refuse_method
from pinpool.errors import SettingsError


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("imap", "use map"),
        ("imap_unordered", "use map_unordered"),
        ("apply_async", "use submit"),
        ("apply", r"use submit\(function, argument\)\.result\(\)"),
        ("map_async", "use map"),
        ("starmap_async", "use starmap"),
        ("join", r"use close\(\), which waits for all calls"),
        ("shutdown", r"use close\(\)"),
    ],
)
def test_a_method_of_another_pool_is_refused_with_ours(name: str, hint: str) -> None:
    with pytest.raises(AttributeError, match=f"a PinnedPool has no {name}: .*{hint}"):
        refuse_method(name)


def test_any_other_name_is_refused_as_python_does() -> None:
    with pytest.raises(AttributeError, match=r"a PinnedPool has no nothing$"):
        refuse_method("nothing")


@pytest.mark.parametrize(
    ("named", "hint"),
    [
        ({"chunksize": 10}, "map has no chunksize: leave it out: each call goes to the next free worker"),
        ({"timeout": 5}, "map has no timeout: give the pool a deadline="),
        ({"callback": print}, "map has no callback: use submit"),
        ({"colour": 5}, "map has no colour$"),
    ],
)
def test_a_keyword_of_another_map_is_refused_with_what_to_do(named: dict[str, object], hint: str) -> None:
    with pytest.raises(TypeError, match=hint):
        refuse_extra("map", (), named)


def test_a_chunksize_by_position_and_a_second_list_are_told_apart() -> None:
    with pytest.raises(TypeError, match="map has no chunksize"):
        refuse_extra("map", (10,), {})
    with pytest.raises(TypeError, match=r"use starmap\(function, zip\(\.\.\.\)\)"):
        refuse_extra("map", ([1, 2],), {})
    refuse_extra("map", (), {})


def test_all_that_is_wrong_with_a_pool_is_said_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        checked_settings(8, 0, {"processes": 4, "initializer": print, "deadlin": 3, "pace": 1})

    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "processes",
        "initializer",
        "proxies",
        "workers",
        "deadlin",
    ]
    assert "PinnedPool('proxies.txt', workers=8)" in str(caught.value)


@pytest.mark.parametrize("workers", [0, -1, 2.5, "8", True])
def test_the_number_of_workers_is_a_whole_number_from_one_on(workers: object) -> None:
    with pytest.raises(SettingsError, match="workers: must be a whole number from 1 on, not "):
        checked_settings([], workers, {})


def test_what_is_right_becomes_settings() -> None:
    assert checked_settings(None, 4, {"threads": 2, "pace": "1.5"}).threads == 2
    assert checked_settings(None, None, {"pace": "1.5"}).pace == 1.5
