"""`pinpool.testing`: a spider is crawled in a test, without processes, network or proxies."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from pinpool import Page, Spider
from pinpool.errors import SettingsError, SpiderError
from pinpool.model import Task
from pinpool.testing import Answer, Evidence, Fetched, Sign, Step, crawl

SITE = "http://films.test"
PAGES: dict[str, Answer] = {
    f"{SITE}/": '<a class="film" href="/film/1">Up</a> <a class="film" href="/film/2">Her</a> <a rel="next" href="/2">',
    f"{SITE}/2": '<a class="film" href="/film/3">Amélie</a>',
    f"{SITE}/film/1": "<h1>Up</h1>",
    f"{SITE}/film/2": b"<h1>Her</h1>",
    f"{SITE}/film/3": "<h1>Amélie</h1>",
}


def films() -> Spider:
    spider = Spider(seeds=[SITE], name="films")

    @spider.index
    def catalogue(page: Page) -> object:
        yield from page.details("a.film::attr(href)")
        yield from page.more('//a[@rel="next"]/@href')

    @spider.detail
    def film(page: Page) -> object:
        return {"url": page.url, "title": page.first("h1::text")}

    return spider


def test_every_item_comes_from_the_pages_that_were_given() -> None:
    run = crawl(films(), PAGES)

    assert run.end == "complete"
    assert sorted(item["title"] for item in run.items) == ["Amélie", "Her", "Up"]
    assert run.failures == []
    assert run.missing == []
    assert sorted(run.requests) == sorted([f"{SITE}/", *list(PAGES)[1:]])
    assert run.stats["run"]["tasks"]["done"] == 5


def test_a_page_that_was_not_given_is_gone_and_is_listed() -> None:
    run = crawl(films(), {url: page for url, page in PAGES.items() if url != f"{SITE}/film/2"})

    assert set(run.missing) == {f"{SITE}/film/2"}
    assert run.stats["run"]["tasks"]["gone"] == 1


def test_a_stage_that_raises_is_a_failure_with_its_message() -> None:
    spider = Spider(seeds=[SITE], name="broken")

    @spider.index
    def catalogue(page: Page) -> object:
        raise KeyError("price")

    run = crawl(spider, PAGES)

    assert [failure["url"] for failure in run.failures] == [f"{SITE}/"]
    assert "KeyError: 'price' (test_testing.py:" in run.failures[0]["attempts"][0]["message"]


def test_a_function_answers_by_proxy_and_no_page_is_lost_to_a_bad_one() -> None:
    refused = Evidence(Step.CONNECT, Sign.REFUSED, "refused")

    run = crawl(films(), lambda task, proxy: refused if proxy == 1 else PAGES[task.url], proxies=2)

    assert (run.end, len(run.items)) == ("complete", 3)
    assert [proxy["faults"] for proxy in run.stats["proxies"]][1] == {}
    assert run.stats["proxies"][0]["faults"]["refused"] > 0


def test_a_crawl_without_a_usable_proxy_ends_starved_at_once() -> None:
    login = Evidence(Step.PROXY, Sign.AUTH, "login refused")

    assert crawl(films(), lambda task, proxy: login).end == "starved"


def test_a_status_and_a_whole_answer_can_be_given() -> None:
    moved = Fetched(f"{SITE}/film/3?new", 200, {"content-type": "text/html"}, b"<h1>Am\xc3\xa9lie</h1>", 0.1, 16)

    run = crawl(films(), {**PAGES, f"{SITE}/film/1": 500, f"{SITE}/film/3": moved})

    assert [failure["url"] for failure in run.failures] == [f"{SITE}/film/1"]
    assert f"{SITE}/film/3?new" in {item["url"] for item in run.items}


def test_robots_txt_is_asked_where_the_spider_asks_it() -> None:
    rules = "User-agent: *\nDisallow: /film/2"

    run = crawl(films(), {**PAGES, f"{SITE}/robots.txt": rules}, robots=True, proxies=1)

    assert sorted(item["title"] for item in run.items) == ["Amélie", "Up"]
    assert run.requests.count(f"{SITE}/robots.txt") == 1


def test_on_pin_is_not_called() -> None:
    spider = films()

    @spider.on_pin
    def log_in(session: object) -> None:
        raise AssertionError("this needs a network")

    assert len(crawl(spider, PAGES).items) == 3


def test_seeds_limit_and_settings_are_those_of_the_test() -> None:
    run = crawl(films(), PAGES, seeds=[f"{SITE}/2"], limit=1, workers=1)

    assert (run.end, run.requests) == ("limited", [f"{SITE}/2"])
    with pytest.raises(SettingsError):
        crawl(films(), PAGES, attempts="many")
    with pytest.raises(SpiderError):
        crawl(Spider(seeds=[SITE]), PAGES)


def test_what_the_function_raises_ends_the_crawl() -> None:
    def pages(task: Task, proxy: int) -> Answer:
        raise LookupError(task.url)

    with pytest.raises(LookupError):
        crawl(films(), pages)


def test_the_manuals_example_passes_with_the_readmes_spider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[2]
    texts = [(root / name).read_text(encoding="utf-8") for name in ("README.md", "src/pinpool/manual/spiders.md")]
    blocks = [block for text in texts for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL)]
    spider = next(block for block in blocks if "@spider.index" in block)
    example = next(block for block in blocks if "pinpool.testing" in block)
    (tmp_path / "movies.py").write_text(spider, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "movies", raising=False)
    names: dict[str, object] = {"__name__": "test_movies"}

    exec(example, names)
    tests = [value for name, value in names.items() if name.startswith("test_")]

    assert tests
    for test in tests:
        assert callable(test)
        test()
    monkeypatch.delitem(sys.modules, "movies")


def test_a_spider_with_files_gets_them_too(tmp_path: Path) -> None:
    spider = Spider(seeds=[SITE], name="posters")

    @spider.index
    def posters(page: Page) -> object:
        yield page.file("/up.png", film="Up")
        yield page.file("/other/up.png")
        yield page.file("/gone.png")

    png = b"\x89PNG\r\n\x1a\n" + bytes(100)
    pages: dict[str, Answer] = {f"{SITE}/": "<p>", f"{SITE}/up.png": png, f"{SITE}/other/up.png": b"another"}

    run = crawl(spider, pages, files=str(tmp_path / "posters"))

    assert run.end == "complete"
    by_url = {item["url"]: item for item in run.items}
    first, second = by_url[f"{SITE}/up.png"], by_url[f"{SITE}/other/up.png"]
    assert (first["film"], first["type"], first["size"]) == ("Up", "image/png", 108)
    assert (tmp_path / "posters" / first["path"]).read_bytes() == png
    assert (tmp_path / "posters" / second["path"]).read_bytes() == b"another"
    assert {first["path"], second["path"]} > {"up.png"}
    assert len(list((tmp_path / "posters").iterdir())) == 2
    assert run.stats["run"]["tasks"]["gone"] == 1


def test_a_page_in_place_of_a_file_is_a_failure_that_says_so(tmp_path: Path) -> None:
    spider = Spider(seeds=[SITE], name="posters")
    spider.index(lambda page: [page.file("/up.png")])

    run = crawl(spider, {f"{SITE}/": "<p>", f"{SITE}/up.png": "<!doctype html><p>Log in"}, files=str(tmp_path / "it"))

    (failure,) = run.failures
    assert failure["stage"] == "file"
    assert "text/html in place of the file" in failure["attempts"][0]["message"]
    assert not (tmp_path / "it").exists() or list((tmp_path / "it").iterdir()) == []
