from __future__ import annotations

import json
import math
from collections.abc import Iterator

from pinpool.journal.records import AttemptRow, ProxyRow, RunInfo
from pinpool.stats.figures import COLUMNS, figures, stats_document

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


def test_attempts_are_added_up_per_proxy() -> None:
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


def test_attempts_may_come_as_a_stream() -> None:
    def stream() -> Iterator[AttemptRow]:
        yield from (OK for _ in range(3))

    assert figures(stream())[1].attempts == 3


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


def test_a_proxy_that_was_never_tried_has_no_rate_and_no_latency() -> None:
    (entry,) = stats_document(RUN, [PROXY], {}, {})["proxies"]

    assert (entry["attempts"], entry["pins"]) == (0, 0)
    assert (entry["success_rate"], entry["latency_p50"]) == (None, None)


def test_a_proxy_that_left_the_list_is_shown_only_if_it_was_tried() -> None:
    left = PROXY._replace(listed=False)
    left_untried = left._replace(id=2)

    entries = stats_document(RUN, [left, left_untried], figures([OK]), {})["proxies"]

    assert [entry["attempts"] for entry in entries] == [1]


def test_a_proxy_that_worked_no_time_at_all_has_no_pages_an_hour() -> None:
    assert figures([OK._replace(seconds=0.0)])[1].pages_per_hour is None


def test_no_two_columns_share_a_name_a_place_in_the_table_a_sort_key_or_a_metric() -> None:
    for names in (
        [column.name for column in COLUMNS],
        [column.place for column in COLUMNS if column.place],
        [column.sort for column in COLUMNS if column.sort],
        [column.metric or column.name for column in COLUMNS if column.help],
    ):
        assert len(set(names)) == len(names)
