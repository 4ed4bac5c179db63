from __future__ import annotations

import pytest

from pinpool.report.cost import MONTH_SECONDS, Price, parse_price


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("2.50", Price(2.5)),
        (" 2.50/month", Price(2.5)),
        ("3/GB", Price(3, True)),
        ("0.75 / gb", Price(0.75, True)),
    ],
)
def test_a_price_is_of_a_month_or_of_a_gigabyte(text: str, price: Price) -> None:
    assert parse_price(text) == price


@pytest.mark.parametrize("text", ["", "0", "-1", "free", "2,50", "€3", "3/TB", "nan", "inf", "1e9", "9" * 400, "٣"])
def test_anything_else_is_refused_with_the_forms_there_are(text: str) -> None:
    with pytest.raises(ValueError, match=r"a price is 2\.50 .* or 3/GB"):
        parse_price(text)


def test_a_month_is_shared_out_by_time_and_traffic_by_the_gigabyte() -> None:
    assert Price(30).cost(MONTH_SECONDS / 30, 5) == pytest.approx(1)
    assert Price(3, per_gigabyte=True).cost(MONTH_SECONDS, 500_000_000) == pytest.approx(1.5)
