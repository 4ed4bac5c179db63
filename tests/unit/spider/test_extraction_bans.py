"""What makes a page suspect: marks of a block page, and emptiness."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from pinpool.errors import SettingsError
from pinpool.model import Evidence, Fetched, Sign, Step
from pinpool.settings import Settings, settings_from
from pinpool.spider.extraction import Extracted, read
from pinpool.spider.spider import Spider
from pinpool.tasks import request

URL = "https://site.example/film/1"
BLOCK = "<title>Zugriff</title><form id=captcha></form><p>Ungewöhnlicher VERKEHR</p>"
FILM = "<title>Heat</title><p>traffic</p>"

spider = Spider(seeds=[URL])


@spider.index
def film(page: object) -> dict[str, str]:
    return {"title": "Heat"}


def said(html: str, status: int = 200, **marks: object) -> Extracted | Evidence | None:
    fetched = Fetched(URL, status, {"content-type": "text/html; charset=latin-1"}, html.encode("latin-1"), 0.1, 9)
    return read(spider, request(URL, stage="index"), fetched, settings_from(marks), tunnelled=True)


MARKS = pytest.mark.parametrize(
    "marks",
    [
        {"ban_text": "ungewöhnlicher verkehr"},
        {"ban_text": ["captcha solved", "ZUGRIFF"]},
        {"ban_selector": "//form[@id='captcha']"},
        {"ban_selector": ["a.none", "form#captcha"]},
        {"ban_selector": "boolean(//form[@id='captcha'])"},
        {"ban_selector": "count(//form)"},
        {"ban_selector": "string(//form/@id)"},
    ],
    ids=str,
)


@MARKS
@pytest.mark.parametrize("status", [200, 404, 503])
def test_a_block_page_is_known_by_its_marks_whatever_its_status(marks: dict[str, Any], status: int) -> None:
    found = said(BLOCK, status, **marks)

    assert isinstance(found, Evidence)
    assert (found.step, found.sign, found.status) == (Step.PAGE, Sign.BAN, status)


@MARKS
def test_a_page_without_these_marks_is_a_page(marks: dict[str, Any]) -> None:
    found = said(FILM, **marks)

    assert isinstance(found, Extracted)
    assert found.items == ('{"title":"Heat"}',)


def test_without_marks_the_status_alone_decides() -> None:
    gone, ill = said(BLOCK, 404), said(BLOCK, 503)

    assert gone is None
    assert isinstance(ill, Evidence)
    assert ill.sign is Sign.STATUS


def test_a_selector_that_fails_only_in_use_is_the_spiders_fault() -> None:
    found = said(BLOCK, ban_selector="//form[nothing(.)]")

    assert isinstance(found, Evidence)
    assert (found.sign, "ban_selector: '//form[nothing(.)]' cannot be used" in found.message) == (
        Sign.RAISED,
        True,
    )


def test_what_a_block_page_says_cannot_drive_a_terminal() -> None:
    found = said("<p>\x1b[31mred", ban_text="\x1b[31mRED")

    assert isinstance(found, Evidence)
    assert found.message.isprintable()


@pytest.mark.parametrize(
    ("name", "value", "problems"),
    [
        (
            "ban_selector",
            ["//a[", "a::nope(x)", "//a"],
            ["'//a[' is not an XPath selector", "'a::nope(x)' is not a CSS"],
        ),
        ("ban_selector", "nothing(1)", ["'nothing(1)' cannot be used here"]),
        ("ban_text", ["", "x"], ["an empty text would be found in every page"]),
        ("ban_text", [7], ["int is not a text"]),
        ("ban_text", 7, ["int is not a list of texts"]),
    ],
)
def test_a_mark_that_cannot_be_used_is_reported_when_the_spider_is_loaded(
    name: str, value: Any, problems: list[str]
) -> None:
    with pytest.raises(SettingsError) as refused:
        Spider([URL], None, **{name: value})

    (told,) = refused.value.problems
    assert told.startswith(f"{name}: ")
    assert all(problem in told for problem in problems)


def test_the_command_line_gives_marks_one_a_line() -> None:
    settings = settings_from({"ban_text": "unusual traffic, please wait\n\ncaptcha", "ban_selector": "none"})

    assert settings == Settings(ban_text=("unusual traffic, please wait", "captcha"))


@pytest.mark.parametrize("marks", [{"ban_text": "x"}, {"ban_selector": "//form"}])
def test_a_gzip_file_that_is_too_large_is_the_pages_fault(marks: dict[str, Any]) -> None:
    packed = gzip.compress(bytes(9000))

    found = read(
        spider,
        request(URL, stage="index"),
        Fetched(URL, 200, {}, packed, 0.1, len(packed)),
        settings_from({**marks, "max_body": 5000}),
        tunnelled=True,
    )

    assert isinstance(found, Evidence)
    assert "the gzip file is larger than 5,000 bytes" in found.message
