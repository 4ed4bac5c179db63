"""Items that are objects: by their fields, whatever library their class comes from, also inside other items."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import InitVar, dataclass, field
from datetime import date
from enum import Enum
from typing import Any, ClassVar, NamedTuple

import attrs
import msgspec
import pydantic
import pydantic.v1
import pytest

from pinpool.model import Evidence, Fetched
from pinpool.settings import Settings
from pinpool.spider.extraction import Extracted, extract
from pinpool.spider.items import is_empty, item_text
from pinpool.spider.page import Page
from pinpool.spider.spider import Spider
from pinpool.tasks import request

URL = "https://site.example/1"
WHEN = date(2026, 11, 27)


class Colour(Enum):
    RED = "red"


@dataclass
class Plain:
    title: str | None
    when: date | None = None
    parts: list[object] = field(default_factory=list)
    known: ClassVar[int] = 1
    given: InitVar[int] = 2


@dataclass(slots=True, frozen=True)
class Slotted:
    title: str
    when: date | None = None
    parts: tuple[object, ...] = ()


@attrs.define
class Attrs:
    title: str
    when: date | None = None
    parts: list[object] = attrs.Factory(list)


class Struct(msgspec.Struct):
    title: str
    when: date | None = None
    parts: list[object] = []
    unset: int | msgspec.UnsetType = msgspec.UNSET


class Model(pydantic.BaseModel):
    title: str
    when: date | None = None
    parts: list[Any] = []
    secret: str = pydantic.Field(default="s3cret", exclude=True)


class Model1(pydantic.v1.BaseModel):
    title: str
    when: date | None = None
    parts: list[Any] = []


@pydantic.dataclasses.dataclass
class Checked:
    title: str
    when: date | None = None
    parts: list[Any] = field(default_factory=list)


class Named(NamedTuple):
    title: str
    when: date | None = None
    parts: tuple[object, ...] = ()


Old = namedtuple("Old", "title when parts", defaults=(None, ()))


def by_name(model: Callable[..., Any]) -> Callable[..., Any]:
    """As the others: pydantic's models take no positional arguments."""
    return lambda title, when=None, parts=(): model(title=title, when=when, parts=list(parts))


KINDS = {
    "dataclass": Plain,
    "dataclass with slots": Slotted,
    "attrs": Attrs,
    "msgspec": Struct,
    "pydantic 2": by_name(Model),
    "pydantic 1": by_name(Model1),
    "pydantic dataclass": Checked,
    "NamedTuple": Named,
    "namedtuple": Old,
}
EACH = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def stored(function: Callable[[Page], object]) -> Extracted:
    spider = Spider(seeds=[URL])
    spider.index(function)
    outcome = extract(spider, Page(request(URL), Fetched(URL, 200, {}, b"x", 0.1, 1), Settings()))
    assert isinstance(outcome, Extracted), outcome
    return outcome


@EACH
def test_an_object_is_stored_by_its_fields_however_it_is_yielded(kind: Callable[..., Any]) -> None:
    def films(page: Page) -> Iterator[object]:
        yield kind("Up", WHEN)
        yield [kind("Her", WHEN)]

    assert [json.loads(item) for item in stored(films).items] == [
        {"title": "Up", "when": "2026-11-27", "parts": []},
        {"title": "Her", "when": "2026-11-27", "parts": []},
    ]
    assert len(stored(lambda page: kind("Up")).items) == 1


@EACH
def test_objects_within_items_are_stored_by_their_fields(kind: Callable[..., Any]) -> None:
    item = {"film": kind("Up", parts=[kind("Carl"), {"dog": kind("Dug", WHEN)}])}

    assert json.loads(item_text(item)) == {
        "film": {
            "title": "Up",
            "when": None,
            "parts": [
                {"title": "Carl", "when": None, "parts": []},
                {"dog": {"title": "Dug", "when": "2026-11-27", "parts": []}},
            ],
        }
    }


@EACH
def test_an_object_without_values_is_empty(kind: Callable[..., Any]) -> None:
    assert is_empty({"film": kind("")})
    assert not is_empty({"film": kind("Up")})
    assert stored(lambda page: kind(" ")).empty
    assert not stored(lambda page: kind("Up")).empty


def test_objects_of_several_libraries_may_be_nested_in_each_other() -> None:
    item = Plain("a", parts=[Attrs("b", parts=[Struct("c", parts=[Model(title="d", parts=[{"e": Colour.RED}])])])])

    text = item_text({"item": item})

    assert json.loads(text)["item"]["parts"][0]["parts"][0]["parts"][0] == {
        "title": "d",
        "when": None,
        "parts": [{"e": "red"}],
    }


def test_a_field_that_cannot_be_stored_is_named_with_the_way_to_it() -> None:
    with pytest.raises(ValueError, match=r"field film\.parts\[0\]\.title is bytes"):
        item_text({"film": Plain("a", parts=[Attrs(b"b")])})  # type: ignore[arg-type]


def test_an_object_that_holds_itself_ends_at_the_depth() -> None:
    ring = Plain("a")
    ring.parts.append(ring)

    with pytest.raises(ValueError, match="nested deeper than"):
        item_text({"ring": ring})


def test_a_class_in_place_of_its_object_is_a_mistake() -> None:
    spider = Spider(seeds=[URL])
    spider.index(lambda page: Plain)
    outcome = extract(spider, Page(request(URL), Fetched(URL, 200, {}, b"x", 0.1, 1), Settings()))

    assert isinstance(outcome, Evidence)
    assert outcome.message == "stage index yields type, which was not called"


def test_a_worker_imports_none_of_these_libraries() -> None:
    code = (
        "import sys, pinpool.spider.extraction, pinpool.crawler.page_job\n"
        "print(sorted({'attr', 'attrs', 'pydantic', 'msgspec'} & set(sys.modules)))"
    )

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert ran.stdout == "[]\n"
