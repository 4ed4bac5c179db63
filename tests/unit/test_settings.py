"""Settings from keywords, tables and the command line."""

from __future__ import annotations

import pytest

from pinpool.errors import SettingsError
from pinpool.settings import SETTINGS, Settings, default_text, settings_from


def test_every_default_can_be_given_as_the_text_that_the_manual_shows() -> None:
    assert settings_from({name: default_text(name) for name in SETTINGS if default_text(name)}) == Settings()


def test_without_values_the_base_stays() -> None:
    base = Settings(pace=3.0, headers={"Accept": "text/html"})

    assert settings_from({}, base) == base
    assert settings_from({}) == Settings()


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("pace", "1.5", 1.5),
        ("site_rate", "none", None),
        ("site_rate", "20", 20.0),
        ("attempts", "7", 7),
        ("max_body", "5_000", 5000),
        ("empty_ok", "yes", True),
        ("empty_ok", "Off", False),
        ("ban_status", "403, 429,503", (403, 429, 503)),
        ("ban_status", "", ()),
        ("encoding", "gbk", "gbk"),
        ("encoding", "KOI8-RU", "KOI8-RU"),
        ("encoding", "None", None),
        ("ca_bundle", "own.pem", "own.pem"),
        (
            "headers",
            "Accept: text/html, */*;q=0.1, X-A: 1:2",
            {"Accept": "text/html, */*;q=0.1", "X-A": "1:2"},
        ),
        ("headers", "Accept: a\nX-A: b\n", {"Accept": "a", "X-A": "b"}),
        ("headers", "Accept-Encoding: gzip;q=1, deflate", {"Accept-Encoding": "gzip;q=1, deflate"}),
        (
            "profiles",
            "User-Agent: a, X-A: 1\nUser-Agent: b",
            ({"User-Agent": "a", "X-A": "1"}, {"User-Agent": "b"}),
        ),
        ("profiles", "", ()),
        ("robots", "yes", True),
    ],
)
def test_the_command_line_gives_text(name: str, text: str, value: object) -> None:
    assert getattr(settings_from({name: text}), name) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pace", 2),
        ("attempts", 1),
        ("empty_ok", True),
        ("ban_status", [403]),
        ("ban_status", 503),
        ("headers", {"X-A": "1"}),
        ("headers", ["X-A: 1"]),
        ("encoding", None),
        ("site_rate", None),
    ],
)
def test_a_spider_gives_values(name: str, value: object) -> None:
    expected = {"ban_status": (value,) if isinstance(value, int) else (403,), "headers": {"X-A": "1"}}

    assert getattr(settings_from({name: value}), name) == expected.get(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pace", -1),
        ("pace", "nan"),
        ("pace", float("inf")),
        ("pace", "soon"),
        ("pace", True),
        ("pace", 10**400),
        ("deadline", 0),
        ("deadline", "1e99"),
        ("site_rate", 0),
        ("attempts", 0),
        ("attempts", 1.5),
        ("attempts", "1.5"),
        ("attempts", True),
        ("max_body", 0),
        ("max_redirects", -1),
        ("empty_ok", "maybe"),
        ("ban_status", "403,abc"),
        ("ban_status", [999]),
        ("ban_status", None),
        ("encoding", "klingon"),
        ("encoding", "zlib"),
        ("encoding", "idna"),
        ("encoding", "utf-8\0"),
        ("ca_bundle", 5),
        ("headers", "no colon"),
        ("headers", 5),
        ("headers", {"X-A": 5}),
        ("headers", {"Transfer-Encoding": "chunked"}),
        ("headers", {"accept-encoding": "gzip, br, zstd"}),
        ("profiles", {"User-Agent": "a"}),
        ("profiles", [{"User-Agent": "a"}, {"Accept-Encoding": "br"}]),
        ("profiles", [7]),
        ("robots", "perhaps"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_by_its_key(name: str, value: object) -> None:
    with pytest.raises(SettingsError) as refused:
        settings_from({name: value})

    (problem,) = refused.value.problems
    assert problem.startswith(f"{name}: ")


def test_all_problems_are_reported_at_once_with_a_suggestion() -> None:
    with pytest.raises(SettingsError) as refused:
        settings_from({"atempts": 3, "deadline": 0, "xyzzy": 1, "pace": 1})

    first, second, third = refused.value.problems
    assert first == "atempts: no such setting; did you mean attempts?"
    assert second == "deadline: 0 is not above 0 and at most 86400"
    assert third.startswith("xyzzy: no such setting; the settings are pace, ")


def test_headers_join_those_of_the_base_whatever_their_case() -> None:
    base = Settings(headers={"Accept": "a", "Cookie": "b"})

    joined = settings_from({"headers": "accept: c"}, base)

    assert joined.headers == {"Cookie": "b", "accept": "c"}


def test_every_profile_that_cannot_be_sent_is_named_by_its_number() -> None:
    with pytest.raises(SettingsError) as refused:
        settings_from({"profiles": [{"Cookie": "s3cret\n"}, {"User-Agent": "a"}, {"Accept-Encoding": "br, *"}]})

    (problem,) = refused.value.problems
    assert "profile 1: the value of Cookie contains line breaks" in problem
    assert "profile 3: Accept-Encoding asks for br, *; pinpool reads gzip and deflate" in problem
    assert "profile 2" not in problem
    assert "s3cret" not in problem


def test_the_value_of_a_header_is_never_repeated() -> None:
    with pytest.raises(SettingsError) as refused:
        settings_from({"headers": {"Authorization": "s3cret\n", "Cookie": "s3cret\r"}})

    assert "Authorization" in str(refused.value)
    assert "s3cret" not in str(refused.value)
