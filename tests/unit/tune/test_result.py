"""Which number of workers is recommended, and how the rows are shown."""

from __future__ import annotations

import pytest

from pinpool.stats.histogram import wilson
from pinpool.tune.result import Result, Row, recommend, table


def row(workers: int, speed: float, survival: float | None = 1.0, **known: float) -> Row:
    return Row(workers, speed, survival=survival, spares=100 - workers)._replace(**known)  # type: ignore[arg-type]


def test_the_smallest_number_within_the_noise_of_the_best_is_taken() -> None:
    assert recommend([row(10, 50.0), row(20, 98.0), row(40, 100.0)]).workers == 20


def test_a_faster_number_is_passed_over_if_the_list_would_not_last() -> None:
    recommendation = recommend([row(10, 50.0), row(20, 100.0, survival=0.4)])

    assert recommendation.workers == 10
    assert "20 workers would be faster, but the list lasts in only 40%" in recommendation.why


def test_a_list_that_is_likely_used_up_gets_the_best_chance_for_the_time_and_says_so() -> None:
    recommendation = recommend(
        [row(10, 50.0, survival=0.2), row(20, 100.0, survival=0.5), row(40, 110.0, survival=0.3)]
    )

    assert recommendation.workers == 20
    assert "likely to be used up" in recommendation.why
    assert "50%" in recommendation.why


def test_measured_rows_know_no_survival_and_get_advice_all_the_same() -> None:
    assert recommend([row(10, 50.0, survival=None), row(20, 50.5, survival=None)]).workers == 10


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([row(4, 100.0, cpu=0.97), row(8, 101.0)], "cores are 97% busy"),
        ([row(4, 100.0), row(8, 100.0, parked=0.5)], "wait for proxies"),
        ([row(4, 100.0), row(8, 101.0)], "gain less than 3%"),
        ([row(4, 100.0)], "no larger number was tried"),
        ([row(100, 100.0)], "wait for proxies"),
    ],
)
def test_the_reason_names_what_more_workers_would_meet(rows: list[Row], reason: str) -> None:
    assert reason in recommend(rows).why


def test_a_site_rate_that_is_reached_is_named_as_the_limit() -> None:
    rows = [row(1, 7.9), row(2, 7.95), row(6, 7.9, parked=0.5)]

    assert (
        recommend(rows, site_rate=8.0).why
        == "7.9 pages/s; --site-rate 8 is the limit: only a higher one would be faster"
    )
    assert "site-rate" not in recommend(rows, site_rate=80.0).why


def test_pages_that_fail_use_up_the_site_rate_too() -> None:
    assert "--site-rate 10 is the limit" in recommend([row(4, 6.0, fault_rate=0.4)], site_rate=10.0).why


def test_the_interval_holds_the_share_and_stays_within_bounds() -> None:
    assert wilson(0, 60)[0] == 0.0
    assert wilson(60, 60) == pytest.approx((0.94, 1.0), abs=0.01)
    assert wilson(30, 60) == pytest.approx((0.38, 0.62), abs=0.01)


def test_the_document_has_the_keys_that_scripts_rely_on() -> None:
    rows = [row(10, 50.123456)]
    document = Result(100, rows, recommend(rows), pages=1100, spares=3).document()

    assert document["rows"][0]["pages_per_second"] == 50.1235
    promised = {"workers", "pages_per_second", "of_ideal", "latency_p50", "latency_p95", "fault_rate", "cpu"}
    assert promised | {"rss_mb", "spares", "survival"} <= set(document["rows"][0])
    assert (document["proxies"], document["recommended"]) == (100, 10)


def test_the_table_marks_the_recommended_row_and_leaves_out_columns_of_unknown_figures() -> None:
    lines = table([row(10, 50.0), row(20, 100.0, seconds=7200.0)], 20).splitlines()

    assert [line.startswith(">") for line in lines] == [False, False, True]
    assert "#" * 12 in lines[2]
    assert "  2 h  " in lines[2]
    assert "cpu" not in lines[0]


def test_measured_speeds_that_differ_by_less_than_their_errors_are_the_same() -> None:
    sure = [row(10, 95.0, error=1.0), row(20, 100.0, error=1.0)]
    unsure = [row(10, 95.0, error=4.0), row(20, 100.0, error=4.0)]

    assert recommend(sure).workers == 20
    assert recommend(unsure).workers == 10


def test_what_held_the_trials_back_is_the_reason() -> None:
    recommendation = recommend([row(10, 100.0)], "with 20 workers the site fell silent")

    assert recommendation.why == "100 pages/s; with 20 workers the site fell silent"
