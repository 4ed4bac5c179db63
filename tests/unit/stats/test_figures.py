from __future__ import annotations

import json
import math
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from pinpool.journal.records import AttemptRow, ProxyRow, RunInfo
from pinpool.stats.figures import figures, stats_document
from pinpool.stats.histogram import Histogram, wilson

START = 1_700_000_000.0
OK = AttemptRow(1, 1, 1, 7, START, 0.2, "ok", None, 200, 1000, None, False, False)
TIMEOUT = OK._replace(
    seconds=5.0, ending="failed", fault="timeout", status=None, size=10, message="no answer", charged=True
)
RUN = RunInfo(
    spider="movies",
    spider_ref="movies.py",
    version="0.1",
    workers=6,
    engine="processes",
    start_method="forkserver",
    settings="{}",
    proxies="proxies.txt",
    state="complete",
    started=START,
    ended=START + 4,
    heartbeat=START + 4,
    seconds=4.2,
    starts=1,
    seeds=10,
    worker_losses=0,
    pool_rebuilds=0,
    tasks={"done": 110, "gone": 0, "failed": 0, "waiting": 0, "in_flight": 0},
    pages=110,
    items=100,
)
PROXY = ProxyRow(1, "socks5h://alice@10.0.0.7:1080", "pinned", None, None, 0, True)


def test_attempts_fold_into_figures_per_proxy() -> None:
    gone = OK._replace(ending="gone", status=404)
    refused = TIMEOUT._replace(fault="refused", message="", seconds=0.1)
    forgiven = TIMEOUT._replace(message="slow", forgiven=True)
    site = TIMEOUT._replace(fault="server_error", status=500, message="500", charged=False)

    folded = figures([OK, gone, refused, TIMEOUT._replace(proxy=2), forgiven, site])

    first = folded[1]
    assert (first.attempts, first.ok, first.gone, first.failed) == (5, 1, 1, 3)
    assert first.success_rate == 0.4
    assert first.faults == {"refused": 1, "timeout": 1, "server_error": 1}
    assert (first.charged, first.forgiven) == (1, 1)
    assert (first.bytes, first.busy_seconds) == (2030, 10.5)
    assert (first.first_error, first.last_error) == ("refused", "server_error: 500")
    assert folded[2].attempts == 1


def test_latency_is_that_of_attempts_that_were_answered() -> None:
    """A time-out says how long we waited, not how long the proxy takes."""
    folded = figures([OK, TIMEOUT, TIMEOUT, TIMEOUT])

    latency = folded[1].latencies.percentile(0.95)

    assert latency is not None
    assert math.isclose(latency, 0.2, rel_tol=0.02)


def test_an_attempt_through_no_known_proxy_counts_nowhere() -> None:
    assert figures([OK._replace(proxy=None)]) == {}


def test_the_fold_reads_a_stream() -> None:
    def stream() -> Iterator[AttemptRow]:
        yield from (OK for _ in range(3))

    assert figures(stream())[1].attempts == 3


@given(
    st.lists(st.floats(1e-6, 1e5), min_size=1, max_size=60),
    st.sampled_from([0.0, 0.01, 0.5, 0.9, 0.95, 1.0]),
)
def test_a_percentile_is_within_two_percent_of_a_real_one(durations: list[float], share: float) -> None:
    histogram = Histogram()
    for duration in durations:
        histogram.add(duration)

    told = histogram.percentile(share)

    real = sorted(durations)[max(0, math.ceil(share * len(durations)) - 1)]
    assert told is not None
    assert math.isclose(told, real, rel_tol=0.02)


@given(st.floats(max_value=0.0, min_value=-10.0))
def test_a_clock_that_steps_back_breaks_nothing(duration: float) -> None:
    histogram = Histogram()

    histogram.add(duration)

    told = histogram.percentile(0.5)
    assert told is not None
    assert 0 < told < 2e-6


def test_no_durations_have_no_percentile() -> None:
    assert Histogram().percentile(0.5) is None


