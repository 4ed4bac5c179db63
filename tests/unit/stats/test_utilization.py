"""One line after every crawl: whether another number of workers would have done better, and why."""

from __future__ import annotations

from typing import Any

import pytest

from pinpool.stats.resources import WORKER_BYTES, Room
from pinpool.stats.utilization import Utilization, advise


def document(
    proxies: int = 30, *, untouched: int = 0, retired: int = 0, pages: int = 5_000
) -> dict[str, Any]:
    rows = [
        {
            "state": "retired" if number < retired else "spare",
            "attempts": 0 if number >= proxies - untouched else 9,
        }
        for number in range(proxies)
    ]
    return {"run": {"pages": pages}, "proxies": rows}


def sheet(
    workers: int = 24,
    *,
    running: float = 0.95,
    pacing: float = 0.0,
    parked: float = 0.0,
    seconds: float = 100.0,
) -> Utilization:
    """A start of so many workers; the rest are shares of their time."""
    present = workers * seconds
    return Utilization(
        seconds,
        present,
        present * running,
        present * pacing,
        present * parked,
    )


def test_spares_that_were_never_touched_are_workers_that_could_have_been() -> None:
    said = advise(document(untouched=6), sheet(), 0.3)

    assert said == (
        "24 workers on 30 proxies were at work 95% of the time; "
        "6 spares were never touched: 27 workers would finish 11% sooner"
    )


def test_one_proxy_in_ten_stays_in_reserve() -> None:
    assert "as many as this list feeds" in advise(document(untouched=3), sheet(27), 0.3)


def test_retired_proxies_feed_nobody() -> None:
    assert "as many as this list feeds" in advise(document(untouched=2, retired=8), sheet(20), 0.3)


def test_a_full_machine_is_named_before_anything_else() -> None:
    said = advise(document(untouched=10), sheet(20, running=0.85), 0.97)

    assert said == "bound by this machine's CPU (97% of it used) at 17 workers: more would not be faster"


def test_workers_that_wait_for_a_proxy_are_too_many() -> None:
    said = advise(document(20), sheet(30, running=0.6, parked=0.4), 0.3)

    assert "they waited for a proxy 40% of the time; 18 workers would have been as fast" in said


def test_a_pace_that_holds_the_workers_back_is_told() -> None:
    assert "the pace sets the speed" in advise(document(), sheet(running=0.2, pacing=0.8), 0.3)


def test_workers_without_work_are_too_many() -> None:
    said = advise(document(), sheet(24, running=0.25), 0.3)

    assert "they had nothing to do 75% of the time; 7 workers would have been as fast" in said


@pytest.mark.parametrize(
    ("told", "work"),
    [(document(pages=20), sheet()), (document(), sheet(seconds=1.0)), (document(), Utilization())],
)
def test_a_run_that_did_too_little_is_not_judged(told: dict[str, Any], work: Utilization) -> None:
    assert advise(told, work, 0.3) == ""


def test_a_machine_that_does_not_tell_what_was_used_is_not_taken_for_the_limit() -> None:
    assert "CPU" not in advise(document(), sheet(), None)


def test_a_timesheet_comes_back_from_its_text() -> None:
    written = sheet()

    assert Utilization.parse(written.text()) == written


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"seconds": "x"}', "null"])
def test_what_is_no_timesheet_is_none(text: str) -> None:
    assert Utilization.parse(text) is None


def test_more_workers_than_fit_are_refused_with_what_is_missing_and_how_many_fit() -> None:
    room = Room(memory=10 * WORKER_BYTES, files=1_000)

    assert room.refusal(10) == ""
    assert room.refusal(500) == (
        "500 workers would need 10.0 GB of memory (0.2 GB are free) and 2100 open files (1000 are allowed): "
        "10 fit, so many are started"
    )


def test_one_worker_always_fits() -> None:
    assert Room(memory=0, files=0).workers == 1


def test_a_pace_leaves_room_for_the_spares_that_were_never_touched() -> None:
    said = advise(document(untouched=6), sheet(running=0.2, pacing=0.75), 0.3)

    assert "6 spares were never touched: 27 workers would finish 11% sooner" in said
    assert "the pace sets the speed" in advise(document(), sheet(running=0.2, pacing=0.75), 0.3)
