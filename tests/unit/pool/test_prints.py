"""What a spider prints becomes records of the log, a line each, that name the worker."""

from __future__ import annotations

import logging
import threading

import pytest

from pinpool.pool.prints import PRINT, Printed


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the records of worker 7 say."""
    said: list[str] = []
    monkeypatch.setattr(
        logging.getLogger("worker 7"), "handle", lambda record: said.append(f"{record.levelno} {record.getMessage()}")
    )
    return said


@pytest.fixture
def printed() -> Printed:
    """The stdout of worker 7."""
    return Printed(lambda: 7)


def test_each_line_is_a_record_however_it_was_written(printed: Printed, said: list[str]) -> None:
    printed.write("one\ntwo")
    printed.write(" and a half\n\n")
    printed.write("three\n")

    assert said == [f"{PRINT} one", f"{PRINT} two and a half", f"{PRINT} three"]


def test_an_unfinished_line_is_said_when_it_is_flushed(printed: Printed, said: list[str]) -> None:
    printed.write("25 %")
    before = said[:]
    printed.flush()

    assert (before, said) == ([], [f"{PRINT} 25 %"])


def test_a_line_without_an_end_does_not_grow_for_ever(printed: Printed, said: list[str]) -> None:
    for _ in range(100):
        printed.write("." * 1000)

    assert len(said) == 20


def test_threads_do_not_write_into_each_others_lines(printed: Printed, said: list[str]) -> None:
    printed.write("mine")
    other = threading.Thread(target=printed.write, args=("of another\n",))
    other.start()
    other.join(30)
    printed.write(" still\n")

    assert said == [f"{PRINT} of another", f"{PRINT} mine still"]
