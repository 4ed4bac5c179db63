"""A page in hand, read by the stages of a spider in turn."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pinpool import Page, Spider, request
from pinpool.check.page import other_stages, try_again
from pinpool.check.question import Question
from pinpool.errors import DeadlinePassed
from pinpool.model import Evidence, Fetched
from pinpool.spider.extraction import Extracted

URL = "https://site.example/7"
FILM = Fetched(URL, 200, {}, b'<h1>Up</h1><a class="more" href="/8">next</a>', 0.1, 9)


@pytest.fixture
def spider() -> Spider:
    made = Spider(seeds=[URL], deadline=0.3)

    @made.index
    def films(page: Page) -> Iterator[object]:
        yield from page.details("//a[@class='name']")

    @made.detail
    def film(page: Page) -> dict[str, object]:
        return {"url": page.url, "title": page.first("//h1")}

    @made.stage("broken")
    def broken(page: Page) -> object:
        return page.data["year"]

    @made.stage("endless")
    def endless(page: Page) -> object:
        while True:
            pass

    return made


def ask(*stages: str) -> Question:
    return Question(request(URL, stage=stages[0]), stages, "a guess", False)


def test_the_first_stage_that_makes_something_of_a_page_reads_it(spider: Spider) -> None:
    attempt = try_again(spider, ask("broken", "index", "detail"), FILM)

    assert attempt.stage == "detail"
    assert isinstance(attempt.result, Extracted)
    assert attempt.result.items == ('{"url":"https://site.example/7","title":"Up"}',)


def test_if_no_stage_can_read_it_the_first_one_is_shown(spider: Spider) -> None:
    attempt = try_again(spider, ask("index", "broken"), FILM)

    assert attempt.stage == "index"
    assert isinstance(attempt.result, Extracted)
    assert attempt.result.empty


def test_a_page_that_is_none_is_read_by_nobody(spider: Spider) -> None:
    attempt = try_again(spider, ask("index", "detail"), FILM._replace(status=503))

    assert isinstance(attempt.result, Evidence)
    assert (attempt.stage, attempt.in_spider, attempt.error) == ("index", False, None)


def test_what_the_spider_raised_is_there_with_its_traceback(spider: Spider) -> None:
    attempt = try_again(spider, ask("broken"), FILM)

    assert (attempt.in_spider, repr(attempt.error)) == (True, "KeyError('year')")
    assert attempt.error is not None and attempt.error.__traceback__ is not None


def test_a_stage_without_end_is_ended_and_the_place_is_known(spider: Spider) -> None:
    attempt = try_again(spider, ask("endless"), FILM)

    assert isinstance(attempt.result, Evidence)
    assert attempt.result.message == "took longer than 0.3 s"
    assert isinstance(attempt.error, DeadlinePassed)


def test_other_stages_that_would_read_the_page_are_found(spider: Spider) -> None:
    found = other_stages(spider, ask("index"), FILM, "index")

    assert {stage: len(result.items) for stage, result in found.items()} == {"detail": 1}
