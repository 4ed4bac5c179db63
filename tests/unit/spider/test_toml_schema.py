"""The JSON Schema of TOML spiders, which editors complete and check by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pinpool.settings import SETTINGS
from pinpool.spider.toml.model import keys_at, schema


def parts_of(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from parts_of(part)


def test_every_reference_leads_somewhere_and_every_key_is_described() -> None:
    made = schema()

    for part in parts_of(made):
        if "$ref" in part:
            assert part["$ref"].removeprefix("#/$defs/") in made["$defs"]
    for table in (made, *made["$defs"].values()):
        assert table["additionalProperties"] is False
        assert all("description" in key for key in table["properties"].values())
        assert not any(part.get("default", "") is None for part in table["properties"].values())


def test_the_short_forms_are_allowed() -> None:
    defs = schema()["$defs"]

    assert {"type": "string"} in defs["StageTable"]["properties"]["details"]["anyOf"]
    assert {"type": "string"} in schema()["properties"]["seeds"]["anyOf"]
    field = defs["StageTable"]["properties"]["fields"]["additionalProperties"]
    assert {"$ref": "#/$defs/FieldTable"} in field["anyOf"]
    assert "string" in field["anyOf"][0]["type"]


def test_it_knows_every_setting() -> None:
    assert set(schema()["properties"]["settings"]["properties"]) == set(SETTINGS)


def test_the_keys_of_each_table_are_known_by_their_place() -> None:
    assert "seeds" in keys_at(())
    assert "details" in keys_at(("index",))
    assert "details" in keys_at(("stages", "reviews"))
    assert "find" in keys_at(("index", "details", 0))
    assert "find" in keys_at(("index", "links", "reviews", 1))
    assert "regex" in keys_at(("index", "links", "reviews", 1, "data", "film"))
    assert "regex" in keys_at(("detail", "fields", "title", "fields", "name"))
    assert "regex" in keys_at(("index", "more", 0, "form", "token"))
    assert keys_at(("headers", "a")) == []
