"""
A shop of the practice site, three stages deep: ``/shop``, its categories with list pages, and their products.

The products are made from the seed, ten for each list page of the films.
"""

from dataclasses import dataclass
from functools import lru_cache
from html import escape
from random import Random
from urllib.parse import parse_qs

from pinpool.lab.http import Answer
from pinpool.lab.pages import PER_PAGE

#: Products on a list page of a category.
PER_SHELF = 6
CATEGORIES = {"lamps": "Lamps & lights", "chairs": "Chairs", "clocks": "Clocks", "mugs": "Mugs"}
_COLOURS = ("Amber", "Black", "Blue", "Green", "Ivory", "Red", "White")
_MAKERS = ("Alvar", "Bruno", "Clara", "Dora", "Émile", "Fjord")
_HTML = ("Content-Type", "text/html; charset=utf-8")
CACHED = 600


@dataclass(frozen=True, slots=True)
class Product:
    """What a spider should find, each text exactly as on the pages. `facts` are the rows of its table."""

    number: int
    path: str
    category: str
    name: str
    price: str
    stock: str
    facts: tuple[tuple[str, str], ...]


class Shop:
    """The same size and seed always give the same shop."""

    def __init__(self, pages: int, seed: int) -> None:
        self.seed = seed
        self._size = pages * PER_PAGE
        self.product = lru_cache(CACHED)(self._product)

    def __len__(self) -> int:
        return self._size

    def answer(self, rest: str, query: str) -> Answer | None:
        """The page at ``/shop/{rest}?{query}``."""
        slug, _, number = rest.partition("/")
        if not rest:
            links = (f'<li><a href="/shop/{key}">{escape(name)}</a></li>' for key, name in CATEGORIES.items())
            return _page("The shop", f'<ul class="categories">{"".join(links)}</ul>')
        if slug not in CATEGORIES:
            return None
        if not number:
            return self._shelf(slug, parse_qs(query).get("page", ["1"])[0])
        found = next((one for one in self._of(slug) if str(one) == number), None)
        return _product_page(self.product(found)) if found else None

    def _of(self, slug: str) -> range:
        """The numbers of the products of a category."""
        first = 1 + list(CATEGORIES).index(slug)
        return range(first, len(self) + 1, len(CATEGORIES))

    def _product(self, number: int) -> Product:
        draw = Random(f"product {self.seed} {number}")
        slug = list(CATEGORIES)[(number - 1) % len(CATEGORIES)]
        return Product(
            number=number,
            path=f"/shop/{slug}/{number}",
            category=CATEGORIES[slug],
            name=f"{draw.choice(_COLOURS)} {slug[:-1]} {draw.choice(_MAKERS)} No. {number}",
            price=f"{draw.randint(3, 1999)}.{draw.choice(('00', '50', '95'))}",
            stock=draw.choice(("In stock", "In stock", "Sold out")),
            facts=(("Weight", f"{draw.randint(1, 90) / 10} kg"), ("Year", str(draw.randint(1960, 2025)))),
        )

    def _shelf(self, slug: str, wanted: str) -> Answer | None:
        numbers = self._of(slug)
        last = max(1, -(-len(numbers) // PER_SHELF))
        page = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 9 else 0
        if not 1 <= page <= last:
            return None
        shown = numbers[(page - 1) * PER_SHELF : page * PER_SHELF]
        cards = "".join(_card(self.product(number)) for number in shown)
        more = f'<a rel="next" href="/shop/{slug}?page={page + 1}">More</a>' if page < last else ""
        return _page(CATEGORIES[slug], f'<section class="shelf">{cards}</section>{more}')


def _card(product: Product) -> str:
    return (
        f'<article class="product"><h3><a href="{product.path}">{escape(product.name)}</a></h3>'
        f'<p class="price"><span class="sign">€</span><b>{product.price}</b></p>'
        f'<p class="stock">{product.stock}</p></article>\n'
    )


def _product_page(product: Product) -> Answer:
    rows = "".join(f"<tr><th>{name}</th><td>{escape(value)}</td></tr>" for name, value in product.facts)
    return _page(product.name, f'<table class="facts">{rows}</table><p class="stock">{product.stock}</p>')


def _page(title: str, body: str) -> Answer:
    top = f"<!doctype html><html><head><title>{escape(title)}</title></head><body>"
    return Answer(200, f"{top}<h1>{escape(title)}</h1>{body}</body></html>".encode(), (_HTML,))
