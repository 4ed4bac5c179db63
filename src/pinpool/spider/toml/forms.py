"""
The short ways to write a spider in TOML, made long: text for a table, one for a list of one.

These functions take whatever stands in a file. What has the wrong type is left as it is, or left out: others report it.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeGuard

from pinpool.model import FILE_STAGE
from pinpool.spider.toml.keys import KeyPath

Table = Mapping[str, Any]

#: Where a field may take its value from; each has exactly one.
SOURCES = ("first", "all", "rows", "data", "value")


class StageForm(NamedTuple):
    """A stage, and where it stands in the file."""

    name: str
    path: KeyPath
    table: Table


class FieldForm(NamedTuple):
    """A field in its long form."""

    name: str
    path: KeyPath
    table: Table


class LinkForm(NamedTuple):
    """What a stage asks for: the long form of a link, and the stage that it leads to."""

    target: str
    path: KeyPath
    table: Table


def field_table(given: Any) -> Any:
    """``"h2::text"`` is ``{ first = "h2::text" }``."""
    return {"first": given} if isinstance(given, str) else given


def form_table(given: Any) -> Any:
    """In a form, ``"{}"`` is ``{ value = "{}" }``."""
    return given if is_table(given) else {"value": given}


def link_tables(given: Any) -> Any:
    """``"a::attr(href)"`` is ``[{ find = "a::attr(href)" }]``."""
    listed = given if isinstance(given, list) else [given]
    return [{"find": one} if isinstance(one, str) else one for one in listed]


def seed_tables(given: Any) -> Any:
    """``"https://site.example"`` is ``[{ url = "https://site.example" }]``."""
    listed = given if isinstance(given, list) else [given]
    return [{"url": one} if isinstance(one, str) else one for one in listed]


def texts(given: Any) -> Any:
    """One text or number is a list of one."""
    return given if isinstance(given, list) else [given]


def stages_in(document: Table) -> list[StageForm]:
    """The stages of a file: index, detail, then the others in their order."""
    found = [StageForm(name, (name,), document[name]) for name in ("index", "detail") if is_table(document.get(name))]
    others = document.get("stages")
    if is_table(others):
        found += [StageForm(name, ("stages", name), table) for name, table in others.items() if is_table(table)]
    return found


def fields_in(given: Any, path: KeyPath) -> Iterator[FieldForm]:
    """The fields of a table of fields at `path`."""
    for name, field in given.items() if is_table(given) else ():
        if is_table(table := field_table(field)):
            yield FieldForm(name, (*path, name), table)


def links_in(stage: StageForm) -> Iterator[LinkForm]:
    """What a stage asks for: ``files``, ``details``, ``more``, and those of its table ``links``."""
    for target, key in ((FILE_STAGE, "files"), ("detail", "details"), (stage.name, "more")):
        yield from _links(target, (*stage.path, key), stage.table.get(key))
    links = stage.table.get("links")
    for target, given in links.items() if is_table(links) else ():
        yield from _links(target, (*stage.path, "links", target), given)


def _links(target: str, path: KeyPath, given: Any) -> Iterator[LinkForm]:
    for number, table in enumerate(link_tables(given) if given is not None else ()):
        if is_table(table):
            yield LinkForm(target, (*path, number), table)


def seeds_in(document: Table) -> Iterator[tuple[KeyPath, Table]]:
    """The seeds in their long form, each with its place."""
    for number, table in enumerate(seed_tables(document["seeds"]) if "seeds" in document else ()):
        if is_table(table):
            yield ("seeds", number), table


def is_table(given: Any) -> TypeGuard[dict[str, Any]]:
    """Whether it is a table with keys."""
    return isinstance(given, dict)
