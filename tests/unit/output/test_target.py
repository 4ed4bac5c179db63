"""What `-o FILE[:FORMAT]` means."""

from __future__ import annotations

import pytest

from pinpool.cli.crawl import crawl
from pinpool.cli.export import export
from pinpool.errors import SettingsError
from pinpool.output.registry import FORMATS
from pinpool.output.target import Target, parse_target


def test_a_proxy_typed_in_place_of_an_output_is_not_repeated() -> None:
    with pytest.raises(SettingsError) as caught:
        parse_target("http://alice:wonder@192.0.2.1:8080")

    assert "wonder" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("items.jsonl", Target("items.jsonl", "jsonl")),
        ("films/items.CSV", Target("films/items.CSV", "csv")),
        ("x.out:csv", Target("x.out", "csv")),
        ("x.csv:jsonl", Target("x.csv", "jsonl")),
        ("-", Target("-", "jsonl")),
        ("-:CSV", Target("-", "csv")),
        ("films.json", Target("films.json", "json")),
        ("films.db:sqlite", Target("films.db", "sqlite")),
        ("a:b.jsonl", Target("a:b.jsonl", "jsonl")),
    ],
)
def test_the_format_is_named_or_read_off_the_ending(text: str, target: Target) -> None:
    assert parse_target(text) == target
    assert parse_target(text, overwrite=True).overwrite


@pytest.mark.parametrize("text", ["items", "items.xml", "items.jsonl:xml", "items.feather", "", ":csv", "csv"])
def test_an_unknown_format_is_refused_with_those_that_work(text: str) -> None:
    with pytest.raises(SettingsError, match=r"end it in \.jsonl, \.json, \.csv, \.parquet or \.sqlite, or add :jsonl"):
        parse_target(text)


@pytest.mark.parametrize("name", FORMATS)
def test_the_help_of_every_command_that_takes_outputs_names_every_format(name: str) -> None:
    for command in (crawl, export):
        append = next(option for option in command.params if "-o" in option.opts)

        assert name in str(getattr(append, "help", ""))
