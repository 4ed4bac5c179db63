"""Seeds as tasks: those of a spider, those that the caller gives, or a file of URLs, one per line."""

import io
import pickle
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import SpooledTemporaryFile

from pinpool.errors import SpiderError, UsageError
from pinpool.model import Task
from pinpool.spider.spider import Spider
from pinpool.tasks import file_task, request
from pinpool.text import shown_path

#: Bytes of seeds that are held in memory.
_MEMORY = 1 << 20
_BATCH = 1000


class Seeds:
    """
    Checked tasks, to be read once or more. Many of them lie in a temporary file without a name: a million takes no more
    memory than a thousand, and a killed process leaves nothing behind.

    Reads `tasks` to their end. Raises what they raise, and UsageError if there is no room for them.
    """

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._file = SpooledTemporaryFile(_MEMORY, prefix="pinpool-")  # noqa: SIM115  as long as this object lives
        weakref.finalize(self, self._file.close)
        tasks = iter(tasks)
        while batch := list(islice(tasks, _BATCH)):
            try:
                # Plain tuples take half the time.
                pickle.dump(list(map(tuple, batch)), self._file, protocol=pickle.HIGHEST_PROTOCOL)
            except OSError as error:
                raise UsageError(f"the seeds cannot be kept in the temporary folder: {error.strerror}") from None
        self._end = self._file.tell()

    def __iter__(self) -> Iterator[Task]:
        self._file.seek(0)
        while self._file.tell() < self._end:
            yield from map(Task._make, pickle.load(self._file))


def read_seeds(source: str, stage: str, *, asked_by: str = "--seeds") -> Seeds:
    """
    The URLs in the file `source` (``-`` is stdin) as tasks of the `stage`. Skips blank lines and ``#`` comments.
    `asked_by` is the option, or the key of a spider, that names the file.

    Raises UsageError if the file cannot be read, and SpiderError with each line that is not a URL, or if no line is.
    """
    return _read(source, asked_by, "seeds", partial(request, stage=stage))


def read_files(source: str) -> Seeds:
    """
    The URLs in the file `source` (``-`` is stdin) as tasks that download them; after a tab, the name for the file.
    Otherwise as `read_seeds`.
    """

    def make(line: str) -> Task:
        url, _, name = line.partition("\t")
        return file_task(url.strip(), name.strip() or None)

    return _read(source, "URLS", "URLs", make)


def _read(source: str, asked_by: str, what: str, make: Callable[[str], Task]) -> Seeds:
    name = "stdin" if source == "-" else shown_path(source)
    numbered = enumerate(_lines(source, name, asked_by), 1)
    seeds = ((f"{name}:{number}: ", line) for number, line in numbered if line and not line.startswith("#"))
    return Seeds(_tasks(seeds, make, f"{name}: no {what} found: write one URL per line"))


def seeds_of(spider: Spider, given: Iterable[str | Task] | None = None) -> Seeds:
    """The given seeds, or the spider's, as tasks. Raises SpiderError that names every bad one."""
    if isinstance(given, Seeds):
        return given
    seeds = (("seed ", seed) for seed in (spider.start() if given is None else given))
    none = f"{spider.name}: no seeds: give it some by Spider(seeds=[...]), or name a file with --seeds"
    return Seeds(_tasks(seeds, partial(request, stage=spider.first_stage), none))


def _lines(source: str, name: str, asked_by: str) -> Iterator[str]:
    try:
        text = io.TextIOWrapper(sys.stdin.buffer if source == "-" else Path(source).open("rb"), "utf-8-sig")  # noqa: SIM115
        try:
            yield from map(str.strip, text)
        finally:
            if source == "-":
                text.detach()  # or stdin would be closed with it
            else:
                text.close()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"{asked_by}: {name} cannot be read: {reason}") from None


def _tasks(seeds: Iterable[tuple[str, str | Task]], make: Callable[[str], Task], none: str) -> Iterator[Task]:
    """Each seed comes with the words in front of what is wrong with it; `none` says that there are no seeds."""
    problems: list[str] = []
    task = None
    for place, seed in seeds:
        try:
            task = make(seed) if isinstance(seed, str) else seed
            if not problems:
                yield task
        except ValueError as error:
            problems.append(f"{place}{error}")
    if task is None and not problems:
        problems.append(none)
    if problems:
        raise SpiderError(problems)
