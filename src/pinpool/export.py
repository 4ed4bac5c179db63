"""
Items to files: JSON lines while the run goes on, CSV from the whole journal at its end. Each item once, also
after a kill and a resume.

For that the journal keeps a `Mark` for each file. The file is written first and its mark after it, so a
resume cuts off what the run has written behind the mark, and writes that again; what others wrote there stays.
A file that is no longer as its mark says gets the run from its first item: maybe a break, but never a hole.

Stdout, pipes and devices are streams: they get what is stored from now on, and no mark.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple, Self

from pinpool.errors import SettingsError, StorageError
from pinpool.schema import Mark
from pinpool.targets import STDOUT, ItemRow, Kept, Target

__all__ = [
    "CsvTable",
    "JsonLines",
    "Outputs",
    "check_targets",
    "lost_outputs",
    "write_all",
]

BATCH = 1000


def check_targets(targets: Sequence[Target], inputs: Mapping[str, str | Path] | None = None) -> None:
    """
    Raise SettingsError, for all of them at once, if targets cannot be opened, are named twice, or are one of
    `inputs`, such as ``{"the journal": path}``.

    Nothing is left behind: a file that is not there is made and taken away again, the others stay as they are.
    """
    problems: list[str] = []
    named: set[str] = set()
    taken = {_real(str(path)): name for name, path in (inputs or {}).items()}
    for target in targets:
        path = _real(target.path)
        if path in taken:
            problems.append(f"output {target.path}: is {taken[path]}: name another file")
            continue
        if path in named:
            problems.append(f"output {target.path}: is named twice: name each file once")
        named.add(path)
        try:
            if not _is_stream(path):
                there = Path(path).exists()
                _open_file(path).close()
                if not there:
                    Path(path).unlink()
        except SettingsError as error:
            problems += error.problems
    if problems:
        raise SettingsError(problems)


def lost_outputs(
    targets: Sequence[Target], earlier: Iterable[Mark], items: Callable[[], Iterable[ItemRow]] = tuple
) -> list[Mark]:
    """
    The `earlier` outputs that cannot go on, since they cannot be opened or lack a column for `items`, where
    `targets` name a new file in their place. Raises SettingsError if none does and one cannot be opened.
    """
    marks = {_real(mark.path): mark for mark in earlier}
    named = {_real(target.path) for target in targets}
    is_new = any(path not in marks and not _is_stream(path) for path in named)
    lost: list[Mark] = []
    problems: list[str] = []
    for mark in (mark for path, mark in marks.items() if path not in named):
        try:
            check_targets([Target(mark.path, mark.format)])
            may_lack = is_new and mark.format == "csv" and not _is_stream(mark.path)
            if may_lack and CsvTable(mark).lacks(_columns(items())):
                lost.append(mark)
        except SettingsError as error:
            lost.append(mark)
            problems += error.problems
    if problems and not is_new:
        raise SettingsError(problems)
    return lost


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
        file = _open_file(path)
        return cls._begin(file, path, _size(file))

    @classmethod
    def overwrite(cls, path: str) -> Self:
        """Begin with the run's first item, in place of what the file holds."""
        return cls._begin(_open_file(path), path, 0)

    @classmethod
    def resume(cls, mark: Mark, items_after: Callable[[int], Iterable[ItemRow]]) -> Self:
        """
        Go on after `mark`, or begin again with the run's first item if the file is no longer as `mark` says.
        Only what the run wrote itself is cut off; behind what others wrote it goes on at the end.
        """
        file = _open_file(mark.path)
        if _ends_line(file, mark.bytes):
            is_ours = _holds(file, mark.bytes, items_after(mark.last_item))
            return cls(file, mark._replace(bytes=_cut(file, mark.bytes if is_ours else _size(file))))
        first = islice(items_after(0), 1)
        is_ours = _ends_line(file, mark.base) and _holds(file, mark.base, first, alone=False)
        return cls._begin(file, mark.path, mark.base if is_ours else _size(file))

    @classmethod
    def stream(cls, path: str, last_item: int) -> Self:
        """Write what comes after `last_item` to stdout, a pipe or a device."""
        return cls(_open_stream(path), Mark(path, "jsonl", 0, 0, last_item), is_stream=True)

    @classmethod
    def _begin(cls, file: BinaryIO, path: str, base: int) -> Self:
        base = _cut(file, base)
        return cls(file, Mark(_absolute(path), "jsonl", base, base, 0))

    def write(self, items: Sequence[ItemRow]) -> None:
        """Write items, and hand them to the system. Raises StorageError if it does not take them."""
        if not items:
            return
        data = "".join(f"{text}\n" for _, text in items).encode()
        with _storing(self.mark.path):
            self._file.write(data)
            self._file.flush()
        self.mark = self.mark._replace(bytes=self.mark.bytes + len(data), last_item=items[-1][0])

    def close(self) -> None:
        """Make the file durable and close it. Closing twice is harmless."""
        if not self._file.closed:
            with _storing(self.mark.path), _closing(self._file, is_stream=self.is_stream):
                pass


