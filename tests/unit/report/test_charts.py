from __future__ import annotations

from pinpool.model import ProxyState
from pinpool.report.axes import Mark
from pinpool.report.charts import Scale, group_of, histogram_path, shade, share_paths, strip_paths, timeline
from pinpool.report.harvest import Share
from pinpool.report.timeline import Segment, Slice, Strip, TimeAxis
from pinpool.stats.histogram import Histogram


def test_pages_are_an_area_and_faults_are_stacked_by_whose_they_are() -> None:
    slices = [Slice(20), Slice(10), Slice(0)]
    slices[1].faults.update(refused=2, banned=2)
    slices[2].faults.update(refused=4)

    drawn = timeline(TimeAxis(0, 30, slices=3), slices, ["a", "b", "c"])

    assert drawn.slice_seconds == 10
    assert drawn.pages.path == "M0 100V0h1V50h1V100h1V100z"
    assert drawn.pages.levels == [Mark(100, "0"), Mark(75, "0.5"), Mark(50, "1"), Mark(25, "1.5"), Mark(0, "2")]
    assert [mark.label for mark in drawn.levels] == ["0", "1", "2", "3", "4"]
    assert [(band.group, band.total, band.path) for band in drawn.bands] == [
        ("proxy", 6, "M1 100h1v-50h-1zM2 100h1v-100h-1z"),
        ("doubtful", 2, "M1 50h1v-50h-1z"),
    ]
    assert drawn.notes[1] == "b: 1.0 pages/s; failed: refused 2, banned 2"
    assert drawn.items is None


def test_items_are_an_area_of_their_own() -> None:
    drawn = timeline(TimeAxis(0, 20, slices=2), [Slice(10, 40), Slice(10)], ["a", "b"])

    assert drawn.items is not None
    assert drawn.items.path == "M0 100V0h1V100h1V100z"
    assert drawn.notes == ["a: 1.0 pages/s, 4.0 items/s", "b: 1.0 pages/s"]


def test_a_field_over_time_shows_what_is_filled_and_what_is_empty_and_nothing_without_items() -> None:
    shares = [Share(2, 2), Share(0, 0), Share(1, 4), Share(0, 3)]

    assert share_paths(shares) == {"filled": "M0 20v-20h1V20zM2 20v-5h1V20z", "missing": "M2 0v15h1V0zM3 0v20h1V0z"}
    assert share_paths([Share(1, 1)]) == {"filled": "M0 20v-20h1V20z"}


def test_a_fault_of_a_later_pinpool_is_drawn_too() -> None:
    assert group_of("eclipse") == group_of("timeout") == "open"


def test_latencies_share_one_axis_and_a_lonely_one_has_its_bar() -> None:
    quick, slow = Histogram(), Histogram()
    quick.add(0.1)
    slow.add(10.0)
    scale = Scale.over([quick, slow, Histogram()])

    assert histogram_path(quick, scale) == "M0 20v-20h1V20z"
    assert histogram_path(slow, scale) == "M23 20v-20h1V20z"
    assert histogram_path(quick, Scale.over([quick])).count("M") == 1
    assert Scale.over([]) == Scale(0.1, 1.0)


def test_a_strip_is_one_path_for_each_state_and_spare_shows_through() -> None:
    segments = [(ProxyState.PINNED, 0, 2), (ProxyState.COOLING, 2, 1), (ProxyState.SPARE, 3, 1)]
    strip = Strip(tuple(Segment(*segment) for segment in [*segments, (ProxyState.PINNED, 4, 6)]), {})

    assert strip_paths(strip) == {"pinned": "M0 0h2v1h-2zM4 0h6v1h-6z", "cooling": "M2 0h1v1h-1z"}


def test_rare_faults_are_seen_beside_common_ones_and_single_ones_do_not_alarm() -> None:
    assert [shade(count, 1000) for count in (0, 1, 30, 1000)] == [0, 1, 3, 5]
    assert shade(1, 1) == 2
