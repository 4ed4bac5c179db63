"""
A site that shows its films to those who search only: a form, sent once for each choice that it offers.

Hidden fields go back as they came: the site refuses a form without them. The next page of results is a form, too. It
reads the practice site of `pinpool lab`.
"""

from collections.abc import Iterator

from pinpool import Page, Spider

# There may be decades without films, so an empty list is believed at once. `blocked` says what is no list at all.
spider = Spider(seeds=["http://movies.test:8000/search"], empty_ok=True)


@spider.ban
def blocked(page: Page) -> str | None:
    return None if page.select("#search, table.films") else "neither the form nor a list"


def hidden(page: Page, form: str) -> dict[str, str]:
    """The hidden fields of a form."""
    fields = page.each(f"{form} input[type=hidden]")
    return {field.first("@name", default=""): field.first("@value", default="") for field in fields}


@spider.index
def search(page: Page) -> Iterator[object]:
    for decade in page.all("#search select[name=decade] option::attr(value)"):
        yield page.task("/search", stage="results", form={**hidden(page, "#search"), "decade": decade})


@spider.stage("results")
def results(page: Page) -> Iterator[object]:
    for row in page.each("table.films tr"):
        yield {
            "url": page.join(row.first("a::attr(href)", default="")),
            "title": row.first("td.title"),
            "year": int(row.first("td.year", default="0")),
            "score": row.first("td.score"),
        }
    if more := hidden(page, "#more"):
        yield page.task("/search", form=more)  # the same stage again
