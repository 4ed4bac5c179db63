from __future__ import annotations

from pathlib import Path
from typing import Any

from pinpool.journal.verify import Coverage
from pinpool.stats.fields import StageFields
from pinpool.terminal.summary import coverage_line, empty_fields, summary

TASKS = {"done": 1, "gone": 0, "failed": 0, "waiting": 2, "in_flight": 0}
RUN = {"state": "interrupted", "pages": 1, "items": 1200, "seconds": 2.0, "tasks": TASKS}
COVERAGE = Coverage(True, 1, 2, 2, 0, 0, 0, 1, 0, [], [])


def document(*proxies: tuple[str, int, int], losses: int = 0) -> dict[str, Any]:
    """A run with these proxies: state, attempts, pages."""
    rows = [{"state": state, "attempts": attempts, "ok": ok} for state, attempts, ok in proxies]
    return {"run": RUN | {"worker_losses": losses, "pool_rebuilds": 0}, "proxies": rows}


def test_the_summary_counts_pages_tasks_and_proxies() -> None:
    proxies = [("pinned", 3, 3), ("spare", 2, 1), ("cooling", 9, 3), ("retired", 9, 3)]

    shown = summary(document(*proxies), Path("run.db"), "take 2 workers")

    assert shown.splitlines() == [
        "interrupted: 1 page, 1,200 items in 2.0 s, 0.5 pages/s",
        "tasks: 1 done, 0 gone, 0 failed, 2 waiting",
        "proxies: 4, 3 good (1 of them resting), 1 retired",
        "advice: take 2 workers",
        "proxy by proxy: pinpool stats run.db",
    ]


def test_only_a_proxy_that_has_served_a_page_is_good() -> None:
    proxies = [("spare", 0, 0), ("pinned", 2, 0), ("cooling", 3, 0), ("retired", 6, 0), ("retired", 0, 0)]

    assert "proxies: 5, 0 good, 1 doubtful, 3 bad, 1 untried\n" in summary(document(*proxies), Path("run.db"))


def test_the_heading_is_the_verdict_and_empty_fields_are_a_warning() -> None:
    films = StageFields("detail", 20, {"title": 20, "score": 0})

    shown = summary(document(), Path("run.db"), verdict="over, 3 pages missing", fields=[films]).splitlines()

    assert shown[0].startswith("over, 3 pages missing: 1 page, ")
    assert "fields of 20 items of stage detail: title 100%, score 0%" in shown
    assert empty_fields([films]) == [
        "warning: stage detail: score is empty in all 20 items: see whether the selectors are right"
    ]


def test_lost_workers_are_named_only_if_there_are_any() -> None:
    assert "workers lost" not in summary(document(), Path("run.db"))
    assert "workers lost: 3, pool rebuilt: 0" in summary(document(losses=3), Path("run.db"))


def test_the_coverage_is_one_line() -> None:
    assert coverage_line(COVERAGE) == (
        "coverage: proven complete: 1 seed, 2 tasks, each ended once, 1 item, none twice"
    )
    broken = COVERAGE._replace(complete=False, problems=["1 task is still open", "1 task failed"])
    assert coverage_line(broken) == "coverage: NOT complete: 1 task is still open; 1 task failed"
