from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import Any

import pytest

from logins import PROXIES
from pinpool.pool.log_pipe import LogPipe, Whereabouts
from pinpool.proxies.redaction import Redaction

NOWHERE = Whereabouts()

pytestmark = pytest.mark.usefixtures("root_logger")


class Arrived(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def arrived() -> Iterator[Arrived]:
    """What arrives in the parent. The worker is this process too, so the parent's handler waits outside of its tree."""
    handler = Arrived()
    yield handler


def send_and_receive(arrived: Arrived, messages: list[str], where: Whereabouts = NOWHERE, **extra: Any) -> None:
    pipe = LogPipe(Redaction(PROXIES))
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    reporting = pipe.reporting()
    reporting.begin(lambda: where)
    for message in messages:
        logging.getLogger("films").info(message, **extra)
    root.handlers[:] = [arrived]
    pipe.close()


def test_a_record_arrives_with_where_it_comes_from_and_without_passwords(arrived: Arrived) -> None:
    where = Whereabouts("http://alice@192.0.2.1:80", "http://films.example/7", 7, 4711)

    send_and_receive(arrived, ["logged in with p@ss/word!"], where)

    (record,) = arrived.records
    assert (record.name, record.levelname) == ("films", "INFO")
    assert record.getMessage() == "logged in with ***"
    sent_from = [getattr(record, name) for name in ("worker", "proxy", "task", "attempt")]
    assert sent_from == [4711, *where[:3]]
    assert record.process == os.getpid()


@pytest.mark.parametrize("letter", ["x", "x ", "电", "\ud800", "\x00", "\n", "😀 "])
def test_every_record_fits_into_one_write_and_arrives(arrived: Arrived, letter: str) -> None:
    where = Whereabouts(letter * 3000, f"http://films.example/{letter * 60_000}", 7)

    send_and_receive(arrived, [letter * 5000, "next"], where)

    assert [record.name for record in arrived.records] == ["films", "films"]
    assert arrived.records[1].getMessage() == "next"


def test_a_secret_is_never_halved_by_the_cut(arrived: Arrived) -> None:
    for shift in range(12):
        send_and_receive(arrived, ["x" * (1488 + shift) + " p@ss/word! " + "y" * 5000])

    assert len(arrived.records) == 12
    assert not any("p@" in record.getMessage() for record in arrived.records)


def test_a_full_pipe_blocks_no_worker_and_says_how_much_is_missing(arrived: Arrived) -> None:
    pipe = LogPipe(Redaction(()))
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    reporting = pipe.reporting()
    reporting.begin(Whereabouts)
    for _ in range(3000):
        logging.getLogger("films").info("x " * 500)
    worker = root.handlers[:]
    root.handlers[:] = [arrived]
    pipe.drain()
    root.handlers[:] = worker
    logging.getLogger("films").info("after")
    root.handlers[:] = [arrived]
    pipe.close()

    films = [record for record in arrived.records if record.name == "films"]
    (dropped,) = [record for record in arrived.records if record.name == "pinpool"]
    assert films[-1].getMessage() == "after"
    assert f"{3001 - len(films)} log records of worker" in dropped.getMessage()


def test_nonsense_in_the_pipe_does_no_harm(arrived: Arrived) -> None:
    pipe = LogPipe(Redaction(()))
    writer = pipe.reporting().pipe.fileno()
    os.write(writer, b'\xff\xfe\n{"a": 1}\n[[1,2,3],[5]]\n\n[["films","high",0,0],["",0,[0,0,0],0]]\nhalf')
    logging.getLogger().addHandler(arrived)

    pipe.close()

    assert [record for record in arrived.records if record.levelno > logging.DEBUG] == []
