"""Habits that people bring from other scrapers: each is answered by one sentence that names the right way."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pinpool.errors import SettingsError, SpiderError
from pinpool.model import Evidence, Fetched
from pinpool.settings import Settings
from pinpool.spider.extraction import extract
from pinpool.spider.loader import load, parse_ref
from pinpool.spider.page import Page
from pinpool.spider.spider import Spider
from pinpool.tasks import request

URL = "https://site.example/films"
BODY = '<h1>Films</h1><a href="/1">one</a><a href="/2">two</a>'


def page() -> Page:
    return Page(request(URL), Fetched(URL, 200, {}, BODY.encode(), 0.1, len(BODY)), Settings())


def answer_to(function: Callable[[Page], object]) -> str:
    """What a spider is told whose stage is `function`."""
    spider = Spider(seeds=[URL])
    spider.index(function)
    spider.detail(lambda page: None)
    evidence = extract(spider, page())
    assert isinstance(evidence, Evidence), evidence
    return evidence.message


@pytest.mark.parametrize(
    ("habit", "right"),
    [
        (lambda page: page.css("a"), "write page.first(SELECTOR) for one text"),
        (lambda page: page.xpath("//a"), "page.all(SELECTOR) for the texts of all matches"),
        (lambda page: page.get("a"), "Page has no get: write page.first(SELECTOR)"),
        (lambda page: page.getall(), "Page has no getall: write page.all(SELECTOR)"),
        (lambda page: page.follow("/1"), "write page.task(URL, stage=STAGE)"),
        (lambda page: page.follow_all("a"), "write page.more(SELECTOR)"),
        (lambda page: page.urljoin("/1"), "write page.join(HREF)"),
        (lambda page: page.meta["x"], "write page.data, which has what page.task(URL, data={...}) handed on"),
        (lambda page: page.status_code, "write page.status"),
        (lambda page: page.frist("a"), "Page has no frist; did you mean first?"),
        (lambda page: page.qqqq, "Page has no qqqq ("),
        (lambda page: page.each("a")[0].css("b"), "Node has no css: write node.first(SELECTOR)"),
        (lambda page: page.each("a")[0].attrib["href"], "write node.first('@NAME')"),
        (lambda page: page.each("a")[0].meta, "Node has no meta ("),
        (lambda page: page.first("a").get(), "page.first gives a text or None"),
        (lambda page: page.first("p").get(), "leave .get() out"),
        (lambda page: page.all("a").getall(), "page.all a list of texts: leave .getall() out"),
        (lambda page: page.task("/1", film), 'the stage is given by its name, not as film: write stage="NAME"'),
        (lambda page: [*page.details("a", film)], 'write stage="NAME"'),
        (lambda page: page.task("/1", callback=film), 'callback: write stage="NAME"'),
        (lambda page: [*page.more("a", callback=film)], 'callback: write stage="NAME"'),
        (lambda page: page.task("/1", formdata={"q": "x"}), "formdata: write form={...}"),
        (lambda page: page.task("/1", dont_filter=True, errback=film), "dont_filter: pinpool asks for the same page"),
        (lambda page: [request(URL, stage=film)], 'write stage="NAME"'),  # type: ignore[arg-type]
        (lambda page: [URL], "stage index yields str, which looks like a URL: write page.task(URL, stage=STAGE)"),
        (lambda page: [film], "stage index yields function, which was not called"),
        (lambda page: page.each("a"), "stage index yields Node, a part of the page: write a dict of its texts"),
        (lambda page: page.select("a"), "stage index yields _Element, a part of the page"),
    ],
)
def test_a_habit_in_a_stage_is_answered(habit: Callable[[Page], object], right: str) -> None:
    assert right in answer_to(habit)


def film(page: Page) -> None: ...


def test_a_request_of_another_library_is_answered() -> None:
    class Request:
        url = URL

    Request.__module__ = "scrapy.http.request"

    assert answer_to(lambda page: [Request()]) == (
        "stage index yields Request of scrapy: write page.task(URL, stage=STAGE) instead"
    )


def test_a_value_that_a_generator_returns_is_not_dropped_silently() -> None:
    def films(page: Page) -> Generator[object, None, list[str]]:
        yield {"title": page.first("h1")}
        return page.all("a")

    assert answer_to(films) == (
        "stage index returns a value besides its yields, and Python drops that: write yield in place of return"
    )


def test_a_generator_that_returns_nothing_is_well() -> None:
    def films(page: Page) -> Iterator[object]:
        yield {"title": page.first("h1")}
        if page.status == 200:
            return
        yield {"title": "never"}

    spider = Spider(seeds=[URL])
    spider.index(films)

    assert not isinstance(extract(spider, page()), Evidence)


@pytest.mark.parametrize(
    ("setting", "right"),
    [
        ("start_urls", "write seeds=[...]"),
        ("custom_settings", "give each setting by its own keyword"),
        ("DOWNLOAD_DELAY", "did you mean pace?"),
    ],
)
def test_a_setting_of_scrapy_is_answered(setting: str, right: str) -> None:
    settings: dict[str, Any] = {setting: [URL]}

    with pytest.raises(SettingsError) as refused:
        Spider(**settings)

    assert refused.value.problems == (f"{setting}: no such setting; {right}",)


def test_a_spider_written_as_a_class_is_answered() -> None:
    with pytest.raises(SpiderError, match=r"Films: a spider is a variable, not a class: write  spider = Spider"):

        class Films(Spider):
            start_urls = (URL,)


def test_start_urls_in_place_of_seeds_are_answered() -> None:
    spider = Spider()
    spider.index(film)
    spider.start_urls = [URL]  # type: ignore[attr-defined]

    with pytest.raises(SpiderError, match=r"has no seeds: write Spider\(seeds=start_urls\)"):
        spider.check()


def test_a_spider_for_scrapy_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = type("Spider", (), {"__module__": "scrapy.spiders"})
    monkeypatch.setitem(sys.modules, "scrapy", SimpleNamespace(Spider=theirs))
    monkeypatch.setattr(sys, "path", list(sys.path))
    file = tmp_path / "quotes.py"
    file.write_text("import scrapy\nclass Quotes(scrapy.Spider):\n    name = 'quotes'\n")

    with pytest.raises(SpiderError, match=r"quotes\.py: Quotes is a spider of another scraper: here a spider is a"):
        load(parse_ref(str(file)))
