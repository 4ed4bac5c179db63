"""
A file of URLs to start from, one a line, in place of a spider's own seeds.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pinpool.errors import SpiderError, UsageError
from pinpool.model import Task
from pinpool.tasks import request
from pinpool.text import shown_path


def read_seeds(source: str, stage: str) -> list[Task]:
    """
    The URLs in the file `source` (``-`` is stdin) as tasks of the `stage`; blank lines and ``#`` comments are skipped.

    Raises UsageError if it cannot be read, and SpiderError with every line that is no URL, or if there is none.
    """
    name = "stdin" if source == "-" else shown_path(source)
    try:
        data = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
        lines = data.decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"--seeds: {name} cannot be read: {reason}") from None
    tasks, problems = [], []
    for number, line in enumerate(map(str.strip, lines), 1):
        if line and not line.startswith("#"):
            try:
                tasks.append(request(line, stage=stage))
            except ValueError as error:
                problems.append(f"{name}:{number}: {error}")
    if not tasks and not problems:
        problems.append(f"{name}: no seeds in it: write one URL a line")
    if problems:
        raise SpiderError(problems)
    return tasks
