"""A body that one proxy gives for many URLs is odd, and others tell whether it is what the site shows."""

from __future__ import annotations

from itertools import count

import pytest

from pinpool.policy.one_body import ENOUGH, MOST_SAMPLES, REMEMBERED, REPEATS, SAME, SAMPLES, Bodies, digest_of

LIAR, HONEST, OTHER, SILENT = 1, 2, 3, 4
BODY = digest_of(b"one page for everything")
TASKS = count(1000)


def give_different(bodies: Bodies, proxy: int, pages: int = ENOUGH) -> None:
    for task in [next(TASKS) for _ in range(pages)]:
        bodies.gave(proxy, task, digest_of(b"page %d" % task))


def give_one(bodies: Bodies, proxy: int, body: int = BODY, pages: int = REPEATS) -> list[int]:
    tasks = [next(TASKS) for _ in range(pages)]
    for task in tasks:
        bodies.gave(proxy, task, body)
    return tasks


@pytest.fixture
def bodies() -> Bodies:
    """Two proxies that give different pages, and one that gives one body for three URLs."""
    made = Bodies()
    give_different(made, HONEST)
    give_different(made, OTHER)
    return made


def test_different_bodies_have_different_digests() -> None:
    assert len({digest_of(body) for body in (b"", b"a", b"b", b"ab", b"ba")}) == 5
    assert 0 < digest_of(b"a") < digest_of(bytes(5_000_000)) < 2**63


def test_a_page_of_a_body_for_many_urls_is_asked_for_once_more_where_somebody_can_tell(bodies: Bodies) -> None:
    tasks = give_one(bodies, LIAR)

    assert bodies.samples({LIAR, SILENT} - {SILENT}) == []  # it cannot witness for itself
    (sample,) = bodies.samples({LIAR, HONEST})

    assert sample == (BODY, LIAR, tasks[0])
    assert bodies.samples({LIAR, HONEST}) == []  # one at a time


def test_two_urls_with_one_body_are_nothing_odd(bodies: Bodies) -> None:
    give_one(bodies, LIAR, pages=REPEATS - 1)

    assert not bodies.are_odd


def test_the_same_url_given_again_is_nothing_odd(bodies: Bodies) -> None:
    for _ in range(5):
        bodies.gave(LIAR, 7, BODY)

    assert not bodies.are_odd


def test_a_body_that_a_proxy_with_different_pages_gives_for_several_urls_too_is_believed(bodies: Bodies) -> None:
    give_one(bodies, HONEST, pages=2)
    give_one(bodies, LIAR)

    assert bodies.samples({HONEST, OTHER}) == []
    assert not bodies.are_odd
    give_one(bodies, LIAR)
    assert not bodies.are_odd  # for good


def test_where_everybody_gives_one_page_or_one_of_its_own_nobody_can_tell_and_nothing_is_asked_for() -> None:
    bodies = Bodies()
    for proxy in (1, 2, 3):
        give_one(bodies, proxy, digest_of(b"session %d" % proxy), pages=20)

    assert not any(map(bodies.tells, (1, 2, 3)))
    assert bodies.samples({proxy for proxy in (1, 2, 3) if bodies.tells(proxy)}) == []


def test_the_page_that_is_handed_out_for_all_is_right_for_one_url_and_that_proves_nothing(bodies: Bodies) -> None:
    give_one(bodies, HONEST, pages=1)
    first, second, _ = give_one(bodies, LIAR)

    assert [sample.task for sample in bodies.samples({HONEST})] == [first]
    bodies.same(BODY)
    assert [sample.task for sample in bodies.samples({HONEST})] == [second]
    assert bodies.doubt(BODY) == {LIAR}
    assert bodies.tells(HONEST)


def test_two_pages_that_are_the_same_elsewhere_are_enough(bodies: Bodies) -> None:
    give_one(bodies, LIAR)
    for _ in range(SAME):
        assert len(bodies.samples({HONEST})) == 1
        bodies.same(BODY)

    assert not bodies.are_odd
    give_one(bodies, LIAR)
    assert not bodies.are_odd


def test_a_lie_is_known_from_then_on_and_who_tells_it_tells_nothing_else(bodies: Bodies) -> None:
    give_different(bodies, LIAR, 10)
    give_one(bodies, LIAR)
    assert bodies.tells(LIAR)
    bodies.samples({HONEST})

    assert bodies.doubt(BODY) == {LIAR}

    assert bodies.is_lie(BODY)
    assert not bodies.tells(LIAR)
    assert not bodies.are_odd


def test_a_body_is_believed_when_no_sample_has_an_answer(bodies: Bodies) -> None:
    tasks = give_one(bodies, LIAR)
    asked = []
    for _ in range(SAMPLES):
        (sample,) = bodies.samples({HONEST})
        asked.append(sample.task)
        bodies.unanswered(BODY)

    assert asked == tasks
    assert bodies.samples({HONEST}) == []
    assert not bodies.are_odd


def test_few_pages_are_asked_for_at_a_time_however_many_bodies_are_odd(bodies: Bodies) -> None:
    for number in range(20):
        give_one(bodies, LIAR, digest_of(b"%d" % number))

    assert len(bodies.samples({HONEST})) == MOST_SAMPLES


def test_memory_of_each_proxy_is_bounded_and_keeps_what_is_given_again(bodies: Bodies) -> None:
    for _ in range(REPEATS):
        give_one(bodies, LIAR, pages=1)
        give_different(bodies, LIAR, REMEMBERED - 1)

    assert [sample.body for sample in bodies.samples({HONEST})] == [BODY]


def test_what_a_proxy_gives_for_another_url_too_tells_nothing(bodies: Bodies) -> None:
    first, *_ = give_one(bodies, OTHER, pages=1)

    assert bodies.repeats(OTHER, first + 1, BODY)
    assert not bodies.repeats(OTHER, first, BODY)
    assert not bodies.repeats(HONEST, first + 1, BODY)


def test_an_earlier_start_counts_for_who_can_tell() -> None:
    bodies = Bodies()
    bodies.recall(HONEST, 40, 39)
    bodies.recall(LIAR, 40, 2)
    bodies.recall(OTHER, 40, 40)
    bodies.distrust(OTHER)

    assert [bodies.tells(proxy) for proxy in (HONEST, LIAR, OTHER)] == [True, False, False]
