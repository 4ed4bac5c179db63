"""Attempts as a journal has them, for tests that add them up."""

from __future__ import annotations

from pinpool.journal.records import AttemptRow

START = 1_700_000_000.0  # epoch seconds
OK = AttemptRow(1, 1, 1, 7, START, 0.2, "ok", None, 200, 1000, None, False, False)
TIMEOUT = OK._replace(
    seconds=5.0, ending="failed", fault="timeout", status=None, size=10, message="no answer", charged=True
)
