"""How tasks are made of a URL, a stage, perhaps a form."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinpool.model import Task
from pinpool.tasks import MAX_DATA, request

SITE = "https://site.example/"


def test_a_url_alone_is_a_get_of_the_index_stage() -> None:
    task = request(SITE + "page/1")

    assert task == Task(stage="index", url=SITE + "page/1", key=task.key, method="GET")
    assert len(task.key) == 16


def test_a_form_is_posted_as_a_browser_posts_it() -> None:
    task = request(SITE, form={"q": "ä b", "page": 2, "tag": ["x", "y"]})

    assert task.method == "POST"
    assert task.body == b"q=%C3%A4+b&page=2&tag=x&tag=y"
    assert task.headers == (("Content-Type", "application/x-www-form-urlencoded"),)


@pytest.mark.parametrize(
    ("form", "body"),
    [
        ({"q": "x", "__VIEWSTATE": None, "tag": ["a", None, "b"]}, b"q=x&tag=a&tag=b"),
        ([("a", 1), ("a", 2.5), ("b", True), ("c", Decimal("1.10"))], b"a=1&a=2.5&b=True&c=1.10"),
        ({"a": "~*-._ +&=%"}, b"a=%7E*-._+%2B%26%3D%25"),
        ({"a": "1\n2\r3\r\n4", "b": b"\n\xff"}, b"a=1%0D%0A2%0D%0A3%0D%0A4&b=%0A%FF"),
        ({"a": "x\ud800"}, b"a=x%EF%BF%BD"),
        ({"day": date(2026, 1, 2), "кино": ""}, b"day=2026-01-02&%D0%BA%D0%B8%D0%BD%D0%BE="),
        ({}, b""),
        ({"a": None, "b": []}, b""),
    ],
)
def test_the_fields_of_a_form_are_written_as_a_browser_writes_them(form: Any, body: bytes) -> None:
    task = request(SITE, form=form)

    assert (task.method, task.body) == ("POST", body)


def test_a_form_is_sent_in_the_encoding_of_its_page() -> None:
    task = request(SITE, form={"имя": "Привет 京&"}, query_encoding="cp1251")

    assert task.body == b"%E8%EC%FF=%CF%F0%E8%E2%E5%F2+%26%2320140%3B%26"


def test_json_is_posted_with_its_content_type() -> None:
    task = request(SITE, json={"q": "ä"})

    assert task.method == "POST"
    assert task.body == b'{"q":"\\u00e4"}'
    assert task.headers == (("Content-Type", "application/json"),)


def test_a_body_is_sent_unchanged_with_the_given_method_and_type() -> None:
    task = request(SITE, body="ä", method="put", headers={"content-type": "text/plain"})

    assert (task.method, task.body, task.headers) == ("PUT", b"\xc3\xa4", (("content-type", "text/plain"),))


def test_data_is_handed_on_as_json() -> None:
    assert request(SITE, data={"rank": 1, "name": "ä"}).data == '{"rank":1,"name":"\\u00e4"}'
    assert request(SITE, data={}).data is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"url": SITE + "?a=1&b=2"}, {"url": SITE + "?b=2&a=1"}),
        ({"url": SITE + "#one"}, {"url": SITE + "#two"}),
        ({"url": SITE + "%7Ea"}, {"url": SITE + "~a"}),
        ({"url": SITE, "headers": {"X-A": "1"}}, {"url": SITE, "data": {"b": 2}}),
    ],
)
def test_the_same_page_has_the_same_key(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert request(**one).key == request(**other).key


@pytest.mark.parametrize(
    "other",
    [
        {"url": SITE + "a/"},
        {"url": SITE + "a", "stage": "detail"},
        {"url": SITE + "a", "method": "HEAD"},
        {"url": SITE + "a", "form": {"q": 1}},
        {"url": SITE + "a?q"},
        {"url": SITE + "A"},
    ],
)
def test_another_page_has_another_key(other: dict[str, Any]) -> None:
    first = request(SITE + "a")

    second = request(**other)

    assert second.key != first.key


def test_another_form_is_another_page() -> None:
    assert request(SITE, form={"q": 1}).key != request(SITE, form={"q": 2}).key


def test_the_key_only_compares_and_the_url_stays_as_written() -> None:
    """A server may mind the order of a query, and the difference between ?a and ?a=."""
    assert request(SITE + "?b&a=1").url == SITE + "?b&a=1"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"url": "ftp://site.example/"}, "http://"),
        ({"form": {}, "json": {}}, "only one of form and json"),
        ({"form": {}, "json": {}, "body": b""}, "only one of form and json and body"),
        ({"json": {"x": {1, 2}}}, "json cannot be written"),
        ({"json": float("nan")}, "json cannot be written"),
        ({"form": "q=1"}, "form cannot be sent: it is str, not a mapping"),
        ({"form": 5}, "form cannot be sent"),
        ({"form": [1]}, "form cannot be sent: it is list, not a mapping"),
        ({"form": {"photo": Path("a.jpg")}}, "field 'photo' is a file, and files are not sent"),
        ({"form": {"photo": ("a.jpg", BytesIO(b"x"), "image/jpeg")}}, "field 'photo' is a file"),
        ({"form": {"a": {"b": 1}}}, "field 'a' is dict, not text or a number"),
        ({"form": {None: "b"}}, "field None is NoneType"),
        ({"body": 5}, "body is int"),
        ({"method": "BREW"}, "'BREW' is not one of GET, "),
        ({"method": "GET\r\nX: 1"}, "is not one of"),
        ({"method": "GET", "form": {"q": 1}}, "GET request has no body"),
        ({"headers": {"X-A": "1\r\nX-B: 2"}}, "X-A"),
        ({"headers": {"Content-Length": "9"}}, "Content-Length"),
        ({"stage": ""}, "not a stage name"),
        ({"stage": "a\nb"}, "not a stage name"),
        ({"data": {"x": object()}}, "data cannot be written"),
        ({"data": {"x": "y" * MAX_DATA}}, "above"),
        ({"data": [1]}, "not a mapping"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_the_reason(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        request(**{"url": SITE, **arguments})


def test_a_list_that_holds_itself_is_refused() -> None:
    ring: list[object] = []
    ring.append(ring)

    with pytest.raises(ValueError, match="data cannot be written"):
        request(SITE, data={"ring": ring})


@given(st.text())
def test_a_task_made_again_from_its_url_is_the_same_task(tail: str) -> None:
    try:
        once = request(SITE + tail)
    except ValueError:
        return

    assert request(once.url) == once
