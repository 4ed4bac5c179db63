"""
What the types of a TOML spider cannot say: selectors compile, stages lead to each other, options fit their field.

The rules take whatever stands in a file: a value of a wrong type is left alone, as `check` reports it.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from pinpool.model import FILE_STAGE
from pinpool.selectors import checked
from pinpool.settings import SETTINGS
from pinpool.settings.values import headers as checked_headers
from pinpool.settings.values import media_type
from pinpool.spider.toml import forms
from pinpool.spider.toml.forms import SOURCES, FieldForm, LinkForm, StageForm, Table
from pinpool.spider.toml.json_node import checked_query
from pinpool.spider.toml.keys import KeyPath
from pinpool.spider.toml.variables import Fault

Faults = Iterator[Fault]

#: The setting behind each key of the table `ban`.
BAN = {"status": "ban_status", "text": "ban_text", "selector": "ban_selector"}
#: Options that only texts of a page have.
_OF_TEXTS = ("attribute", "regex", "strip", "number", "date", "absolute")


def faults_in(document: Table, *, misspelt: bool) -> Faults:
    """
    Everything that is wrong with a file whose types may be wrong, too. With `misspelt`, some key of it is unknown: then
    nothing is said of links that are missing, as this may be one.
    """
    stages = forms.stages_in(document)
    names = [stage.name for stage in stages]
    if not stages:
        yield Fault((), "there is no stage: write [index] for list pages, or [detail] for pages with items")
    yield from _names(document)
    for stage in stages:
        yield from _stage(stage, names, misspelt=misspelt)
    yield from _seeds(document, names)
    if not misspelt:
        yield from _reached(document, stages)
    yield from _handed_on(document, stages)
    yield from _settings(document)


def near(name: str, names: list[str]) -> str:
    """A suggestion for a name that is not one of `names`."""
    found = get_close_matches(name, names, n=1)
    return f"did you mean {found[0]}?" if found else f"there {'is' if len(names) == 1 else 'are'} {', '.join(names)}"


# Names


def _names(document: Table) -> Faults:
    name = document.get("name")
    if isinstance(name, str) and (not name.strip(". ") or not name.isprintable() or set(name) & set("/\\:")):
        yield Fault(("name",), f"{name!r} cannot be used as a file name")
    others = document.get("stages")
    for stage in others if forms.is_table(others) else ():
        if stage in ("index", "detail"):
            yield Fault(("stages", stage), f"write [{stage}], without stages in front")
        elif not stage.isidentifier():
            yield Fault(("stages", stage), "is not a stage name: use letters, digits and _ only")


# Stages and fields


def _stage(stage: StageForm, names: list[str], *, misspelt: bool) -> Faults:
    table, path = stage.table, stage.path
    check = checked_query if table.get("json") is True else checked
    fields = list(forms.fields_in(table.get("fields"), (*path, "fields")))
    links = list(forms.links_in(stage))
    if not fields and not links and not misspelt:
        yield Fault(path, f"yields nothing: give it [{'.'.join(map(str, path))}.fields], details, more, links or files")
    if "rows" in table:
        yield from _selector(table["rows"], (*path, "rows"), check)
        if not fields:
            yield Fault((*path, "rows"), f"needs fields: write [{'.'.join(map(str, path))}.fields]")
    yield from _field_list(fields, check)
    for link in links:
        yield from _link(link, check, names)


def _field_list(fields: list[FieldForm], check: Callable[[str], str]) -> Faults:
    for field in fields:
        yield from _field(field, check)
    if fields and not any({"first", "all", "rows"} & set(field.table) for field in fields):
        yield Fault(fields[0].path[:-1], "no field looks at the page: give one a selector, or a block page is an item")


def _field(field: FieldForm, check: Callable[[str], str]) -> Faults:
    table, path = field.table, field.path
    sources = [key for key in SOURCES if key in table]
    if len(sources) != 1:
        said = f"has {' and '.join(sources)}" if sources else "has no source"
        yield Fault(path, f"{said}: give it one of {', '.join(SOURCES)}")
        return
    source = sources[0]
    if source in ("first", "all", "rows"):
        yield from _selector(table[source], (*path, source), check)
    if ("fields" in table) != (source == "rows"):
        yield Fault(path, "rows and fields go together: the fields are those of each row")
    yield from _field_list(list(forms.fields_in(table.get("fields"), (*path, "fields"))), check)
    if source not in ("first", "all") and (wrong := [key for key in _OF_TEXTS if key in table]):
        yield Fault((*path, wrong[0]), f"goes with first or all, not with {source}")
    if "attribute" in table and check is checked_query:
        yield Fault((*path, "attribute"), "JSON has no attributes: name the key in the query")
    if "joined" in table and source != "all":
        yield Fault((*path, "joined"), f"goes with all, not with {source}")
    if "default" in table and table.get("required") is True:
        yield Fault((*path, "required"), "means nothing beside default, which always gives a value")
    yield from _conversions(table, path)


def _conversions(table: Table, path: KeyPath) -> Faults:
    if table.get("number") and table.get("date"):
        yield Fault((*path, "date"), "a value is a number or a date: leave one out")
    if isinstance(pattern := table.get("regex"), str):
        try:
            re.compile(pattern)
        except (re.error, RecursionError, OverflowError) as error:
            yield Fault((*path, "regex"), f"{pattern[:200]!r} is not a regular expression: {error}")
    if isinstance(form := table.get("date"), str) and not _is_date_format(form):
        yield Fault((*path, "date"), f'{form[:60]!r} is not a format: write true, or one such as "%d.%m.%Y"')


def _is_date_format(form: str) -> bool:
    with suppress(ValueError, re.error):
        datetime.strptime(datetime(2024, 2, 29, 13, 14, 15).strftime(form), form)
        return "%" in form
    return False


# Links


def _link(link: LinkForm, check: Callable[[str], str], names: list[str]) -> Faults:
    table, path = link.table, link.path
    if link.target == FILE_STAGE:
        yield from _file(table, path)
    elif link.target not in names:
        yield Fault(path, f"leads to the stage {link.target}, which the file does not have; {near(link.target, names)}")
    for key in ("find", "rows"):
        if key in table:
            yield from _selector(table[key], (*path, key), check)
    for field in forms.fields_in(table.get("data"), (*path, "data")):
        yield from _field(field, check)
    form = table.get("form")
    for name, given in form.items() if forms.is_table(form) else ():
        if forms.is_table(given):
            yield from _field(FieldForm(name, (*path, "form", name), given), check)
    yield from _sent(table, path)


def _file(table: Table, path: KeyPath) -> Faults:
    if wrong := sorted({"form", "json", "method"} & set(table)):
        yield Fault((*path, wrong[0]), "a file is asked for by GET")
    if isinstance(type := table.get("type"), str) and type:
        try:
            media_type(type)
        except ValueError as error:
            yield Fault((*path, "type"), str(error))


def _sent(table: Table, path: KeyPath) -> Faults:
    """What a request sends, of a link or a seed."""
    if "form" in table and "json" in table:
        yield Fault((*path, "json"), "a request sends a form or JSON: leave one out")
    if table.get("method") in ("GET", "HEAD") and ("form" in table or "json" in table):
        yield Fault((*path, "method"), f"a {table['method']} request sends nothing: put the values into the URL")
    if forms.is_table(headers := table.get("headers")):
        yield from _headers(headers, (*path, "headers"))


def _headers(headers: Any, path: KeyPath) -> Faults:
    for name, value in headers.items() if forms.is_table(headers) else ():
        if isinstance(value, str):
            try:
                checked_headers({name: value})
            except ValueError as error:
                yield Fault((*path, name), str(error))


def _selector(selector: Any, path: KeyPath, check: Callable[[str], str]) -> Faults:
    if isinstance(selector, str) and selector:
        try:
            check(selector)
        except ValueError as error:
            yield Fault(path, str(error))


# Seeds, and how stages hang together


def _seeds(document: Table, names: list[str]) -> Faults:
    for path, seed in forms.seeds_in(document):
        if ("url" in seed) == ("file" in seed):
            yield Fault(path, "a seed is a url or a file: " + ("leave one out" if "url" in seed else "give it one"))
        elif "file" in seed and (wrong := sorted(set(seed) - {"file", "stage"})):
            yield Fault((*path, wrong[0]), "goes with url, not with file")
        stage = seed.get("stage")
        if isinstance(stage, str) and stage not in names:
            yield Fault(
                (*path, "stage"), f"the file has no stage {stage}; {near(stage, names)}" if names else "no stage"
            )
        yield from _sent(seed, path)


def _reached(document: Table, stages: list[StageForm]) -> Faults:
    """A stage that neither seeds nor links lead to is a mistake: a wrong name, or a forgotten selector."""
    if not stages:
        return
    seeds = list(forms.seeds_in(document))
    waiting = [seed.get("stage", stages[0].name) for _, seed in seeds] or [stages[0].name]
    reached = set[str]()
    named = {stage.name: stage for stage in stages}
    while waiting:
        name = waiting.pop()
        if name in named and name not in reached:
            reached.add(name)
            waiting += [link.target for link in forms.links_in(named[name])]
    for stage in stages:
        if stage.name not in reached:
            how = "`details`" if stage.name == "detail" else f"`links.{stage.name}`"
            yield Fault(
                stage.path, f"nobody leads to this stage: give {how} to a stage, or a seed stage = {stage.name!r}"
            )


def _handed_on(document: Table, stages: list[StageForm]) -> Faults:
    """A field may only take what somebody hands on to its stage."""
    given: dict[str, set[str]] = {stage.name: set() for stage in stages}
    first = stages[0].name if stages else ""
    sources = [(link.target, link.table) for stage in stages for link in forms.links_in(stage)]
    sources += [(seed.get("stage", first), seed) for _, seed in forms.seeds_in(document)]
    for target, table in sources:
        if target in given and forms.is_table(data := table.get("data")):
            given[target] |= set(data)
    for stage in stages:
        for field in _all_fields(stage):
            name = field.table.get("data")
            if isinstance(name, str) and name not in given[stage.name]:
                known = sorted(given[stage.name])
                hint = near(name, known) if known else f"no link to {stage.name} has data"
                yield Fault((*field.path, "data"), f"nobody hands on {name!r}; {hint}")


def _all_fields(stage: StageForm) -> Iterator[FieldForm]:
    yield from _nested(forms.fields_in(stage.table.get("fields"), (*stage.path, "fields")))
    for link in forms.links_in(stage):
        yield from _nested(forms.fields_in(link.table.get("data"), (*link.path, "data")))
        form = link.table.get("form")
        for name, given in form.items() if forms.is_table(form) else ():
            if forms.is_table(given):
                yield FieldForm(name, (*link.path, "form", name), given)


def _nested(fields: Iterator[FieldForm]) -> Iterator[FieldForm]:
    for field in fields:
        yield field
        yield from _nested(forms.fields_in(field.table.get("fields"), (*field.path, "fields")))


# Settings


def _settings(document: Table) -> Faults:
    ban, settings = document.get("ban"), document.get("settings")
    yield from _headers(document.get("headers"), ("headers",))
    for key, value in ban.items() if forms.is_table(ban) else ():
        if key in BAN:
            yield from _setting(BAN[key], forms.texts(value), ("ban", key))
    for key, value in settings.items() if forms.is_table(settings) else ():
        yield from _setting(key, value, ("settings", key))
        shorter = {"headers": "headers", **{name: f"ban.{short}" for short, name in BAN.items()}}.get(key)
        table = document.get((shorter or "").partition(".")[0])
        if shorter and forms.is_table(table) and (shorter == "headers" or shorter.partition(".")[2] in table):
            yield Fault(("settings", key), f"stands in {shorter}, too: leave one out")


def _setting(name: str, value: object, path: KeyPath) -> Faults:
    if name not in SETTINGS:
        yield Fault(path, f"no such setting; {near(name, list(SETTINGS))}")
        return
    try:
        SETTINGS[name]["check"](value)
    except ValueError as error:
        yield Fault(path, str(error))
