"""From a text on a page to a number, a date, or a part of it."""

from __future__ import annotations

import pytest

from pinpool.spider.toml.values import date_in, matcher, number_in


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("7", 7),
        ("$1,234.50 each", 1234.5),
        ("12 345 678 views", 12345678),
        ("12\u202f345", 12345),
        ("1'000'000", 1000000),
        ("EUR12.50", 12.5),
        ("Rs.1,200", 1200),
        ("-4.5°", -4.5),
        ("−4", -4),
        ("A-5", 5),
        ("pages 10-20", 10),
        ("4 2019", 4),
        ("٣", 3),
        ("0", 0),
        ("007", 7),
    ],
)
def test_the_first_number_of_a_text_is_read(text: str, number: float) -> None:
    found = number_in(text)

    assert found == number
    assert type(found) is type(number)


@pytest.mark.parametrize("text", ["", "none", "3,5", "1.2.3", ".5", "1,23,456", "9" * 41, "1,2345"])
def test_what_is_no_number_by_these_rules_is_none_and_never_another_number(text: str) -> None:
    assert number_in(text) is None


@pytest.mark.parametrize(("text", "number"), [("1.234,50 €", 1234.5), ("3,5", 3.5), ("12.345", 12345), ("3.5", None)])
def test_the_comma_may_be_the_decimal_mark(text: str, number: float | None) -> None:
    assert number_in(text, ",") == number


@pytest.mark.parametrize(
    ("text", "form", "found"),
    [
        ("2024-02-29", None, "2024-02-29"),
        (" 2024-02-29T10:00:00Z ", None, "2024-02-29T10:00:00+00:00"),
        ("Thu, 29 Feb 2024 10:00:00 GMT", None, "2024-02-29T10:00:00+00:00"),
        ("29.02.2024", "%d.%m.%Y", "2024-02-29"),
        ("29 February 2024, 10:05", "%d %B %Y, %H:%M", "2024-02-29T10:05:00"),
        ("30.02.2024", "%d.%m.%Y", None),
        ("yesterday", None, None),
        ("", None, None),
        ("29.02.2024", None, None),
    ],
)
def test_a_date_is_iso_8601_or_none(text: str, form: str | None, found: str | None) -> None:
    assert date_in(text, form) == found


def test_a_regular_expression_gives_its_first_group_or_the_whole_match() -> None:
    assert matcher(r"year (\d+)")("the year 1999") == "1999"
    assert matcher(r"\d+")("the year 1999") == "1999"
    assert matcher(r"\d+")("no year") is None
    assert matcher(r"a|(b)")("a") is None
