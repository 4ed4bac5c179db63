"""Eight lists of ten films each, as pages for `pinpool.testing.crawl`, and the spider that reads them."""

from __future__ import annotations

from pinpool import Page, Spider
from pinpool.testing import Answer

SITE = "http://films.test"
FILMS = [f"{SITE}/film/{n}" for n in range(80)]
LISTS: dict[str, Answer] = {
    f"{SITE}/list/{n}": "".join(f'<a href="{film}">' for film in FILMS[10 * n : 10 * n + 10]) for n in range(8)
}


def spider(*, directors: bool = False) -> Spider:
    """Its items have a URL and a title, and directors if asked for."""
    made = Spider(seeds=list(LISTS), name="films")

    @made.index
    def lists(page: Page) -> object:
        yield from page.details("//a/@href")

    @made.detail
    def film(page: Page) -> object:
        item = {"url": page.url, "title": page.first("h1")}
        return {**item, "directors": page.all("p")} if directors else item

    return made
