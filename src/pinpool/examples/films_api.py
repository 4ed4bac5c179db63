"""
A list as JSON, cut into pages by cursors: each page names the next one, and the last names none.

The items stand in the list itself, so one stage is enough. It reads the practice site of `pinpool lab`.
"""

from collections.abc import Iterator
from urllib.parse import urlencode

from pinpool import Page, Spider

spider = Spider(seeds=["http://movies.test:8000/api/films"])


@spider.index
def films(page: Page) -> Iterator[object]:
    answer = page.json()
    for film in answer["films"]:
        yield {
            "url": page.join(film["url"]),  # absolute, as the link may be relative
            "title": film["title"],
            "directors": film["directors"],
            "year": film["year"],
            "score": film["rating"]["score"],
        }
    if cursor := answer["page"]["next"]:
        yield page.task("?" + urlencode({"cursor": cursor}))  # the same stage again
