"""The gallery: each example spider crawls the practice site through its proxies, and finds everything once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import pinpool
from commands import LIST, Desk
from pinpool.lab import Lab
from pinpool.lab.film_lists import published
from pinpool.spider.loader import load, parse_ref
from pinpool.spider.seeds import seeds_of

pytestmark = pytest.mark.processes

EXAMPLES = Path(pinpool.__file__).parent / "examples"
PRACTICE = "http://movies.test:8000"
#: Practice proxies recover soon.
QUICK = ("-s", "cooling=1", "--timeout", "3")
Item = dict[str, Any]
Truth = Callable[[Lab], list[Item]]


@pytest.fixture
def lab(desk: Desk) -> Iterator[Lab]:
    """Forty films and as many products behind seven proxies, three of them faulty. Nothing may pass by these."""
    with Lab(pages=4, proxies=7, faults=["refused", "softban", "flaky"]) as made:
        desk.prepare(made)
        yield made
        assert made.direct == 0
        assert all(proxy.max_users <= 1 for proxy in made.proxies)


def films_of_the_api(lab: Lab) -> list[Item]:
    return [
        {
            "url": url,
            "title": film.title,
            "directors": [*film.directors],
            "year": film.year,
            "score": float(film.score),
        }
        for url, film in lab.films(lab.named_url).items()
    ]


def films_of_the_search(lab: Lab) -> list[Item]:
    return [
        {"url": url, "title": film.title, "year": film.year, "score": film.score}
        for url, film in lab.films(lab.named_url).items()
    ]


def films_of_the_feed(lab: Lab) -> list[Item]:
    return [
        {
            "url": url,
            "title": film.title,
            "published": published(film).date().isoformat(),
            "directors": [*film.directors],
            "score": film.score,
            "categories": [*film.categories],
        }
        for url, film in lab.films(lab.named_url).items()
    ]


def offers_and_products(lab: Lab) -> list[Item]:
    found: list[Item] = []
    for url, one in lab.products(lab.named_url).items():
        price, in_stock = float(one.price), one.stock == "In stock"
        found.append({"url": url, "category": one.category, "name": one.name, "price": price, "in_stock": in_stock})
        found.append({"url": url, "category": one.category, "title": one.name, "facts": dict(one.facts)})
    return found


def offers_and_products_in_toml(lab: Lab) -> list[Item]:
    """Selectors alone make neither a yes of a text nor names of fields."""
    found: list[Item] = []
    for url, one in lab.products(lab.named_url).items():
        offer = {"url": url, "category": one.category, "name": one.name, "price": float(one.price), "stock": one.stock}
        facts = [{"name": name, "value": value} for name, value in one.facts]
        found += [offer, {"url": url, "category": one.category, "title": one.name, "facts": facts}]
    return found


def reports(lab: Lab, name: str = "Report {}.pdf") -> list[Item]:
    files = [(number, lab.library.file(number)) for number in range(1, 21)]
    return [
        {
            "url": lab.named_url + file.path,
            "number": number,
            "path": name.format(number),
            "sha256": file.sha256,
            "size": file.size,
            "type": "application/pdf",
        }
        for number, file in files
    ]


def reports_in_toml(lab: Lab) -> list[Item]:
    return reports(lab, "{}.pdf")


@pytest.mark.parametrize(
    ("name", "truth"),
    [
        ("films_api.py", films_of_the_api),
        ("shop.py", offers_and_products),
        ("search_form.py", films_of_the_search),
        ("news_feed.py", films_of_the_feed),
        ("reports.py", reports),
        ("films_api.toml", films_of_the_api),
        ("shop.toml", offers_and_products_in_toml),
        ("search_form.toml", films_of_the_search),
        ("news_feed.toml", films_of_the_feed),
        ("reports.toml", reports_in_toml),
    ],
)
def test_an_example_finds_everything_on_the_practice_site_once(desk: Desk, lab: Lab, name: str, truth: Truth) -> None:
    stem, _, ending = name.partition(".")
    spider = f"pinpool.examples.{stem}" if ending == "py" else str(EXAMPLES / name)
    (seed,) = seeds_of(load(parse_ref(spider)))
    assert seed.url.startswith(PRACTICE)  # where `pinpool lab` has it
    desk.write("seeds.txt", seed.url.replace(PRACTICE, lab.named_url))

    said = desk.run("crawl", spider, *LIST, "--seeds", "seeds.txt", "-o", "items.jsonl", *QUICK)

    assert said.code == 0, said.err
    assert sorted(map(repr, desk.lines("items.jsonl"))) == sorted(map(repr, truth(lab)))
    assert desk.run("verify", f"{stem}.db").code == 0
