"""What `pinpool doctor` sees, and what it makes of it."""

from __future__ import annotations

import resource
import secrets
import socket
import sqlite3
from collections.abc import Iterable
from functools import wraps
from pathlib import Path

import pytest

import pinpool.journal.sqlite as storage
from pinpool.check import machine_rows
from pinpool.check.doctor import checks, document, examine, hindrances, verdict
from pinpool.check.environment_rows import bundle_rows, python_row, variable_rows, wrong_packages
from pinpool.check.library_rows import Piece, certificate_row, replaced_pieces, urllib3_rows
from pinpool.check.machine_rows import clock_row, journal_row, memory_rows, started_row, temporary_row
from pinpool.check.row import Row, State, rows_of
from pinpool.cli.doctor import lines
from pinpool.errors import JournalError
from pinpool.pool import ground
from pinpool.pool.start_check import StartCheck
from pinpool.stats.capacity import Capacity

NOW = 1_800_000_000.0
DAY = 86_400.0


def states(rows: Iterable[Row]) -> list[tuple[str, State]]:
    return [(row.what, row.state) for row in rows]


def test_an_ordinary_machine_hinders_nothing() -> None:
    rows = examine(checks())

    assert hindrances(rows) == [], rows
    wanted = {"Python", "packages", "urllib3", "certificates", "start", "open files", "this folder", "clock"}
    assert wanted <= {row.what for row in rows}


# The verdict


def test_a_check_that_fails_itself_is_a_warning_and_one_that_cannot_be_imported_hinders() -> None:
    def broken() -> list[Row]:
        raise OSError("no such file")

    def missing() -> list[Row]:
        raise ModuleNotFoundError("no module named urllib3")

    rows = examine([("memory", broken), ("urllib3", missing), ("clock", lambda: [Row("clock", State.FINE, "right")])])

    assert states(rows) == [("memory", State.WARNING), ("urllib3", State.HINDERS), ("clock", State.FINE)]
    assert rows[0].found == "cannot be looked at: OSError: no such file"


def test_the_verdict_names_what_hinders_and_counts_warnings() -> None:
    fine, warning = Row("a", State.FINE, "x"), Row("b", State.WARNING, "x")
    bad = [Row("memory", State.HINDERS, "x"), Row("memory", State.HINDERS, "y"), Row("start", State.HINDERS, "z")]

    assert verdict([fine]).startswith("nothing here hinders a crawl; ")
    assert verdict([fine, warning]) == "nothing here hinders a crawl, but look at 1 warning"
    assert verdict([fine, warning, *bad]) == "this would hinder a crawl: memory, start"
    assert document([fine, *bad])["ok"] is False
    assert document([fine, *bad])["hinders"] == ["memory", "start"]
    assert document([fine])["rows"] == [{"what": "a", "state": "fine", "found": "x", "todo": ""}]


def test_a_row_is_wrapped_on_a_terminal_and_one_line_in_a_pipe() -> None:
    row = Row("certificates", State.HINDERS, "word " * 20, "do this")

    narrow, wide = list(lines(row, 60)), list(lines(row, None))

    assert max(map(len, narrow)) <= 60
    assert narrow[0].startswith("hinders  certificates       word word")
    assert narrow[-1] == f"{'':28}-> do this"
    assert len(wide) == 2
    assert list(lines(Row("A_LONG_NAME, ANOTHER_NAME", State.NOTE, "x"), 80)) == [
        "note     A_LONG_NAME, ANOTHER_NAME",
        f"{'':28}x",
    ]


# Python and packages


@pytest.mark.parametrize(
    ("implementation", "number", "state"),
    [
        ("CPython", (3, 11, 7), State.FINE),
        ("CPython", (3, 13, 0), State.FINE),
        ("CPython", (3, 99, 0), State.WARNING),
        ("PyPy", (3, 11, 7), State.WARNING),
    ],
)
def test_a_python_that_the_tests_do_not_run_with_is_a_warning(
    implementation: str, number: tuple[int, ...], state: State
) -> None:
    assert python_row(implementation, number, "0.1").state is state


