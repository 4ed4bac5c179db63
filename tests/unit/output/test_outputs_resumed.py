"""Output files between two starts of a run: what others did to them, and what makes way for another file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from journals import START, answered, done, item, new_journal, task
from pinpool.errors import SettingsError, StorageError
from pinpool.journal.writer import Journal
from pinpool.output.outputs import Outputs
from pinpool.output.target import Target


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

    assert path.read_text() == films(1, 18, 19, 2, 3)


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


def test_an_output_that_cannot_be_opened_any_more_makes_way_for_a_new_one(
    tmp_path: Path, journal: Journal
) -> None:
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
