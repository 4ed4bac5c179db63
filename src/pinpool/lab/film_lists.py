"""
The films once more, in the other shapes in which sites give lists: JSON with cursors, an RSS feed, a search form.

- ``/api/films``: ten films, and the cursor of the next ten, which nobody can guess: ``/api/films?cursor=...``
- ``/feed.xml``: RSS 2.0, an entry for each of the first hundred films
- ``/search``: a form with a hidden token; it finds films by their decade, and further pages by a form of their own
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import lru_cache
from html import escape
from urllib.parse import parse_qsl

from pinpool.lab.http import Answer, Request, as_page
from pinpool.lab.pages import PER_PAGE, Catalogue, Film

FIRST_YEAR, LAST_YEAR = 1930, 2029
FEED_SIZE = 100
_JSON = ("Content-Type", "application/json")
_RSS = ("Content-Type", "application/rss+xml; charset=utf-8")
_HTML = ("Content-Type", "text/html; charset=utf-8")


def published(film: Film) -> datetime:
    """When the feed says that the film came out."""
    return datetime(film.year, 1, 1, 12, tzinfo=UTC) + timedelta(days=film.number % 365)


def api_page(catalogue: Catalogue, query: str) -> Answer:
    """``/api/films?{query}``. A cursor that is none of ours is a 400."""
    cursors = ["", *(_token(catalogue, "cursor", page) for page in range(2, catalogue.pages + 1))]
    wanted = dict(parse_qsl(query)).get("cursor", "")
    if wanted not in cursors:
        return Answer(400, b'{"error": "no such cursor"}', (_JSON,))
    page = cursors.index(wanted)
    films = [_as_json(film) for film in _films(catalogue)[page * PER_PAGE : (page + 1) * PER_PAGE]]
    following = cursors[page + 1] if page + 1 < len(cursors) else None
    body = {"films": films, "page": {"size": len(films), "next": following}}
    return Answer(200, json.dumps(body, ensure_ascii=False).encode(), (_JSON,))


def feed(catalogue: Catalogue, host: str) -> Answer:
    """``/feed.xml``; its links are absolute, as a feed's should be."""
    entries = "".join(_entry(film, host) for film in _films(catalogue)[:FEED_SIZE])
    return Answer(
        200,
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/"><channel>'
        f"<title>Films</title><link>http://{escape(host)}/</link><description>All films</description>\n"
        f"{entries}</channel></rss>\n".encode(),
        (_RSS,),
    )


def search(catalogue: Catalogue, request: Request) -> Answer:
    """``/search``: the form, or what a POST of it finds. Without the token of its form a POST is a 400."""
    if request.method != "POST":
        decades = range(FIRST_YEAR, LAST_YEAR, 10)
        options = "".join(f'<option value="{year}">{year}–{year + 9}</option>' for year in decades)
        fields = {"token": _token(catalogue, "form", 1), "view": "table"}
        return _html("Search", _form("search", fields, f'<select name="decade">{options}</select>'))
    fields = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
    decade, page = fields.get("decade", ""), fields.get("page", "1")
    if not (decade.isdecimal() and page.isdecimal() and len(decade) == 4 and len(page) < 6):
        return as_page(400, "400 Bad Request", "Choose a decade.")
    number = int(page)
    if fields.get("token") != _token(catalogue, decade if number > 1 else "form", number) or "view" not in fields:
        return as_page(400, "400 Bad Request", "This form has expired.")
    return _found(catalogue, int(decade), number)


def _found(catalogue: Catalogue, decade: int, page: int) -> Answer:
    films = [film for film in _films(catalogue) if decade <= film.year < decade + 10]
    rows = "".join(_row(film) for film in films[(page - 1) * PER_PAGE : page * PER_PAGE])
    more = ""
    if page * PER_PAGE < len(films):
        token = _token(catalogue, str(decade), page + 1)
        more = _form("more", {"token": token, "view": "table", "decade": decade, "page": page + 1}, "")
    return _html(f"{decade}–{decade + 9}: {len(films)} films", f'<table class="films">{rows}</table>{more}')


@lru_cache(8)
def _films(catalogue: Catalogue) -> list[Film]:
    return [catalogue.film(number) for number in range(1, len(catalogue) + 1)]


def _as_json(film: Film) -> Mapping[str, object]:
    return {
        "id": film.number,
        "url": film.path,
        "title": film.title,
        "directors": film.directors,
        "rating": {"score": float(film.score)},
        "year": film.year,
    }


def _entry(film: Film, host: str) -> str:
    creators = "".join(f"<dc:creator>{escape(name)}</dc:creator>" for name in film.directors)
    return (
        f"<item><title>{escape(film.title)}</title><link>http://{escape(host)}{film.path}</link>"
        f'<guid isPermaLink="false">film-{film.number}</guid><pubDate>{format_datetime(published(film))}</pubDate>'
        f"{creators}<description><![CDATA[<p>{escape(', '.join(film.categories))}</p>]]></description></item>\n"
    )


def _row(film: Film) -> str:
    return (
        f'<tr><td class="title"><a href="{film.path}">{escape(film.title)}</a></td>'
        f'<td class="year">{film.year}</td><td class="score">{film.score}</td></tr>\n'
    )


def _form(name: str, hidden: Mapping[str, object], more: str) -> str:
    fields = "".join(f'<input type="hidden" name="{key}" value="{value}">' for key, value in hidden.items())
    return f'<form id="{name}" method="post" action="/search">{fields}{more}<button name="go">Go</button></form>'


def _html(title: str, body: str) -> Answer:
    top = f"<!doctype html><html><head><title>{title}</title></head><body><h1>{title}</h1>"
    return Answer(200, f"{top}{body}</body></html>".encode(), (_HTML,))


def _token(catalogue: Catalogue, kind: str, page: int) -> str:
    return hashlib.sha256(f"{catalogue.seed} {kind} {page}".encode()).hexdigest()[:20]
