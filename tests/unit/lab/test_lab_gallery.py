"""The pages of the lab for the gallery of spiders, judged by clients of other authors."""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest
import urllib3
from parsel import Selector

import labs
from labs import client, select, status
from pinpool.lab import Lab
from pinpool.lab.film_lists import published
from pinpool.lab.shop import CATEGORIES, PER_SHELF

lab = labs.lab  # pytest finds a fixture by the module's own names


def post(web: urllib3.PoolManager, url: str, fields: dict[str, str]) -> urllib3.BaseHTTPResponse:
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    return web.request("POST", url, body=urlencode(fields), headers=kind)


def hidden(page: Selector, form: str) -> dict[str, str]:
    fields = page.css(f"{form} input[type=hidden]")
    return {field.attrib["name"]: field.attrib["value"] for field in fields}


def test_cursor_after_cursor_leads_through_all_films(lab: Lab) -> None:
    found, query = [], ""
    with client(None) as web:
        while True:
            answer = json.loads(web.request("GET", f"{lab.url}/api/films{query}").data)
            found += answer["films"]
            if answer["page"]["next"] is None:
                break
            query = "?" + urlencode({"cursor": answer["page"]["next"]})

    assert [(film["url"], film["title"], film["directors"]) for film in found] == [
        (path, film.title, [*film.directors]) for path, film in lab.films().items()
    ]


def test_a_cursor_that_the_site_did_not_give_is_refused(lab: Lab) -> None:
    with client(None) as web:
        assert status(web, f"{lab.url}/api/films?cursor=2") == 400


def test_the_feed_has_an_entry_for_each_film_with_links_that_work(lab: Lab) -> None:
    with client(None) as web:
        feed = ElementTree.fromstring(web.request("GET", f"{lab.url}/feed.xml").data)
        first = feed.findtext("channel/item/link") or ""

        assert status(web, first) == 200
    films = lab.films(lab.url)
    assert [entry.findtext("link") for entry in feed.iter("item")] == [*films]
    assert [entry.findtext("title") for entry in feed.iter("item")] == [film.title for film in films.values()]
    dates = [parsedate_to_datetime(entry.findtext("pubDate") or "") for entry in feed.iter("item")]
    assert dates == [published(film) for film in films.values()]


def test_the_search_finds_each_film_in_its_decade(lab: Lab) -> None:
    found = []
    with client(None) as web:
        form = select(web.request("GET", f"{lab.url}/search"))
        for decade in form.css("#search option::attr(value)").getall():
            fields = {**hidden(form, "#search"), "decade": decade}
            while fields:
                page = select(post(web, f"{lab.url}/search", fields))
                found += page.css("table.films a::attr(href)").getall()
                fields = hidden(page, "#more")

    assert sorted(found) == sorted(lab.films())


@pytest.mark.parametrize("spoiled", ["token", "view", "decade"])
def test_a_form_without_one_of_its_fields_is_refused(lab: Lab, spoiled: str) -> None:
    with client(None) as web:
        fields = {**hidden(select(web.request("GET", f"{lab.url}/search")), "#search"), "decade": "1990"}
        assert post(web, f"{lab.url}/search", fields).status == 200

        del fields[spoiled]
        assert post(web, f"{lab.url}/search", fields).status == 400


def test_the_shop_is_three_stages_deep(lab: Lab) -> None:
    found: dict[str, tuple[str | None, str | None, list[str]]] = {}
    with client(None) as web:
        categories = select(web.request("GET", f"{lab.url}/shop")).css("ul.categories a::attr(href)").getall()
        for path in categories:
            following: str | None = path
            while following is not None:
                shelf = select(web.request("GET", lab.url + following))
                cards = shelf.css("article.product")
                assert len(cards) <= PER_SHELF
                for card in cards:
                    link = card.css("h3 a::attr(href)").get() or ""
                    page = select(web.request("GET", lab.url + link))
                    price = card.css("p.price b::text").get()
                    found[link] = page.css("h1::text").get(), price, page.css("table.facts td::text").getall()
                following = shelf.css("a[rel=next]::attr(href)").get()

    assert len(categories) == len(CATEGORIES)
    assert found == {
        path: (one.name, one.price, [value for _, value in one.facts]) for path, one in lab.products().items()
    }


@pytest.mark.parametrize(
    "path", ["/shop/shoes", "/shop/lamps/2", "/shop/lamps/x", "/shop/lamps?page=0", "/shop/lamps?page=99", "/api/shops"]
)
def test_what_the_shop_does_not_have_is_not_found(lab: Lab, path: str) -> None:
    with client(None) as web:
        assert status(web, lab.url + path) == 404
