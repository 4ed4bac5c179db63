"""The words of the films, and how the pages of each language are encoded and labelled."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import NamedTuple


class PageEncoding(NamedTuple):
    """How text becomes bytes, perhaps after a byte order mark, and what the header and the page say about it."""

    name: str
    codec: str
    header: str | None = None
    meta: str | None = None
    bom: bool = False


class Language(NamedTuple):
    """Words to make films of. In every other week of films the pages have this encoding, else `PLAIN`."""

    code: str
    encoding: PageEncoding
    first: tuple[str, ...]
    second: tuple[str, ...]
    people: tuple[str, ...]
    categories: tuple[str, ...]
    sentences: tuple[str, ...]


PLAIN = PageEncoding("utf-8 by header", "utf-8", header="utf-8")


def _read() -> tuple[Language, ...]:
    languages = tomllib.loads(files("pinpool.lab").joinpath("film_texts.toml").read_text("utf-8"))
    made = []
    for code, words in languages.items():
        encoding = PageEncoding(**words.pop("encoding")) if "encoding" in words else PLAIN
        made.append(Language(code, encoding, **{name: tuple(texts) for name, texts in words.items()}))
    return tuple(made)


LANGUAGES = _read()
