from __future__ import annotations

import json
import time

import pytest

from pinpool.text import (
    byte_size,
    counted,
    cut,
    cut_middle,
    duration,
    fine_duration,
    first_few,
    local_time,
    megabytes_column,
    one_line,
    percent,
    percent_column,
    seconds_column,
    stamp,
    tallied,
    utc_time,
    visible,
)


@pytest.mark.parametrize(
    ("count", "things", "shown"),
    [
        (0, ("page",), "0 pages"),
        (1, ("page",), "1 page"),
        (1200, ("page",), "1,200 pages"),
        (1, ("proxy", "proxies"), "1 proxy"),
        (2, ("proxy", "proxies"), "2 proxies"),
        (2, ("page waits", "pages wait"), "2 pages wait"),
    ],
)
def test_one_thing_is_singular_and_any_other_number_plural(count: int, things: tuple[str, ...], shown: str) -> None:
    assert counted(count, *things) == shown


def test_names_and_their_counts_are_listed_the_commonest_first_and_without_zeros() -> None:
    assert tallied({"timeout": 3, "hang": 0, "a\x1b[31m": 1200, "crash": 3}) == "a [31m 1,200, timeout 3, crash 3"


@pytest.mark.parametrize(
    ("most", "shown"), [(1, "a and 2 more"), (2, "a, b and 1 more"), (3, "a, b, c"), (4, "a, b, c")]
)
def test_a_long_list_of_names_ends_in_their_number(most: int, shown: str) -> None:
    assert first_few(["a", "b", "c"], most) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-1.0, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (90, "1 min 30 s"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (86399, "23 h 59 min"),
        (273600, "3 d 4 h"),
        (9e8, "10,416 d 16 h"),
    ],
)
def test_durations_are_the_coarser_the_longer_they_are(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (0.08, "80 ms"),
        (0.9996, "1 s"),
        (4.21, "4.2 s"),
        (59.97, "1 min"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
    ],
)
def test_fine_durations_are_exact_below_a_minute(seconds: float, shown: str) -> None:
    assert fine_duration(seconds) == shown


def test_a_column_of_seconds_has_fewer_places_for_more_seconds() -> None:
    assert [seconds_column(value) for value in (None, 0.204, 9.5, 61.2)] == ["", "0.20", "9.50", "61"]
    assert [seconds_column(value, 3) for value in (0.204, 61.2)] == ["0.204", "61.2"]


def test_sizes_have_decimal_units() -> None:
    assert [byte_size(count) for count in (0, 812, 40_500, 999_940, 999_960, 4e6, 1.25e9)] == [
        "0 B",
        "812 B",
        "40.5 kB",
        "999.9 kB",
        "1.0 MB",
        "4.0 MB",
        "1.2 GB",
    ]
    assert [megabytes_column(count) for count in (0, 4e6, 400e6)] == ["0.0", "4.0", "400"]


def test_a_share_is_never_rounded_to_all_or_nothing() -> None:
    assert [percent(share) for share in (0, 0.0004, 0.034, 0.5, 0.9999, 1)] == [
        "0%",
        "under 1%",
        "3%",
        "50%",
        "over 99%",
        "100%",
    ]


def test_a_column_of_shares_has_a_decimal_place_for_small_ones() -> None:
    assert [percent_column(share) for share in (None, 0, 0.034, 0.5)] == ["", "0%", "3.4%", "50%"]


def test_stamps_are_in_utc_and_rounded_down() -> None:
    assert stamp(None) is None
    assert stamp(0.9996) == "1970-01-01T00:00:00Z"
    assert stamp(1_700_000_000.1234, "milliseconds") == "2023-11-14T22:13:20.123Z"
    assert utc_time(1_700_000_000.9) == "2023-11-14 22:13:20"


def test_a_terminal_shows_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC-2")
    time.tzset()
    try:
        assert local_time(1_700_000_000) == "00:13:20"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_what_a_stranger_wrote_is_one_line_of_at_most_300_characters() -> None:
    assert one_line("no\n\x1b[2J  answer\x00") == "no [2J answer"
    assert len(one_line("x" * 10_000)) == 300


def test_long_texts_are_cut_with_an_ellipsis() -> None:
    assert [cut("abcdef", width) for width in (3, 6)] == ["ab…", "abcdef"]
    assert [cut_middle("abcdefgh", width) for width in (5, 8)] == ["ab…gh", "abcdefgh"]


@pytest.mark.parametrize(
    "hostile", ["\x00", "\x1b", "\r", "\x7f", "\x85", "\x9b", "\u061c", "\u200f", "\u202e", "\u2066"]
)
def test_what_controls_a_terminal_or_turns_text_round_is_shown_as_an_escape(hostile: str) -> None:
    text = f"張 é\t{hostile}[31m\n"

    shown = visible(text)

    assert shown == f"張 é\t\\u{ord(hostile):04x}[31m\n"
    document = json.dumps({"title": text}, ensure_ascii=False)
    assert json.loads(visible(document)) == {"title": text}