class CsvTable:
    """
    A CSV file (RFC 4180, UTF-8), written in one go: its columns are all fields of all items, as first seen.

    Nested values are JSON, missing ones empty. A file of the run's own is replaced at once when the new one
    is whole; behind what `mark` says was there before, rows are added under the columns that are there.
    """

    def __init__(self, mark: Mark, *, is_stream: bool = False) -> None:
        self.mark = mark
        self.is_stream = is_stream

    def __repr__(self) -> str:
        return f"<CsvTable {self.mark.path}>"

    @classmethod
    def open(cls, target: Target) -> Self:
        """Raises SettingsError if the file cannot be opened."""
        with _open_file(target.path) as file:
            base = 0 if target.overwrite else _size(file)
        return cls(Mark(_absolute(target.path), "csv", base, base, 0))

    @classmethod
    def stream(cls, path: str, last_item: int) -> Self:
        """The table of the items after `last_item`, to stdout, a pipe or a device."""
        return cls(Mark(path, "csv", 0, 0, last_item), is_stream=True)

    def write(self, items: Callable[[], Iterable[ItemRow]]) -> None:
        """
        Write the table of `items`, which is read twice: for the columns, then for the rows.

        Raises StorageError if the file cannot be written, or has other columns than the items.
        """
        columns = _columns(items())
        with _storing(self.mark.path):
            if self.is_stream:
                with _closing(_open_stream(self.mark.path), is_stream=True) as file:
                    _write_rows(file, columns, items(), header=True)
            elif self.mark.base and Path(self.mark.path).exists():
                self._add(columns, items())
            else:
                self._replace(columns, items())

    def lacks(self, columns: list[str]) -> list[str]:
        """Those of `columns` that are not in the file to which rows are to be added."""
        header = self._header() if self.mark.base and Path(self.mark.path).exists() else columns
        return [name for name in columns if name not in header]

    def _header(self) -> list[str]:
        with Path(self.mark.path).open(encoding="utf-8-sig", errors="replace", newline="") as before:
            return next(csv.reader(before), [])

    def _add(self, columns: list[str], items: Iterable[ItemRow]) -> None:
        path = Path(self.mark.path)
        if missing := self.lacks(columns):
            raise StorageError(
                f"output {path}: has no column for {', '.join(missing)}: resume with -O OTHER.csv instead"
            )
        header = self._header()
        file = path.open("r+b")
        _cut(file, min(self.mark.base, _size(file)))
        self._fill(file, header, items, has_header=True)

    def _replace(self, columns: list[str], items: Iterable[ItemRow]) -> None:
        real = Path(self.mark.path).resolve()
        part = real.with_name(f".{real.name}.part")
        try:
            self._fill(part.open("wb"), columns, items, has_header=False)
            if real.exists():
                shutil.copymode(real, part)
            part.replace(real)
        finally:
            part.unlink(missing_ok=True)
        self.mark = self.mark._replace(base=0)

    def _fill(
        self, file: BinaryIO, columns: list[str], items: Iterable[ItemRow], *, has_header: bool
    ) -> None:
        with _closing(file, is_stream=False):
            last_item = _write_rows(file, columns, items, header=not has_header)
            self.mark = self.mark._replace(bytes=file.tell(), last_item=last_item)


