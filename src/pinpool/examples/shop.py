"""
A shop, three stages deep: its categories, their list pages, and the page of each product.

There are items on the list pages, one of each card, and on the pages of the products. It reads the practice site of
`pinpool lab`.
"""

from collections.abc import Iterator

from pinpool import Page, Spider

spider = Spider(seeds=["http://movies.test:8000/shop"])


@spider.index
def categories(page: Page) -> Iterator[object]:
    yield from page.tasks("ul.categories a", "category")  # to `category`, below


@spider.stage("category")
def category(page: Page) -> Iterator[object]:
    name = page.first("h1")
    for card in page.each("article.product"):  # the selectors of a card search the card alone
        url = page.join(card.first("h3 a::attr(href)", default=""))
        yield {
            "url": url,
            "category": name,
            "name": card.first("h3"),
            "price": float(card.first("p.price b", default="0")),
            "in_stock": card.first("p.stock") == "In stock",
        }
        yield page.task(url, stage="product", category=name)  # hands the category on
    yield from page.more("a[rel=next]::attr(href)")  # further list pages, the same stage


@spider.stage("product")
def product(page: Page) -> dict[str, object] | None:
    facts = {row.first("th"): row.first("td") for row in page.each("table.facts tr")}
    if not facts:
        return None  # a block page, which has a heading too: nothing found, so another proxy is asked
    return {
        "url": page.url,
        "category": page.data["category"],  # what the list page has handed on
        "title": page.first("h1"),
        "facts": facts,
    }
