"""A spider with modules beside it and with arguments: parent and workers build the same one, however workers start."""

from __future__ import annotations

import pytest

from commands import LIST, Desk
from pinpool.lab import Lab

pytestmark = pytest.mark.processes

SPIDER = """
import words
from .parts import Film
from pinpool import Page, Spider


def spider(site: str, pages: int, loud: bool = False):
    spider = Spider(seeds=[words.page(site, number) for number in range(1, pages + 1)])

    @spider.index
    def films(page: Page):
        yield from page.details(words.LINKS)

    @spider.detail
    def film(page: Page):
        from .late import shout  # only a worker ever imports it

        title = page.first("h2.m-b-sm")
        return Film(page.url, shout(title) if loud else title)

    return spider
"""
WORDS = """
LINKS = '//a[@class="name"]/@href'


def page(site, number):
    return f"{site}/page/{number}"
"""
PARTS = """
from dataclasses import dataclass


@dataclass
class Film:
    url: str
    title: str
"""


@pytest.fixture
def folder(desk: Desk, lab: Lab) -> str:
    (desk / "my spiders").mkdir()
    desk.write("my spiders/films.py", SPIDER)
    desk.write("my spiders/words.py", WORDS)
    desk.write("my spiders/parts.py", PARTS)
    desk.write("my spiders/late.py", "def shout(text):\n    return text.upper()\n")
    return "my spiders/films.py"


def test_modules_beside_the_spider_and_its_arguments_reach_every_worker(
    desk: Desk, lab: Lab, folder: str, method: str, threads: int
) -> None:
    arguments = ("-a", f"site={lab.named_url}", "-a", "pages=2", "-a", "loud=yes")
    start = ("--start-method", method, "--threads", threads)

    first = desk.run("crawl", folder, *LIST, *arguments, *start, "-o", "films.jsonl", "--limit", 5)
    rest = desk.run("resume", "films.db")

    titles = {lab.named_url + path: film.title.upper() for path, film in lab.films().items()}
    assert (first.code, rest.code) == (0, 0), (first.err, rest.err)
    assert {item["url"]: item["title"] for item in desk.lines("films.jsonl")} == titles
    assert len(desk.lines("films.jsonl")) == 20


def test_a_program_of_ones_own_crawls_what_the_function_returns(desk: Desk, lab: Lab, folder: str) -> None:
    program = (
        "import pinpool\nfrom shop.films import spider\n"
        f"films = spider({lab.named_url!r}, pages=1)\n"
        "if __name__ == '__main__':\n"
        "    run = pinpool.crawl(films, 'proxies.txt', journal='own.db')\n"
        "    print(run.complete, len(list(run.items())))\n"
    )
    (desk / folder).parent.rename(desk / "shop")
    desk.write("shop/__init__.py", "import sys, os\nsys.path.insert(0, os.path.dirname(__file__))\n")
    desk.write("own.py", program)
    desk.write("wrong.py", program.replace("pinpool.crawl(films", "pinpool.crawl(spider"))

    own = desk.start_python("own.py").end()
    wrong = desk.start_python("wrong.py").end()

    assert (own.code, own.out) == (0, "True 10\n"), own.err
    assert "SpiderError: crawl() takes a Spider, not function" in wrong.err


def test_a_run_in_which_nothing_was_found_is_looked_into_with_the_arguments_of_that_run(desk: Desk, lab: Lab) -> None:
    desk.write(
        "odd.py",
        "from pinpool import Spider\n"
        "def spider(url, title='h7'):\n"
        "    spider = Spider(seeds=[url])\n"
        "    spider.index(lambda page: {'title': page.first(title)})\n"
        "    return spider\n",
    )
    site = f"url={lab.named_url}/page/1"

    crawled = desk.run("crawl", "odd.py", *LIST, "-a", site)
    tried = desk.run("try", "odd.py", "--page", "odd.db:1")
    mended = desk.run("try", "odd.py", "--page", "odd.db:1", "-a", site, "-a", "title=h2")

    assert (crawled.code, tried.code, mended.code) == (3, 3, 0)
    assert "`pinpool try odd.py --page odd.db:1 --stage index`" in crawled.err
    assert '"title": null' in tried.out
    assert lab.films()["/detail/1"].title in mended.out