class Outputs:
    """
    All output files of a run, each begun or, if the journal has a mark for it, gone on with; so are the files
    of earlier starts that are not among the targets. Use it as a context.

    Raises SettingsError for all that cannot be opened, at once, before anything is written.
    """

    def __init__(self, journal: Kept, targets: Sequence[Target] = ()) -> None:
        self._journal = journal
        self._lines: list[JsonLines] = []
        self._tables: list[CsvTable] = []
        try:
            self._open_all(targets)
        except BaseException:
            self.close()
            raise
        # Before the first item: a resume would take a file that grows without a mark for somebody else's.
        for lines in self._lines:
            self._record(lines)
        for table in self._tables:
            self._record(table)
        journal.commit()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def advance(self) -> None:
        """Write the items that are new since the last time. To be called right after a commit of the journal."""
        for output in self._lines:
            before = output.mark
            for batch in _batches(self._items_after(before.last_item)):
                output.write(batch)
            if output.mark != before:
                self._record(output)

    def finish(self) -> None:
        """
        Write what is still missing, and the tables; make all durable, and commit. The last call but `close`.
        A table that cannot be written stops no other; StorageError tells of all of them at the end.
        """
        problems = []
        self._journal.commit()
        self.advance()
        self.close()
        for table in self._tables:
            first = table.mark.last_item if table.is_stream else 0
            try:
                table.write(partial(self._items_after, first))
                self._record(table)
            except StorageError as error:
                problems.append(str(error))
        self._journal.commit()
        if problems:
            raise StorageError("\n".join(problems))

    def close(self) -> None:
        """Close all files, also if one of them cannot be made durable."""
        with ExitStack() as stack:
            for output in self._lines:
                stack.callback(output.close)

    def _open_all(self, targets: Sequence[Target]) -> None:
        check_targets(targets)
        known = {_real(mark.path): mark for mark in self._journal.outputs()}
        for mark in lost_outputs(targets, known.values(), partial(self._items_after, 0)):
            self._journal.forget_output(mark.path)
            del known[_real(mark.path)]
        named = {_real(target.path) for target in targets}
        earlier = [Target(mark.path, mark.format) for path, mark in known.items() if path not in named]
        for target in (*targets, *earlier):
            self._open(target, known.get(_real(target.path)))

    def _open(self, target: Target, known: Mark | None) -> None:
        target = target._replace(path=known.path) if known else target  # its one name, whatever links to it
        path, is_csv = target.path, target.format == "csv"
        goes_on = known is not None and known.format == target.format and not target.overwrite
        if _is_stream(path):
            last_item = self._journal.last_item()
            if is_csv:
                self._tables.append(CsvTable.stream(path, last_item))
            else:
                self._lines.append(JsonLines.stream(path, last_item))
        elif is_csv:
            self._tables.append(CsvTable(known) if known and goes_on else CsvTable.open(target))
        elif known and goes_on:
            self._lines.append(JsonLines.resume(known, self._items_after))
        else:
            self._lines.append(JsonLines.overwrite(path) if target.overwrite else JsonLines.append(path))

    def _record(self, output: JsonLines | CsvTable) -> None:
        if not output.is_stream:
            self._journal.output(output.mark)

    def _items_after(self, item: int) -> Iterator[ItemRow]:
        while rows := self._journal.items_after(item, BATCH):
            yield from rows
            item = rows[-1][0]


