"""Parts of a page: what `each` finds, and what selectors mean there."""

from __future__ import annotations

import pytest

from pinpool import Node
from pinpool.model import Fetched
from pinpool.settings import Settings
from pinpool.spider.page import Page
from pinpool.tasks import request

SHOP = """
<h1>Shoes</h1>
<ul>
  <li class="item" id="a"><h2>Boot <b>one</b></h2><a href="/1">more</a><i>red</i><i>black</i><i></i></li>
  <li class="item" id="b"><h2>Clog</h2><a href="/2">more</a><div><div>deep</div></div></li>
  <li class="item" id="c"></li>
</ul>
<a href="/next">next</a>
"""
FEED = """<?xml version="1.0"?>
<rss xmlns:media="http://search.yahoo.com/mrss/"><channel><title>All</title>
<item><title>One</title><media:content url="http://a.example/1.jpg"/></item>
<item><title>Two</title></item></channel></rss>
"""


def page(body: str = SHOP) -> Page:
    url = "https://shop.example/list"
    return Page(request(url), Fetched(url, 200, {}, body.encode(), 0.1, len(body.encode())), Settings())


@pytest.mark.parametrize(
    ("heading", "link", "colours"),
    [
        ("h2", "a::attr(href)", "i"),
        (".//h2", ".//a/@href", ".//i"),
        ("//h2", "//a/@href", "//i"),
        ("./h2", "./a/@href", "./i"),
        ("(//h2)[1]", "(//a)[1]/@href", "xpath:i"),
    ],
)
def test_every_item_of_a_list_answers_for_itself(heading: str, link: str, colours: str) -> None:
    found = [(node.first(heading), node.first(link), node.all(colours)) for node in page().each("li.item")]

    assert found == [
        ("Boot one", "/1", ["red", "black", ""]),
        ("Clog", "/2", []),
        (None, None, []),
    ]


def test_each_is_a_list_and_can_be_asked_again_inside() -> None:
    items = page().each('//li[@class="item"]')

    assert len(items) == 3
    assert [inner.first("@id") for inner in items[1].each("div")] == [None, None]
    assert [inner.first(".") for inner in items[1].each("//div/div")] == ["deep"]
    assert page().each("li.none") == []
    assert isinstance(items[0], Node)
    assert repr(items[0]) == "<Node li>"


def test_a_node_knows_itself_its_attributes_and_its_defaults() -> None:
    boot = page().each("li.item")[0]

    assert (boot.first("@id"), boot.first("::attr(id)"), boot.first("li::attr(id)")) == ("a", "a", "a")
    assert boot.first("./h3/text()", "?") == "?"
    assert boot.first("p", "?") == "?"
    assert [element.get("href") for element in boot.select("a")] == ["/1"]
    assert boot.root.get("id") == "a"


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("count(//a)", ["1"]),
        ("//a[//i]/@href", ["/1"]),  # this node has an i, wherever it stands in it
        ("//i[. = 'red' and //b]", ["red"]),
        ("//h2 | //a", ["Boot one", "more"]),
        ("//a[contains(@href, '//')]", []),
        ("string(//h2//b)", ["one"]),
        ("xpath:2 * count(//i) - count(//a)", ["5"]),
        ("//*[@id = 'a']", []),
        ("//div//*", []),
        ("./ancestor::ul/li[3]/@id", ["c"]),
        ("/html/body/h1", ["Shoes"]),
    ],
)
def test_two_slashes_search_the_node_and_one_starts_at_the_root(selector: str, found: list[str]) -> None:
    boot = page().each("li.item")[0]

    assert boot.all(selector) == found


def test_the_same_selector_still_searches_the_whole_page_when_the_page_is_asked() -> None:
    shop = page()

    assert shop.each("li.item")[0].all("//a/@href") == ["/1"]
    assert shop.all("//a/@href") == ["/1", "/2", "/next"]


def test_items_of_a_feed_are_nodes_with_the_names_of_their_document() -> None:
    items = page(FEED).each("//item")

    assert [item.first("title") for item in items] == ["One", "Two"]
    assert [item.first("//media:content/@url") for item in items] == ["http://a.example/1.jpg", None]
    assert [item.first("//nobody:knows") for item in items] == [None, None]


@pytest.mark.parametrize("selector", ["a::attr(href)", "//a/@href", "//a/text()", "count(//a)"])
def test_texts_are_no_nodes(selector: str) -> None:
    with pytest.raises(ValueError, match=r"finds text, and each\(\) needs elements"):
        page().each(selector)


def test_a_selector_that_cannot_be_used_is_named() -> None:
    boot = page().each("li.item")[0]

    with pytest.raises(ValueError, match=r"'//a\[' is not an XPath selector"):
        boot.first("//a[")
    with pytest.raises(ValueError, match="cannot be used here"):
        boot.first("unknown(//a)")
