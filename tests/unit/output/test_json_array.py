"""A JSON array of all items, for programs that read one document."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest
from pytest import CaptureFixture

from journals import finish_work, killed_writer, new_journal, task
from outputs import films, store, store_all
from pinpool.errors import SettingsError
from pinpool.journal.reader import Reader
from pinpool.output.outputs import Outputs, check_targets, write_all
from pinpool.output.target import parse_target


def test_the_file_is_one_array_with_an_item_a_line(tmp_path: Path) -> None:
    path = tmp_path / "films.json"

    write_all(parse_target(str(path)), lambda: [(1, "film", '{"title": "Amélie"}'), (2, "film", '{"n": 1e3}')])

    assert path.read_text(encoding="utf-8") == '[\n{"title": "Amélie"},\n{"n": 1e3}\n]\n'


def test_without_items_it_is_an_empty_array(tmp_path: Path) -> None:
    path = tmp_path / "films.json"

    write_all(parse_target(str(path)), list)

    assert json.loads(path.read_text()) == []


def test_what_a_page_gave_comes_back_as_it_was(tmp_path: Path) -> None:
    hostile: dict[str, object] = {"\0": "\ud800", '"],\n[': 10**40, "</script>": [{"a": [None]}], "": "]\n"}
    many: dict[str, object] = {f"field {number}": number for number in range(2000)}
    with new_journal(tmp_path / "movies.db", task("1")) as journal:
        store_all(journal, hostile, many)
        with Outputs(journal, [parse_target(str(tmp_path / "films.json"))]) as outputs:
            outputs.finish()

    assert json.loads((tmp_path / "films.json").read_text(encoding="utf-8")) == [hostile, many]


def test_an_array_that_is_there_is_not_added_to_and_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "films.json"
    path.write_text("[1]")

    with pytest.raises(SettingsError, match="a JSON array cannot be added to: name another file, or -O overwrites it"):
        check_targets([parse_target(str(path))])
    target = parse_target(str(path), overwrite=True)
    with new_journal(tmp_path / "movies.db", task("1")) as journal, Outputs(journal, [target]) as outputs:
        store(journal, 1)
        outputs.advance()
        during = path.read_text()
        outputs.finish()

    assert during == "[1]"
    assert path.read_text() == f"[\n{films(1)}]\n"


def test_stdout_gets_the_whole_array(capfdbinary: CaptureFixture[bytes]) -> None:
    write_all(parse_target("-:json"), lambda: [(1, "film", "{}")])

    assert json.loads(capfdbinary.readouterr().out) == [{}]


def test_a_kill_and_a_resume_leave_each_item_in_it_once(tmp_path: Path) -> None:
    path, output = tmp_path / "movies.db", tmp_path / "films.json"
    killed_writer(path, Random(1), output)

    finish_work(path, output)

    with Reader(path) as reader:
        items = [json.loads(text) for _, _, text in reader.items()]
    assert len(items) == 400
    assert json.loads(output.read_text()) == items
