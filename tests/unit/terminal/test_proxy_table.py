"""The table of the proxies, for people and as CSV: it fits, tells proxies apart, and no text in it does harm."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attempts import OK, TIMEOUT
from pinpool.journal.records import AttemptRow, ProxyRow
from pinpool.model import Fault
from pinpool.stats.columns import proxy_document
from pinpool.stats.figures import ProxyFigures, figures
from pinpool.terminal.proxy_table import SORTS, WIDTH, ordered, proxy_csv, proxy_table, short_labels

REFUSED = TIMEOUT._replace(fault="refused", message="no", seconds=0.5)


def row(
    *attempts: AttemptRow, proxy: str = "http://192.0.2.1:80", state: str = "spare", reason: str | None = None
) -> dict[str, Any]:
    known = figures(attempts)
    kept = ProxyRow(1, proxy, state, reason, None, 0, True)
    return proxy_document(kept, known.get(1, ProxyFigures()), 1)


def table(*rows: dict[str, Any], **options: Any) -> list[str]:
    return proxy_table({"proxies": list(rows)}, **options).splitlines()


def cells(*rows: dict[str, Any]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(proxy_csv(rows), newline="")))


def test_a_rate_of_few_attempts_is_shown_with_what_it_may_really_be() -> None:
    _, few, many = table(row(OK, OK, REFUSED, proxy="a"), row(*[OK] * 970, *[REFUSED] * 30, proxy="b"), sort="proxy")

    assert " 67% of 3 (21-94)  " in few
    assert " 97% of 1000       " in many


def test_a_proxy_that_was_never_tried_has_no_rate() -> None:
    _, untried = table(row())

    assert untried.split() == ["http://192.0.2.1:80", "spare", "not", "tried", "0.0"]


def test_a_proxy_that_was_only_overtaken_has_no_rate_either() -> None:
    overtaken = OK._replace(ending="overtaken", fault="slow", status=None)

    _, slow, mixed = table(row(overtaken, proxy="a"), row(OK, overtaken, proxy="b"), sort="proxy")

    assert slow.split()[:3] == ["a", "spare", "overtaken"]
    assert "100% of 1 " in mixed


def test_many_pages_an_hour_are_counted_in_thousands() -> None:
    _, slow, fast = table(row(OK, proxy="a"), row(OK._replace(seconds=0.02), proxy="b"), sort="proxy")

    assert " 18000 " in slow
    assert " 180k " in fast


def test_a_run_without_proxies_gives_the_titles_alone() -> None:
    assert len(table()) == 1


def test_the_commonest_fault_is_named_and_all_of_them_with_faults() -> None:
    troubled = row(
        REFUSED, REFUSED, REFUSED._replace(fault="timeout", forgiven=True), state="cooling", reason="refused"
    )

    short, long = table(troubled), table(troubled, faults=True)

    assert short[1].endswith("  refused 2")
    assert "    refused 2, timeout 1; 2 charged, 1 forgiven" in long
    assert "    cooling: refused" in long
    assert "    last error 2023-11-14T22:13:20Z: timeout: no" in long


def test_long_and_hostile_texts_neither_break_the_width_nor_drive_the_terminal() -> None:
    hostile = row(
        *[OK] * 123_456,
        REFUSED._replace(fault="connect_timeout", message="\x1b[2J" + "x" * 500),
        proxy="http://" + "customer-zone-" * 9 + "\x1b]0;gone\x07@192.0.2.1:80",
        state="retired",
        reason="\x1b[31m" + "y" * 500,
    )

    lines = table(hostile, faults=True)

    assert all(len(line) <= WIDTH for line in lines)
    assert "\x1b" not in "".join(lines)
    assert "\x07" not in "".join(lines)


def test_only_troubled_proxies_are_coloured_and_only_when_asked() -> None:
    rows = row(REFUSED, state="retired"), row(REFUSED, state="cooling"), row(OK)

    assert [line[:5] for line in table(*rows, colour=True)[1:]] == ["\x1b[31m", "\x1b[33m", "http:"]
    assert "\x1b" not in "".join(table(*rows))


# ------------------------------------------------------------------------------------------------- labels


def test_labels_that_differ_only_in_the_middle_show_it() -> None:
    labels = [f"http://customer-abcdef-session-{n:08}-country-us@gateway.example.com:8000" for n in range(1, 12)]

    short = short_labels(labels, 31)

    assert len(set(short)) == len(labels)
    assert all(len(label) <= 31 for label in short)
    assert "01" in short[0]
    assert short[0].endswith("8000")


def test_a_label_that_fits_stays_as_it_is() -> None:
    assert short_labels(["http://192.0.2.1:80", "x" * 40], 31)[0] == "http://192.0.2.1:80"


@given(st.lists(st.text("ab:", min_size=1, max_size=60), unique=True, max_size=20))
def test_different_labels_never_look_alike(labels: list[str]) -> None:
    short = short_labels(labels, 20)

    assert len(set(short)) == len(labels)
    assert all(len(label) <= 20 for label in short)


# ------------------------------------------------------------------------------------------------- order


def test_surely_bad_proxies_come_before_those_with_one_bad_try() -> None:
    once = row(REFUSED, proxy="once")
    often = row(OK, *[REFUSED] * 19, proxy="often")

    assert [one["proxy"] for one in ordered([once, often], "success_rate")] == ["often", "once"]


@pytest.mark.parametrize("sort", SORTS)
def test_every_order_takes_proxies_that_were_never_tried(sort: str) -> None:
    rows = [row(proxy="b"), row(OK, REFUSED, proxy="c"), row(proxy="a")]

    found = ordered(rows, sort)

    assert sorted(one["proxy"] for one in found) == ["a", "b", "c"]
    assert found == ordered(reversed(rows), sort)


# ------------------------------------------------------------------------------------------------- CSV


def test_each_fault_has_its_column_whether_it_came_or_not() -> None:
    (found,) = cells(row(OK, REFUSED, REFUSED._replace(fault="from the future")))

    assert [name for name in found if name in set(Fault)] == list(Fault)
    assert (found["refused"], found["hang"], found["unknown"]) == ("1", "0", "1")
    assert found["first_error"] == "refused: no"


def test_a_label_that_is_a_formula_is_a_text_in_a_spreadsheet() -> None:
    (found,) = cells(row(proxy='=cmd|"/c calc"!A0', reason="@SUM(1)"))

    assert found["proxy"] == '\'=cmd|"/c calc"!A0'
    assert found["reason"] == "'@SUM(1)"


def test_line_breaks_and_quotes_in_a_text_stay_in_its_cell() -> None:
    (found,) = cells(row(REFUSED._replace(message='a "b",\r\nc')))

    assert found["last_error"] == 'refused: a "b",\r\nc'


def test_no_proxies_give_a_header_alone() -> None:
    assert cells() == []
    assert proxy_csv([]).startswith("proxy,state,reason,")
