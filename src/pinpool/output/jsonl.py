"""Items as JSON Lines (https://jsonlines.org), written while the run goes on."""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Self

from pinpool.journal.records import Mark
from pinpool.output.format import ItemRow, Items, ItemsAfter, Output
from pinpool.output.streams import closing, cut_at, ends_line, open_output, size_of, storing_items

BATCH = 1000  # items that are written at once


class JsonLines(Output):
    """A file of JSON lines that grows with the run."""

    name = "jsonl"
    title = "JSON Lines"

    def __init__(self, mark: Mark, *, is_stream: bool = False) -> None:
        super().__init__(mark, is_stream=is_stream)
        self._file = open_output(mark.path)

    @classmethod
    def begin(cls, path: str, *, overwrite: bool) -> Self:
        output = super().begin(path, overwrite=overwrite)
        output._begin(output.mark.base)
        return output

    @classmethod
    def resume(cls, mark: Mark, items_after: ItemsAfter) -> Self:
        """
        Go on after `mark`, or begin with the run's first item if the file is not as `mark` says. Cut off only what
        the run itself wrote; where others wrote, go on behind it.
        """
        output = cls(mark)
        file = output._file
        if ends_line(file, mark.bytes):
            is_ours = _holds(file, mark.bytes, items_after(mark.last_item))
            output.mark = mark._replace(bytes=cut_at(file, mark.bytes if is_ours else size_of(file)))
        else:
            first = islice(items_after(0), 1)
            is_ours = ends_line(file, mark.base) and _holds(file, mark.base, first, alone=False)
            output._begin(mark.base if is_ours else size_of(file))
        return output

    def _begin(self, base: int) -> None:
        base = cut_at(self._file, base)
        self.mark = self.mark._replace(base=base, bytes=base, last_item=0)

    @classmethod
    def write_file(cls, path: Path, items: Items) -> int:
        last_item = 0
        with path.open("wb") as file:
            for last_item, text in items():  # noqa: B007
                file.write(f"{text}\n".encode())
        return last_item

    def advance(self, items_after: ItemsAfter) -> None:
        items = iter(items_after(self.mark.last_item))
        while batch := list(islice(items, BATCH)):
            data = "".join(f"{text}\n" for _, text in batch).encode()
            with storing_items(self.mark.path):
                self._file.write(data)
                self._file.flush()
            self.mark = self.mark._replace(bytes=self.mark.bytes + len(data), last_item=batch[-1][0])

    def finish(self, items_after: ItemsAfter) -> None:
        try:
            self.advance(items_after)
        finally:
            self.close()

    def close(self) -> None:
        """Make the file durable and close it. Closing twice is harmless. Raises StorageError."""
        if not self._file.closed:
            with storing_items(self.mark.path), closing(self._file, is_stream=self.is_stream):
                pass


def _holds(file: BinaryIO, position: int, items: Iterable[ItemRow], *, alone: bool = True) -> bool:
    """
    Whether the lines of `items` follow from `position` on, with nothing else behind them if `alone`. The last line
    may be cut off, and there may be fewer lines than items.
    """
    file.seek(position)
    for _, text in items:
        line = f"{text}\n".encode()
        if (found := file.read(len(line))) != line:
            return line.startswith(found)
    return not alone or not file.read(1)
