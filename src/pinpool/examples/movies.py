"""
The practice site: ten list pages, each with links to films, each film with its directors.

    pinpool crawl pinpool.examples.movies -p proxies.txt -o movies.jsonl
"""

from collections.abc import Iterator

from pinpool import Page, Spider

spider = Spider(seeds=[f"https://ssr1.scrape.center/page/{n}" for n in range(1, 11)])


@spider.index
def films(page: Page) -> Iterator[object]:
    yield from page.details('//a[@class="name"]/@href')


@spider.detail
def film(page: Page) -> dict[str, object]:
    return {
        "url": page.url,
        "title": page.first('//h2[@class="m-b-sm"]'),
        "directors": page.all('//div[@class="directors el-row"]//p/text()'),
        "score": page.first('//p[contains(@class, "score")]'),
        "categories": page.all('//div[@class="categories"]//span'),
    }
