"""Which files may be outputs, before a run starts: all faults at once, and nothing is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from pinpool.errors import SettingsError
from pinpool.output.outputs import check_targets
from pinpool.output.target import Target


def test_all_targets_that_cannot_be_opened_are_told_at_once(tmp_path: Path) -> None:
    kept = tmp_path / "kept.jsonl"
    kept.write_text("old\n")
    targets = [
        Target(str(kept), "jsonl", overwrite=True),
        Target(str(tmp_path), "jsonl"),
        Target(str(tmp_path / "no" / "items.csv"), "csv"),
        Target(str(tmp_path / ("x" * 300)), "csv"),
        Target(str(kept), "csv"),
    ]

    with pytest.raises(SettingsError) as caught:
        check_targets(targets)

    directory, missing, long, twice = caught.value.problems
    assert "Is a directory" in directory
    assert "No such file or directory" in missing
    assert "File name too long" in long
    assert "named twice" in twice
    assert kept.read_text() == "old\n"


@pytest.mark.parametrize("what", ["the journal", "the list of proxies", "the spider"])
def test_no_target_is_a_file_that_the_run_lives_on_and_a_link_is_no_second_file(tmp_path: Path, what: str) -> None:
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


def test_no_target_is_a_side_file_of_the_journal(tmp_path: Path) -> None:
    for name in ("movies.db-wal", "movies.db-shm", ".movies.db.claim"):
        target = Target(str(tmp_path / name), "jsonl", overwrite=True)
        with pytest.raises(SettingsError, match="is one of the journal's side files: name another file"):
            check_targets([target], {"the journal": tmp_path / "movies.db"})

    assert list(tmp_path.iterdir()) == []


def test_a_check_leaves_a_link_whose_file_is_not_there_yet_as_it_is(tmp_path: Path) -> None:
    link = tmp_path / "link.jsonl"
    link.symlink_to(tmp_path / "items.jsonl")

    check_targets([Target(str(link), "jsonl")])

    assert link.is_symlink()
    assert not link.exists()


def test_a_list_of_proxies_that_is_text_and_not_a_file_is_no_hindrance(tmp_path: Path) -> None:
    """As the variable PINPOOL_PROXIES may hold it, longer than any file name."""
    text = "http://alice:wonder@192.0.2.1:8080\n" * 100

    assert check_targets([Target(str(tmp_path / "items.jsonl"), "jsonl")], {"the list": text}) == []
