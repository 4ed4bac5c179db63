"""
How many workers would have done better, in one sentence, from what a run has measured of itself. Pure.

By Little's law the pages in work at a time are pages a second times seconds a page: workers beyond that wait for
something, and what they wait for says what to change.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pinpool.text import counted


@dataclass
class Utilization:
    """
    Seconds, added up over all workers but for `seconds`, which are the run's.

    `running` at a page, `pacing` waiting for a turn, `parked` without a proxy; what is missing to `present` they had
    nothing to do.
    """

    seconds: float = 0.0
    present: float = 0.0
    running: float = 0.0
    pacing: float = 0.0
    parked: float = 0.0

    def add(self, seconds: float, workers: int, running: int, pacing: int, parked: int) -> None:
        """So many seconds have passed, with so many workers at each activity."""
        self.seconds += seconds
        self.present += seconds * workers
        self.running += seconds * running
        self.pacing += seconds * pacing
        self.parked += seconds * parked

    def text(self) -> str:
        """As JSON, for the journal."""
        return json.dumps({name: round(value, 3) for name, value in asdict(self).items()})

    @classmethod
    def parse(cls, text: str) -> Utilization | None:
        """What `text` gave; None if it is something else."""
        try:
            read = json.loads(text)
            return cls(**{name: float(read[name]) for name in cls.__dataclass_fields__})
        except (ValueError, TypeError, KeyError):
            return None


#: Less than this says nothing.
LEAST_PAGES, LEAST_SECONDS = 50, 3.0
#: Share of the processors from which on they are the limit; the rest is lost in switching.
FULL = 0.85
#: Workers that spend more than this of their time so are too many, or are held back.
MUCH = 0.15
#: A gain below this is noise.
WORTH = 0.05


def advise(document: Mapping[str, Any], sheet: Utilization, load: float | None) -> str:
    """
    One sentence on the number of workers, from the document of `pinpool stats --json` and the timesheet of the last
    start; empty if too little was done to say anything.
    """
    run, rows = document["run"], document["proxies"]
    if run["pages"] < LEAST_PAGES or sheet.seconds < LEAST_SECONDS or not sheet.present:
        return ""
    workers = round(sheet.present / sheet.seconds)
    share = {name: getattr(sheet, name) / sheet.present for name in ("running", "pacing", "parked")}
    idle = max(0.0, 1.0 - sum(share.values()))
    at_work = max(1, math.ceil(sheet.running / sheet.seconds))
    usable = sum(row["state"] != "retired" for row in rows)
    untouched = sum(not row["attempts"] for row in rows)
    used = f"{counted(workers, 'worker')} on {counted(len(rows), 'proxy', 'proxies')}"
    if load is not None and load >= FULL:
        used = f"{load:.0%} of it used"
        return (
            f"bound by this machine's CPU ({used}) at {counted(at_work, 'worker')}: more would not be faster"
        )
    if share["parked"] >= MUCH:
        enough = max(1, workers - math.floor(sheet.parked / sheet.seconds))
        return (
            f"{used}: they waited for a proxy {share['parked']:.0%} of the time; "
            f"{counted(enough, 'worker')} would have been as fast, or a longer list faster"
        )
    better, gain = _with_the_spares(workers, usable, untouched)
    if share["pacing"] >= MUCH and gain < WORTH:
        return (
            f"{used}: they waited for their turn {share['pacing']:.0%} of the time; "
            "the pace sets the speed: only a shorter one, or more proxies, make it faster"
        )
    if idle > 2 * MUCH:
        enough = max(1, math.ceil((sheet.running + sheet.pacing) / sheet.seconds * 1.1))
        if enough < workers:
            return (
                f"{used}: they had nothing to do {idle:.0%} of the time; "
                f"{counted(enough, 'worker')} would have been as fast"
            )
    did = "worked or waited for their turn" if share["pacing"] >= MUCH else "were at work"
    worked = f"{used} {did} {share['running'] + share['pacing']:.0%} of the time"
    if gain >= WORTH:
        spares = counted(untouched, "spare was", "spares were")
        return f"{worked}; {spares} never touched: {counted(better, 'worker')} would finish {gain:.0%} sooner"
    return f"{worked}: as many as this list feeds"


def _with_the_spares(workers: int, usable: int, untouched: int) -> tuple[int, float]:
    """How many workers the spares would allow, and how much sooner they would be done."""
    # One in ten stays in reserve for those that will fail.
    better = min(usable - math.ceil(usable / 10), workers + untouched)
    return better, 1 - workers / better if untouched and better > workers else 0.0
