"""Each item once in each file: while the run goes on, at its end, after kills, and whatever others did to the files."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from pytest import CaptureFixture, MonkeyPatch

from journals import START, answered, done, finish_work, item, killed_writer, new_journal, task
from outputs import films, full_disk, store
from pinpool.errors import SettingsError, StorageError
from pinpool.journal.reader import Reader
from pinpool.journal.records import Mark
from pinpool.journal.writer import Journal
from pinpool.output.format import ItemRow
from pinpool.output.jsonl import JsonLines
from pinpool.output.outputs import Outputs
from pinpool.output.target import Target, parse_target


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with new_journal(tmp_path / "movies.db", *(task(str(n)) for n in range(1, 20))) as journal:
        yield journal


def test_a_mark_of_a_format_that_is_not_known_is_told_and_makes_way_for_a_new_file(
    tmp_path: Path, journal: Journal
) -> None:
    """The journal may come from another version of pinpool."""
    old, new = tmp_path / "items.xml", tmp_path / "new.jsonl"
    store(journal, 1)
    journal.output(Mark(str(old), "xml", 0, 0, 0))

    with pytest.raises(SettingsError, match=r"items\.xml: its format 'xml' is not known: .*another file with -o"):
        Outputs(journal)
    with Outputs(journal, [Target(str(new), "jsonl")]) as outputs:
        outputs.finish()

    assert new.read_text() == films(1)
    assert [mark.path for mark in journal.outputs()] == [str(new)]


def test_items_reach_the_file_as_they_are_committed(tmp_path: Path, journal: Journal) -> None:
    path = tmp_path / "items.jsonl"

    with Outputs(journal, [Target(str(path), "jsonl")]) as outputs:
        store(journal, 2)
        outputs.advance()
        assert path.read_text() == films(2)

        store(journal, 1)
        store(journal, 3)
        outputs.advance()
        outputs.advance()
        assert path.read_text() == films(2, 1, 3)


def test_appending_keeps_what_is_there_and_ends_its_last_line(tmp_path: Path, journal: Journal) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text('{"title": "before"}')

    with Outputs(journal, [Target(str(path), "jsonl")]) as outputs:
        store(journal, 1)
        outputs.finish()

    assert path.read_text() == '{"title": "before"}\n' + films(1)


def test_overwriting_begins_with_the_first_item_of_the_run(tmp_path: Path, journal: Journal) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text("something that is longer than all of the items together\n" * 9)
    store(journal, 1)

    with Outputs(journal, [Target(str(path), "jsonl", overwrite=True)]) as outputs:
        store(journal, 2)
        outputs.finish()

    assert path.read_text() == films(1, 2)


def test_what_no_mark_vouches_for_is_cut_off_and_written_again(tmp_path: Path, journal: Journal) -> None:
    """A kill between the write and the commit of its mark, in the middle of a line."""
    path = tmp_path / "items.jsonl"
    path.write_text("before\n")
    with Outputs(journal, [Target(str(path), "jsonl")]) as outputs:
        store(journal, 1)
        outputs.advance()
        journal.commit()
        store(journal, 2)
        outputs.advance()
        journal._db.rollback()
        store(journal, 3)
    with path.open("a") as file:
        file.write('{"title": "fi')

    with Outputs(journal) as outputs:
        outputs.finish()

    assert path.read_text() == "before\n" + films(1, 2, 3)


@pytest.mark.parametrize(
    ("now", "then"),
    [
        (None, films(1, 2, 3)),
        ("", films(1, 2, 3)),
        ("before\n", "before\n" + films(1, 2, 3)),
        ("before\n" + films(1)[:-5], "before\n" + films(1, 2, 3)),
        ("befo", "befo\n" + films(1, 2, 3)),
        ("sorted anew, with other line ends and a lot of text in one line", None),
    ],
)
def test_a_file_that_was_changed_gets_the_run_from_its_first_item(
    tmp_path: Path, journal: Journal, now: str | None, then: str | None
) -> None:
    """Never a hole: rather a break in the file than an item that is in none."""
    path = tmp_path / "items.jsonl"
    path.write_text("before\n")
    with Outputs(journal, [Target(str(path), "jsonl")]) as outputs:
        store(journal, 1)
        store(journal, 2)
        outputs.finish()
    path.unlink() if now is None else path.write_text(now)

    with Outputs(journal) as outputs:
        store(journal, 3)
        outputs.finish()

    assert path.read_text().endswith(films(1, 2, 3))
    if then is not None:
        assert path.read_text() == then


def test_a_resume_may_name_the_same_file_another_or_none(tmp_path: Path, journal: Journal) -> None:
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    with Outputs(journal, [Target(str(first), "jsonl")]) as outputs:
        store(journal, 1)
        outputs.finish()

    with Outputs(journal, [Target(str(first), "jsonl"), Target(str(second), "jsonl")]) as outputs:
        store(journal, 2)
        outputs.finish()
    with Outputs(journal) as outputs:
        store(journal, 3)
        outputs.finish()

    assert first.read_text() == films(1, 2, 3)
    assert second.read_text() == films(1, 2, 3)


def test_a_resume_may_overwrite_what_an_earlier_start_appended(tmp_path: Path, journal: Journal) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text("before\n")
    store(journal, 1)
    with Outputs(journal, [Target(str(path), "jsonl")]) as outputs:
        outputs.finish()

    with Outputs(journal, [Target(str(path), "jsonl", overwrite=True)]) as outputs:
        outputs.finish()

    assert path.read_text() == films(1)


def test_the_mark_stands_before_the_first_item_and_moves_with_the_file(tmp_path: Path, journal: Journal) -> None:
    """Without it a resume would take what the run has written for somebody else's, and write it again."""
    path = tmp_path / "items.jsonl"
    path.write_text("before\n")

    with Outputs(journal, [Target(str(path), "jsonl")]) as outputs:
        journal._db.rollback()
        assert journal.outputs() == [Mark(str(path), "jsonl", 7, 7, 0)]

        store(journal, 1)
        outputs.finish()

    journal._db.rollback()
    assert journal.outputs() == [Mark(str(path), "jsonl", 7, path.stat().st_size, 1)]


