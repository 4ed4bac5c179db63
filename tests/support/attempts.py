"""Attempts as a journal has them, for tests that add them up."""

from __future__ import annotations

from pinpool.journal.records import AttemptRow

START = 1_700_000_000.0  # epoch seconds
OK = AttemptRow(1, 1, 1, 7, START, 0.2, "ok", None, 200, 1000, None, False, False)
TIMEOUT = OK._replace(
    seconds=5.0, ending="failed", fault="timeout", status=None, size=10, message="no answer", charged=True
)


def attempt(
    at: float, seconds: float = 0.2, *, proxy: int = 1, fault: str | None = None, charged: bool = True
) -> AttemptRow:
    """One attempt through `proxy` by its own worker, `at` seconds after `START`; failed if there is a fault."""
    return OK._replace(
        proxy=proxy,
        worker=100 + proxy,
        at=START + at,
        seconds=seconds,
        ending="failed" if fault else "ok",
        fault=fault,
        charged=charged and bool(fault),
    )


def good(count: int, proxy: int = 1, begin: float = 0.0) -> list[AttemptRow]:
    """Good attempts of 0.2 s through one proxy, one each quarter of a second."""
    return [attempt(begin + n * 0.25, proxy=proxy) for n in range(count)]
