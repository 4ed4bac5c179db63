"""The README and the manual: what they say is so."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click
import pytest

import pinpool
from pinpool.cli.app import app
from pinpool.cli.options import ExitCode
from pinpool.model import Fault, Fetched, Task
from pinpool.policy.faults import FAULTS
from pinpool.proxies.lifecycle import table
from pinpool.proxies.parse import parse
from pinpool.settings import Settings, manual_table
from pinpool.spider.loader import load, parse_ref
from pinpool.spider.page import Page
from pinpool.tasks import request
from pinpool.testing import crawl
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


SPIDERS = PAGES["spiders"].read_text(encoding="utf-8")
SHOWN = [block for block in re.findall(r"```python\n(.*?)```", SPIDERS, re.DOTALL) if "Spider(" in block]


def shop(task: Task, proxy: int) -> str:
    """A shop on which every spider of the manual finds something."""
    link = {"cursor": "", "numbers": "", "index": '<a href="/1">it</a>'}.get(task.stage, "")
    item = f'<li class="item sale"><b>Boot</b>{link}<i class="price">9</i><i class="size">42</i></li>'
    if task.stage == "cursor":
        return json.dumps({"items": [{"name": "Boot"}], "next": None if "after" in task.url else "b"})
    if task.stage == "numbers" and "page=3" in task.url:
        return ""
    hidden = "" if task.body else '<form><input type="hidden" name="t" value="7"></form>'
    review = '<a class="reviews" href="/reviews">all</a><div class="review" data-stars="5"><p>Good</p></div>'
    return f"<h1>Boots</h1><ul>{item}</ul>{hidden}{review}"


@pytest.mark.parametrize(
    ("code", "items"), list(zip(SHOWN, [2, 6, 3], strict=True)), ids=["stages", "lists", "arguments"]
)
def test_every_spider_that_the_manual_shows_finds_what_there_is(code: str, items: int, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(code, encoding="utf-8")
    shown = SPIDERS.partition("pinpool crawl shop.py")[2].partition("\n")[0]
    given = re.findall(r" -a ([a-z]+)=(\w+)", shown) if "def spider(" in code else []

    spider = load(parse_ref(str(tmp_path / "shop.py"))._replace(arguments=tuple(given)), seeds=True)
    run = crawl(spider, shop)

    assert (run.end, run.failures, len(run.items)) == ("complete", [], items)
    assert all(value for item in run.items for value in item.values())


def names_of_a_page() -> set[str]:
    fetched = Fetched("http://shop.example/", 200, {}, b"", 0.0, 0)
    return {name for name in dir(Page(request(fetched.url), fetched, Settings())) if name[0] != "_"}


def test_the_table_of_the_page_has_everything_that_a_page_has() -> None:
    table = SPIDERS.partition("## The page")[2].partition("## Selectors")[0]

    assert set(re.findall(r"`page\.([a-z_]+)", table)) == names_of_a_page()


def test_whatever_the_manual_asks_of_a_page_exists() -> None:
    assert set(re.findall(r"\bpage\.([a-z_]+)", SPIDERS)) - {"html"} <= names_of_a_page()  # page.html is a file


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
