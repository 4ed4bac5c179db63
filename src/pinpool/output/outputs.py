"""
Items to files: JSON lines while the run goes on, tables (CSV, Parquet) from the whole journal at its end. Each item
once, also after a kill and a resume.

For that the journal keeps a `Mark` for each file. The file is written first and its mark after it, so a
resume cuts off what the run has written behind the mark, and writes that again; what others wrote there stays.
A file that is no longer as its mark says gets the run from its first item: maybe a break, but never a hole.

Stdout, pipes and devices are streams: they get what is stored from now on, and no mark.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

from pinpool.errors import SettingsError, StorageError
from pinpool.files import is_stream_path, open_file, real_path, replacing, use_of
from pinpool.journal.records import Mark
from pinpool.output.csv_table import CsvTable, columns_of
from pinpool.output.jsonl import JsonLines
from pinpool.output.parquet import ParquetTable, need_duckdb
from pinpool.output.target import ItemRow, Kept, Target, storing_items

BATCH = 1000
Table = CsvTable | ParquetTable
_TABLES: dict[str, type[CsvTable] | type[ParquetTable]] = {"csv": CsvTable, "parquet": ParquetTable}


def check_targets(
    targets: Sequence[Target],
    inputs: Mapping[str, str | Path] | None = None,
    earlier: Iterable[Mark] = (),
) -> None:
    """
    Raise SettingsError, for all of them at once, if targets cannot be opened, are named twice, or are one of
    `inputs`, such as ``{"the journal": path}``; also if a Parquet file, to which nothing can be added, holds something
    that is not the run's own (`earlier`), and is not to be overwritten.

    Nothing is left behind: a file that is not there is made and taken away again, the others stay as they are.
    """
    problems: list[str] = []
    named: set[str] = set()
    own = {real_path(mark.path) for mark in earlier}
    for target in targets:
        path = real_path(target.path)
        if use := use_of(target.path, inputs or {}):
            problems.append(f"output {target.path}: is {use}: name another file")
            continue
        if path in named:
            problems.append(f"output {target.path}: is named twice: name each file once")
        named.add(path)
        try:
            if target.format == "parquet":
                need_duckdb(target.path)
            if not is_stream_path(path):
                there = Path(path).exists()
                open_file(path).close()
                if not there:
                    Path(path).unlink()
                grows = target.format != "parquet" or target.overwrite or path in own
                if there and not grows and Path(path).stat().st_size:
                    told = "exists already, and Parquet cannot be added to: -O overwrites it"
                    problems.append(f"output {target.path}: {told}")
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
    marks = {real_path(mark.path): mark for mark in earlier}
    named = {real_path(target.path) for target in targets}
    is_new = any(path not in marks and not is_stream_path(path) for path in named)
    lost: list[Mark] = []
    problems: list[str] = []
    for mark in (mark for path, mark in marks.items() if path not in named):
        try:
            check_targets([Target(mark.path, mark.format)], earlier=[mark])
            may_lack = is_new and mark.format == "csv" and not is_stream_path(mark.path)
            if may_lack and CsvTable(mark).lacks(columns_of(items())):
                lost.append(mark)
        except SettingsError as error:
            lost.append(mark)
            problems += error.problems
    if problems and not is_new:
        raise SettingsError(problems)
    return lost


class Outputs:
    """
    All output files of a run, each begun or, if the journal has a mark for it, gone on with; so are the files
    of earlier starts that are not among the targets. Use it as a context.

    Raises SettingsError for all that cannot be opened, at once, before anything is written.
    """

    def __init__(self, journal: Kept, targets: Sequence[Target] = ()) -> None:
        self._journal = journal
        self._lines: list[JsonLines] = []
        self._tables: list[Table] = []
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
        check_targets(targets, earlier=self._journal.outputs())
        known = {real_path(mark.path): mark for mark in self._journal.outputs()}
        for mark in lost_outputs(targets, known.values(), partial(self._items_after, 0)):
            self._journal.forget_output(mark.path)
            del known[real_path(mark.path)]
        named = {real_path(target.path) for target in targets}
        earlier = [Target(mark.path, mark.format) for path, mark in known.items() if path not in named]
        for target in (*targets, *earlier):
            self._open(target, known.get(real_path(target.path)))

    def _open(self, target: Target, known: Mark | None) -> None:
        target = target._replace(path=known.path) if known else target  # its one name, whatever links to it
        path, table = target.path, _TABLES.get(target.format)
        goes_on = known is not None and known.format == target.format and not target.overwrite
        if is_stream_path(path):
            last_item = self._journal.last_item()
            if table is not None:
                self._tables.append(table.stream(path, last_item))
            else:
                self._lines.append(JsonLines.stream(path, last_item))
        elif table is not None:
            self._tables.append(table(known) if known and goes_on else table.open(target))
        elif known and goes_on:
            self._lines.append(JsonLines.resume(known, self._items_after))
        else:
            self._lines.append(JsonLines.overwrite(path) if target.overwrite else JsonLines.append(path))

    def _record(self, output: JsonLines | Table) -> None:
        if not output.is_stream:
            self._journal.output(output.mark)

    def _items_after(self, item: int) -> Iterator[ItemRow]:
        while rows := self._journal.items_after(item, BATCH):
            yield from rows
            item = rows[-1][0]


def write_all(target: Target, items: Callable[[], Iterable[ItemRow]]) -> None:
    """
    Write `items` to `target` in one go: for `pinpool export`. A file that is overwritten is replaced at once when the
    new one is whole; a table reads the items twice.

    Raises SettingsError if the file cannot be opened, StorageError if it cannot be written.
    """
    table, is_stream = _TABLES.get(target.format), is_stream_path(target.path)
    if table is not None:
        (table.stream(target.path, 0) if is_stream else table.open(target)).write(items)
    elif target.overwrite and not is_stream:
        with storing_items(target.path), replacing(target.path) as part:
            _write_lines(JsonLines.overwrite(str(part)), items())
    else:
        _write_lines(
            JsonLines.stream(target.path, 0) if is_stream else JsonLines.append(target.path), items()
        )


def _write_lines(lines: JsonLines, items: Iterable[ItemRow]) -> None:
    try:
        for batch in _batches(items):
            lines.write(batch)
    finally:
        lines.close()


def _batches(items: Iterable[ItemRow]) -> Iterator[list[ItemRow]]:
    rows = iter(items)
    while batch := list(islice(rows, BATCH)):
        yield batch
