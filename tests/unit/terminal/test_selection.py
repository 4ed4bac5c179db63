"""What selectors find, and what a spider has found, in lines for people."""

from __future__ import annotations

import json

import pytest

from pinpool.model import Fetched
from pinpool.settings import Settings
from pinpool.spider.page import Page
from pinpool.tasks import request
from pinpool.terminal.selection import field_lines, grouped, selection_lines, task_line

BODY = """<ul><li><a class="name" href="/1">Up
   <b>1</b></a></li><li><a href="/2"></a></li></ul><!--x--><p title=""></p>"""


@pytest.fixture
def page() -> Page:
    fetched = Fetched("http://x.test/", 200, {"content-type": "text/html"}, BODY.encode(), 0.1, len(BODY))
    return Page(request("http://x.test/"), fetched, Settings())


def test_matches_are_counted_and_shown_by_tag_and_text(page: Page) -> None:
    assert selection_lines(page, "//a", 80) == (
        True,
        ["//a: 2 matches", '  <a class="name" href="/1"> Up 1', '  <a href="/2">'],
    )
    assert selection_lines(page, "a.name::attr(href)", 80) == (True, ["a.name::attr(href): 1 match", "  /1"])


@pytest.mark.parametrize(
    ("selector", "lines"),
    [
        ("//h1", ["//h1: no match"]),
        ("count(//a)", ["count(//a): 1 match", "  2"]),
        ("//p/@title", ["//p/@title: 1 match", "  (empty text)"]),
        ("//comment()", ["//comment(): 1 match", "  x"]),
    ],
)
def test_whatever_a_selector_gives_is_one_line(page: Page, selector: str, lines: list[str]) -> None:
    assert selection_lines(page, selector, 80) == (lines[1:] != [], lines)


def test_of_many_matches_the_first_are_shown_in_lines_of_the_width(page: Page) -> None:
    many = Fetched("http://x.test/", 200, {}, b"<p>" + b"word " * 40 + b"</p>" + b"<p>x</p>" * 9, 0.1, 9)

    _, lines = selection_lines(Page(request("http://x.test/"), many, Settings()), "p", 40)

    assert lines[-1] == "  ... and 5 more"
    assert max(map(len, lines)) == 40


def test_a_selector_that_cannot_be_used_says_why(page: Page) -> None:
    with pytest.raises(ValueError, match="is not an XPath selector"):
        selection_lines(page, "//a[", 80)


def test_fields_are_told_apart_by_whether_any_item_has_them() -> None:
    items = [json.dumps(item) for item in ({"a": 1, "b": [], "c": ""}, {"a": 0, "b": ["x"], "c": None})]

    assert field_lines(items) == ("found: a, b (1 of 2)", "not found: c")
    assert field_lines(['{"a": "x"}']) == ("found: a", "")
    assert field_lines([]) == ("", "")


def test_a_task_shows_its_form_and_the_data_that_it_hands_on() -> None:
    plain = request("http://x.test/1", stage="detail")
    full = request("http://x.test/find", stage="found", form={"q": "heat"}, data={"film": "Élan"})

    assert task_line(plain) == "detail: GET http://x.test/1"
    assert task_line(full) == 'found: POST http://x.test/find with q=heat, data {"film": "Élan"}'


def test_equal_lines_are_shown_once_and_many_are_cut() -> None:
    assert list(grouped(["a", "b", "a"], 2)) == ["a (2 times)", "b"]
    assert list(grouped(["a", "b", "c"], 2)) == ["a", "b", "... and 1 more"]
    assert list(grouped([], 2)) == []
