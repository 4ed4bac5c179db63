"""A proxy whose items lack a field that those of others have stands out, and a few pages show whether it is true."""

from __future__ import annotations

from itertools import count

from pinpool.policy.missing_fields import MOST_NAMES, SAMPLES, Fields, Lack, names_of

SPARSE, ONE, OTHER, THIRD = 1, 2, 3, 4
WHOLE, WITHOUT = names_of({"title", "directors"}), names_of({"title"})
LACK = Lack("film", SPARSE, "directors")
TASKS = count(1)


def give(fields: Fields, proxy: int, names: str, pages: int = 20, stage: str = "film") -> list[int]:
    tasks = [next(TASKS) for _ in range(pages)]
    for task in tasks:
        fields.gave(stage, proxy, task, 1, names)
    return tasks


def odd(fields: Fields) -> list[Lack]:
    return [lack for lack, _ in fields.suspects(now=True)]


def found_out() -> Fields:
    fields = Fields()
    give(fields, ONE, WHOLE)
    give(fields, OTHER, WHOLE)
    give(fields, SPARSE, WITHOUT)
    ((lack, tasks),) = fields.suspects(now=True)
    assert [fields.shown(lack, there=True) for _ in tasks] == [False, True]
    return fields


def test_its_latest_pages_are_asked_for_once_more_and_that_only_once() -> None:
    fields = Fields()
    give(fields, ONE, WHOLE)
    give(fields, OTHER, WHOLE)
    tasks = give(fields, SPARSE, WITHOUT)

    assert fields.suspects(now=True) == [(LACK, tasks[-SAMPLES:])]
    give(fields, SPARSE, WITHOUT)
    assert fields.suspects(now=True) == []


def test_a_proxy_is_found_out_when_others_show_the_field_on_all_pages_on_trial() -> None:
    fields = found_out()

    assert fields.lies_of("film", SPARSE, WITHOUT) == [LACK]
    assert fields.lies_of("film", SPARSE, WHOLE) == []
    assert fields.lies_of("film", ONE, WITHOUT) == []
    assert fields.lies_of("list", SPARSE, WITHOUT) == []
    assert list(fields.lies_at("film", SPARSE)) == [LACK]


def test_a_page_on_which_others_do_not_show_it_either_clears_the_proxy_for_good() -> None:
    fields = Fields()
    give(fields, ONE, WHOLE)
    give(fields, OTHER, WHOLE)
    give(fields, SPARSE, WITHOUT)
    ((lack, _),) = fields.suspects(now=True)

    assert not fields.shown(lack, there=False)
    assert not fields.shown(lack, there=True)
    give(fields, SPARSE, WITHOUT)

    assert odd(fields) == []
    assert fields.lies_of("film", SPARSE, WITHOUT) == []


def test_few_items_prove_nothing() -> None:
    fields = Fields()
    give(fields, ONE, WHOLE, 14)
    give(fields, OTHER, WHOLE, 15)
    give(fields, SPARSE, WITHOUT, 10)
    assert odd(fields) == []

    give(fields, ONE, WHOLE, 1)
    assert odd(fields) == [LACK]


def test_one_other_proxy_proves_nothing() -> None:
    fields = Fields()
    give(fields, ONE, WHOLE, 100)
    give(fields, SPARSE, WITHOUT, 100)

    assert odd(fields) == []


def test_a_field_that_many_pages_lack_makes_nobody_odd() -> None:
    fields = Fields()
    for proxy in (ONE, OTHER, THIRD):
        give(fields, proxy, WHOLE, 10)
        give(fields, proxy, WITHOUT, 10)
    give(fields, SPARSE, WITHOUT)

    assert odd(fields) == []


def test_where_as_many_lack_it_as_have_it_nobody_is_odd() -> None:
    fields = Fields()
    for proxy in (ONE, OTHER):
        give(fields, proxy, WHOLE)
    for proxy in (SPARSE, THIRD):
        give(fields, proxy, WITHOUT)

    assert odd(fields) == []


def test_nothing_is_looked_at_before_there_are_as_many_new_pages_as_proxies() -> None:
    fields = Fields()
    give(fields, ONE, WHOLE)
    give(fields, OTHER, WHOLE)
    give(fields, SPARSE, WITHOUT)
    assert fields.suspects(now=False)

    give(fields, THIRD, WITHOUT, 2)
    assert fields.suspects(now=False) == []


def test_who_has_a_field_can_tell() -> None:
    fields = found_out()

    assert fields.has("film", ONE, "directors")
    assert not fields.has("film", SPARSE, "directors")
    assert not fields.has("film", THIRD, "directors")


def test_more_names_than_anybody_has_are_not_counted() -> None:
    assert names_of({"b", "a"}) == "a\0b"
    assert names_of({"x" * MOST_NAMES, "y"}) == ""
