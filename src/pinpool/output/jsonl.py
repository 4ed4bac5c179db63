"""Items as JSON Lines (https://jsonlines.org), written while the run goes on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Self

from pinpool.journal.records import Mark
from pinpool.output.format import Items, ItemsAfter, no_items
from pinpool.output.growing import GrowingFile, Line, LinesAfter
from pinpool.output.streams import cut_at, is_at, size_at


class JsonLines(GrowingFile):
    """A file of JSON lines that grows with the run."""

    name = "jsonl"
    title = "JSON Lines"

    @classmethod
    def begin(cls, path: str, *, overwrite: bool) -> Self:
        output = super().begin(path, overwrite=overwrite)
        base = cut_at(output._file, output.mark.base)
        output.mark = output.mark._replace(base=base, bytes=base)
        return output

    @classmethod
    def resume(cls, mark: Mark, items_after: ItemsAfter, replaced: ItemsAfter = no_items) -> Self:
        output = cls(mark)
        output.match(_lines(items_after), lambda: _lines(replaced)(0))
        return output

    @classmethod
    def write_file(cls, path: Path, items: Items) -> int:
        last_item = 0
        with path.open("wb") as file:
            for last_item, _, text in items():  # noqa: B007
                file.write(f"{text}\n".encode())
        return last_item

    def advance(self, items_after: ItemsAfter, replaced: ItemsAfter = no_items) -> None:
        path = self.mark.path
        if not self.is_stream and not (is_at(self._file, path) and size_at(path) == self.mark.bytes):
            self.match(_lines(items_after), lambda: _lines(replaced)(0))
        self.write_lines(_lines(items_after))

    def finish(self, items_after: ItemsAfter, replaced: ItemsAfter = no_items) -> None:
        try:
            if not self.is_stream:  # line by line: one may have been changed in its place
                self.match(_lines(items_after), lambda: _lines(replaced)(0))
            self.write_lines(_lines(items_after))
        finally:
            self.close()


def _lines(items_after: ItemsAfter) -> LinesAfter:
    def lines(item: int) -> Iterator[Line]:
        return ((number, f"{text}\n".encode()) for number, _, text in items_after(item))

    return lines
