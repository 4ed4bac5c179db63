"""What every format of output files offers: from items to one file or stream."""

import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Self

from pinpool.errors import JournalError, StorageError
from pinpool.files import replacing, temporary_folder
from pinpool.journal.records import Mark
from pinpool.output.streams import closing, open_output, size_at, size_of, storing_items

ItemRow = tuple[int, str, str]  # id, stage and JSON text
Items = Callable[[], Iterable[ItemRow]]  # may be called again, for a second reading
ItemsAfter = Callable[[int], Iterable[ItemRow]]  # those with a higher id, in the order of ids


def no_items(item: int) -> Iterable[ItemRow]:
    """No items: in place of those that are no longer the run's."""
    return ()


class UnfitFile(StorageError):
    """The items do not fit into this file, now or later."""


class Output(ABC):
    """
    One file or stream that gets the items, claimed for this process until `close`. Each subclass is a format, and
    `registry.py` lists it.

    A format needs no more than `write_file`: then a file is replaced at the end of the run, when the new one is whole,
    and a stream gets the whole file. `growing.py` is for those that can do more.

    `items_after` are the items of the run. `replaced` are those that are no longer the run's: a file may hold them, and
    they go when it is finished.

    `mark` says how much a file holds; the journal keeps it. A stream (stdout, a pipe, a device) has no mark there.
    Raises SettingsError if the file cannot be opened, or if another pinpool writes to it.
    """

    name: ClassVar[str]  # as in ``-o FILE:FORMAT``; also the ending of its files
    title: ClassVar[str]  # for people
    can_append: ClassVar[bool] = True  # whether items can be added to a file that others wrote

    def __init__(self, mark: Mark, *, is_stream: bool = False) -> None:
        self.mark = mark
        self.is_stream = is_stream
        self._file = open_output(mark.path)

    @classmethod  # noqa: B027  most formats need nothing
    def check(cls, path: str) -> None:
        """Raise SettingsError if this format cannot be written to `path`, such as for want of a package."""

    @classmethod
    @abstractmethod
    def write_file(cls, path: Path, items: Items) -> int:
        """Write a new file with all `items`; returns the id of the last one, 0 for none. Raises OSError."""

    @classmethod
    def begin(cls, path: str, *, overwrite: bool) -> Self:
        """Begin with the run's first item, after what the file holds or in its place."""
        output = cls(Mark(str(Path(path).absolute()), cls.name, 0, 0, 0))
        size = size_of(output._file)
        output.mark = output.mark._replace(base=0 if overwrite else size, bytes=size)
        return output

    @classmethod
    def resume(cls, mark: Mark, items_after: ItemsAfter, replaced: ItemsAfter = no_items) -> Self:
        """Go on with a file of the run."""
        return cls(mark)

    @classmethod
    def stream(cls, path: str, last_item: int) -> Self:
        """Write the items after `last_item` to stdout, a pipe or a device."""
        return cls(Mark(path, cls.name, 0, 0, last_item), is_stream=True)

    def advance(self, items_after: ItemsAfter, replaced: ItemsAfter = no_items) -> None:  # noqa: B027
        """Write the new items, if the format can grow. Raises StorageError."""

    def finish(self, items_after: ItemsAfter, replaced: ItemsAfter = no_items) -> None:
        """Write what is missing, make it durable and close it. Raises StorageError."""
        try:
            with storing_items(self.mark.path):
                if self.is_stream:
                    with TemporaryDirectory(dir=temporary_folder()) as folder:
                        whole = Path(folder, "items")
                        self.write_file(whole, partial(items_after, self.mark.last_item))
                        with whole.open("rb") as file:
                            shutil.copyfileobj(file, self._file)
                elif (size := size_at(self.mark.path)) is None or (self.mark.base == 0 and size == self.mark.bytes):
                    with replacing(self.mark.path) as part:
                        last_item = self.write_file(part, partial(items_after, 0))
                        size = part.stat().st_size
                    self.mark = self.mark._replace(base=0, bytes=size, last_item=last_item)
                else:
                    self.add(items_after, replaced)
        finally:
            self.close()

    def add(self, items_after: ItemsAfter, replaced: ItemsAfter = no_items) -> None:
        """Bring the items into a file that others have written to as well. Raises StorageError."""
        problem = f"another program has written to it, and {self.title} cannot be added to"
        raise UnfitFile(f"output {self.mark.path}: {problem}: name another file with -o")

    def close(self) -> None:
        """Make the file durable and close it. Closing twice is harmless. Raises StorageError."""
        if not self._file.closed:
            with storing_items(self.mark.path), closing(self._file, is_stream=self.is_stream):
                pass


def fields_of(number: int, text: str) -> dict[str, Any]:
    """The fields of the item with this id. Raises JournalError if its text is not a JSON object."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise JournalError(f"the journal is damaged: its item {number} is not a JSON object")
    return fields