def test_only_what_is_durable_in_the_journal_reaches_a_file(
    tmp_path: Path, journal: Journal, monkeypatch: MonkeyPatch
) -> None:
    states: list[bool] = []
    read = journal.items_after

    def watched(item: int, limit: int, *, replaced: bool = False) -> list[ItemRow]:
        states.append(journal._db.in_transaction)
        return read(item, limit, replaced=replaced)

    monkeypatch.setattr(journal, "items_after", watched)
    with Outputs(journal, [Target(str(tmp_path / "items.jsonl"), "jsonl")]) as outputs:
        journal.settle(done(1, answered(item("film 1"))), START)
        outputs.finish()

    assert states
    assert not any(states)


def test_stdout_gets_what_is_stored_from_now_on(journal: Journal, capfdbinary: CaptureFixture[bytes]) -> None:
    store(journal, 1)

    with Outputs(journal, [parse_target("-")]) as outputs:
        store(journal, 2)
        outputs.advance()
        assert capfdbinary.readouterr().out == films(2).encode()
        store(journal, 3)
        outputs.finish()

    assert capfdbinary.readouterr().out == films(3).encode()
    assert journal.outputs() == []


def test_a_pipe_is_a_stream_and_is_not_marked(tmp_path: Path, journal: Journal) -> None:
    pipe = tmp_path / "pipe.jsonl"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()

    with Outputs(journal, [Target(str(pipe), "jsonl", overwrite=True)]) as outputs:
        store(journal, 1)
        outputs.finish()
    reader.join(timeout=20)

    assert read == [films(1)]
    assert journal.outputs() == []


def test_a_device_is_never_replaced_by_a_file(journal: Journal) -> None:
    before = Path(os.devnull).stat()

    with Outputs(journal, [Target(os.devnull, "csv", overwrite=True)]) as outputs:
        store(journal, 1)
        outputs.finish()

    assert Path(os.devnull).stat().st_ino == before.st_ino


def both(after: int) -> list[ItemRow]:
    return [(number, "detail", item(f"film {number}")) for number in (1, 2) if number > after]


