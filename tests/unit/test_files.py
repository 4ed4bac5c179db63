"""Files that users name: what may be replaced, and how."""

from __future__ import annotations

import atexit
import os
import tempfile
from pathlib import Path

import pytest

from pinpool.files import refusal, replacing, temporary_folder, use_of

OURS = b"# ours"


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_only_what_we_wrote_what_is_empty_and_what_is_not_there_may_be_replaced(tmp_path: Path) -> None:
    ours, other, late = tmp_path / "ours", tmp_path / "other", tmp_path / "late"
    ours.write_bytes(OURS + b", and more")
    other.write_bytes(b"# mine")
    late.write_bytes(b"<!doctype html>" + OURS)
    (tmp_path / "empty").touch()

    for path in (ours, tmp_path / "empty", tmp_path / "new"):
        assert refusal(path, OURS) is None
    assert "holds something else" in str(refusal(other, OURS))
    assert "holds something else" in str(refusal(late, OURS))
    assert refusal(late, OURS, within=100) is None


def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    assert refusal(tmp_path / "pipe", OURS) == "is not a file: name one"


def test_a_file_in_use_is_found_under_any_name_and_a_list_that_is_not_a_file_name_is_no_hindrance(
    tmp_path: Path,
) -> None:
    (tmp_path / "list").write_bytes(OURS)
    (tmp_path / "soft").symlink_to(tmp_path / "list")
    os.link(tmp_path / "list", tmp_path / "hard")
    used: dict[str, str | Path] = {"a variable": "192.0.2.1:80\0" * 500, "the list": tmp_path / "list"}

    for name in ("list", "soft", "hard"):
        assert refusal(tmp_path / name, OURS, used=used) == "is the list: name another file"
    assert use_of(tmp_path / "new", used) is None
    assert use_of(os.devnull, {"the list": os.devnull}) is None, "nothing is lost in a stream"


@pytest.mark.parametrize("side", ["movies.db-wal", "movies.db-shm", ".movies.db.claim"])
def test_the_side_files_of_a_journal_are_in_use_whether_they_are_there_or_not(tmp_path: Path, side: str) -> None:
    used = {"the journal": tmp_path / "movies.db"}
    (tmp_path / "link").symlink_to(tmp_path / side)

    for name in (side, "link"):
        assert use_of(tmp_path / name, used) == "one of the journal's side files"
    assert use_of(tmp_path / "movies.db-report.html", used) is None


def test_a_replaced_file_keeps_its_link_and_its_permissions(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)

    with replacing(link) as part:
        part.write_text("new")
        assert real.read_text() == "old"

    assert link.is_symlink()
    assert (real.read_text(), mode_of(real)) == ("new", 0o640)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "real"]


def test_a_private_file_is_private_before_anything_is_written(tmp_path: Path) -> None:
    with replacing(tmp_path / "list", mode=0o600) as part:
        assert mode_of(part) == 0o600
        part.write_text("secret")

    assert mode_of(tmp_path / "list") == 0o600


def test_what_is_broken_off_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")

    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "file") as part:
        part.write_text("half")
        raise KeyboardInterrupt

    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "old")]


def test_a_temporary_folder_that_another_process_takes_for_a_leftover_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two commands that start at the same moment: one tidies up what the other has made, and not claimed yet."""
    mkdtemp, made = tempfile.mkdtemp, list[str]()

    def make(prefix: str) -> str:
        made.append(mkdtemp(prefix=prefix, dir=tmp_path))
        if len(made) == 1:
            Path(made[0]).rmdir()
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", make)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(atexit, "register", lambda *call: None)

    assert temporary_folder.__wrapped__() == Path(made[1])
