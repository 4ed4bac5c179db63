"""The manual's page on TOML spiders: every example is a spider, every field gives what is printed beside it."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pinpool
from pinpool.spider.loader import load, parse_ref
from pinpool.spider.toml.model import BanTable, FieldTable, FileTable, LinkTable, SeedTable, SpiderFile, StageTable
from toml_spiders import item_of

PAGE = (Path(pinpool.__file__).parent / "manual" / "toml.md").read_text(encoding="utf-8")
SPIDERS = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
SAMPLE = re.findall(r"```html\n(.*?)```", PAGE, re.DOTALL)[0]
FIELDS = re.findall(r"^\| (?:`[^|]*`)? ?\| `(\{.*\})` \| `(.*)` \|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("text", SPIDERS, ids=range(len(SPIDERS)))
def test_every_spider_of_the_page_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("CATEGORY", "films")
    monkeypatch.setenv("TOKEN", "hunter2")
    (tmp_path / "urls.txt").write_text("http://shop.example/1\n")
    (tmp_path / "movies.toml").write_text(text)

    assert load(parse_ref(str(tmp_path / "movies.toml")), seeds=True).stages


@pytest.mark.parametrize(("field", "value"), FIELDS)
def test_every_field_of_the_page_gives_what_it_says(tmp_path: Path, field: str, value: str) -> None:
    item = item_of(f"h1 = 'h1'\nfield = {field}\n", SAMPLE, tmp_path)

    assert item["field"] == json.loads(value)


def keys_in(value: Any) -> Iterator[str]:
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if isinstance(key, str):
            yield key
        yield from keys_in(part)


@pytest.mark.parametrize("table", [SpiderFile, SeedTable, StageTable, FieldTable, LinkTable, FileTable, BanTable])
def test_every_key_has_an_example(table: type[SpiderFile]) -> None:
    shown = {key for text in SPIDERS for key in keys_in(tomllib.loads(text))}
    shown |= {key for field, _ in FIELDS for key in keys_in(tomllib.loads(f"field = {field}"))}

    assert {field.alias or name for name, field in table.model_fields.items()} <= shown


def test_the_page_has_as_many_examples_as_it_seems() -> None:
    assert len(SPIDERS) == 7
    assert len(FIELDS) == 14
