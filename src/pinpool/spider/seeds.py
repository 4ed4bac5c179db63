"""Reads a file of URLs, one per line, that replaces a spider's own seeds."""

import sys
from pathlib import Path

from pinpool.errors import SpiderError, UsageError
from pinpool.model import Task
from pinpool.tasks import request
from pinpool.text import shown_path


def read_seeds(source: str, stage: str) -> list[Task]:
    """
    The URLs in the file `source` (``-`` is stdin) as tasks of the `stage`. Skips blank lines and ``#`` comments.

    Raises UsageError if the file cannot be read, and SpiderError with each line that is not a URL, or if no line is.
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
        problems.append(f"{name}: no seeds found: write one URL per line")
    if problems:
        raise SpiderError(problems)
    return tasks
