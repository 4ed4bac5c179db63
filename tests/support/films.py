"""Which films of the lab a run has stored."""

from __future__ import annotations

import json
from pathlib import Path

from commands import Desk
from pinpool.journal.reader import Reader
from pinpool.lab import Lab


def films(lab: Lab) -> list[str]:
    return sorted(lab.films(lab.named_url))


def stored(path: Path) -> list[str]:
    """The films in a journal, by URL."""
    with Reader(path) as reader:
        return sorted(json.loads(text)["url"] for _, _, text in reader.items())


def holds_each_film_once(desk: Desk, lab: Lab) -> bool:
    """Whether journal and output file hold each film once, and the journal proves it."""
    written = sorted(item["url"] for item in desk.lines("films.jsonl"))
    proven = desk.run("verify", "films.db").code == 0
    return proven and written == films(lab) == stored(desk / "films.db")
