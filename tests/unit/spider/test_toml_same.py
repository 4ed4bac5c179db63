"""A spider in Python and the same in TOML: whatever is said of the one is so of the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import pinpool
from pinpool.lab.http import Answer
from pinpool.lab.pages import Catalogue
from pinpool.model import Fetched
from pinpool.spider.loader import load, parse_ref
from pinpool.spider.spider import Spider
from pinpool.testing import crawl

SITE = "https://ssr1.scrape.center"
EXAMPLES = Path(pinpool.__file__).parent / "examples"


@pytest.fixture(params=["movies.py", "movies.toml"])
def spider(request: pytest.FixtureRequest) -> Spider:
    return load(parse_ref(str(EXAMPLES / request.param)), seeds=True)


@pytest.fixture
def pages() -> dict[str, Fetched | str | int]:
    """The lab's films, in all their encodings, under the address of the examples."""
    catalogue = Catalogue(10, seed=1)

    def answers() -> Iterator[tuple[str, Fetched]]:
        for number in range(1, 101):
            yield f"{SITE}/detail/{number}", fetched(catalogue.film_page(number, False))
        for number in range(1, 11):
            yield f"{SITE}/page/{number}", fetched(catalogue.list_page(number))

    def fetched(answer: Answer | None) -> Fetched:
        assert answer is not None and isinstance(answer.body, bytes)
        headers = {name.lower(): value for name, value in answer.headers}
        return Fetched("", 200, headers, answer.body, 0.1, len(answer.body))

    return {url: answer._replace(url=url) for url, answer in answers()}


def test_every_film_is_right(spider: Spider, pages: dict[str, Fetched | str | int]) -> None:
    run = crawl(spider, pages)

    films = {f"{SITE}{film.path}": film for film in map(Catalogue(10, seed=1).film, range(1, 101))}
    assert run.end == "complete"
    assert {item["url"]: item for item in run.items} == {
        url: {
            "url": url,
            "title": film.title,
            "directors": list(film.directors),
            "score": film.score,
            "categories": list(film.categories),
        }
        for url, film in films.items()
    }
    assert list(run.items[0]) == ["url", "title", "directors", "score", "categories"]


def test_a_spider_may_be_named_by_its_file(pages: dict[str, Fetched | str | int]) -> None:
    run = crawl(EXAMPLES / "movies.toml", pages)

    assert len(run.items) == 100


def test_a_block_page_is_not_a_film(spider: Spider, pages: dict[str, Fetched | str | int]) -> None:
    pages[f"{SITE}/detail/7"] = "<h1>Please wait</h1>"

    run = crawl(spider, pages)

    (failure,) = run.failures
    assert (failure["url"], failure["reason"]) == (f"{SITE}/detail/7", "nothing extracted")
    assert len(run.items) == 99


def test_a_missing_film_is_gone(spider: Spider, pages: dict[str, Fetched | str | int]) -> None:
    del pages[f"{SITE}/detail/7"]

    run = crawl(spider, pages)

    assert (len(run.items), run.failures, run.missing) == (99, [], [f"{SITE}/detail/7"])
