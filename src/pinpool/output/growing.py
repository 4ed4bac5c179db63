"""
Files that can be added to, whatever happens to them meanwhile.

The journal has every item, so a file needs no trust: the run's lines are where the journal's items stand in it, one
after the other. A line that was cut off is written again. Where anything else stands between or behind them, the file
is written anew: first what others wrote, then all of the run's. A line of an item that was replaced is nobody's: it
goes when the file is finished, as writing a large file anew takes time.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pinpool.errors import StorageError
from pinpool.files import replacing
from pinpool.output.format import Output
from pinpool.output.streams import cut_at, is_at, open_output, skip_to_line, storing_items

BATCH = 1000  # items that are written at once

Line = tuple[int, bytes]  # id of an item, and how it stands in the file
LinesAfter = Callable[[int], Iterable[Line]]  # of the items with a higher id, in the order of ids


class GrowingFile(Output):
    """A file to which lines are added."""

    def write_lines(self, lines_after: LinesAfter) -> None:
        """Write the lines that are missing at the end. Raises StorageError."""
        lines = iter(lines_after(self.mark.last_item))
        while batch := list(islice(lines, BATCH)):
            data = b"".join([line for _, line in batch])
            with storing_items(self.mark.path):
                self._file.write(data)
                self._file.flush()
            self.mark = self.mark._replace(bytes=self.mark.bytes + len(data), last_item=batch[-1][0])

    def match(
        self,
        lines_after: LinesAfter,
        replaced: Callable[[], Iterable[Line]],
        records: Callable[[BinaryIO], Iterable[bytes]] = iter,
    ) -> None:
        """
        Open what is at the path now, and make it hold the run's lines as far as it has any, with nothing behind them.

        `replaced` are lines that may stand there, but are no longer the run's. `records` cuts the rest of a file into
        what may be a line of the run. Raises StorageError.
        """
        mark = self.mark
        with storing_items(mark.path):
            if not is_at(self._file, mark.path):
                self._file.close()
                self._file = open_output(mark.path, StorageError)
            start = skip_to_line(self._file, mark.base)
            found = _follow(self._file, start, lines_after(0))
            if not found.others:
                end = cut_at(self._file, found.end)
                self.mark = mark._replace(base=start if found.last_item else end, bytes=end, last_item=found.last_item)
                return
            with replacing(mark.path) as part:
                base, size, last_item = _write_anew(part, self._file, start, lines_after, replaced, records)
            self._file.close()
            self._file = open_output(mark.path, StorageError)
            self.mark = mark._replace(base=base, bytes=size, last_item=last_item)


class _Found(NamedTuple):
    """Where the run's lines end, the id of the last, and whether others have written behind or between."""

    end: int
    last_item: int
    others: bool


def _follow(file: BinaryIO, start: int, lines: Iterable[Line]) -> _Found:
    end, last_item = start, 0
    file.seek(start)
    for number, line in lines:
        if (found := file.read(len(line))) != line:
            return _Found(end, last_item, not line.startswith(found))
        end, last_item = end + len(line), number
    return _Found(end, last_item, bool(file.read(1)))


def _write_anew(
    part: Path,
    file: BinaryIO,
    start: int,
    lines_after: LinesAfter,
    replaced: Callable[[], Iterable[Line]],
    records: Callable[[BinaryIO], Iterable[bytes]],
) -> tuple[int, int, int]:
    """What is before `start`, then all behind it that is not the run's, then the run's; returns its mark."""
    own = Counter(_digest(line) for _, line in chain(lines_after(0), replaced()))
    with part.open("wb") as new:
        file.seek(0)
        shutil.copyfileobj(_Head(file, start), new)
        record = b"\n"
        for record in records(file):
            if own[digest := _digest(record)]:
                own[digest] -= 1
            else:
                new.write(record)
        if not record.endswith(b"\n"):
            new.write(b"\n")
        base, last_item = new.tell(), 0
        for last_item, line in lines_after(0):  # noqa: B007
            new.write(line)
        return base, new.tell(), last_item


class _Head:
    """The next bytes of a file, and no more."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._left = size

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(min(size, self._left))
        self._left -= len(data)
        return data


def _digest(line: bytes) -> bytes:
    return blake2b(line, digest_size=16).digest()


def quoted_records(file: Iterable[bytes]) -> Iterator[bytes]:
    """Lines, but those in quotes as one."""
    parts: list[bytes] = []
    is_open = False
    for line in file:
        parts.append(line)
        is_open ^= line.count(b'"') % 2 == 1
        if not is_open:
            yield b"".join(parts)
            parts.clear()
    if parts:
        yield b"".join(parts)
