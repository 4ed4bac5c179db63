"""The seeds of a TOML spider: ranges, words, tables and files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pinpool.model import Task
from pinpool.spider.seeds import seeds_of
from pinpool.spider.toml.seeds import expand
from toml_spiders import SITE, toml_spider


def seeds(folder: Path, given: str) -> list[Task]:
    text = f"seeds = {given}\n[index]\nmore = 'a'\nlinks.search = 'b'\n[stages.search]\nmore = 'a'\n"
    spider = toml_spider(folder, text)
    return list(seeds_of(spider))


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        ("a", ["a"]),
        ("a{1..3}", ["a1", "a2", "a3"]),
        ("{08..10}", ["08", "09", "10"]),
        ("{1..2}{a,b}", ["1a", "1b", "2a", "2b"]),
        ("{a,}", ["a", ""]),
        ("{id}", ["{id}"]),
        ("{ a, b }", ["{ a, b }"]),
    ],
)
def test_a_range_stands_for_its_numbers_and_a_list_for_its_words(text: str, texts: list[str]) -> None:
    assert expand(text, words=True) == texts


def test_without_words_only_ranges_are_expanded() -> None:
    assert expand("{ films(page: {1..2}) {id,title} }") == [
        "{ films(page: 1) {id,title} }",
        "{ films(page: 2) {id,title} }",
    ]


def test_one_url_a_list_and_ranges_are_seeds_of_the_first_stage(tmp_path: Path) -> None:
    found = seeds(tmp_path, f"['{SITE}/page/{{1..2}}', {{ url = '{SITE}/new', stage = 'search' }}]")

    assert [(task.stage, task.url) for task in found] == [
        ("index", f"{SITE}/page/1"),
        ("index", f"{SITE}/page/2"),
        ("search", f"{SITE}/new"),
    ]


def test_a_form_and_json_are_sent_for_each_number_of_a_range(tmp_path: Path) -> None:
    search = f"url = '{SITE}/search', stage = 'search', headers = {{ A = 'b' }}"
    form = "form = { q = 'up', page = '{1..2}', size = 20 }"
    api = f"url = '{SITE}/api', json = {{ pages = ['{{1..2}}'], full = true }}, data = {{ kind = 'api' }}"

    found = seeds(tmp_path, f"[{{ {search}, {form} }}, {{ {api} }}]")

    assert [task.body for task in found[:2]] == [b"q=up&page=1&size=20", b"q=up&page=2&size=20"]
    assert {task.method for task in found} == {"POST"}
    assert ("A", "b") in found[0].headers
    assert [json.loads(task.body or b"") for task in found[2:]] == [
        {"pages": ["1"], "full": True},
        {"pages": ["2"], "full": True},
    ]
    assert found[2].data == '{"kind":"api"}'


def test_a_file_of_urls_lies_beside_the_spider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "urls.txt").write_text(f"# films\n{SITE}/1\n\n{SITE}/{{2..3}}\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    found = seeds(tmp_path, "[{ file = 'urls.txt', stage = 'search' }, 'http://site.example/']")

    assert [(task.stage, task.url) for task in found[:1]] == [("search", f"{SITE}/1")]
    assert len(found) == 3
