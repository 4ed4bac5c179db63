from __future__ import annotations

from pathlib import Path
from typing import Any

from pinpool.journal.verify import Coverage
from pinpool.terminal.summary import coverage_line, summary

TASKS = {"done": 1, "gone": 0, "failed": 0, "waiting": 2, "in_flight": 0}
RUN = {"state": "interrupted", "pages": 1, "items": 1200, "seconds": 2.0, "tasks": TASKS}
COVERAGE = Coverage(True, 1, 2, 2, 0, 0, 0, 1, 0, [])


def document(*states: str, losses: int = 0) -> dict[str, Any]:
    proxies = [{"state": state, "attempts": number} for number, state in enumerate(states)]
    return {"run": RUN | {"worker_losses": losses, "pool_rebuilds": 0}, "proxies": proxies}


def test_the_summary_counts_pages_tasks_and_proxies() -> None:
    shown = summary(document("spare", "pinned", "cooling", "retired"), Path("run.db"), "take 2 workers")

    assert shown.splitlines() == [
        "interrupted: 1 page, 1,200 items in 2.0 s, 0.5 pages/s",
        "tasks: 1 done, 0 gone, 0 failed, 2 waiting",
        "proxies: 4, 2 good, 1 resting, 1 retired, 1 never used",
        "advice: take 2 workers",
        "proxy by proxy: pinpool stats run.db",
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