def test_the_buckets_do_not_grow_with_the_run() -> None:
    histogram = Histogram()

    for number in range(20_000):
        histogram.add(0.001 + number / 1000)

    assert len(histogram.buckets) < 300
    assert histogram.total == 20_000


def test_the_document_has_the_promised_shape() -> None:
    folded = figures(
        [*[OK] * 37, *[TIMEOUT] * 2, TIMEOUT._replace(fault="refused", message="connection refused")]
    )

    document = stats_document(RUN, [PROXY], folded, {1: 2})

    assert json.loads(json.dumps(document)) == {
        "run": {
            "spider": "movies",
            "state": "complete",
            "started": "2023-11-14T22:13:20Z",
            "ended": "2023-11-14T22:13:24Z",
            "workers": 6,
            "engine": "processes",
            "pages": 110,
            "items": 100,
            "seconds": 4.2,
            "tasks": {"done": 110, "gone": 0, "failed": 0, "waiting": 0, "in_flight": 0},
            "worker_losses": 0,
            "pool_rebuilds": 0,
        },
        "proxies": [
            {
                "proxy": "socks5h://alice@10.0.0.7:1080",
                "state": "pinned",
                "reason": None,
                "until": None,
                "attempts": 40,
                "ok": 37,
                "gone": 0,
                "failed": 3,
                "success_rate": 0.925,
                "success_low": 0.8014,
                "success_high": 0.9742,
                "faults": {"timeout": 2, "refused": 1},
                "charged": 3,
                "forgiven": 0,
                "latency_p50": document["proxies"][0]["latency_p50"],
                "latency_p95": document["proxies"][0]["latency_p95"],
                "bytes": 37_030,
                "wasted_bytes": 30,
                "pins": 2,
                "busy_seconds": 22.4,
                "wasted_seconds": 15.0,
                "pages_per_hour": 5946.4,
                "first_error": "timeout: no answer",
                "first_error_at": "2023-11-14T22:13:20Z",
                "last_error": "refused: connection refused",
                "last_error_at": "2023-11-14T22:13:20Z",
            }
        ],
    }
    assert math.isclose(document["proxies"][0]["latency_p50"], 0.2, rel_tol=0.02)


def test_a_proxy_that_was_never_tried_stands_there_with_nothing() -> None:
    (told,) = stats_document(RUN, [PROXY], {}, {})["proxies"]

    assert (told["attempts"], told["success_rate"], told["latency_p50"], told["pins"]) == (0, None, None, 0)


def test_a_proxy_that_left_the_list_is_told_only_if_it_was_tried() -> None:
    left = PROXY._replace(listed=False)
    left_untried = left._replace(id=2)

    told = stats_document(RUN, [left, left_untried], figures([OK]), {})["proxies"]

    assert [entry["attempts"] for entry in told] == [1]


@given(st.integers(0, 500), st.integers(0, 500))
def test_the_interval_of_a_rate_holds_the_rate_and_narrows_with_the_attempts(good: int, bad: int) -> None:
    low, high = wilson(good, good + bad)
    narrower = wilson(2 * good, 2 * (good + bad))

    assert 0 <= low <= high <= 1
    if good + bad:
        assert low - 1e-9 <= good / (good + bad) <= high + 1e-9
        assert narrower[1] - narrower[0] < high - low


def test_the_interval_is_that_of_the_textbooks() -> None:
    """Newcombe, 1998, Two-sided confidence intervals for the single proportion, table I, method 3."""
    assert [round(end, 4) for end in wilson(81, 263)] == [0.2553, 0.3662]
    assert [round(end, 4) for end in wilson(15, 148)] == [0.0624, 0.1605]
    assert [round(end, 4) for end in wilson(0, 20)] == [0.0, 0.1611]
    assert [round(end, 4) for end in wilson(1, 29)] == [0.0061, 0.1718]


def test_nothing_is_known_of_a_rate_without_attempts() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def test_a_proxy_that_worked_no_time_at_all_has_no_pages_an_hour() -> None:
    assert figures([OK._replace(seconds=0.0)])[1].pages_per_hour is None
