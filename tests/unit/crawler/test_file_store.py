"""The parent's side of downloaded files: names, places, and what late attempts and killed runs leave."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from journals import START, new_journal
from pinpool.crawler.file_store import FileFolder, FileStore, check_folder, file_folder
from pinpool.errors import SettingsError, StorageError
from pinpool.fetch.part_file import Kept, PartFile, boot
from pinpool.journal.records import Settlement
from pinpool.journal.writer import Journal
from pinpool.model import Download, Ending, Outcome, Task, TaskState
from pinpool.settings import Settings
from pinpool.tasks import file_task

URLS = [f"http://site.test/{n}/report.pdf" for n in range(4)]


@pytest.fixture
def folder(tmp_path: Path) -> FileFolder:
    return FileFolder(tmp_path / "files", tmp_path / "files" / ".parts")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with new_journal(tmp_path / "run.db", *map(file_task, URLS)) as made:
        yield made


@pytest.fixture
def store(journal: Journal, folder: FileFolder) -> Iterator[FileStore]:
    with FileStore(journal, folder) as made:
        yield made


def downloaded(folder: FileFolder, task: Task, name: str = "report.pdf", body: bytes = b"body") -> Outcome:
    """What a worker leaves and says of a whole file."""
    part = PartFile.hold(folder.parts, task.key)
    assert part is not None
    with part:
        part.restart(Kept(task.url, task.url, '"1"', len(body), {}, boot()))
        part.append(body)
        digest = part.digest()
        whole = part.finish()
    assert whole is not None
    file = Download(whole, name, digest, len(body), "application/pdf")
    return Outcome(1, 7, 1, Ending.OK, START, 0.2, 200, len(body), file=file)


def end(store: FileStore, journal: Journal, number: int, outcome: Outcome) -> dict[str, object]:
    """The task `number` ends with the outcome, in the journal as in the folder. Returns its item."""
    task = file_task(URLS[number - 1])
    outcome = store.ended(number, task, outcome)
    journal.settle(Settlement(number, outcome, None, False, TaskState.DONE), START)
    journal.commit()
    store.place()
    item: dict[str, object] = json.loads(outcome.items[0])
    return item


def names(folder: FileFolder) -> list[str]:
    return sorted(path.name for path in folder.files.iterdir() if not path.name.startswith("."))


def test_a_file_stands_under_its_name_and_nothing_is_left_of_its_part(
    store: FileStore, journal: Journal, folder: FileFolder
) -> None:
    item = end(store, journal, 1, downloaded(folder, file_task(URLS[0])))

    assert (folder.files / "report.pdf").read_bytes() == b"body"
    assert item == {
        "url": URLS[0],
        "path": "report.pdf",
        "sha256": "230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5",
        "size": 4,
        "type": "application/pdf",
    }
    assert list(folder.parts.iterdir()) == []


def test_before_the_commit_the_file_has_no_name(store: FileStore, folder: FileFolder) -> None:
    """Else a kill would leave a file that no run knows of."""
    store.ended(1, file_task(URLS[0]), downloaded(folder, file_task(URLS[0])))

    assert names(folder) == []


def test_files_of_one_name_all_stay(store: FileStore, journal: Journal, folder: FileFolder) -> None:
    wanted = ["report.pdf", "report.pdf", "REPORT.PDF", "report.pdf"]
    items = [
        end(store, journal, n, downloaded(folder, file_task(URLS[n - 1]), name, body=b"%d" % n))
        for n, name in enumerate(wanted, 1)
    ]

    assert len({str(item["path"]).casefold() for item in items}) == 4
    assert [(folder.files / str(item["path"])).read_bytes() for item in items] == [b"1", b"2", b"3", b"4"]


@pytest.mark.parametrize("in_the_way", ["file", "folder", "link", "dead link"])
def test_whatever_stands_there_already_stays(
    store: FileStore, journal: Journal, folder: FileFolder, tmp_path: Path, in_the_way: str
) -> None:
    folder.files.mkdir()
    place, mine = folder.files / "report.pdf", tmp_path / "mine"
    mine.write_text("precious")
    match in_the_way:
        case "file":
            place.write_text("precious")
        case "folder":
            place.mkdir()
        case "link":
            place.symlink_to(mine)
        case _:
            place.symlink_to(tmp_path / "nowhere")

    item = end(store, journal, 1, downloaded(folder, file_task(URLS[0])))

    assert item["path"] != "report.pdf"
    assert (folder.files / str(item["path"])).read_bytes() == b"body"
    assert mine.read_text() == "precious"
    assert not (tmp_path / "nowhere").exists()


def test_what_comes_between_the_name_and_the_place_stops_the_run_and_stays(
    store: FileStore, journal: Journal, folder: FileFolder
) -> None:
    task = file_task(URLS[0])
    outcome = store.ended(1, task, downloaded(folder, task))
    journal.settle(Settlement(1, outcome, None, False, TaskState.DONE), START)
    journal.commit()
    (folder.files / "report.pdf").write_text("precious")

    with pytest.raises(StorageError, match="move it away"):
        store.place()
    assert (folder.files / "report.pdf").read_text() == "precious"

    (folder.files / "report.pdf").unlink()
    store.place()
    assert (folder.files / "report.pdf").read_bytes() == b"body"


def test_without_hard_links_a_file_moves_all_the_same(
    store: FileStore, journal: Journal, folder: FileFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    end(store, journal, 1, downloaded(folder, file_task(URLS[0])))

    assert (folder.files / "report.pdf").read_bytes() == b"body"


def test_a_late_attempt_leaves_the_winners_file_alone(store: FileStore, journal: Journal, folder: FileFolder) -> None:
    task = file_task(URLS[0])
    first, late = downloaded(folder, task), downloaded(folder, task, body=b"late")
    ended = store.ended(1, task, first)

    store.dropped(late)
    store.dropped(first)  # an answer may come twice
    journal.settle(Settlement(1, ended, None, False, TaskState.DONE), START)
    journal.commit()
    store.place()

    assert (folder.files / "report.pdf").read_bytes() == b"body"
    assert list(folder.parts.iterdir()) == []


def test_an_attempt_that_still_writes_notices_the_end(store: FileStore, journal: Journal, folder: FileFolder) -> None:
    task = file_task(URLS[0])
    outcome = downloaded(folder, task)
    with PartFile.hold(folder.parts, task.key) as other:  # type: ignore[union-attr]
        end(store, journal, 1, outcome)

        assert other.removed


def test_the_parts_of_a_task_that_waits_are_gone_on_with(journal: Journal, folder: FileFolder) -> None:
    """A killed run: one task's file was whole but not settled, another's half, and one had ended without a file."""
    whole, half, ended = map(file_task, URLS[:3])
    downloaded(folder, whole, body=b"whole")
    for task, body in ((half, b"half"), (ended, b"gone")):
        with PartFile.hold(folder.parts, task.key) as part:  # type: ignore[union-attr]
            part.restart(Kept(task.url, task.url, '"1"', 9, {}, boot()))
            part.append(body)
    journal.settle(Settlement(3, Outcome(1, 7, 1, Ending.GONE, START, 0.1, 404), None, False, TaskState.GONE), START)
    journal.commit()

    with FileStore(journal, folder):
        for task, body in ((whole, b"whole"), (half, b"half")):
            with PartFile.hold(folder.parts, task.key) as part:  # type: ignore[union-attr]
                assert part.kept() is not None
                assert part.first(9) == body
        assert len(list(folder.parts.iterdir())) == 4


def test_another_pinpool_cannot_store_in_the_same_folder(
    store: FileStore, journal: Journal, folder: FileFolder, tmp_path: Path
) -> None:
    end(store, journal, 1, downloaded(folder, file_task(URLS[0])))

    with new_journal(tmp_path / "other.db", file_task(URLS[1])) as other_journal:
        other = FileStore(other_journal, folder)
        with pytest.raises(StorageError, match="another pinpool"):
            other.ended(1, file_task(URLS[1]), downloaded(folder, file_task(URLS[1])))


def test_the_folder_is_named_after_the_journal_unless_a_setting_names_another(tmp_path: Path) -> None:
    journal = tmp_path / "movies.db"

    assert file_folder(Settings(), journal, b"s").files == tmp_path / "movies.files"
    assert file_folder(Settings(files="pdfs"), journal, b"s").files == tmp_path / "pdfs"
    assert file_folder(Settings(), journal, b"s").parts != file_folder(Settings(), journal, b"t").parts


def test_what_can_be_no_folder_is_said_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")

    with pytest.raises(SettingsError, match="cannot be a folder"):
        check_folder(Settings(files="taken/files"), tmp_path / "run.db")
    check_folder(Settings(files="new/files"), tmp_path / "run.db")


def test_a_file_whose_end_the_journal_did_not_take_stays_a_part(journal: Journal, folder: FileFolder) -> None:
    """Else the folder would have a file that no run knows of, and get it once more."""
    task = file_task(URLS[0])

    with pytest.raises(StorageError, match="disk"), FileStore(journal, folder) as store:
        store.ended(1, task, downloaded(folder, task))
        journal._take_back()
        raise StorageError("the disk is full")

    assert names(folder) == []
    with FileStore(journal, folder), PartFile.hold(folder.parts, task.key) as part:  # type: ignore[union-attr]
        assert part.first(9) == b"body"
