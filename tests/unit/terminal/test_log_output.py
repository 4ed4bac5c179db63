from __future__ import annotations

import json
import logging
import stat
from pathlib import Path
from typing import Any

import pytest

from logins import PROXIES
from pinpool.errors import SettingsError
from pinpool.proxies.redaction import Redaction, redacting
from pinpool.terminal.log_output import logging_to

pytestmark = pytest.mark.usefixtures("root_logger")


@pytest.fixture
def lines() -> list[str]:
    return []


def test_foreign_loggers_are_redacted_too_and_tracebacks_with_them(lines: list[str], tmp_path: Path) -> None:
    file = tmp_path / "run.log"
    with logging_to(lines.append, verbose=2, file=file), redacting(Redaction(PROXIES)):
        logging.getLogger("urllib3.connectionpool").debug("tunnel to %s", "alice:p@ss/word!")
        try:
            raise ValueError("p@ss/word!")
        except ValueError:
            logging.getLogger("films").exception("cannot")

    text = file.read_text() + "".join(lines)
    assert "tunnel to alice:***" in lines[0]
    assert lines[1].endswith("error films: cannot: ValueError: ***")
    assert "word!" not in text
    assert "ValueError: ***" in file.read_text()


@pytest.mark.parametrize(
    ("options", "on_screen", "in_file"),
    [
        ({}, "WE", "IWE"),
        ({"verbose": 1}, "IWE", "IWE"),
        ({"verbose": 2}, "DIWE", "DIWE"),
        ({"verbose": 7}, "DIWE", "DIWE"),
        ({"quiet": True}, "E", "IWE"),
    ],
)
def test_each_record_goes_where_its_level_belongs(
    lines: list[str], tmp_path: Path, options: dict[str, Any], on_screen: str, in_file: str
) -> None:
    file = tmp_path / "run.log"
    with logging_to(lines.append, file=file, **options):
        for level in ("debug", "info", "warning", "error"):
            getattr(logging.getLogger("films"), level)(level[0].upper())

    assert "".join(line[-1] for line in lines) == on_screen
    assert "".join(json.loads(line)["message"] for line in file.read_text().splitlines()) == in_file


def test_a_line_of_the_log_is_one_document_and_belongs_to_its_owner_alone(lines: list[str], tmp_path: Path) -> None:
    file, before = tmp_path / "run.log", logging.getLogger().handlers[:]
    with logging_to(lines.append, file=file):
        logging.getLogger("films").warning("two\nlines \x1b[2J", extra={"proxy": "http://a:1", "attempt": 7})

    (document,) = map(json.loads, file.read_text().splitlines())
    assert document.pop("at").endswith("Z")
    assert document == {
        "level": "warning",
        "logger": "films",
        "message": "two\nlines \x1b[2J",
        "worker": None,
        "proxy": "http://a:1",
        "task": None,
        "attempt": 7,
    }
    assert lines[0].endswith(" warning films: two lines [2J (http://a:1)")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert logging.getLogger().handlers == before


def test_a_log_is_continued_but_no_other_file_is_touched(lines: list[str], tmp_path: Path) -> None:
    log, proxies = tmp_path / "run.log", tmp_path / "proxies.txt"
    proxies.write_text("192.0.2.1:80\n")
    for _ in range(2):
        with logging_to(lines.append, file=log):
            logging.getLogger("films").info("once more")

    with (
        pytest.raises(SettingsError, match=r"--log .*proxies\.txt: holds something else"),
        logging_to(lines.append, file=proxies),
    ):
        pass
    with (
        pytest.raises(SettingsError, match=r"--log .*: Is a directory: name another file"),
        logging_to(lines.append, file=tmp_path),
    ):
        pass

    assert log.read_text().count("once more") == 2
    assert proxies.read_text() == "192.0.2.1:80\n"


def test_a_full_disk_is_reported_once_and_stops_nothing(lines: list[str]) -> None:
    with logging_to(lines.append, file=Path("/dev/full"), quiet=True):
        for _ in range(3):
            logging.getLogger("films").warning("nobody will read this")

    assert lines == ["--log /dev/full: No space left on device: the run goes on, but lines are missing there"]


def test_a_message_whose_arguments_do_not_fit_causes_no_traceback(
    lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    logging.getLogger().handlers.clear()  # pytest's own would raise
    with logging_to(lines.append):
        logging.getLogger("films").warning("%d films", "ten")

    assert lines[0].endswith("films: '%d films' (its arguments do not fit)")
    assert capsys.readouterr() == ("", "")