def test_what_a_full_disk_did_not_take_is_not_marked(tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    lines = JsonLines(Mark(str(tmp_path / "items.jsonl"), "jsonl", 0, 0, 0))
    lines.advance(lambda after: [(1, "detail", item("film 1"))])
    before = lines.mark

    with monkeypatch.context() as broken, pytest.raises(StorageError):
        broken.setattr(lines._file, "flush", full_disk, raising=False)
        lines.advance(lambda after: [(2, "detail", item("film 2"))])

    assert lines.mark == before
    lines.close()
    JsonLines.resume(before, both).finish(both)
    assert (tmp_path / "items.jsonl").read_text() == films(1, 2)


@pytest.mark.parametrize("moment", range(5))
def test_a_kill_at_any_moment_leaves_each_item_in_the_file_once(tmp_path: Path, moment: int) -> None:
    """Promise 2, for the file."""
    path, output = tmp_path / "movies.db", tmp_path / "items.jsonl"
    output.write_text("before\n")
    killed_writer(path, Random(100 + moment), output)

    finish_work(path, output)

    with Reader(path) as reader:
        items = [text for _, _, text in reader.items()]
    assert len(items) == 400
    assert output.read_text().splitlines() == ["before", *items]


def test_what_another_run_has_added_is_not_cut_off(tmp_path: Path, journal: Journal) -> None:
    path = tmp_path / "items.jsonl"
    with Outputs(journal, [Target(str(path), "jsonl")]) as outputs:
        store(journal, 1)
        outputs.finish()
    with path.open("a") as file:
        file.write(films(18, 19)[:-1])

    with Outputs(journal) as outputs:
        store(journal, 2)
        outputs.finish()
    with Outputs(journal) as outputs:
        store(journal, 3)
        outputs.finish()

    assert path.read_text() == films(18, 19, 1, 2, 3)


@pytest.mark.parametrize(
    ("now", "then"),
    [
        (films(19), films(19, 1, 2, 3)),
        (films(1), films(1, 2, 3)),
        (films(1)[:-4], films(1, 2, 3)),
        ("", films(1, 2, 3)),
    ],
)
def test_a_file_that_has_become_shorter_is_begun_anew_only_if_it_is_ours(
    tmp_path: Path, journal: Journal, now: str, then: str
) -> None:
    path = tmp_path / "items.jsonl"
    with Outputs(journal, [Target(str(path), "jsonl")]) as outputs:
        store(journal, 1)
        store(journal, 2)
        outputs.finish()
    path.write_text(now)

    with Outputs(journal) as outputs:
        store(journal, 3)
        outputs.finish()

    assert path.read_text() == then


def test_an_output_that_cannot_be_opened_any_more_makes_way_for_a_new_one(tmp_path: Path, journal: Journal) -> None:
    folder, new = tmp_path / "disk", tmp_path / "new.jsonl"
    folder.mkdir()
    store(journal, 1)
    with Outputs(journal, [Target(str(folder / "items.jsonl"), "jsonl")]) as outputs:
        outputs.finish()
    folder.rename(tmp_path / "gone")

    with pytest.raises(SettingsError, match="name another file with -o"):
        Outputs(journal)
    with Outputs(journal, [Target(str(new), "jsonl")]) as outputs:
        outputs.finish()

    assert new.read_text() == films(1)
    assert [mark.path for mark in journal.outputs()] == [str(new)]


def test_a_table_that_lacks_a_column_stops_no_other_and_makes_way_for_a_new_one(
    tmp_path: Path, journal: Journal
) -> None:
    bad, good, new = tmp_path / "bad.csv", tmp_path / "good.csv", tmp_path / "new.csv"
    bad.write_text("title\nx\n")
    journal.settle(done(1, answered('{"title": "a", "year": 1994}')), START)

    with (
        pytest.raises(StorageError, match=r"bad\.csv: has no column for year"),
        Outputs(journal, [Target(str(bad), "csv"), Target(str(good), "csv")]) as outputs,
    ):
        outputs.finish()
    before = good.read_text()
    with Outputs(journal, [Target(str(new), "csv", overwrite=True)]) as outputs:
        outputs.finish()

    assert before == good.read_text() == new.read_text() == "title,year\na,1994\n"
    assert bad.read_text() == "title\nx\n"
    assert {mark.path for mark in journal.outputs()} == {str(good), str(new)}


def test_a_link_to_an_earlier_output_is_that_output(tmp_path: Path, journal: Journal) -> None:
    path, link = tmp_path / "items.jsonl", tmp_path / "link.jsonl"
    link.symlink_to(path)
    store(journal, 1)
    with Outputs(journal, [Target(str(path), "jsonl")]) as outputs:
        outputs.finish()

    with Outputs(journal, [Target(str(link), "jsonl")]) as outputs:
        store(journal, 2)
        outputs.finish()

    assert path.read_text() == films(1, 2)
    assert [mark.path for mark in journal.outputs()] == [str(path)]
