"""A run that ends between its journal and its first item has the outputs that were asked for."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from journals import ABOUT, LABELS, START, task
from outputs import store
from pinpool.journal.writer import Journal
from pinpool.output.outputs import Outputs, first_marks
from pinpool.output.target import Target

OLD = '{"old": 1}\n'


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv", "parquet", "sqlite"])
@pytest.mark.parametrize(("old", "overwrite"), [("", False), (OLD, True)])
def test_what_was_killed_before_it_opened_its_outputs_goes_on_with_them(
    tmp_path: Path, ending: str, old: str, overwrite: bool
) -> None:
    file = tmp_path / f"films.{ending}"
    if old:
        file.write_text(old)
    _killed(tmp_path, Target(str(file), ending, overwrite))
    untouched = file.read_text() if old else ""

    _gone_on(tmp_path)

    assert untouched == old
    assert old.encode() not in (data := file.read_bytes()) or not old
    assert b"film 1" in data


def test_what_others_had_written_stays_also_what_they_add_before_the_run_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "films.jsonl"
    file.write_text(OLD)
    _killed(tmp_path, Target(str(file), "jsonl"))
    file.write_text(OLD * 2)

    _gone_on(tmp_path)

    assert file.read_text().startswith(OLD * 2)
    assert file.read_text().count("\n") == 3


def test_a_stream_is_for_one_start(tmp_path: Path) -> None:
    assert list(first_marks([Target("-", "jsonl"), Target("/dev/null", "csv")])) == []


def _killed(folder: Path, target: Target) -> None:
    with Journal.create(folder / "films.db", ABOUT, START, [task("1")], first_marks([target])) as journal:
        journal.enroll([(label, "abcd") for label in LABELS])


def _gone_on(folder: Path) -> None:
    with Journal.open(folder / "films.db") as journal:
        journal.resume(ABOUT, time.time())
        with Outputs(journal) as outputs:
            store(journal, 1)
            outputs.finish()
