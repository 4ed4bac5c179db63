"""
The parent's side of downloaded files: which name each gets, and when it moves there.

A worker leaves a whole part and says so. The transaction that ends the task gives the file its name. After the commit
the part moves to that name, and only then an output gets the item. So whatever is killed at whatever moment, the next
start finds either a task that waits, or a file that has a name and a part to move there. A late attempt finds its own
part only.
"""

import errno
import json
import os
import re
from collections.abc import Iterable
from contextlib import AbstractContextManager, suppress
from functools import partial
from hashlib import blake2b
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from pinpool.errors import SettingsError, StorageError
from pinpool.fetch.file_names import candidates, folded
from pinpool.fetch.part_file import SLOTS, part_path
from pinpool.files import folder_of_files, lock, storing
from pinpool.journal.file_rows import FileRow, add_file, set_placed, unplaced_files, waiting_keys
from pinpool.journal.writer import Journal
from pinpool.model import FILE_STAGE, Download, Ending, Outcome, Task
from pinpool.settings import Settings
from pinpool.spider.items import item_text
from pinpool.text import shown_path

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
_LEFT = re.compile(r"([0-9a-f]{32})-([0-9a-f]+)\.(part|whole|head|draft)")


class FileFolder(NamedTuple):
    """Where the files of a run go, and where their parts lie meanwhile: a hidden folder inside, of this run alone."""

    files: Path
    parts: Path


def file_folder(settings: Settings, journal: Path, salt: bytes) -> FileFolder:
    """The folder that the settings name, relative to the journal's. `salt` is that of the run."""
    files = folder_of_files(journal, settings.files)
    return FileFolder(files, files / f".pinpool-{blake2b(salt, digest_size=6).hexdigest()}")


def check_folder(settings: Settings, journal: Path) -> None:
    """Raise SettingsError if the settings name a folder that can be none."""
    if settings.files is None:
        return
    folder = file_folder(settings, journal, b"").files
    around = next(parent for parent in (folder, *folder.parents) if parent.exists() or parent.is_symlink())
    name = shown_path(folder)
    if not around.is_dir():
        raise SettingsError(f"files: {name} cannot be a folder, {shown_path(around)} is a file: name another with -d")
    if not os.access(around, os.W_OK | os.X_OK):
        raise SettingsError(f"files: {name} cannot be written: name another folder with -d")


class NoFiles:
    """Stands for the files of a run that has none."""

    def check(self, outcome: Outcome) -> None:
        """Raise StorageError if a worker could not store a file."""
        if outcome.ending is Ending.UNSTORED:
            raise StorageError(outcome.note)

    def ended(self, task_id: int, task: Task, outcome: Outcome) -> Outcome:
        """The task ends with this outcome, returned with the item of its file. Call it in the group that ends it."""
        return outcome

    def dropped(self, outcome: Outcome) -> None:
        """An answer that counts for nothing: remove its file, unless that has counted before."""


