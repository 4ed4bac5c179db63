"""The first page of each kind of failed extraction is stored, so that the selector can be mended on it."""

from __future__ import annotations

import html
import json
import os
import sqlite3
import zlib
from base64 import b64encode
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from urllib.parse import quote, quote_plus

import pytest

from commands import Desk
from journals import START, answered, done, item, make_older, new_journal, task
from leaks import PASSWORD, traces
from pinpool.crawler.page_job import PageJob
from pinpool.errors import JournalError
from pinpool.journal import page_samples
from pinpool.journal.page_samples import KINDS_SENT, LARGEST_SAMPLE, body_of, kind_of, may_send, sample_of
from pinpool.journal.reader import Reader
from pinpool.journal.records import Settlement
from pinpool.journal.verify import coverage
from pinpool.journal.writer import Journal
from pinpool.model import (
    Assignment,
    Ending,
    Evidence,
    Fault,
    Fetched,
    Outcome,
    PageSample,
    Sign,
    Step,
    TaskState,
)
from pinpool.pool.pin import Pin
from pinpool.proxies.proxy import Proxy
from pinpool.proxies.redaction import spellings
from pinpool.settings import Settings
from pinpool.spider.loader import parse_ref

PAGE = Fetched("http://films.example/detail/1", 200, {"content-type": "text/html"}, b"<h1>Heat</h1>", 0.1, 13)
BROKEN = """\
from pinpool import Spider

spider = Spider(seeds=["http://films.example/page/1"])


@spider.detail
def film(page):
    return {"title": page.first("//h2").strip()}
"""


def unread(kept: PageSample | None, message: str = "ValueError: no year (movies.py:7)", size: int = 13) -> Outcome:
    evidence = Evidence(Step.EXTRACT, Sign.RAISED, message, 200)
    return Outcome(1, 7, 1, Ending.FAILED, START, 0.1, 200, size, evidence, sample=kept)


def given_up(task_id: int, outcome: Outcome) -> Settlement:
    return Settlement(task_id, outcome, Fault.EXTRACT, False, TaskState.FAILED, "extract")


def kept(message: str = "ValueError: no year (movies.py:7)", page: Fetched = PAGE) -> PageSample:
    return sample_of(kind_of("detail", "extract", message, page.size), page)


# ------------------------------------------------------------------------------------------------- kinds


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ValueError: invalid literal 'abc' (movies.py:7)", "ValueError: cannot read 7 (movies.py:7)"),
        ("stage detail: field year is 1994", "stage detail: field year is 2046"),
        ("no such film: 'Heat'", "no such film: 'Ran'"),
    ],
)
def test_failures_that_differ_in_their_data_alone_are_of_one_kind(one: str, other: str) -> None:
    assert kind_of("detail", "extract", one, 1000) == kind_of("detail", "extract", other, 2000)


@pytest.mark.parametrize(
    ("stage", "fault", "message"),
    [
        ("index", "extract", "ValueError: x (movies.py:7)"),
        ("detail", "banned", "ValueError: x (movies.py:7)"),
        ("detail", "extract", "KeyError: x (movies.py:7)"),
        ("detail", "extract", "ValueError: x (movies.py:8)"),
    ],
)
def test_stage_fault_error_and_line_make_a_kind(stage: str, fault: str, message: str) -> None:
    assert kind_of(stage, fault, message, 9) != kind_of("detail", "extract", "ValueError: x (movies.py:7)", 9)


def test_an_empty_block_page_is_of_another_kind_than_a_film_whose_selectors_are_wrong() -> None:
    """Else the first soft ban of a run would take the only place."""
    block, film, another = (kind_of("detail", "empty", "nothing extracted", size) for size in (150, 30_000, 31_000))

    assert block != film
    assert film == another


def test_a_worker_sends_each_kind_once_and_only_so_many() -> None:
    sent: set[str] = set()

    first, again = may_send("a", sent), may_send("a", sent)
    more = [may_send(str(number), sent) for number in range(2 * KINDS_SENT)]

    assert (first, again) == (True, False)
    assert sum(more) == KINDS_SENT - 1


# ------------------------------------------------------------------------------------------------- what is kept


def test_only_the_headers_that_an_extractor_needs_are_kept() -> None:
    secret = {"set-cookie": "session=s3cret", "x-token": "s3cret", "content-type": "text/html; charset=gbk"}

    page = sample_of("kind", PAGE._replace(headers=secret))

    assert json.loads(page.headers) == {"content-type": "text/html; charset=gbk"}


def test_a_page_that_cannot_be_compressed_is_cut() -> None:
    noise = os.urandom(2 * LARGEST_SAMPLE)

    page = sample_of("kind", PAGE._replace(body=noise))

    assert len(page.body) <= LARGEST_SAMPLE
    assert noise.startswith(body_of(page.body))
    assert page.size == len(noise)


def test_a_page_of_any_size_compressed_is_read_only_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_samples, "LARGEST_BODY", 1000)

    assert len(body_of(zlib.compress(b"x" * 100_000))) == 1000


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii"])
def test_the_proxys_login_is_crossed_out_of_a_page_that_shows_it(encoding: str) -> None:
    proxy = Proxy("http", "192.0.2.1", 80, "alice", PASSWORD)
    ways = (str, quote, quote_plus, html.escape, json.dumps, repr, proxy_header)
    words = [way(PASSWORD) for way in ways]
    body = " ".join(["alice", *words, "Heat"]).encode(encoding, "xmlcharrefreplace")
    shown = PAGE._replace(body=body, url=f"{PAGE.url}?{quote(PASSWORD)}", headers={"link": PASSWORD})

    page = sample_of("kind", shown, spellings(proxy))

    assert traces(body_of(page.body) + page.url.encode() + page.headers.encode()) == []
    assert body_of(page.body).startswith(b"alice ***")
    assert body_of(page.body).endswith(b"*** Heat")
    assert page.url == f"{PAGE.url}?***"