def test_packages_that_are_missing_or_of_a_wrong_version_are_named() -> None:
    have = {"urllib3": "2.6.9", "requests": "2.32.4", "lxml": "5.3.0", "pytest": "1"}
    declared = ["urllib3<3,>=2.7", "requests>=2.32.4", "lxml>=5.3", "click>=8", "pytest>=8; extra == 'test'", "(odd"]

    rows = wrong_packages(declared, have.get)

    assert [(row.what, row.found) for row in rows] == [
        ("urllib3", "2.6.9 is installed, and pinpool needs <3,>=2.7"),
        ("click", "is missing"),
    ]


@pytest.mark.parametrize(("version", "wrong"), [("2.7", 0), ("2.7.0", 0), ("2.10.1rc1", 0), ("3.0", 1), ("1.26", 1)])
def test_versions_are_compared_as_numbers(version: str, wrong: int) -> None:
    assert len(wrong_packages(["urllib3<3,>=2.7"], lambda name: version)) == wrong


# Libraries


def test_the_urllib3_of_the_tests_is_as_it_was_installed() -> None:
    assert states(urllib3_rows()) == [("urllib3", State.FINE)]


def test_a_urllib3_that_is_not_the_installed_one_hinders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib3.__version__", "1.26.20")

    (row,) = urllib3_rows()

    assert row.state is State.HINDERS
    assert row.found.startswith("1.26.20 is imported, but 2.")


def test_functions_and_classes_that_something_has_replaced_are_named() -> None:
    original = socket.getaddrinfo

    @wraps(original)
    def traced(*words: object) -> object:
        return original(*words)  # type: ignore[arg-type]

    class OtherSocket(socket.socket):
        pass

    home = str(socket.__file__)
    pieces = [
        Piece("getaddrinfo", traced, home),
        Piece("create_connection", socket.create_connection, home),
        Piece("socket", OtherSocket, "socket"),
        Piece("builtin", len, home),
    ]

    (row,) = replaced_pieces(pieces)

    assert row.state is State.WARNING
    assert row.found == "replaced by other code: getaddrinfo, socket, builtin"


@pytest.mark.parametrize(("text", "reason"), [(None, "No such file or directory"), ("none", "no certificates")])
def test_certificates_that_cannot_be_read_hinder(tmp_path: Path, text: str | None, reason: str) -> None:
    path = tmp_path / "cacert.pem"
    if text is not None:
        path.write_text(text)

    row = certificate_row(str(path))

    assert row.state is State.HINDERS
    assert row.found.startswith(f"{path}: {reason}")


# The environment


def test_variables_that_change_a_run_are_named_without_their_values() -> None:
    environ = {
        "https_proxy": "http://alice:s3cret@proxy.example:1",
        "NO_PROXY": "localhost",
        "HTTP_PROXY": "",
        "SSLKEYLOGFILE": "keys",
        "PYTHONHASHSEED": "0",
        "PYTHONWARNINGS": "default",
        "HOME": "/root",
    }

    rows = [*variable_rows(environ)]

    assert states(rows) == [
        ("https_proxy, NO_PROXY", State.NOTE),
        ("SSLKEYLOGFILE", State.WARNING),
        ("PYTHONHASHSEED", State.NOTE),
    ]
    assert "s3cret" not in str(rows)
    assert states(variable_rows({"PYTHONWARNINGS": "error::Warning"})) == [("PYTHONWARNINGS", State.WARNING)]
    assert list(variable_rows({})) == []


