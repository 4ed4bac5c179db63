"""
The films and their pages, made from the seed.

Seven films in a row have the seven encodings of `LANGUAGES`, the next seven plain utf-8, and so on. Every fourth film
page is compressed for clients that accept gzip, every fifth is sent in chunks.
"""

import gzip
import tomllib
from dataclasses import dataclass
from functools import cache, lru_cache
from html import escape
from importlib.resources import files
from random import Random
from typing import Any, NamedTuple

from pinpool.lab.http import Answer

PER_PAGE = 10
MIN_SIZE, MAX_SIZE = 31_000, 58_000  # bytes of a film page before compression
# Film pages in the cache, about 25 MB: a small catalogue is made once.
CACHED = 600


class PageEncoding(NamedTuple):
    """How text becomes bytes, perhaps after a byte order mark, and what the header and the page say about it."""

    name: str
    codec: str
    header: str | None = None
    meta: str | None = None
    bom: bool = False


PLAIN = PageEncoding("utf-8 by header", "utf-8", header="utf-8")


class Language(NamedTuple):
    """Words to make films of. In every other week of films the pages have this encoding, else `PLAIN`."""

    code: str
    encoding: PageEncoding
    first: tuple[str, ...]
    second: tuple[str, ...]
    people: tuple[str, ...]
    categories: tuple[str, ...]
    sentences: tuple[str, ...]


def _language(code: str, encoding: dict[str, Any] | None = None, **words: list[str]) -> Language:
    texts = {name: tuple(several) for name, several in words.items()}
    return Language(code, PageEncoding(**encoding) if encoding else PLAIN, **texts)


_TEXTS = tomllib.loads(files("pinpool.lab").joinpath("film_texts.toml").read_text("utf-8"))
LANGUAGES = tuple(_language(code, **texts) for code, texts in _TEXTS.items())


@dataclass(frozen=True, slots=True)
class Film:
    """What a spider should find on a film's page, each text exactly as on the page, and the page's encoding."""

    number: int
    path: str
    title: str
    directors: tuple[str, ...]
    score: str
    categories: tuple[str, ...]
    year: int
    encoding: str


class Catalogue:
    """`pages` list pages with ten films each."""

    def __init__(self, pages: int, seed: int) -> None:
        if pages < 1:
            raise ValueError(f"a catalogue needs at least one page, not {pages}")
        self.pages = pages
        self.seed = seed
        self.list_page = lru_cache(CACHED)(self._list_page)
        self.film_page = lru_cache(CACHED)(self._film_page)

    def __len__(self) -> int:
        return self.pages * PER_PAGE

    def film(self, number: int) -> Film:
        """Film `number`, counted from 1."""
        draw = Random(f"film {self.seed} {number}")
        language, encoding = self._language(number)
        return Film(
            number=number,
            path=f"/detail/{number}",
            title=f"{draw.choice(language.first)} {draw.choice(language.second)} {number}",
            directors=tuple(draw.sample(language.people, draw.randint(1, 3))),
            score=f"{draw.randint(20, 99) / 10:.1f}",
            categories=tuple(draw.sample(language.categories, draw.randint(1, 2))),
            year=draw.randint(1930, 2025),
            encoding=encoding.name,
        )

    def _language(self, number: int) -> tuple[Language, PageEncoding]:
        week, day = divmod(number - 1, len(LANGUAGES))
        language = LANGUAGES[(day + self.seed) % len(LANGUAGES)]
        return language, language.encoding if week % 2 == 0 else PLAIN

    def _list_page(self, page: int) -> Answer | None:
        if not 1 <= page <= self.pages:
            return None
        cards = "".join(_card(self.film(number)) for number in range((page - 1) * PER_PAGE + 1, page * PER_PAGE + 1))
        pager = f'<a href="/page/{page - 1}" class="prev" rel="prev">‹</a>' if page > 1 else ""
        pager += f'<a href="/page/{page + 1}" class="next" rel="next">›</a>' if page < self.pages else ""
        return Answer(
            200,
            f'<!doctype html><html><head><meta charset="utf-8"><title>Films, page {page}</title></head><body>'
            f'<div id="index">{cards}</div><div class="pagination">{pager}</div></body></html>'.encode(),
            (("Content-Type", "text/html; charset=utf-8"),),
        )

    def _film_page(self, number: int, compress: bool) -> Answer | None:
        if not 1 <= number <= len(self):
            return None
        language, encoding = self._language(number)
        draw = Random(f"page {self.seed} {number}")
        top = ("\ufeff" if encoding.bom else "") + _top(self.film(number), language, encoding)
        body, size = bytearray(top.encode(encoding.codec)), draw.randint(MIN_SIZE, MAX_SIZE)
        comments = _comments(language, encoding)
        while len(body) < size:
            body += draw.choice(comments)
        body += "</div></div></body></html>".encode(encoding.codec)
        headers = [("Content-Type", f"text/html; charset={encoding.header}" if encoding.header else "text/html")]
        if number % 4 == 0:
            headers.append(("Vary", "Accept-Encoding"))
            if compress:
                body = bytearray(gzip.compress(body, 1, mtime=0))
                headers.append(("Content-Encoding", "gzip"))
        return Answer(200, bytes(body), tuple(headers), chunked=number % 5 == 0)


def _categories(film: Film) -> str:
    buttons = "".join(f"<button><span>{escape(name)}</span></button>" for name in film.categories)
    return f'<div class="categories">{buttons}</div>'


def _card(film: Film) -> str:
    return (
        f'<div class="el-card item"><a href="{film.path}" class="name">'
        f'<h2 class="m-b-sm">{escape(film.title)}</h2></a>'
        f'{_categories(film)}<p class="score m-t-md m-b-n-sm">{film.score}</p></div>\n'
    )


def _top(film: Film, language: Language, encoding: PageEncoding) -> str:
    directors = "".join(
        f'<div class="director el-col"><p class="name text-center m-b-none m-t-xs">{escape(name)}</p></div>'
        for name in film.directors
    )
    return (
        f'<!doctype html>\n<html lang="{language.code}"><head>{encoding.meta or ""}'
        f"<title>{escape(film.title)}</title></head>"
        f'<body><div id="detail"><div class="item el-row"><h2 class="m-b-sm">{escape(film.title)}</h2>'
        f'{_categories(film)}<div class="m-v-sm info"><span>{film.year}</span></div>'
        f'<p class="score m-t-md m-b-n-sm">{film.score}</p>'
        f'<div class="drama"><p>{escape(" ".join(language.sentences))}</p></div></div>\n'
        f'<div class="directors el-row">{directors}</div>\n<div class="comments">'
    )


@cache
def _comments(language: Language, encoding: PageEncoding) -> tuple[bytes, ...]:
    """Forty comments, encoded once, to fill large pages with."""
    draw = Random(language.code)
    made = []
    for serial in range(40):
        text = " ".join(draw.choice(language.sentences) for _ in range(draw.randint(3, 8)))
        made.append(
            f'<div class="comment el-row" data-serial="{serial}">'
            f'<p class="author">{draw.choice(language.people)}</p>'
            f'<p class="text m-t-xs">{text}</p><a class="reply" href="#reply-{serial}">{serial}</a></div>\n'
        )
    return tuple(comment.encode(encoding.codec) for comment in made)
