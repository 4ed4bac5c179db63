"""What a machine lacks is said before anything starts, with the next step."""

from __future__ import annotations

import multiprocessing
import resource
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from pinpool.errors import UsageError
from pinpool.pool import cgroup, ground
from pinpool.pool.ground import check_ground, shortages


def test_an_ordinary_machine_is_good_ground() -> None:
    check_ground()


def test_a_daemonic_process_is_told_that_it_may_have_no_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing, "current_process", lambda: SimpleNamespace(daemon=True))

    with pytest.raises(UsageError, match=r"daemonic process may not have children.*daemon=False"):
        check_ground()


def test_a_script_from_stdin_is_told_to_be_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "<stdin>", raising=False)

    with pytest.raises(UsageError, match=r"comes from stdin.*save it in a file"):
        check_ground()


def test_a_folder_that_was_deleted_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()

    with pytest.raises(UsageError, match="the current folder does not exist any more"):
        check_ground()


def test_a_temporary_folder_too_long_for_a_socket_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: "/" + 80 * "t")

    with pytest.raises(UsageError, match=r"81 characters, at most 72.*TMPDIR=/tmp"):
        check_ground()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has it")
@pytest.mark.parametrize(("name", "words"), [("none", "is missing"), ("file", "cannot be written")])
def test_shared_memory_that_cannot_be_used_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(ground, "SHARED_MEMORY", tmp_path / name)

    with pytest.raises(UsageError, match=f"{words}.*--shm-size"):
        check_ground()


def test_too_few_open_files_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (16, 16))

    with pytest.raises(UsageError, match="only 16 open files are allowed, and a run needs 40"):
        check_ground()


def test_a_process_limit_that_is_nearly_reached_is_a_shortage(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {resource.RLIMIT_NPROC: 3, resource.RLIMIT_AS: 100_000_000}
    monkeypatch.setattr(resource, "getrlimit", lambda what: (limits[what], limits[what]))

    processes, memory = shortages()[0], shortages()[-1]

    assert "of 3 processes and threads: raise the limit (ulimit -u)" in processes
    assert memory == "each process may have 100.0 MB of memory: raise the limit (ulimit -v)"


def test_without_limits_nothing_is_short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    monkeypatch.setattr(cgroup, "ROOT", tmp_path)

    assert shortages() == []
