"""What other programs, and other pinpools, do to an output while a run writes it. The journal has every item."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from journals import item, new_journal, task
from outputs import films, read_parquet, store
from pinpool.errors import SettingsError, StorageError
from pinpool.files import replacing
from pinpool.journal.writer import Journal
from pinpool.output.outputs import Outputs, check_targets, write_all
from pinpool.output.target import Target, parse_target


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with new_journal(tmp_path / "movies.db", *(task(str(n)) for n in range(1, 20))) as journal:
        yield journal


def hard_link(path: Path) -> Path:
    link = path.with_name("link.jsonl")
    link.hardlink_to(path)
    return link


def symbolic_link(path: Path) -> Path:
    link = path.with_name("link.jsonl")
    link.symlink_to(path)
    return link


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "parquet", "sqlite"])
@pytest.mark.parametrize("other_name", [lambda path: path, hard_link, symbolic_link], ids=["same", "hard", "symbolic"])
def test_a_file_that_a_run_writes_is_refused_to_another_by_whatever_name(
    tmp_path: Path, journal: Journal, kind: str, other_name: Callable[[Path], Path]
) -> None:
    path = tmp_path / "items"
    with Outputs(journal, [Target(str(path), kind)]):
        target = Target(str(other_name(path)), kind)
        with pytest.raises(SettingsError, match="another pinpool is writing it: wait for it, or name another file"):
            check_targets([target])
        with (
            new_journal(tmp_path / "other.db") as second,
            pytest.raises(SettingsError, match="another pinpool is writing it"),
        ):
            Outputs(second, [target])

    check_targets([target])


HOLDER = """
import os, sys
from pinpool.output.streams import open_output
file = open_output(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


def test_a_claim_ends_with_its_process_however_that_ends(tmp_path: Path) -> None:
    target = Target(str(tmp_path / "items.jsonl"), "jsonl")
    command = [sys.executable, "-c", HOLDER, target.path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(SettingsError, match="another pinpool"):
            check_targets([target])

        holder.kill()
        holder.wait(timeout=20)

    check_targets([target])


def truncated(path: Path) -> None:
    os.truncate(path, 0)


def cut_within_a_line(path: Path) -> None:
    os.truncate(path, 30)


def deleted(path: Path) -> None:
    path.unlink()


def renamed(path: Path) -> None:
    path.rename(path.with_name("moved"))


@pytest.mark.parametrize("attack", [truncated, cut_within_a_line, deleted, renamed])
@pytest.mark.parametrize("before", ["", "stranger\n"])
def test_lines_that_are_lost_during_a_run_are_written_again(
    tmp_path: Path, journal: Journal, attack: Callable[[Path], None], before: str
) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text(before)
    with Outputs(journal, [Target(str(path), "jsonl")]) as outputs:
        store(journal, 1)
        store(journal, 2)
        outputs.advance()
        attack(path)
        store(journal, 3)
        outputs.advance()
        lines = path.read_text()
        store(journal, 4)
        outputs.finish()

    assert lines.removeprefix(before) == films(1, 2, 3)
    assert path.read_text().removeprefix(before) == films(1, 2, 3, 4)


def replaced(path: Path) -> None:
    path.with_name("new").write_text("stranger\n")
    path.with_name("new").rename(path)


def appended(path: Path) -> None:
    with path.open("a") as file:
        file.write("stranger\n")


def put_between(path: Path) -> None:
    first, *others = path.read_text().splitlines(keepends=True)
    path.write_text("".join([first, "stranger\n", *others]))


@pytest.mark.parametrize("attack", [replaced, appended, put_between])
@pytest.mark.parametrize("later", [True, False], ids=["in mid-run", "at its end"])
def test_lines_of_others_are_kept_and_the_runs_own_stand_behind_them_once(
    tmp_path: Path, journal: Journal, attack: Callable[[Path], None], later: bool
) -> None:
    path = tmp_path / "items.jsonl"
    with Outputs(journal, [Target(str(path), "jsonl")]) as outputs:
        store(journal, 1)
        store(journal, 2)
        outputs.advance()
        attack(path)
        if later:
            store(journal, 3)
            outputs.advance()
        outputs.finish()
    with Outputs(journal) as outputs:
        outputs.finish()

    assert path.read_text() == "stranger\n" + films(1, 2, 3)[: None if later else len(films(1, 2))]


def test_a_line_that_was_changed_in_its_place_is_written_again(tmp_path: Path, journal: Journal) -> None:
    path = tmp_path / "items.jsonl"
    with Outputs(journal, [Target(str(path), "jsonl")]) as outputs:
        store(journal, 1)
        store(journal, 2)
        outputs.advance()
        with path.open("r+b") as file:
            file.write(bytes(5))
        outputs.finish()

    assert path.read_text().endswith("\n" + films(1, 2))


def test_a_file_whose_folder_is_gone_is_told_at_the_next_commit(tmp_path: Path, journal: Journal) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    with Outputs(journal, [Target(str(folder / "items.jsonl"), "jsonl")]) as outputs:
        store(journal, 1)
        folder.rename(tmp_path / "gone")
        with pytest.raises(StorageError, match=r"items\.jsonl: cannot be written \(No such file or directory\)"):
            outputs.advance()


@pytest.mark.parametrize("attack", [truncated, deleted, renamed])
def test_a_table_that_is_lost_during_a_run_is_there_at_its_end(
    tmp_path: Path, journal: Journal, attack: Callable[[Path], None]
) -> None:
    path = tmp_path / "items.csv"
    with Outputs(journal, [Target(str(path), "csv")]) as outputs:
        store(journal, 1)
        outputs.advance()
        attack(path)
        outputs.finish()

    assert path.read_text() == "title\nfilm 1\n"


def test_a_table_gets_its_rows_behind_those_that_others_wrote_meanwhile(tmp_path: Path, journal: Journal) -> None:
    path = tmp_path / "items.csv"
    with Outputs(journal, [Target(str(path), "csv")]) as outputs:
        store(journal, 1)
        path.write_text('title\n"two\nlines"\n')
        outputs.finish()
    with path.open("a") as file:
        file.write("another\n")
    with Outputs(journal) as outputs:
        store(journal, 2)
        outputs.finish()

    assert path.read_bytes().decode() == 'title\n"two\nlines"\nanother\nfilm 1\r\nfilm 2\r\n'


def test_a_table_that_cannot_be_added_to_is_not_put_in_the_place_of_what_others_wrote(
    tmp_path: Path, journal: Journal
) -> None:
    path, new = tmp_path / "items.parquet", tmp_path / "new.parquet"
    store(journal, 1)
    with (
        pytest.raises(StorageError, match="another program has written to it, and Parquet cannot be added to"),
        Outputs(journal, [Target(str(path), "parquet")]) as outputs,
    ):
        path.write_text("stranger")
        outputs.finish()
    with Outputs(journal, [Target(str(new), "parquet")]) as outputs:
        outputs.finish()

    assert path.read_text() == "stranger"
    assert read_parquet(new)[1] == [("film 1",)]


def test_what_a_killed_writer_left_beside_a_file_goes_when_the_next_one_claims_it(tmp_path: Path) -> None:
    path, others = tmp_path / "items.csv", tmp_path / ".items.csv.bak.part"
    others.touch()
    with replacing(path) as part:
        part.write_text("half")
        left = part.with_name(f"{part.name}.abc.jsonl")
        part.rename(left)
        part.touch()
    assert left.exists()

    write_all(parse_target(str(path), overwrite=True), lambda: [(1, "detail", item("a"))])

    assert set(tmp_path.iterdir()) == {path, others}


def test_what_a_run_appends_to_is_told(tmp_path: Path, journal: Journal) -> None:
    path, said = tmp_path / "items.jsonl", list[str]()
    path.write_text(films(1, 2))

    for overwrite in (False, True):
        with Outputs(journal, [Target(str(path), "jsonl", overwrite)], said.append):
            pass
    with Outputs(journal, (), said.append):
        pass

    assert said == [f"appends to {path}, which has 2 lines"]