def test_certificates_of_other_programs_are_ignored_and_the_setting_for_them_is_named(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.touch()

    there, gone = bundle_rows({"REQUESTS_CA_BUNDLE": str(bundle), "SSL_CERT_FILE": str(tmp_path / "none")})

    assert there.todo == f"if sites need these certificates: -s ca_bundle={bundle}"
    assert (gone.found, gone.todo) == ("set, and ignored; what it names cannot be read", "")
    assert {there.state, gone.state} == {State.NOTE}


# The machine


def test_a_process_that_does_not_come_up_hinders() -> None:
    (bad,) = started_row(StartCheck("forkserver", ("spawn",), 0.1, "OSError: no room"))
    (good,) = started_row(StartCheck("forkserver", ("fork", "spawn"), 0.1))

    assert (bad.state, bad.found) == (State.HINDERS, "no process comes up by forkserver: OSError: no room")
    assert good.found == "by forkserver (there are also fork, spawn); one process took 100 ms"


def test_too_little_memory_for_one_worker_hinders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_rows, "free_capacity", lambda threads: Capacity(70_000_000, 1000))

    rows = {row.what: row for row in memory_rows()}

    assert rows["memory"].state is State.HINDERS
    assert "one worker needs 80.0 MB" in rows["memory"].found
    assert rows["open files"].found == "1,000 are allowed: enough for 225 processes of workers"


def test_what_a_start_would_refuse_is_a_row_with_the_same_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ground, "SHARED_MEMORY", Path("/nowhere/at/all"))
    monkeypatch.setattr(resource, "getrlimit", lambda what: (16, 16))

    shared, *_ = machine_rows.shared_memory_rows()
    (files,) = rows_of("open files", ground.open_file_problems())

    assert shared.found.startswith("/nowhere/at/all is missing")
    assert shared.todo.startswith("mount it (")
    assert (files.found, files.todo) == (
        "only 16 open files are allowed, and a run needs 40",
        "raise the limit (ulimit -n 1024)",
    )


def test_a_folder_is_tried_with_a_journal_and_left_as_it_was(tmp_path: Path) -> None:
    row = journal_row(tmp_path)

    assert row.state is State.FINE
    assert row.found.startswith("a journal can be here (written, locked, read meanwhile); ")
    assert list(tmp_path.iterdir()) == []


def _refuse(error: Exception) -> object:
    def refuse(*_: object) -> None:
        raise error

    return refuse


@pytest.mark.parametrize(
    ("error", "found", "todo"),
    [
        (
            JournalError("PATH: cannot be on this file system: name another with -j"),
            "cannot be on",
            "name another",
        ),
        (sqlite3.OperationalError("disk I/O error"), "disk I/O error", "name a local disk with -j"),
        (PermissionError(13, "Permission denied"), "Permission denied", "name a local disk with -j"),
    ],
)
def test_a_folder_that_cannot_have_a_journal_hinders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, found: str, todo: str
) -> None:
    monkeypatch.setattr(secrets, "token_hex", lambda size: "x")
    path = tmp_path / ".pinpool-doctor-x.db"
    if isinstance(error, JournalError):
        error = JournalError(str(error).replace("PATH", str(path)))
    monkeypatch.setattr(storage, "build", _refuse(error))

    row = journal_row(tmp_path)

    assert row.state is State.HINDERS
    assert row.found.startswith(f"no journal can be here: {found}")
    assert row.todo.startswith(todo)


def test_locks_that_do_not_hold_are_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "is_claimed", lambda path: False)

    assert journal_row(tmp_path).state is State.WARNING


def test_a_temporary_folder_without_sockets_hinders(tmp_path: Path) -> None:
    assert temporary_row(tmp_path / "none").state is State.HINDERS
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("now", "offset", "state", "words"),
    [
        (NOW, 0, State.FINE, "2027-01-15 08:00:00 UTC, here UTC+00:00; later than pinpool's files"),
        (NOW, 20_700, State.FINE, "here UTC+05:45"),
        (NOW, -12_600, State.FINE, "here UTC-03:30"),
        (NOW - 30 * DAY, 0, State.WARNING, "2026-12-16 08:00:00 UTC, but pinpool's files are from 2027-01-15"),
        (NOW, 100 * 3600, State.WARNING, "here UTC+100:00 is no time zone"),
        (NOW, 61, State.WARNING, "is no time zone"),
    ],
)
def test_a_clock_that_cannot_be_right_is_a_warning(now: float, offset: int, state: State, words: str) -> None:
    row = clock_row(now, offset, NOW)

    assert row.state is state
    assert words in row.found
