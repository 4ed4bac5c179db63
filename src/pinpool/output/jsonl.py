"""Items as JSON Lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import BinaryIO, Self

from pinpool.files import (
    absolute,
    closing,
    cut_at,
    ends_line,
    open_file,
    open_stream,
    size_of,
)
from pinpool.journal.records import Mark
from pinpool.output.csv_table import holds
from pinpool.output.target import ItemRow, storing_items


class JsonLines:
    """
    A file of JSON lines that grows. `mark` says how far it has come.

    Making one raises SettingsError if the file cannot be opened.
    """

    def __init__(self, file: BinaryIO, mark: Mark, *, is_stream: bool = False) -> None:
        self.mark = mark
        self.is_stream = is_stream
        self._file = file

    def __repr__(self) -> str:
        return f"<JsonLines {self.mark.path} {self.mark.bytes} bytes>"

    @classmethod
    def append(cls, path: str) -> Self:
        """Begin with the run's first item, after what the file holds."""
        file = open_file(path)
        return cls._begin(file, path, size_of(file))

    @classmethod
    def overwrite(cls, path: str) -> Self:
        """Begin with the run's first item, in place of what the file holds."""
        return cls._begin(open_file(path), path, 0)

    @classmethod
    def resume(cls, mark: Mark, items_after: Callable[[int], Iterable[ItemRow]]) -> Self:
        """
        Go on after `mark`, or begin again with the run's first item if the file is no longer as `mark` says.
        Only what the run wrote itself is cut off; behind what others wrote it goes on at the end.
        """
        file = open_file(mark.path)
        if ends_line(file, mark.bytes):
            is_ours = holds(file, mark.bytes, items_after(mark.last_item))
            return cls(file, mark._replace(bytes=cut_at(file, mark.bytes if is_ours else size_of(file))))
        first = islice(items_after(0), 1)
        is_ours = ends_line(file, mark.base) and holds(file, mark.base, first, alone=False)
        return cls._begin(file, mark.path, mark.base if is_ours else size_of(file))

    @classmethod
    def stream(cls, path: str, last_item: int) -> Self:
        """Write what comes after `last_item` to stdout, a pipe or a device."""
        return cls(open_stream(path), Mark(path, "jsonl", 0, 0, last_item), is_stream=True)

    @classmethod
    def _begin(cls, file: BinaryIO, path: str, base: int) -> Self:
        base = cut_at(file, base)
        return cls(file, Mark(absolute(path), "jsonl", base, base, 0))

    def write(self, items: Sequence[ItemRow]) -> None:
        """Write items, and hand them to the system. Raises StorageError if it does not take them."""
        if not items:
            return
        data = "".join(f"{text}\n" for _, text in items).encode()
        with storing_items(self.mark.path):
            self._file.write(data)
            self._file.flush()
        self.mark = self.mark._replace(bytes=self.mark.bytes + len(data), last_item=items[-1][0])

    def close(self) -> None:
        """Make the file durable and close it. Closing twice is harmless."""
        if not self._file.closed:
            with storing_items(self.mark.path), closing(self._file, is_stream=self.is_stream):
                pass
