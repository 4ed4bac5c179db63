"""
An RSS feed, and the page behind each of its entries.

A feed is read as XML, so names are in the case in which it writes them. It reads the practice site of `pinpool lab`.
"""

from collections.abc import Iterator
from email.utils import parsedate_to_datetime

from pinpool import Page, Spider

spider = Spider(seeds=["http://movies.test:8000/feed.xml"])


@spider.index
def entries(page: Page) -> Iterator[object]:
    for entry in page.each("//item"):
        published = parsedate_to_datetime(entry.first("pubDate", default=""))
        yield page.task(
            entry.first("link", default=""),
            stage="detail",
            # What the feed knows is handed on.
            title=entry.first("title"),
            published=published.date().isoformat(),
            directors=entry.all("./dc:creator"),  # with a prefix, so as XPath
        )


@spider.detail
def film(page: Page) -> dict[str, object] | None:
    score = page.first("p.score::text")
    if score is None:
        return None  # a block page: with what the feed handed on, it would look like an item
    return {
        "url": page.url,
        **page.data,
        "score": score,
        "categories": page.all("div.categories span::text"),
    }
