"""The README and the manual: what they say is so."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

import pinpool
from pinpool.cli.app import app
from pinpool.cli.options import ExitCode
from pinpool.model import Fault
from pinpool.policy.faults import FAULTS
from pinpool.proxies.lifecycle import table
from pinpool.proxies.parse import parse
from pinpool.settings import manual_table
from pinpool.spider.loader import load, parse_ref
from test_layout import ROWS

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
PAGES = {page.stem: page for page in (Path(pinpool.__file__).parent / "manual").glob("*.md")}
#: All that a user may read.
TEXT = "\n".join([README, *(page.read_text(encoding="utf-8") for page in PAGES.values())])
#: `retry` and its kin are named with a journal, `demo` alone.
COMMANDS = sorted(app.commands)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_shown_and_has_help_with_an_example(name: str) -> None:
    text = app.commands[name].get_help(click.Context(app.commands[name], info_name=name))

    assert f"pinpool {name}" in TEXT
    assert "Example:" in text
    assert f"pinpool {name}" in text


def test_every_option_that_is_shown_exists() -> None:
    known = {option for command in app.commands.values() for parameter in command.params for option in parameter.opts}

    shown = {
        option
        for line in re.findall(r"pinpool (?!-)[a-z]+ [^\n`]*", TEXT)
        for option in re.findall(r"(?<=\s)(--[a-z][a-z-]*|-[a-zA-Z])", line)
    }

    assert shown - known == set()
    assert len(shown) > 5


def test_the_readme_can_be_read_in_one_sitting_and_names_every_page_of_the_manual() -> None:
    assert len(README.splitlines()) <= 200
    for name, page in PAGES.items():
        title = page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        assert f"- [{name}](src/pinpool/manual/{name}.md): {title}\n" in README


def test_every_link_between_pages_leads_somewhere() -> None:
    for page in PAGES.values():
        for name in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / name).exists(), f"{page.name}: {name}"


def test_the_readmes_spider_loads(tmp_path: Path) -> None:
    code = next(block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "@spider.index" in block)
    (tmp_path / "movies.py").write_text(code, encoding="utf-8")

    spider = load(parse_ref(str(tmp_path / "movies.py")), seeds=True)

    assert list(spider.stages) == ["index", "detail"]
    assert len(code.splitlines()) <= 20


def test_the_readmes_list_of_proxies_can_be_read() -> None:
    block = next(block for block in re.findall(r"(?:^    .*\n)+", README, re.MULTILINE) if "192.0.2.12" in block)

    listed = parse(block, "README.md")

    assert len(listed.proxies) == 104


def test_every_fault_is_explained_beside_those_that_are_charged_alike() -> None:
    table = TEXT.partition("| fault | ")[2].partition("\n\n")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    told = {Fault(name): row for row in rows for name in re.findall(r"`([a-z_]+)`", row.split("|")[1])}

    assert set(told) == set(Fault)
    for row in rows:
        assert len({FAULTS[fault].charge for fault in told if told[fault] == row}) == 1, row


def test_the_table_of_settings_is_the_one_that_their_declarations_make() -> None:
    head, _, _ = manual_table().partition("\n")
    shown = head + TEXT.partition(head)[2].partition("\n\n")[0]

    assert shown == manual_table()


@pytest.mark.parametrize("text", [README, PAGES["runs"].read_text(encoding="utf-8")], ids=["README", "manual"])
def test_every_exit_code_is_in_the_table_of_exit_codes(text: str) -> None:
    table = text.partition("| code | meaning |")[2].partition("\n\n")[0]

    assert [int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)] == list(ExitCode)


def test_the_life_of_a_proxy_is_told_as_the_table_has_it() -> None:
    move = re.compile(r"^ *(\w+) +→ (\w+) +→ (\w+)", re.MULTILINE)

    assert sorted(move.findall(TEXT)) == sorted(move.findall(table()))


def test_the_readme_shows_the_same_eight_rows_that_the_layout_test_checks() -> None:
    rows = README.partition("| row | ")[2].partition("\n\n")[0]
    told = {
        cells[1].strip(): re.findall(r"`([a-z_]+)/?`", cells[2])
        for cells in (line.split("|") for line in rows.splitlines()[2:])
    }

    assert told == {row: members.split() for row, members in ROWS.items()}
