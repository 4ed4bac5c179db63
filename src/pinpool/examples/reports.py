"""
PDF files behind a list of links. Each file has an item of its own.

The files go to the folder `reports.files`, or where `-d` says. It reads the practice site of `pinpool lab`.
"""

from collections.abc import Iterator

from pinpool import Page, Spider

spider = Spider(seeds=["http://movies.test:8000/files/1"])


@spider.index
def reports(page: Page) -> Iterator[object]:
    for link in page.each("a.file"):
        number = link.first(".", default="")
        yield page.file(
            link.first("@href", default=""),
            f"Report {number}.pdf",  # without it, the site or the URL names the file
            type="application/pdf",  # a block page in its place is asked for again, through another proxy
            number=int(number),  # goes to the item
        )
