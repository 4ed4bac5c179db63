"""
Items to files: some formats grow while the run goes on, tables are written from the whole journal at its end. Each
item once, also after a kill and a resume.

For that the journal keeps a `Mark` for each file, from before its first item on: what is before its `base` is older
than the run. Behind it `growing.py` finds the run's own lines, whoever was killed, and whatever others did there.

Stdout, pipes and devices are streams: they get what is stored from now on, and no mark.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from pinpool.errors import SettingsError, StorageError
from pinpool.files import is_stream_path, real_path, replacing, use_of
from pinpool.journal.records import Mark
from pinpool.journal.writer import Journal
from pinpool.output.format import ItemRow, Items, Output, UnfitFile
from pinpool.output.registry import FORMATS
from pinpool.output.streams import check_file, line_count, open_output, size_at, storing_items
from pinpool.output.target import Target
from pinpool.text import counted

BATCH = 1000  # items that are read from the journal at once


def check_targets(
    targets: Sequence[Target],
    inputs: Mapping[str, str | Path] | None = None,
    earlier: Iterable[Mark] = (),
) -> list[Mark]:
    """
    Raise SettingsError, for all problems at once, if targets cannot be written, are written by another pinpool, are
    named twice, are one of `inputs`, such as ``{"the journal": path}``, or hold what their format cannot add to and the
    run did not write.

    `earlier` are the outputs of earlier starts, which go on beside the targets. One that cannot be written is a
    problem too, unless a target is a new file in its place. Returns those that are given up so. All files stay as
    they are.
    """
    problems: list[str] = []
    named: set[str] = set()
    own = {real_path(mark.path): mark for mark in earlier}
    for target in targets:
        path = real_path(target.path)
        if use := use_of(target.path, inputs or {}):
            problems.append(f"output {target.path}: is {use}: name another file")
            continue
        if path in named:
            problems.append(f"output {target.path}: is named twice: name each file once")
        named.add(path)
        problems += _problems(target, is_own=path in own)
    has_new = any(real_path(target.path) not in own and not is_stream_path(target.path) for target in targets)
    lost = []
    for path, mark in own.items():
        if path not in named and (unwritable := _problems(Target(mark.path, mark.format), is_own=True)):
            lost.append(mark)
            problems += () if has_new else unwritable
    if problems:
        raise SettingsError(problems)
    return lost


def _problems(target: Target, *, is_own: bool) -> Sequence[str]:
    if (output := FORMATS.get(target.format)) is None:
        step = "update pinpool, or name another file with -o"
        return [f"output {target.path}: its format {target.format!r} is not known: {step}"]
    try:
        output.check(target.path)
        size = 0 if is_stream_path(target.path) else check_file(target.path)
    except SettingsError as error:
        return error.problems
    if size and not (output.can_append or target.overwrite or is_own):
        step = "name another file, or -O overwrites it"
        return [f"output {target.path}: exists already, and {output.title} cannot be added to: {step}"]
    return ()


def first_marks(targets: Iterable[Target]) -> Iterator[Mark]:
    """The marks of files that are not begun yet: all behind `base` goes when they are. Streams have none."""
    for target in targets:
        if not is_stream_path(target.path):
            size = size_at(target.path) or 0
            yield Mark(str(Path(target.path).absolute()), target.format, 0 if target.overwrite else size, size, 0)


class Outputs(ExitStack):
    """
    All output files of a run: those of earlier starts, for which the journal has a mark, and new ones. A context that
    closes all of them, also if one cannot be made durable. `tell` gets lines for people.

    Raises SettingsError for everything that cannot be opened, before anything is written.
    """

    def __init__(
        self, journal: Journal, targets: Sequence[Target] = (), tell: Callable[[str], None] = lambda line: None
    ) -> None:
        super().__init__()
        self._journal = journal
        self._tell = tell
        self._outputs: list[Output] = []
        try:
            self._open_all(targets)
            for output in self._outputs:
                self._record(output)
            journal.commit()
        except BaseException:
            self.close()
            raise

    def advance(self) -> None:
        """Write the items that are new since the last time. Call it right after a commit of the journal."""
        for output in self._outputs:
            base = output.mark.base
            output.advance(self._items_after, self._replaced_after)
            if output.mark.base != base:  # others have changed the file
                self._record(output)

    def finish(self) -> None:
        """
        Write what is missing, make all files durable, and commit. Only `close` may follow.

        A file that cannot be written stops no other; StorageError names all of them at the end.
        """
        problems = []
        self._journal.commit()
        for output in self._outputs:
            try:
                output.finish(self._items_after, self._replaced_after)
                self._record(output)
            except StorageError as error:
                problems.append(str(error))
                if isinstance(error, UnfitFile):
                    self._journal.forget_output(output.mark.path)
        self._journal.commit()
        if problems:
            raise StorageError("\n".join(problems))

    def _open_all(self, targets: Sequence[Target]) -> None:
        earlier = {real_path(mark.path): mark for mark in self._journal.outputs()}
        for mark in check_targets(targets, earlier=earlier.values()):
            self._journal.forget_output(mark.path)
            del earlier[real_path(mark.path)]
        wanted = [(target, earlier.pop(real_path(target.path), None)) for target in targets]
        wanted += [(Target(mark.path, mark.format), mark) for mark in earlier.values()]
        for target, known in wanted:
            output = FORMATS[target.format]
            path = known.path if known else target.path  # its one name, whatever links lead to it
            if is_stream_path(path):
                opened = output.stream(path, self._journal.last_item())
            elif known and known.format == target.format and not target.overwrite and self._journal.last_item():
                opened = output.resume(known, self._items_after, self._replaced_after)
            else:
                is_old = known is not None and known.base == 0 and known.bytes == size_at(path)
                opened = output.begin(path, overwrite=target.overwrite or is_old)
                if opened.mark.base:
                    self._tell(f"appends to {target.path}, which has {counted(line_count(path), 'line')}")
            self._outputs.append(opened)
            self.callback(opened.close)

    def _record(self, output: Output) -> None:
        if not output.is_stream:
            self._journal.output(output.mark)

    def _items_after(self, item: int, *, replaced: bool = False) -> Iterator[ItemRow]:
        while rows := self._journal.items_after(item, BATCH, replaced=replaced):
            yield from rows
            item = rows[-1][0]

    def _replaced_after(self, item: int) -> Iterator[ItemRow]:
        return self._items_after(item, replaced=True)


def write_all(target: Target, items: Items) -> None:
    """
    Write all `items` to `target`, for `pinpool export`. A file that is overwritten is replaced when the new one is
    whole. A table reads the items twice.

    Raises SettingsError if the file cannot be opened, StorageError if it cannot be written.
    """

    def after(item: int) -> Iterator[ItemRow]:
        return (row for row in items() if row[0] > item)

    output = FORMATS[target.format]
    if is_stream_path(target.path):
        output.stream(target.path, 0).finish(after)
    elif target.overwrite:
        with storing_items(target.path), open_output(target.path), replacing(target.path) as part:
            output.write_file(part, items)
    else:
        output.begin(target.path, overwrite=False).finish(after)
