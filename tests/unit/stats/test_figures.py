from __future__ import annotations

import math
from collections.abc import Iterator

from attempts import OK, TIMEOUT
from pinpool.journal.records import AttemptRow
from pinpool.stats.figures import figures


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


def test_an_overtaken_attempt_is_no_failure_and_has_no_part_in_any_rate() -> None:
    overtaken = TIMEOUT._replace(ending="overtaken", fault=None, charged=False, message=None)
    slow = overtaken._replace(fault="slow", charged=True)

    one = figures([OK, overtaken, slow])[1]

    assert (one.attempts, one.ok, one.failed, one.overtaken) == (3, 1, 0, 2)
    assert (one.success_rate, one.success_interval) == (1.0, figures([OK])[1].success_interval)
    assert (one.faults, one.charged, one.latencies.total) == ({"slow": 1}, 1, 1)
    assert (one.busy_seconds, one.wasted_seconds, one.last_error) == (10.2, 0.0, None)


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


def test_a_proxy_that_worked_no_time_at_all_has_no_pages_an_hour() -> None:
    assert figures([OK._replace(seconds=0.0)])[1].pages_per_hour is None
