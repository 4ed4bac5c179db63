"""
A spider to start from. It reads the practice site of `pinpool lab`: ten list pages, ten films behind each.

For your own site, change the seeds and the selectors. `pinpool guide spiders` says what else a spider can do.
"""

from collections.abc import Iterator

from pinpool import Page, Spider

spider = Spider(
    # Where the crawl starts: URLs, or a function that returns them.
    seeds=[f"http://movies.test:8000/page/{n}" for n in range(1, 11)],
    # Settings, all of them in `pinpool guide settings`:
    # pace=1.5,  # seconds between two requests of one proxy
    # headers={"Accept-Language": "en"},
)


@spider.index
def films(page: Page) -> Iterator[object]:
    """A list page: which pages to ask for. Selectors are XPath or CSS."""
    yield from page.details('//a[@class="name"]/@href')  # to `film`, below
    # yield from page.more('//a[@rel="next"]/@href')  # further list pages, where not all of them are seeds


@spider.detail
def film(page: Page) -> dict[str, object]:
    """A film's page: its item."""
    return {
        "url": page.url,
        "title": page.first("h2.m-b-sm::text"),
        "directors": page.all('//div[@class="directors el-row"]//p/text()'),
        "score": page.first("p.score::text"),
    }


# Does the site answer with a page that says "no"? Then it is tried again through another proxy.
# @spider.ban
# def banned(page: Page) -> str | None:
#     return "unusual traffic" if "unusual traffic" in page.text else None
