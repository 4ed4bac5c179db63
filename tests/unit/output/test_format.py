"""What a new format has to bring: no more than how to write one whole file."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest import CaptureFixture

from journals import new_journal, task
from outputs import store
from pinpool.output.format import Items, Output
from pinpool.output.outputs import Outputs, write_all
from pinpool.output.registry import FORMATS
from pinpool.output.target import parse_target


class Sizes(Output):
    """The length of each item's text."""

    name = "sizes"
    title = "Sizes"

    @classmethod
    def write_file(cls, path: Path, items: Items) -> int:
        rows = list(items())
        path.write_text("".join(f"{len(text)}\n" for _, _, text in rows))
        return rows[-1][0] if rows else 0


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMATS, Sizes.name, Sizes)


def test_a_format_is_written_when_the_run_ends_and_again_after_a_resume(tmp_path: Path) -> None:
    path = tmp_path / "items.sizes"
    with new_journal(tmp_path / "movies.db", task("1"), task("2")) as journal:
        for number, whole in ((1, "19\n"), (2, "19\n19\n")):
            with Outputs(journal, [parse_target(str(path))]) as outputs:
                store(journal, number)
                outputs.advance()
                outputs.finish()
            assert path.read_text() == whole
        assert [(mark.format, mark.bytes, mark.last_item) for mark in journal.outputs()] == [("sizes", 6, 2)]


def test_a_stream_gets_the_whole_file(capfdbinary: CaptureFixture[bytes]) -> None:
    write_all(parse_target("-:sizes"), lambda: [(1, "film", "{}"), (2, "film", '{"a": 1}')])

    assert capfdbinary.readouterr().out == b"2\n8\n"
