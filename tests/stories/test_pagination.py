"""
The ways in which sites cut a list into pages, each crawled to its end by the command, through proxies.

The proxies answer for the site themselves.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import parse_qs, urlsplit

import pytest

from commands import Desk
from peers import Peer, answer, answering
from pinpool import Page, Spider
from pinpool.model import Task
from pinpool.testing import crawl

pytestmark = pytest.mark.processes

SITE = "http://shop.test"
PER_PAGE, GOODS = 2, [f"good {number}" for number in range(1, 8)]
TOKENS = ["t0", "t1", "t2", "t3"]

SPIDER = """
from pinpool import Page, Spider, request

SITE = "http://shop.test"
WAYS = ["numbers", "offset", "cursor", "search"]
spider = Spider(seeds=[f"{SITE}/links", *(request(f"{SITE}/{way}", stage=way) for way in WAYS)])


def goods(page: Page, way: str):
    for node in page.each("li"):
        yield {"way": way, "name": node.first("b"), "url": page.join(node.first("a::attr(href)"))}


@spider.index
def links(page: Page):
    yield from goods(page, "links")
    yield from page.more("a[rel=next]::attr(href)")


@spider.stage("numbers")
def numbers(page: Page):
    found = list(goods(page, "numbers"))
    yield found
    if found:  # until there is nothing more
        number = page.data.get("number", 1) + 1
        yield page.task(f"/numbers?page={number}", number=number)


@spider.stage("offset")
def offset(page: Page):
    answer = page.json()
    for name in answer["goods"]:
        yield {"way": "offset", "name": name}
    seen = answer["start"] + len(answer["goods"])
    if seen < answer["total"]:
        yield page.task(f"/offset?start={seen}")


@spider.stage("cursor")
def cursor(page: Page):
    answer = page.json()
    yield [{"way": "cursor", "name": name} for name in answer["goods"]]
    if answer["next"]:
        yield page.task("/cursor", json={"after": answer["next"]})


@spider.stage("search")
def search(page: Page):
    yield from goods(page, "search")
    hidden = {field.first("@name"): field.first("@value") for field in page.each("form input[type=hidden]")}
    if hidden:
        yield page.task(page.first("form::attr(action)"), form={**hidden, "q": "good"})
