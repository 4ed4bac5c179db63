from __future__ import annotations

import json
import math

from attempts import OK, START, TIMEOUT
from pinpool.journal.records import ProxyRow, RunInfo
from pinpool.stats.columns import COLUMNS, stats_document
from pinpool.stats.figures import figures

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


def test_the_document_has_the_promised_shape() -> None:
    folded = figures([*[OK] * 37, *[TIMEOUT] * 2, TIMEOUT._replace(fault="refused", message="connection refused")])

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
                "overtaken": 0,
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


def test_no_two_columns_share_a_name_a_place_in_the_table_a_sort_key_or_a_metric() -> None:
    for names in (
        [column.name for column in COLUMNS],
        [column.cell.place for column in COLUMNS if column.cell],
        [column.sort for column in COLUMNS if column.sort],
        [column.metric.name or column.name for column in COLUMNS if column.metric],
    ):
        assert len(set(names)) == len(names)
