"""Files of a TOML spider: what a stage downloads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from toml_spiders import SITE, faults_in, in_a_worker, made_of, toml_spider

PAGE = """
<h1>Up</h1><img class="poster" src="/up.jpg">
<div class="doc"><b>Press kit</b><a href="press.pdf">PDF</a></div>
<div class="doc"><b>Script</b><a href="script.pdf">PDF</a></div>
"""


def test_a_stage_downloads_what_a_selector_finds(tmp_path: Path) -> None:
    spider = in_a_worker(
        toml_spider(
            tmp_path,
            f"""
            seeds = "{SITE}/1"
            [detail]
            files = "img.poster::attr(src)"
            [detail.fields]
            title = "h1"
            """,
        )
    )

    made = made_of(spider, PAGE)

    assert [json.loads(item)["title"] for item in made.items] == ["Up"]
    assert [(task.stage, task.url, task.data) for task in made.tasks] == [("file", f"{SITE}/up.jpg", None)]


def test_a_file_may_have_a_type_and_fields_of_its_own(tmp_path: Path) -> None:
    spider = in_a_worker(
        toml_spider(
            tmp_path,
            f"""
            seeds = "{SITE}/1"
            [detail.files]
            rows = ".doc"
            find = "a"
            type = "application/pdf"
            data = {{ kind = "b" }}
            """,
        )
    )

    made = made_of(spider, PAGE)

    assert [task.url for task in made.tasks] == [f"{SITE}/press.pdf", f"{SITE}/script.pdf"]
    assert json.loads(made.tasks[0].data or "") == {"type": "application/pdf", "data": {"kind": "Press kit"}}


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        ('{ find = "a", type = "pdf" }', "detail.files.type: 'pdf' is not a content type"),
        ('{ find = "a", method = "POST" }', "detail.files.method: "),
        ('"a["', "detail.files: "),
        ('{ find = "a", kind = "x" }', "detail.files.kind: no such key"),
    ],
)
def test_what_is_wrong_with_files_is_said_with_its_key(tmp_path: Path, files: str, fault: str) -> None:
    found = faults_in(tmp_path, f'seeds = "{SITE}/1"\n[detail]\nfiles = {files}\n')

    assert any(fault in one for one in found), found
