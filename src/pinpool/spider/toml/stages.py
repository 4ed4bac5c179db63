"""
The stages of a TOML spider as functions, made from its plan. All that a worker needs of it.

A plan is JSON text: the checked file in its long forms, with all variables filled in, and the lines of its keys.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pinpool.model import FILE_STAGE, Task
from pinpool.spider.page import Page
from pinpool.spider.spider import Spider, SpiderRef
from pinpool.spider.toml.fields import Fields, Place, Scope, fields_of
from pinpool.spider.toml.json_node import JsonNode
from pinpool.text import shown_url

Table = Mapping[str, Any]
Places = Callable[[str], Place]
StageFunction = Callable[[Any], object]  # of a Page
Link = Callable[[Scope, Page], Iterator[Task]]


def spider_of(plan: str, path: str) -> Spider:
    """The spider of a plan, in a worker: its stages, without seeds and settings. `path` is its file."""
    spider = Spider()
    spider.name, spider.file, spider.line = Path(path).stem, path, 1
    spider.stages.update(stages_of(plan, path))
    spider.origin = SpiderRef(path=path, plan=plan)
    return spider


def stages_of(plan: str, file: str) -> dict[str, StageFunction]:
    """The stage functions of a plan that was made of `file`, by name."""
    parsed = json.loads(plan)
    name, lines = Path(file).name, parsed["lines"]

    def places(key: str) -> Place:
        return Place(key, name, lines.get(key, 1))

    return {stage: stage_of(stage, table, places) for stage, table in parsed["stages"].items()}


def stage_of(name: str, table: Table, places: Places) -> StageFunction:
    """A stage as a function of its page: its items, then its tasks."""
    key, is_json = table["key"], table.get("json", False)
    fields = fields_of(table["fields"], f"{key}.fields", places) if table.get("fields") else None
    rows, with_url = table.get("rows"), table.get("url", True)
    place, row_place = places(key), places(f"{key}.rows")
    links = [_link(link, places) for link in table["links"]]

    def items(scope: Scope, page: Page, fields: Fields) -> Iterator[dict[str, Any]]:
        empty_ok = page._settings.empty_ok
        try:
            parts = [scope] if rows is None else scope.each(rows)
        except ValueError as error:
            raise row_place.unusable(error) from None
        for part in parts:
            item = fields.item(part, page, empty_ok=empty_ok, whole=rows is None)
            yield {"url": page.url, **item} if with_url else item

    def stage(page: Page) -> Iterator[object]:
        scope: Scope = page
        if is_json:
            try:
                scope = JsonNode(page.json())
            except ValueError as error:
                raise place.unusable(error) from None
        if fields is not None:
            yield from items(scope, page, fields)
        for link in links:
            yield from link(scope, page)

    return stage


def _link(table: Table, places: Places) -> Link:
    """What a stage asks for: a function of the page, or of its JSON."""
    key, find, rows = table["key"], table["find"], table.get("rows")
    place = places(key)
    data = fields_of(table["data"], f"{key}.data", places) if table.get("data") else None
    make = _request(table, places)
    is_plain = (
        table["to"] != FILE_STAGE
        and data is None
        and not {"rows", "url", "method", "headers", "form", "json"} & set(table)
    )

    def link(scope: Scope, page: Page) -> Iterator[Task]:
        try:
            if is_plain and scope is page:
                yield from page.tasks(find, table["to"])
                return
            for part in [scope] if rows is None else scope.each(rows):
                handed_on: dict[str, Any] | None = None
                for href, found in _found(part, find, page):
                    if handed_on is None:
                        handed_on = data.values(part, page) if data is not None else {}
                    if (task := make(part, page, href, found, handed_on)) is not None:
                        yield task
        except ValueError as error:
            raise place.unusable(error) from None

    return link


def _found(scope: Any, find: str, page: Page) -> Iterator[tuple[str, Any]]:
    """What a selector finds as the text of a link, and as it is. What leads nowhere is left out, as in `Page.tasks`."""
    for found in scope.all(find) if isinstance(scope, JsonNode) else scope.select(find):
        if found is False:  # such as `has_more && next` in JSON
            continue
        href = _json_href(find, found) if isinstance(scope, JsonNode) else page._href(find, found)
        if href is None or not href.strip():
            page.left_out.append("a link without a URL")
        elif href.strip().startswith("#"):
            page.left_out.append(f"{shown_url(href)} leads to a place on the same page")
        else:
            yield href, found


def _json_href(find: str, found: Any) -> str:
    if isinstance(found, bool | list | dict):
        raise ValueError(f"{find!r} finds {json.dumps(found)[:40]}, which is not a link, a text or a number")
    return str(found)


Make = Callable[[Scope, Page, str, Any, dict[str, Any]], Task | None]


def _request(table: Table, places: Places) -> Make:
    """How a link becomes a task: a function of the scope, the page, the link, what was found, and the data."""
    target, url = table["to"], table.get("url")
    method, headers = table.get("method"), table.get("headers")
    form, body = table.get("form"), table.get("json")
    on_page = {name: field for name, field in (form or {}).items() if "value" not in field}
    read = fields_of(on_page, f"{table['key']}.form", places) if on_page else None

    def make(scope: Scope, page: Page, href: str, found: Any, data: dict[str, Any]) -> Task | None:
        sent = None
        if form is not None:
            values = read.values(scope, page) if read is not None else {}
            sent = {name: values[name] if name in values else _filled(form[name]["value"], href, href) for name in form}
        try:
            where = href if url is None else url.replace("{}", quote(href.strip(), safe=""))
            if target == FILE_STAGE:
                return page.file(where, type=table.get("type"), headers=headers, data=data)
            return page.task(
                where,
                stage=target,
                method=method,
                form=sent,
                json=_filled(body, href, found) if body is not None else None,
                headers=headers,
                data=data,
            )
        except ValueError as refused:
            page.left_out.append(str(refused))
            return None

    return make


def _filled(template: Any, href: str, found: Any) -> Any:
    """A template with `href` for each ``{}`` in its texts; a text that is only ``{}`` becomes what was `found`."""
    if isinstance(template, str):
        return (found if not hasattr(found, "tag") else href) if template == "{}" else template.replace("{}", href)
    if isinstance(template, dict):
        return {key: _filled(value, href, found) for key, value in template.items()}
    if isinstance(template, list):
        return [_filled(value, href, found) for value in template]
    return template
