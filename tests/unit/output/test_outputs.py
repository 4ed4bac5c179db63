from __future__ import annotations

import csv
import errno
import io
import json
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from pytest import CaptureFixture, MonkeyPatch

from journals import START, answered, done, finish_work, item, killed_writer, new_journal, task
from pinpool.errors import SettingsError, StorageError
from pinpool.journal.reader import Reader
from pinpool.journal.records import Mark
from pinpool.journal.writer import Journal
from pinpool.output.format import ItemRow
from pinpool.output.jsonl import JsonLines
from pinpool.output.outputs import Outputs, check_targets, write_all
from pinpool.output.target import Target, parse_target


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with new_journal(tmp_path / "movies.db", *(task(str(n)) for n in range(1, 20))) as journal:
        yield journal


def store(journal: Journal, number: int) -> None:
    """Film number such and such is scraped."""
    journal.settle(done(number, answered(item(f"film {number}"))), START)
    journal.commit()


def films(*numbers: int) -> str:
    return "".join(item(f"film {number}") + "\n" for number in numbers)


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# ------------------------------------------------------------------------------------------------- targets


def test_a_proxy_typed_in_place_of_an_output_is_not_repeated() -> None:
    with pytest.raises(SettingsError) as caught:
        parse_target("http://alice:wonder@192.0.2.1:8080")

    assert "wonder" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("items.jsonl", Target("items.jsonl", "jsonl")),
        ("films/items.CSV", Target("films/items.CSV", "csv")),
        ("x.out:csv", Target("x.out", "csv")),
        ("x.csv:jsonl", Target("x.csv", "jsonl")),
        ("-", Target("-", "jsonl")),
        ("-:CSV", Target("-", "csv")),
        ("a:b.jsonl", Target("a:b.jsonl", "jsonl")),
    ],
)
def test_the_format_is_named_or_read_off_the_ending(text: str, target: Target) -> None:
    assert parse_target(text) == target
    assert parse_target(text, overwrite=True).overwrite


@pytest.mark.parametrize(
    "text", ["items", "items.xml", "items.jsonl:xml", "items.feather", "", ":csv", "csv"]
)
def test_an_unknown_format_is_refused_with_those_that_work(text: str) -> None:
    with pytest.raises(SettingsError, match=r"end it in \.jsonl, \.csv or \.parquet, or add :jsonl"):
        parse_target(text)


def test_all_targets_that_cannot_be_opened_are_told_at_once(tmp_path: Path) -> None:
    kept = tmp_path / "kept.jsonl"
    kept.write_text("old\n")
    targets = [
        Target(str(kept), "jsonl", overwrite=True),
        Target(str(tmp_path), "jsonl"),
        Target(str(tmp_path / "no" / "items.csv"), "csv"),
        Target(str(kept), "csv"),
    ]

    with pytest.raises(SettingsError) as caught:
        check_targets(targets)

    directory, missing, twice = caught.value.problems
    assert "Is a directory" in directory
    assert "No such file or directory" in missing
    assert "named twice" in twice
    assert kept.read_text() == "old\n"


@pytest.mark.parametrize("what", ["the journal", "the list of proxies", "the spider"])
def test_no_target_is_a_file_that_the_run_lives_on_and_a_link_is_no_second_file(
    tmp_path: Path, what: str
) -> None:
    mine, link = tmp_path / "mine", tmp_path / "link"
    mine.write_text("precious\n")
    link.symlink_to(mine)

    for path in (mine, link):
        with pytest.raises(SettingsError) as caught:
            check_targets([Target(str(path), "csv", overwrite=True)], {what: str(mine)})
        assert caught.value.problems == (f"output {path}: is {what}: name another file",)
    with pytest.raises(SettingsError, match="named twice"):
        check_targets([Target(str(mine), "csv"), Target(str(link), "csv")])

    assert mine.read_text() == "precious\n"


# ---------------------------------------------------------------------------------------------- JSON lines


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


def test_the_mark_stands_before_the_first_item_and_moves_with_the_file(
    tmp_path: Path, journal: Journal
) -> None:
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

    def watched(item: int, limit: int) -> list[ItemRow]:
        states.append(journal._db.in_transaction)
        return read(item, limit)

    monkeypatch.setattr(journal, "items_after", watched)
    with Outputs(journal, [Target(str(tmp_path / "items.jsonl"), "jsonl")]) as outputs:
        journal.settle(done(1, answered(item("film 1"))), START)
        outputs.finish()

    assert states == [False, False]


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


FULL_DISK = Path("/dev/full")


@pytest.mark.skipif(not FULL_DISK.exists(), reason="no device that is always full")
@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_full_disk_is_told_with_the_file_and_the_next_step(journal: Journal, kind: str) -> None:
    store(journal, 1)
    complaint = r"output /dev/full: .*No space left on device.*pinpool resume"

    with pytest.raises(StorageError, match=complaint):
        write_all(Target(str(FULL_DISK), kind), lambda: journal.items_after(0, 9))


