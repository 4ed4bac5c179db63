"""
What the workers of a run spent their time on.

By Little's law the pages in work at a time are pages a second times seconds a page: workers beyond that number wait,
and what they wait for shows what to change.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass
class Utilization:
    """
    `seconds` is the time of the run. The others are seconds added up over all workers: `present` is all of their time,
    `running` at a page, `pacing` until the proxy may be used again, `parked` without a proxy. In the rest of `present`
    they had nothing to do.
    """

    seconds: float = 0.0
    present: float = 0.0
    running: float = 0.0
    pacing: float = 0.0
    parked: float = 0.0

    def add(self, seconds: float, workers: int, running: int, pacing: int, parked: int) -> None:
        """Count `seconds` with so many workers at each activity."""
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
        """The inverse of `text`. None if the text is something else."""
        try:
            read = json.loads(text)
            return cls(**{name: float(read[name]) for name in cls.__dataclass_fields__})
        except (ValueError, TypeError, KeyError):
            return None
