from __future__ import annotations

import pytest

from pinpool.model import ProxyState
from pinpool.report.timeline import Segment, TimeAxis, between_starts, pauses, strip

START = 1_700_000_000.0
HOUR = 3600.0


def test_a_moment_lies_in_its_slice_and_strangers_in_the_first_and_the_last() -> None:
    axis = TimeAxis(START, START + 100, slices=10)

    found = [axis.slice_of(START + at) for at in (-5, 0, 9.9, 10, 99.9, 100, 500)]

    assert found == [0, 0, 0, 1, 9, 9, 9]
    assert [axis.moment(share) - START for share in (0, 0.5, 1)] == [0, 50, 100]


def test_a_night_without_a_run_takes_no_room() -> None:
    night = (START + 50, START + 50 + 9 * HOUR)
    axis = TimeAxis(START, START + 100 + 9 * HOUR, [night], slices=10)

    assert axis.seconds == 100
    assert axis.slice_of(night[0] - 1) == 4
    assert axis.slice_of(night[0] + HOUR) == axis.slice_of(night[1] + 1) == 5
    assert axis.slice_of(night[1] + 49) == 9
    assert axis.moment(0.75) == pytest.approx(night[1] + 25)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.5, 0.75, 0.999, 1.0])
def test_what_has_elapsed_at_a_moment_is_its_share_of_the_run(share: float) -> None:
    axis = TimeAxis(START, START + 1000, [(START + 100, START + 300), (START + 500, START + 900)])

    assert axis.elapsed(axis.moment(share)) == pytest.approx(share * 400)


@pytest.mark.parametrize(("seconds", "slices"), [(0.5, 20), (60, 60), (86_400, 100)])
def test_a_short_run_is_cut_into_fewer_slices(seconds: float, slices: int) -> None:
    assert TimeAxis(START, START + seconds).slices == slices


def test_a_run_that_ended_before_it_began_can_still_be_drawn() -> None:
    axis = TimeAxis(START, START - 60)

    assert axis.slice_of(START) == 0
    assert axis.seconds > 0


def test_the_longest_gaps_between_two_starts_are_pauses_and_a_wait_for_resting_proxies_is_none() -> None:
    night, wait = (START + 100, START + 9 * HOUR), (START + 10 * HOUR, START + 10.4 * HOUR)

    assert pauses([wait, night], starts=2, idle=9 * HOUR - 100) == [night]
    assert pauses([wait, night], starts=1, idle=9 * HOUR) == []
    assert pauses([wait], starts=2, idle=0.0) == []
    assert pauses([wait, (START, START + 60)], starts=3, idle=0.4 * HOUR) == [wait]


def test_the_time_before_each_start_in_which_nothing_was_fetched_is_cut_out_however_short() -> None:
    attempts = [(1.0, 2.0), (3.0, 9.0), (8.0, 8.5), (12.0, 13.0), (30.0, 31.0)]

    assert between_starts(0.0, [11.5, 20.0], attempts) == [(9.0, 11.5), (13.0, 20.0)]
    assert between_starts(0.0, [40.0], attempts) == [(31.0, 40.0)]  # it has not made an attempt yet
    assert between_starts(5.0, [7.0], []) == [(5.0, 7.0)]
    assert between_starts(0.0, [], attempts) == []


def test_a_start_by_a_clock_that_went_backwards_cuts_nothing_out() -> None:
    assert between_starts(0.0, [5.0], [(1.0, 9.0), (6.0, 7.0)]) == [(5.0, 5.0)]


def test_a_proxys_states_follow_its_moves() -> None:
    axis = TimeAxis(START, START + 100, slices=10)
    moves = [
        (10, "leased"),
        (40, "faulted"),
        (60, "rested"),
        (70, "leased"),
        (80, "faulted"),
        (80, "exhausted"),
    ]

    drawn = strip(axis, [(START + at, kind) for at, kind in moves])

    assert drawn.segments == (
        Segment(ProxyState.SPARE, 0, 1),
        Segment(ProxyState.PINNED, 1, 3),
        Segment(ProxyState.COOLING, 4, 2),
        Segment(ProxyState.SPARE, 6, 1),
        Segment(ProxyState.PINNED, 7, 1),
        Segment(ProxyState.RETIRED, 8, 2),
    )
    assert drawn.seconds == {"spare": 20, "pinned": 40, "cooling": 20, "retired": 20}


def test_a_slice_shows_the_state_that_took_most_of_it_and_of_two_halves_the_troubled_one() -> None:
    axis = TimeAxis(START, START + 20, slices=2)

    mostly_pinned = strip(
        axis, [(START, "leased"), (START + 2, "faulted"), (START + 5, "rested"), (START + 5, "leased")]
    )
    half = strip(axis, [(START, "leased"), (START + 5, "faulted"), (START + 10, "rested")])

    assert mostly_pinned.segments == (Segment(ProxyState.PINNED, 0, 2),)
    assert half.segments == (Segment(ProxyState.COOLING, 0, 1), Segment(ProxyState.SPARE, 1, 1))


def test_moves_that_nobody_knows_and_clocks_that_go_backwards_change_nothing() -> None:
    axis = TimeAxis(START, START + 10, slices=5)

    drawn = strip(axis, [(START + 4, "leased"), (START + 1, "faulted"), (START + 2, "vanished")])

    assert drawn.segments == (Segment(ProxyState.SPARE, 0, 2), Segment(ProxyState.COOLING, 2, 3))
    assert sum(drawn.seconds.values()) == 10


def test_a_proxy_that_joined_late_or_was_withdrawn_was_out_for_the_rest() -> None:
    axis = TimeAxis(START, START + 10, slices=5)

    drawn = strip(axis, [(START + 4, "joined"), (START + 6, "leased"), (START + 8, "withdrawn")])

    assert [segment.state for segment in drawn.segments] == ["retired", "spare", "pinned", "retired"]
    assert drawn.seconds == {"spare": 2, "pinned": 2, "cooling": 0, "retired": 6}
