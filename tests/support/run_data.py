"""Data of runs for tests of what a report recommends and draws: attempts by hand, without a journal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pinpool.journal.records import AttemptRow, ProxyRow, RunInfo
from pinpool.journal.yields import RunYield, StageYield
from pinpool.model import Ending
from pinpool.report.harvest import StageHarvest, StoredItem, harvest_of
from pinpool.report.run_data import RunData, SlowPage, StageTasks, Totals
from pinpool.report.timeline import TimeAxis, strip
from pinpool.stats.fields import StageFields

__all__ = ["START", "run_data", "bad", "given_up", "good", "label"]

START = 1_700_000_000.0
SECONDS = 1000.0


def label(proxy: int) -> str:
    return f"http://192.0.2.{proxy}:8080"


def good(proxy: int, at: float, seconds: float = 0.2, size: int = 1000) -> AttemptRow:
    """A page that came through a proxy, `at` seconds after the start."""
    return AttemptRow(1, 1, proxy, 7, START + at, seconds, Ending.OK, None, 200, size, None, False, False)


def bad(proxy: int, at: float, fault: str, seconds: float = 0.1, size: int = 0) -> AttemptRow:
    """An attempt that failed."""
    return AttemptRow(1, 1, proxy, 7, START + at, seconds, Ending.FAILED, fault, None, size, "so", True, False)


def given_up(
    task: int,
    url: str,
    fault: str,
    message: str,
    *,
    stage: str = "detail",
    reason: str = "so",
    page: int | None = None,
) -> dict[str, Any]:
    """A task that failed for good after one attempt, as in `failures --json`."""
    attempt = {"proxy": label(1), "fault": fault, "seconds": 0.1, "status": 200, "at": None}
    attempts = [{**attempt, "message": message, "page": page}]
    return {"task": task, "stage": stage, "url": url, "reason": reason, "attempts": attempts, "page": page}


def run_data(
    attempts: Iterable[AttemptRow],
    proxies: int = 4,
    *,
    state: str = "complete",
    states: Mapping[int, str] | None = None,
    moves: Mapping[int, list[tuple[float, str]]] | None = None,
    run: Mapping[str, Any] | None = None,
    tasks: Mapping[str, int] | None = None,
    fields: Sequence[StageFields] = (),
    items: Sequence[StoredItem] = (),
    axis: TimeAxis | None = None,
    **others: Any,
) -> RunData:
    """
    A run of 1,000 seconds with these attempts. `moves` are (seconds after the start, kind) by proxy, `fields` those of
    its items, which `items` may also give whole.
    """
    axis = axis or TimeAxis(START, START + SECONDS)
    totals = Totals(axis)
    for row in attempts:
        totals.add(row)
    harvest = harvest_of(items, axis)
    for stage in harvest:
        totals.add_items(stage.items)
    counts = {"done": 100, "gone": 0, "failed": 0, "waiting": 0, "in_flight": 0, **(tasks or {})}
    info: dict[str, Any] = {
        **dict.fromkeys(RunInfo._fields, 0),
        "spider": "movies",
        "spider_ref": "movies.py",
        "engine": "processes",
        "settings": "{}",
        "workers": proxies,
        "state": state,
        "started": START,
        "ended": START + SECONDS,
        "seconds": SECONDS,
        "starts": 1,
        "heartbeat": START + SECONDS,
        "tasks": counts,
        "pages": counts["done"],
        **(run or {}),
    }
    listed = [ProxyRow(n, label(n), (states or {}).get(n, "spare"), None, None, 0, True) for n in range(1, proxies + 1)]
    made: dict[str, Any] = {
        "journal": "movies.db",
        "run": RunInfo(**info),
        "proxies": listed,
        "pins": {},
        "strips": {
            proxy: strip(axis, [(START + at, kind) for at, kind in moved]) for proxy, moved in (moves or {}).items()
        },
        "totals": totals,
        "slowest": [SlowPage(0.2, 1000, "detail", "http://films.example/detail/1", label(1))],
        "given_up": [],
        "faults_of_failed": {},
        "complete": True,
        "damage": [],
        "silences": [],
        "found": RunYield((StageYield("detail", fruitful=100),), 100, {"done": 1}),
        "harvest": [*map(StageHarvest, fields), *harvest],
        "stages": [StageTasks("detail", 100, 100, 0, 0, 0, 100, 100, 0, "http://films.example/detail/1")],
        "samples": {},
        "starved": "",
        "advice": "",
    }
    return RunData(**{**made, **others})
