"""TOML spiders for the tests, and pages for them."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from pinpool.errors import SpiderError
from pinpool.model import Evidence, Fetched
from pinpool.settings import Settings
from pinpool.spider.extraction import Extracted, extract
from pinpool.spider.loader import load, parse_ref
from pinpool.spider.page import Page
from pinpool.spider.spider import Spider
from pinpool.tasks import request

SITE = "http://site.example"


def toml_spider(folder: Path, text: str, **arguments: str) -> Spider:
    """The spider in this text, as the parent loads it. `arguments` are those of ``-a``."""
    path = folder / "movies.toml"
    path.write_text(dedent(text).lstrip("\n"), encoding="utf-8")
    return load(parse_ref(str(path))._replace(arguments=tuple(arguments.items())))


def in_a_worker(spider: Spider) -> Spider:
    """The same spider as a worker loads it."""
    return load(spider.ref())


def faults_in(folder: Path, text: str, *, seeds: bool = False) -> list[str]:
    """What is wrong with this text, without the name of the file."""
    path = folder / "movies.toml"
    path.write_text(dedent(text).lstrip("\n"), encoding="utf-8")
    with pytest.raises(SpiderError) as refused:
        load(parse_ref(str(path)), seeds=seeds)
    assert "Traceback" not in str(refused.value)
    assert all(problem.startswith(str(path)) for problem in refused.value.problems)
    return [problem.removeprefix(f"{path}:").removeprefix(" ") for problem in refused.value.problems]


def made_of(
    spider: Spider,
    body: str | dict[str, Any] | list[Any],
    *,
    stage: str = "detail",
    url: str = f"{SITE}/page",
    data: dict[str, object] | None = None,
    settings: Settings | None = None,
) -> Extracted:
    """What a worker makes of a page: HTML, or what is not text as JSON."""
    outcome = outcome_of(spider, body, stage=stage, url=url, data=data, settings=settings)
    assert isinstance(outcome, Extracted), outcome
    return outcome


def outcome_of(
    spider: Spider,
    body: str | dict[str, Any] | list[Any],
    *,
    stage: str = "detail",
    url: str = f"{SITE}/page",
    data: dict[str, object] | None = None,
    settings: Settings | None = None,
) -> Extracted | Evidence:
    """As `made_of`, or the evidence against the page."""
    content, kind = (body, "text/html") if isinstance(body, str) else (json.dumps(body), "application/json")
    fetched = Fetched(url, 200, {"content-type": f"{kind}; charset=utf-8"}, content.encode(), 0.1, len(content))
    task = request(url, stage=stage, data=data)
    return extract(in_a_worker(spider), Page(task, fetched, settings or Settings()))


def items_of(outcome: Extracted) -> list[dict[str, Any]]:
    return [json.loads(item) for item in outcome.items]


def item_of(fields: str, body: Any, folder: Path, *, json_page: bool = False, **page: Any) -> dict[str, Any]:
    """The one item of a page, by these fields alone; without its URL."""
    top = "json = true\n" if json_page else ""
    links = '[stages.other.links]\ndetail = { find = "x", data = { film = "y", rank = "z" } }\n' if page else ""
    seeds = 'seeds = [{ url = "http://site.example", stage = "other" }]\n' if page else ""
    spider = toml_spider(folder, f"{seeds}[detail]\nurl = false\n{top}[detail.fields]\n{dedent(fields)}\n{links}")
    (item,) = items_of(made_of(spider, body, **page))
    return item
