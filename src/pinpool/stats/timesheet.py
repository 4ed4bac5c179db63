"""
What the workers of one start did with their time, and how busy the machine was: the ground of all advice.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

#: The kind of the event that holds it.
WORKED = "worked"


@dataclass
class Timesheet:
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
    def parse(cls, text: str) -> Timesheet | None:
        """What `text` gave; None if it is something else."""
        try:
            read = json.loads(text)
            return cls(**{name: float(read[name]) for name in cls.__dataclass_fields__})
        except (ValueError, TypeError, KeyError):
            return None
