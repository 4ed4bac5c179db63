"""The judge of holders finds two of them where there are two."""

from __future__ import annotations

import pytest

from holders import holdings, overlaps
from pinpool.lab.request_log import Seen


def asked(at: float, ended: float | None, pin: str, proxy: int = 0) -> Seen:
    """A request by that pin of a worker."""
    return Seen(at, proxy, "GET", "/page/1", f"100 {pin}", "", 200, ended)


def test_who_comes_after_another_does_not_overlap() -> None:
    requests = [asked(1, 2, "200 1"), asked(3, 4, "200 1"), asked(5, 6, "201 1"), asked(7, None, "200 2")]

    assert overlaps(requests) == []
    assert [(holding.pid, holding.since, holding.requests) for holding in holdings(requests)] == [
        (200, 1, 2),
        (201, 5, 1),
        (200, 7, 1),
    ]


def test_two_proxies_are_no_overlap() -> None:
    assert overlaps([asked(1, 4, "200 1"), asked(2, 3, "201 1", proxy=1)]) == []


@pytest.mark.parametrize(
    ("requests"),
    [
        pytest.param([asked(1, 4, "200 1"), asked(3, 5, "201 1")], id="at once"),
        pytest.param([asked(1, None, "200 1"), asked(3, 4, "201 1")], id="still under way"),
        pytest.param([asked(1, 2, "200 1"), asked(3, 4, "201 1"), asked(5, 6, "200 1")], id="again after another"),
    ],
)
def test_a_holder_that_another_joins_is_found(requests: list[Seen]) -> None:
    [(one, other)] = overlaps(requests)

    assert (one.pid, other.pid) == (200, 201)