def write_all(target: Target, items: Callable[[], Iterable[ItemRow]]) -> None:
    """
    Write `items` to `target`, once: for `pinpool export`. A CSV table reads them twice.

    Raises SettingsError if the file cannot be opened, StorageError if it cannot be written.
    """
    if target.format == "csv":
        (CsvTable.stream(target.path, 0) if _is_stream(target.path) else CsvTable.open(target)).write(items)
        return
    if _is_stream(target.path):
        lines = JsonLines.stream(target.path, 0)
    else:
        lines = JsonLines.overwrite(target.path) if target.overwrite else JsonLines.append(target.path)
    try:
        for batch in _batches(items()):
            lines.write(batch)
    finally:
        lines.close()


class _Encoder(NamedTuple):
    """What `csv.writer` writes to: a text file without a buffer of its own that could be left unwritten."""

    file: BinaryIO

    def write(self, text: str) -> int:
        return self.file.write(text.encode("utf-8", "backslashreplace"))


def _write_rows(file: BinaryIO, columns: list[str], items: Iterable[ItemRow], *, header: bool) -> int:
    """Returns the id of the last item, 0 for none."""
    last_item = 0
    rows = csv.writer(_Encoder(file))
    if header and columns:
        rows.writerow(columns)
    for last_item, text in items:  # noqa: B007
        fields = json.loads(text)
        rows.writerow([_cell(fields.get(name)) for name in columns])
    return last_item


def _columns(items: Iterable[ItemRow]) -> list[str]:
    return list(dict.fromkeys(name for _, text in items for name in json.loads(text)))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _batches(items: Iterable[ItemRow]) -> Iterator[list[ItemRow]]:
    rows = iter(items)
    while batch := list(islice(rows, BATCH)):
        yield batch


def _absolute(path: str) -> str:
    return path if path == STDOUT else str(Path(path).absolute())


def _real(path: str) -> str:
    return _absolute(path) if _is_stream(path) else os.path.realpath(path)  # two links to one file are one


def _is_stream(path: str) -> bool:
    return path == STDOUT or (Path(path).exists() and not Path(path).is_file() and not Path(path).is_dir())


def _open_stream(path: str) -> BinaryIO:
    try:
        return sys.stdout.buffer if path == STDOUT else Path(path).open("wb")
    except OSError as error:
        raise _unwritable(path, error) from error


def _open_file(path: str) -> BinaryIO:
    try:
        Path(path).touch()
        return Path(path).open("r+b")
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: str, error: OSError) -> SettingsError:
    return SettingsError(f"output {path}: cannot be written ({error.strerror}): name another file with -o")


def _size(file: BinaryIO) -> int:
    return file.seek(0, os.SEEK_END)


def _ends_line(file: BinaryIO, position: int) -> bool:
    """Whether the file reaches to `position`, and a line ends there."""
    if position == 0:
        return True
    file.seek(position - 1)
    return file.read(1) == b"\n"


def _holds(file: BinaryIO, position: int, items: Iterable[ItemRow], *, alone: bool = True) -> bool:
    """Whether lines of `items` follow, from the first on, the last perhaps cut; if `alone`, nothing else."""
    file.seek(position)
    for _, text in items:
        line = f"{text}\n".encode()
        if (there := file.read(len(line))) != line:
            return line.startswith(there)
    return not alone or not file.read(1)


def _cut(file: BinaryIO, position: int) -> int:
    """End the file at `position`, with a line end if there is none, and return the position to write at."""
    ends_line = _ends_line(file, position)
    file.truncate(position)
    file.seek(position)
    if ends_line:
        return position
    file.write(b"\n")
    return position + 1


@contextmanager
def _closing(file: BinaryIO, *, is_stream: bool) -> Iterator[BinaryIO]:
    """Hand over what is buffered, make a file durable, and close it, but for stdout."""
    try:
        yield file
        file.flush()
        if not is_stream:
            os.fsync(file.fileno())
    finally:
        if file is not sys.stdout.buffer:
            file.close()


@contextmanager
def _storing(path: str) -> Iterator[None]:
    """A reader that left a pipe has seen enough: that goes on as it is, all else becomes a StorageError."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StorageError(
            f"output {path}: cannot be written ({error.strerror}): make room, then `pinpool resume`"
        ) from error