def test_what_a_full_disk_did_not_take_is_not_marked(tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    lines = JsonLines.begin(str(tmp_path / "items.jsonl"), overwrite=False)
    lines.write([(1, item("film 1"))])
    before = lines.mark

    with monkeypatch.context() as broken, pytest.raises(StorageError):
        broken.setattr(lines._file, "flush", full_disk, raising=False)
        lines.write([(2, item("film 2"))])

    assert lines.mark == before
    lines.close()
    again = JsonLines.resume(before, lambda after: [(2, item("film 2"))])
    again.write([(2, item("film 2"))])
    again.close()
    assert (tmp_path / "items.jsonl").read_text() == films(1, 2)


@pytest.mark.parametrize("moment", range(5))
def test_a_kill_at_any_moment_leaves_each_item_in_the_file_once(tmp_path: Path, moment: int) -> None:
    """Promise 2, for the file."""
    path, output = tmp_path / "movies.db", tmp_path / "items.jsonl"
    output.write_text("before\n")
    killed_writer(path, Random(100 + moment), output)

    finish_work(path, output)

    with Reader(path) as reader:
        items = [text for _, text in reader.items()]
    assert len(items) == 400
    assert output.read_text().splitlines() == ["before", *items]


# ----------------------------------------------------------------------------------------------------- CSV


def store_all(journal: Journal, *items: dict[str, object]) -> None:
    journal.settle(done(1, answered(*(json.dumps(one) for one in items))), START)
    journal.commit()


def write_csv(journal: Journal, path: Path, *, overwrite: bool = False) -> str:
    with Outputs(journal, [Target(str(path), "csv", overwrite)]) as outputs:
        outputs.finish()
    return path.read_bytes().decode()


def test_the_columns_are_all_fields_in_the_order_in_which_they_came(tmp_path: Path, journal: Journal) -> None:
    store_all(
        journal, {"title": "a", "year": 1994}, {"title": "b", "score": 8.5}, {"good": True, "year": None}
    )

    text = write_csv(journal, tmp_path / "items.csv")

    assert text == "title,year,score,good\r\na,1994,,\r\nb,,8.5,\r\n,,,true\r\n"


def test_a_csv_reader_gets_back_what_the_page_gave(tmp_path: Path, journal: Journal) -> None:
    hostile: dict[str, object] = {"title": 'a "b", c\r\nd\n', "directors": ["张", {"n": 1}], "note": "\ud800"}
    store_all(journal, hostile)

    text = write_csv(journal, tmp_path / "items.csv")

    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert row == {"title": hostile["title"], "directors": '["张", {"n": 1}]', "note": "\\ud800"}


def test_a_table_is_replaced_only_when_the_new_one_is_whole(
    tmp_path: Path, journal: Journal, monkeypatch: MonkeyPatch
) -> None:
    path = tmp_path / "items.csv"
    path.write_text("old\n")
    store_all(journal, {"title": "a"})

    with monkeypatch.context() as broken, pytest.raises(StorageError, match="No space left on device"):
        broken.setattr(os, "fsync", full_disk)
        write_csv(journal, path, overwrite=True)

    assert path.read_text() == "old\n"
    assert {found.name for found in tmp_path.iterdir() if "csv" in found.name} == {"items.csv"}
    assert write_csv(journal, path, overwrite=True) == "title\r\na\r\n"


def test_rows_are_added_under_the_columns_that_are_there(tmp_path: Path, journal: Journal) -> None:
    path = tmp_path / "items.csv"
    path.write_bytes(b"\xef\xbb\xbfyear,title\r\n1993,x")
    store_all(journal, {"title": "a", "year": 1994})

    first = write_csv(journal, path)
    again = write_csv(journal, path)

    assert first.splitlines() == ["\ufeffyear,title", "1993,x", "1994,a"]
    assert again == first, "a resume writes its table anew, and adds none a second time"


def test_a_column_that_is_not_there_is_told_and_nothing_is_lost(tmp_path: Path, journal: Journal) -> None:
    path = tmp_path / "items.csv"
    path.write_text("title\nx\n")
    store_all(journal, {"title": "a", "year": 1994})

    with pytest.raises(StorageError, match=r"has no column for year: name another file"):
        write_csv(journal, path)

    assert path.read_text() == "title\nx\n"


def test_a_run_without_items_gives_an_empty_table(tmp_path: Path, journal: Journal) -> None:
    assert write_csv(journal, tmp_path / "items.csv") == ""


# --------------------------------------------------------------------------------------------- write_all


def many() -> Iterator[ItemRow]:
    return ((number, item(f"film {number}")) for number in range(1, 2501))


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_an_export_writes_all_and_appends_or_overwrites(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"items.{ending}"

    write_all(parse_target(str(path), overwrite=True), many)
    write_all(parse_target(str(path), overwrite=True), many)
    once = path.read_text().splitlines()
    write_all(parse_target(str(path)), many)
    twice = path.read_text().splitlines()

    header = 1 if ending == "csv" else 0
    assert len(once) == 2500 + header
    assert twice == once + once[header:]


@pytest.mark.parametrize("text", ["-", "-:csv"])
def test_an_export_to_stdout_leaves_stdout_open(text: str, capfdbinary: CaptureFixture[bytes]) -> None:
    write_all(parse_target(text), lambda: [(1, item("x"))])
    sys.stdout.write("more\n")
    sys.stdout.flush()

    lines = capfdbinary.readouterr().out.decode().splitlines()

    assert lines in ([item("x"), "more"], ["title", "x", "more"])
