"""Seeds as tasks: those of a spider, those that the caller gives, or a file of URLs, one per line."""

import sys
from collections.abc import Iterable
from pathlib import Path

from pinpool.errors import SpiderError, UsageError
from pinpool.model import Task
from pinpool.spider.spider import Spider
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
    numbered = enumerate(map(str.strip, lines), 1)
    seeds = ((f"{name}:{number}: ", line) for number, line in numbered if line and not line.startswith("#"))
    return _tasks(seeds, stage, f"{name}: no seeds found: write one URL per line")


def seeds_of(spider: Spider, given: Iterable[str | Task] | None = None) -> list[Task]:
    """The given seeds, or the spider's, as tasks. Raises SpiderError that names every bad one."""
    seeds = (("seed ", seed) for seed in (spider.start() if given is None else given))
    none = f"{spider.name}: no seeds: give it some by Spider(seeds=[...]), or name a file with --seeds"
    return _tasks(seeds, spider.first_stage, none)


def _tasks(seeds: Iterable[tuple[str, str | Task]], stage: str, none: str) -> list[Task]:
    """Each seed comes with the words in front of what is wrong with it; `none` says that there are no seeds."""
    tasks, problems = [], []
    for place, seed in seeds:
        try:
            tasks.append(request(seed, stage=stage) if isinstance(seed, str) else seed)
        except ValueError as error:
            problems.append(f"{place}{error}")
    if not tasks and not problems:
        problems.append(none)
    if problems:
        raise SpiderError(problems)
    return tasks