class FileStore(NoFiles):
    """
    The files of one start of a run. A context: at its start it does what a killed one has left to do, and at its end it
    moves all named files to their places.

    Its methods raise StorageError if the disk or the folder does not take a file; the run can be resumed then.
    """

    def __init__(self, journal: Journal, folder: FileFolder) -> None:
        self._journal = journal
        self._folder, self.parts = folder
        self._claim: int | None = None
        self._named: dict[str, FileRow] = {}  # by part: named, and not moved yet
        self._over: set[str] = set()  # keys of tasks that have ended

    def __enter__(self) -> Self:
        self._recover()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.finish()
            else:
                with suppress(StorageError):  # what ended the run says enough; the next start does it
                    self._journal.commit()
                    self._place_recorded()  # not what the failed group held
        finally:
            if self._claim is not None:
                os.close(self._claim)

    def _recover(self) -> None:
        """Bring to an end what a killed start has left: move named files, keep the parts of tasks that wait."""
        self._place_recorded()
        self._sweep()

    def _place_recorded(self) -> None:
        self._named = {row.part: row for row in self._journal.write(unplaced_files)}
        self.place()

    def ended(self, task_id: int, task: Task, outcome: Outcome) -> Outcome:
        if task.stage != FILE_STAGE:
            return outcome
        self._over.add(task.key.hex())
        if outcome.file is None:
            return outcome
        self._hold_folder()
        names = (name for name in candidates(outcome.file.name, task.key) if not self._is_there(name))
        row = self._journal.write(partial(add_file, task=task_id, file=outcome.file, names=names, folded=folded))
        self._named[row.part] = row
        return outcome._replace(items=(_item(task, outcome.file, row.name),))

    def dropped(self, outcome: Outcome) -> None:
        if outcome.file is not None and outcome.file.part not in self._named:
            with self._storing():
                self._remove(outcome.file.part)

    def place(self) -> None:
        """Move the named files to their places. Their names must be durable: call it right after a commit."""
        if not self._named and not self._over:
            return
        with self._storing():
            for row in self._named.values():
                self._move(row)
            self._remove_slots(self._over)
        if self._named:
            _make_durable(self._folder)
            self._journal.write(partial(set_placed, tasks=[row.task for row in self._named.values()]))
        self._named.clear()
        self._over.clear()

    def finish(self) -> None:
        """Commit, move what is left, and tidy up. No worker may run any more."""
        self._journal.commit()
        self.place()
        self._sweep()

    def _move(self, row: FileRow) -> None:
        part, target = self.parts / row.part, self._folder / row.name
        try:
            try:
                os.link(part, target, follow_symlinks=False)
            except FileNotFoundError:
                raise
            except FileExistsError:
                if not part.exists() or not os.path.samestat(part.lstat(), target.lstat()):
                    raise
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                if os.path.lexists(target):
                    raise FileExistsError(error.errno, "exists", str(target)) from None
                part.rename(target)
        except FileExistsError:
            name = shown_path(target)
            raise StorageError(
                f"{name}: somebody has put this there meanwhile: move it away, then `pinpool resume`"
            ) from None
        except FileNotFoundError:
            # It was moved before a kill.
            if not target.is_file() or target.lstat().st_size != row.size:
                name, lost = shown_path(target), shown_path(part)
                raise StorageError(
                    f"{name}: the file is lost, {lost} was removed: put it back, or start again"
                ) from None
        self._remove(row.part)

    def _remove(self, part: str) -> None:
        for path in (self.parts / part, (self.parts / part).with_suffix(".head")):
            path.unlink(missing_ok=True)

    def _remove_slots(self, keys: Iterable[str]) -> None:
        """What other attempts of these tasks have left. One that still writes to it will notice."""
        for key in keys:
            missing = 0
            for slot in range(SLOTS):
                path = part_path(self.parts, key, slot)
                missing = 0 if path.exists() else missing + 1
                if missing > 1:
                    break  # they are taken in their order, and the first may have become the whole file
                for left in (path, path.with_suffix(".head")):
                    left.unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Remove what is of no use to a task that waits. A whole part of such a task is gone on with."""
        with self._storing():
            if not self.parts.is_dir() or self.parts.is_symlink():
                return
            names = sorted(path.name for path in self.parts.iterdir())
            left = [found for found in map(_LEFT.fullmatch, names) if found]
            waiting = self._journal.write(partial(waiting_keys, keys={bytes.fromhex(found[1]) for found in left}))
            for key, files in groupby(left, key=lambda found: found[1]):
                if bytes.fromhex(key) in waiting:
                    self._keep_best(key, [found[0] for found in files])
                else:
                    for found in files:
                        (self.parts / found[0]).unlink(missing_ok=True)
            with suppress(OSError):  # it holds parts
                self.parts.rmdir()

    def _keep_best(self, key: str, names: list[str]) -> None:
        """Of all parts of a task that waits, the largest becomes that of its first slot."""
        parts = [self.parts / name for name in names if name.endswith((".part", ".whole"))]
        usable = [part for part in parts if part.with_suffix(".head").exists()]
        best = max(usable, key=lambda part: part.stat().st_size, default=None)
        for name in names:
            path = self.parts / name
            if best is None or path not in (best, best.with_suffix(".head")):
                path.unlink(missing_ok=True)
        first = part_path(self.parts, key, 0)
        if best is not None and best != first:
            best.with_suffix(".head").replace(first.with_suffix(".head"))
            best.replace(first)

    def _is_there(self, name: str) -> bool:
        return os.path.lexists(self._folder / name)

    def _hold_folder(self) -> None:
        """Claim the folder: two runs at a time would take each other's names."""
        if self._claim is not None:
            return
        with self._storing():
            self._claim = os.open(self._folder, os.O_RDONLY)
            if not lock(self._claim):
                name = shown_path(self._folder)
                raise StorageError(f"{name}: another pinpool stores files there: wait for it, or name a folder with -d")

    def _storing(self) -> AbstractContextManager[None]:
        return storing(shown_path(self._folder), "look at the folder, then do it again, or `pinpool resume`")


def _item(task: Task, file: Download, name: str) -> str:
    own = {"path": name, "sha256": file.sha256, "size": file.size, "type": file.type}
    try:
        return item_text({"url": task.url, **json.loads(file.data), **own})
    except ValueError:  # what was handed on is too large with the rest
        return item_text({"url": task.url, **own})


def _make_durable(folder: Path) -> None:
    """Have the disk know the new names in a folder."""
    with suppress(OSError):  # not on every system
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
