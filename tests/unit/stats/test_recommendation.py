"""The line after every crawl: whether another number of workers would have done better, and why."""

from __future__ import annotations

from typing import Any

import pytest

from pinpool.stats.recommendation import advice_after, advise, memory_advice
from pinpool.stats.resources import Usage, Utilization


def document(
    proxies: int = 30, *, unused: int = 0, retired: int = 0, pages: int = 5_000, engine: str = "processes"
) -> dict[str, Any]:
    rows = [
        {
            "state": "retired" if number < retired else "spare",
            "attempts": 0 if number >= proxies - unused else 9,
        }
        for number in range(proxies)
    ]
    run = {"pages": pages, "seconds": 100.0, "workers": proxies, "engine": engine}
    return {"run": run, "proxies": rows}


def utilization(
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


def test_spares_that_were_never_used_are_workers_that_could_have_been() -> None:
    sentence = advise(document(unused=6), utilization(), 0.3)

    assert sentence == (
        "24 workers on 30 proxies were at work 95% of the time; "
        "6 spare proxies were never used: 27 workers would finish 11% sooner"
    )


def test_one_proxy_in_ten_stays_in_reserve() -> None:
    assert "as many as this list feeds" in advise(document(unused=3), utilization(27), 0.3)


def test_retired_proxies_feed_nobody() -> None:
    assert "as many as this list feeds" in advise(document(unused=2, retired=8), utilization(20), 0.3)


def test_a_full_machine_is_named_before_anything_else() -> None:
    sentence = advise(document(unused=10), utilization(20, running=0.85), 0.97)

    assert sentence == "this machine's cores are 97% busy at 17 workers: more would not be faster"


def test_workers_that_wait_for_a_proxy_are_too_many() -> None:
    sentence = advise(document(20), utilization(30, running=0.6, parked=0.4), 0.3)

    assert "they waited for a proxy 40% of the time; 18 workers would have been as fast" in sentence


def test_a_pace_that_holds_the_workers_back_is_named() -> None:
    assert "the pace sets the speed" in advise(document(), utilization(running=0.2, pacing=0.8), 0.3)


def test_workers_without_work_are_too_many() -> None:
    sentence = advise(document(), utilization(24, running=0.25), 0.3)

    assert "they had nothing to do 75% of the time; 7 workers would have been as fast" in sentence


@pytest.mark.parametrize(
    ("run", "work"),
    [
        (document(pages=20), utilization()),
        (document(), utilization(seconds=1.0)),
        (document(), Utilization()),
    ],
)
def test_a_run_that_did_too_little_is_not_judged(run: dict[str, Any], work: Utilization) -> None:
    assert advise(run, work, 0.3) == ""


def test_a_machine_of_unknown_load_is_not_taken_for_the_limit() -> None:
    assert "cores" not in advise(document(), utilization(), None)


def test_a_pace_leaves_room_for_the_spares_that_were_never_used() -> None:
    sentence = advise(document(unused=6), utilization(running=0.2, pacing=0.75), 0.3)

    assert "6 spare proxies were never used: 27 workers would finish 11% sooner" in sentence
    assert "the pace sets the speed" in advise(document(), utilization(running=0.2, pacing=0.75), 0.3)


def used(workers: int, memory: int, threads: int = 1) -> Usage:
    return Usage(5_000, 100.0, 1.0, 60.0, 0.0, 30_000_000, memory, workers, 2.0, threads)


def test_workers_that_take_much_memory_are_advised_to_share_processes() -> None:
    sentence = memory_advice(1_087_000_000, 100, 1)

    assert sentence == "100 workers took 1.1 GB of memory: with --threads 25 it would be about 151.5 MB"


@pytest.mark.parametrize(("memory", "threads"), [(1_087_000_000, 25), (200_000_000, 1)])
def test_nothing_is_said_of_memory_where_nothing_would_be_won(memory: int, threads: int) -> None:
    assert memory_advice(memory, 100, threads) == ""


def test_the_line_after_a_run_names_workers_and_memory() -> None:
    line = advice_after(document(110), utilization(100), used(100, 1_000_000_000))

    number, memory = line.split("; ")
    assert number == advise(document(110), utilization(100), 0.3)
    assert "--threads 25" in memory


def test_a_run_that_read_one_page_at_a_time_says_nothing_of_a_number_but_how_many_processes_would_read() -> None:
    line = advice_after(document(30, retired=4, engine="inline"), utilization(), used(24, 1_000_000_000))

    assert line == "inline reads one page at a time: --engine processes would read 26 at a time"


@pytest.mark.parametrize("few", [{"proxies": 1}, {"pages": 40}])
def test_an_inline_run_that_was_short_or_has_one_proxy_is_right_as_it_is(few: dict[str, int]) -> None:
    assert advice_after(document(**few, engine="inline"), utilization(), None) == ""


def test_a_ray_without_a_cluster_is_told_that_processes_do_the_same() -> None:
    alone = advice_after(document(engine="ray"), utilization(), used(24, 1_000_000_000))
    cluster = advice_after(document(engine="ray"), utilization(), used(24, 1_000_000_000), "10.0.0.1:6379")

    assert alone == f"{cluster}; all hosts were this machine: --engine processes does the same"
    assert "memory" not in cluster