def proxy_header(password: str) -> str:
    return b64encode(f"alice:{password}".encode()).decode()


@pytest.mark.parametrize("proxy", [Proxy("http", "192.0.2.1", 80), Proxy("socks4", "192.0.2.1", 80, "alice")])
def test_a_proxy_without_a_password_takes_nothing_from_a_page(proxy: Proxy) -> None:
    page = sample_of("kind", PAGE._replace(body=b"alice at 192.0.2.1:80, ***"), spellings(proxy))

    assert body_of(page.body) == b"alice at 192.0.2.1:80, ***"


def test_a_worker_sends_the_page_that_its_spider_could_not_read(desk: Desk) -> None:
    spider = desk.write("broken.py", BROKEN)
    ref = parse_ref(str(spider))
    job = PageJob(ref, Settings())
    session = SimpleNamespace(pin=SimpleNamespace(asks_proxy=lambda url: True))
    fetcher = SimpleNamespace(fetch=lambda task, until: PAGE, session=session)
    lease = SimpleNamespace(address=Proxy("http", "192.0.2.1", 80))
    pin = cast(Pin, SimpleNamespace(warm=True, fetcher=fetcher, lease=lease))

    first, second = (job.perform(pin, Assignment(task(name))) for name in "ab")

    assert first is not None
    assert second is not None
    assert first.evidence is not None
    assert first.sample is not None
    assert first.sample.kind == "detail extract: AttributeError (broken.py:8)"
    assert body_of(first.sample.body) == PAGE.body
    assert second.evidence == first.evidence
    assert second.sample is None


# ------------------------------------------------------------------------------------------------- the journal


def test_the_first_page_of_a_kind_is_kept_and_every_failure_of_that_kind_names_it(path: Path) -> None:
    other = PAGE._replace(url="http://films.example/detail/2", body=b"another")
    with new_journal(path, task("1"), task("2")) as journal:
        journal.settle(given_up(1, unread(kept())), START)
        journal.settle(given_up(2, unread(kept(page=other), "ValueError: no such thing (movies.py:7)")), START)

    with Reader(path) as reader:
        (page,) = reader.page_samples()
        asked, fetched = reader.page_sample(page.id)
        failures = list(reader.failures())

    assert (page.task, page.stage, page.url, page.status, page.size) == (1, "detail", PAGE.url, 200, 13)
    assert asked.stage == "detail"
    assert fetched._replace(seconds=PAGE.seconds) == PAGE
    assert [failure["page"] for failure in failures] == [page.id, page.id]
    assert [failure["attempts"][0]["page"] for failure in failures] == [page.id, page.id]


def test_a_run_keeps_only_so_many_pages(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pinpool.journal.attempt_rows.MOST_SAMPLES", 3)
    with new_journal(path, *(task(str(n)) for n in range(1, 9))) as journal:
        for number in range(1, 9):
            message = f"ValueError: x (movies.py:{number})"
            journal.settle(given_up(number, unread(kept(message), message)), START)

    with Reader(path) as reader:
        pages, failures = reader.page_samples(), list(reader.failures())

    assert len(pages) == 3
    assert [failure["page"] for failure in failures] == [1, 2, 3, None, None, None, None, None]


def test_a_journal_of_before_can_be_read_and_is_brought_up_to_date_for_writing(path: Path) -> None:
    new_journal(path, task("1")).close()
    make_older(path, 1)

    with Reader(path) as reader:
        before = reader.page_samples(), list(reader.failures())
        with pytest.raises(JournalError, match="there is no page sample 1"):
            reader.page_sample(1)
    with Journal.open(path) as journal:
        journal.settle(given_up(1, unread(kept())), START)
    with Reader(path) as reader:
        after = [page.kind for page in reader.page_samples()]

    assert before == ([], [])
    assert after == ["detail extract: ValueError (movies.py:7)"]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("body", b"no zlib"),
        ("body", b""),
        ("headers", "{"),
        ("headers", "[1]"),
        ("headers", "7"),
        ("body", "text"),
    ],
)
def test_a_page_that_somebody_tampered_with_is_called_damaged(path: Path, column: str, value: object) -> None:
    with new_journal(path, task("1")) as journal:
        journal.settle(given_up(1, unread(kept())), START)
    with sqlite3.connect(path) as db:
        db.execute(f"UPDATE pages SET {column} = ?", (value,))
    db.close()

    with Reader(path) as reader:
        if value == b"":
            assert reader.page_sample(1)[1].body == b""
        else:
            with pytest.raises(JournalError, match="page sample 1 cannot be read"):
                reader.page_sample(1)


def test_verify_is_not_led_astray_by_kept_pages(path: Path) -> None:
    with new_journal(path, task("1")) as journal:
        journal.settle(
            Settlement(1, unread(kept()), Fault.EXTRACT, False, None, None, None),
            START,
        )
        journal.settle(done(1, answered(item("1"))), START)

    with Reader(path) as reader:
        assert coverage(reader).complete
        assert len(reader.page_samples()) == 1