"""


def part(number: int) -> list[str]:
    """The goods of a page, counted from 0."""
    return GOODS[number * PER_PAGE : (number + 1) * PER_PAGE]


def html(number: int, more: str = "") -> bytes:
    rows = "".join(f'<li><b>{name}</b> <a href="/goods/{name[-1]}">more</a></li>' for name in part(number))
    return answer(f"<h1>Shop</h1><ul>{rows}</ul>{more}".encode(), Content_Type="text/html; charset=utf-8")


def listing(number: int, **more: object) -> bytes:
    return answer(json.dumps({"goods": part(number), **more}).encode(), Content_Type="application/json")


def shop(request: str) -> bytes:
    """The answer of the site, told by its proxy."""
    head, _, body = request.partition("\r\n\r\n")
    url = urlsplit(head.split()[1])
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    last = (len(GOODS) - 1) // PER_PAGE
    if url.path.startswith("/links"):
        number = int(url.path.removeprefix("/links") or "0")
        # The last page links to itself.
        return html(number, f'<a rel="next" href="/links{min(number + 1, last)}">next</a>')
    if url.path == "/numbers":
        return html(int(query.get("page", 1)) - 1)
    if url.path == "/offset":
        start = int(query.get("start", 0))
        return listing(start // PER_PAGE, start=start, total=len(GOODS))
    if url.path == "/cursor":
        number = int(json.loads(body)["after"][1:]) if body else 0
        return listing(number, next=f"c{number + 1}" if number < last else None)
    if url.path == "/search":
        form = parse_qs(body)
        number = TOKENS.index(form["token"][0]) + 1 if form else 0
        if form and form["q"] != ["good"]:
            return answer(b"what?", "400 Bad Request")
        hidden = f'<input type="hidden" name="token" value="{TOKENS[number]}">' if number < last else ""
        return html(number, f'<form method="post" action="/search"><input name="q">{hidden}</form>')
    return answer(b"no such page", "404 Not Found")


def test_every_way_of_paging_is_followed_to_its_end_and_each_good_is_stored_once(desk: Desk) -> None:
    desk.write("shop.py", SPIDER)
    with ExitStack() as peers:
        proxies = [peers.enter_context(Peer(answering(shop))) for _ in range(4)]
        desk.write("proxies.txt", "".join(f"{peer.netloc}\n" for peer in proxies))

        code, out, err = desk.run("crawl", "shop.py", "-p", "proxies.txt", "-o", "goods.jsonl")
        verified = desk.run("verify", "shop.db")

    found = sorted((item["way"], item["name"]) for item in desk.lines("goods.jsonl"))
    assert (code, verified.code) == (0, 0), (out, err, verified.out)
    assert found == sorted((way, name) for way in ("links", "numbers", "offset", "cursor", "search") for name in GOODS)
    assert all(item["url"].startswith(f"{SITE}/goods/") for item in desk.lines("goods.jsonl") if "url" in item)


def test_a_listing_that_shifts_while_it_is_crawled_is_a_doubt(desk: Desk) -> None:
    """A new good comes first once the second page was fetched, and pushes all others on by one."""
    desk.write(
        "shop.py",
        "from pinpool import Spider\n"
        "spider = Spider(seeds=[f'http://shop.test/list/{number}' for number in range(1, 7)])\n"
        "spider.index(lambda page: page.details('a'))\n"
        "spider.detail(lambda page: {'address': page.url})\n",
    )
    fetched: list[int] = []

    def shifting(request: str) -> bytes:
        path = urlsplit(request.split()[1]).path
        if not path.startswith("/list/"):
            return answer(b"<p>a good</p>")
        number = int(path.rpartition("/")[2])
        first = 100 + number * PER_PAGE - (2 in fetched)
        fetched.append(number)
        links = "".join(f'<a href="/goods/{good}">x</a>' for good in range(first, first + PER_PAGE))
        return answer(links.encode(), Content_Type="text/html")

    with Peer(answering(shifting)) as peer:
        desk.write("proxies.txt", f"{peer.netloc}\n")

        crawled = desk.run("crawl", "shop.py", "-p", "proxies.txt")
        said = desk.run("verify", "shop.db")
        document = desk.run("verify", "shop.db", "--json").json()

    assert (crawled.code, said.code) == (0, 0), crawled
    (doubt,) = [line for line in said.out.splitlines() if line.startswith("doubt: ")]
    assert "1 page of the stage index (the first is http://shop.test/list/3 with 1 of 2 links) shows some" in doubt
    assert document["doubts"] == [doubt.removeprefix("doubt: ")]


def listing_spider(stage: str) -> Spider:
    spider = Spider(seeds=[SITE], name="listing")

    @spider.index
    def start(page: Page) -> Iterator[object]:
        yield {"name": "start"}
        yield page.task("/list/1", stage=stage, number=1)

    @spider.stage("goods")
    def goods(page: Page) -> Iterator[object]:
        names = page.all("li")
        yield [{"name": name} for name in names]
        if names:
            number = int(str(page.data["number"])) + 1
            yield page.task(f"/list/{number}", number=number)

    return spider


def test_an_empty_page_ends_a_list_of_any_stage_once_three_proxies_agree() -> None:
    def pages(task: Task, proxy: int) -> str:
        # The first proxy hides the goods of the second page.
        hidden = proxy == 1 and task.url.endswith("/list/2")
        return "<p>Shop</p>" + ("" if hidden or task.url.endswith("/list/4") else f"<li>{task.url}</li>")

    run = crawl(listing_spider("goods"), pages)

    assert (run.end, run.failures) == ("complete", [])
    assert sorted(item["name"] for item in run.items) == [f"{SITE}/list/{number}" for number in (1, 2, 3)] + ["start"]
    assert run.requests.count(f"{SITE}/list/4") >= 3


def test_a_list_that_is_empty_from_its_first_page_on_is_a_failure() -> None:
    """That its stage is a list is not known: nothing of it was seen."""
    run = crawl(listing_spider("goods"), lambda task, proxy: "<p>Shop</p>")

    assert [(failure["url"], failure["reason"]) for failure in run.failures] == [
        (f"{SITE}/list/1", "nothing extracted")
    ]


def test_a_calendar_without_end_is_pointed_out(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pinpool.crawler.run_log.BARREN", 50)
    spider = Spider(seeds=[f"{SITE}/month/1"], name="calendar")

    @spider.index
    def month(page: Page) -> object:
        return page.task(f"/month/{int(page.url.rpartition('/')[2]) + 1}")

    run = crawl(spider, lambda task, proxy: "<p>no events</p>", limit=60)

    assert run.end == "limited"
    assert "pages in a row have yielded no item" in caplog.text
    assert "if these links never end, follow fewer, or use --limit" in caplog.text
