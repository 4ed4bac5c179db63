"""A task that is to be alone shares its process with no other until it is over."""

from __future__ import annotations

from dispatching import CALL, REFUSED, answer, dispatch, pairs, starts


def test_a_task_that_is_to_be_alone_shares_its_process_with_no_other_until_it_is_over() -> None:
    made = dispatch(4, "a", "a", "b", "b")
    made.submit(1, CALL, alone=True)
    for serial in (2, 3, 4):
        made.submit(serial, CALL)

    assert pairs(made) == [(1, 1), (3, 2), (4, 3)]
    answer(made, 1)
    assert pairs(made) == [(2, 4)]


def test_while_no_process_is_free_for_it_one_is_kept_and_others_go_on() -> None:
    made = dispatch(4, "a", "a", "b", "b")
    for serial in (1, 2, 3, 4):
        made.submit(serial, CALL)
    starts(made)
    made.submit(5, CALL, alone=True)
    for serial in (6, 7, 8):
        made.submit(serial, CALL)

    answer(made, 1)
    assert pairs(made) == []  # it is kept for 5, which waits for the other worker there
    answer(made, 3)
    assert pairs(made) == [(3, 6)]
    answer(made, 2)
    assert pairs(made) == [(1, 5)]
    answer(made, 1)
    assert sorted(serial for _, serial in pairs(made)) == [7, 8]


def test_two_that_are_to_be_alone_follow_one_another() -> None:
    made = dispatch(2, "a", "a")
    made.submit(1, CALL, alone=True)
    made.submit(2, CALL, alone=True)

    assert pairs(made) == [(1, 1)]
    answer(made, 1)
    assert pairs(made) == [(2, 2)]


def test_if_the_process_that_is_kept_dies_another_is_taken() -> None:
    made = dispatch(3, "a", "a", "b")
    for serial in (1, 2, 3):
        made.submit(serial, CALL)
    starts(made)
    made.submit(4, CALL, alone=True)
    answer(made, 1)
    assert pairs(made) == []  # "a" is kept

    for worker in (made.workers[1], made.workers[2]):
        made.lost(worker)
    answer(made, 3)

    assert pairs(made) == [(3, 4)]


def test_if_the_process_that_is_kept_has_no_proxy_any_more_another_is_taken() -> None:
    made = dispatch(3, "a", "a", "b", cooling=1e6)
    for serial in (1, 2, 3):
        made.submit(serial, CALL)
    starts(made)
    made.submit(4, CALL, alone=True)
    answer(made, 1)
    assert pairs(made) == []  # "a" is kept

    made.withdraw([1], "off the list")
    answer(made, 2, REFUSED)
    made.submit(5, CALL, alone=True)
    assert pairs(made) == []  # 4 went back untried, and both workers of "a" are parked
    answer(made, 3)

    assert pairs(made) == [(3, 5)]


def test_a_process_that_was_kept_for_a_task_that_went_back_untried_takes_others_again() -> None:
    made = dispatch(2, "a", "a")
    for serial in (1, 2):
        made.submit(serial, CALL)
    starts(made)
    made.submit(3, CALL, alone=True)
    answer(made, 1)
    assert pairs(made) == []
    made.withdraw([1], "off the list")
    answer(made, 2)
    assert pairs(made) == []  # 3 went to worker 1, which has left its proxy
    made.submit(4, CALL)

    assert pairs(made) == [(2, 4)]
