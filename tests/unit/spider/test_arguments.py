"""Arguments of a spider: `-a NAME=VALUE` for a function that returns it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from pinpool.errors import SpiderError
from pinpool.spider.arguments import given_arguments, values_for
from pinpool.spider.loader import load, parse_ref
from pinpool.spider.spider import Spider

FILE = """
    from pinpool import Spider

    def spider(category: str, pages: int = 2, sale: bool = False, *, least: "float | None" = None):
        spider = Spider(seeds=[f"https://shop.example/{category}/{n}" for n in range(1, pages + 1)], pace=least or 0)

        @spider.index
        def goods(page):
            return {"category": category, "sale": sale}

        return spider
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Path]]:
    """Writes shop.py into a folder of its own, which is the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(text: str = FILE) -> Path:
        path = tmp_path / "shop.py"
        path.write_text(dedent(text).lstrip("\n"), encoding="utf-8")
        return path

    yield write


def loaded(*texts: str, ref: str = "shop.py") -> Spider:
    return load(parse_ref(ref)._replace(arguments=given_arguments(texts)), seeds=True)


def problems(*texts: str) -> tuple[str, ...]:
    with pytest.raises(SpiderError) as refused:
        loaded(*texts)
    return refused.value.problems


# Values


def example(  # type: ignore[no-untyped-def]
    a: int, b: int | None = None, c: float = 1.5, d=3, e=True, f: bool = False, g: list[int] | None = None, h=""
):
    """Parameters as users write them; annotations are texts in this file."""


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("a", " 7 ", 7),
        ("a", "-7", -7),
        ("b", "8", 8),
        ("c", "2", 2.0),
        ("c", "1e3", 1000.0),
        ("d", "4", 4),
        ("e", "no", False),
        ("f", "yes", True),
        ("f", "0", False),
        ("g", "1,2", "1,2"),
        ("h", "a=b", "a=b"),
        ("h", "", ""),
    ],
)
def test_a_value_has_the_type_of_its_annotation_or_of_its_default(name: str, text: str, value: object) -> None:
    found = values_for(example, {"a": "1", name: text})[name]

    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a", "7.5", "-a a: '7.5' is not a whole number"),
        ("a", "", "-a a: '' is not a whole number"),
        ("c", "much", "-a c: 'much' is not a number"),
        ("c", "nan", "-a c: 'nan' is not a number"),
        ("f", "maybe", "-a f: 'maybe' is neither yes nor no"),
        ("z", "1", "-a z: no such argument; the spider takes a, b, c, d, e, f, g, h"),
    ],
)
def test_a_value_that_does_not_fit_is_named(name: str, text: str, problem: str) -> None:
    with pytest.raises(SpiderError) as refused:
        values_for(example, {"a": "1", name: text})

    assert refused.value.problems == (problem,)


def test_a_function_may_take_any_argument() -> None:
    def spider(**more: str) -> None: ...

    assert values_for(spider, {"x": "1"}) == {"x": "1"}


def test_pairs_are_read_from_the_command_line_and_the_last_of_a_name_counts() -> None:
    assert given_arguments(["a=1", "b= x=y ", "a=2"]) == (("a", "2"), ("b", " x=y "))


def test_every_text_that_is_not_a_pair_is_named_without_its_value() -> None:
    with pytest.raises(SpiderError) as refused:
        given_arguments(["category", "=shoes", "a b=s3cret", "ok=1"])

    assert refused.value.problems == (
        "-a: 'category' is not NAME=VALUE",
        "-a: '' is not NAME=VALUE",
        "-a: 'a b' is not NAME=VALUE",
    )


# Loading


def test_a_function_makes_the_spider_of_its_arguments(write: Callable[[str], Path]) -> None:
    path = write(FILE)

    spider = loaded("category=shoes", "pages=3", "least=1.5")

    assert list(spider.start()) == [f"https://shop.example/shoes/{n}" for n in (1, 2, 3)]
    assert (spider.name, spider.settings.pace) == ("shop", 1.5)
    assert spider.ref() == spider.origin
    assert spider.origin is not None
    assert spider.origin.path == str(path)
    assert dict(spider.origin.arguments) == {"category": "shoes", "pages": "3", "least": "1.5"}


def test_the_ref_of_a_spider_with_arguments_makes_the_same_spider_again(write: Callable[[str], Path]) -> None:
    """As a worker does it."""
    write(FILE)
    spider = loaded("category=shoes")

    again = load(spider.ref())

    assert again is not spider
    assert list(again.start()) == list(spider.start())


def test_the_text_of_a_ref_does_not_show_the_arguments(write: Callable[[str], Path]) -> None:
    write(FILE)

    assert "shoes" not in str(loaded("category=shoes").ref())


def test_all_wrong_arguments_are_reported_at_once_with_the_line_of_the_function(write: Callable[[str], Path]) -> None:
    write(FILE)

    assert problems("pages=two", "sale=perhaps", "categry=shoes") == (
        "shop.py:3: -a pages: 'two' is not a whole number",
        "shop.py:3: -a sale: 'perhaps' is neither yes nor no",
        "shop.py:3: -a categry: no such argument; did you mean category?",
        "shop.py:3: the spider needs a value for category: give it by  -a category=VALUE",
    )


def test_a_spider_that_is_no_function_takes_no_arguments(write: Callable[[str], Path]) -> None:
    write("from pinpool import Spider\nspider = Spider(['https://shop.example/'])\nspider.index(len)\n")

    assert problems("category=shoes") == (
        "shop.py:2: -a category: no such argument; the spider takes none",
        "shop.py:2: to take arguments, write  def spider(NAME): ... return spider",
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("def spider(): pass\n", "shop.py:1: spider() returns NoneType: end it with  return spider"),
        ("x = 1\ndef spider():\n    return 1 / 0\n", "shop.py:3: ZeroDivisionError: division by zero"),
        ("def spider(x, /): pass\n", "shop.py:1: the argument x cannot be given by its name: take the / out"),
        (
            "from pinpool import Spider\ndef spider():\n    return Spider(pase=1)\n",
            "shop.py:3: pase: no such setting; did you mean pace?",
        ),
        ("from pinpool import Spider\ndef spider():\n    return Spider()\n", "shop.py:3: the spider has no stage"),
    ],
)
def test_a_function_that_makes_no_spider_is_reported_with_its_line(
    write: Callable[[str], Path], text: str, problem: str
) -> None:
    write(text)

    assert problems()[0].startswith(problem)


def test_another_function_of_the_file_may_be_named(write: Callable[[str], Path]) -> None:
    write(FILE.replace("def spider(", "def sale("))

    assert loaded("category=shoes", ref="shop.py:sale").name == "shop"
