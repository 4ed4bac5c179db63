"""`pinpool try --direct` in process, with a mocked site: the one request of pinpool that goes out without a proxy."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import responses
from click.testing import CliRunner

from pinpool.cli.app import app

SPIDER = """
from pinpool import Spider

spider = Spider(seeds=["http://movies.test/1"])


@spider.index
def films(page):
    yield {"url": page.url, "title": page.first("//h1")}
"""


@pytest.fixture
def spider(tmp_path: Path) -> str:
    path = tmp_path / "films.py"
    path.write_text(SPIDER, encoding="utf-8")
    return str(path)


@responses.activate
def test_what_the_spider_makes_of_the_page_is_shown(spider: str) -> None:
    responses.get("http://movies.test/1", body="<h1>Heat</h1>", content_type="text/html; charset=utf-8")

    shown = CliRunner().invoke(app, ["try", spider, "--direct"])

    assert shown.exit_code == 0, shown.output
    assert '"title": "Heat"' in shown.stdout
    assert "1 item, 0 tasks" in shown.stdout


@responses.activate
def test_a_compressed_page_is_read_as_in_a_crawl_with_a_note_of_what_was_forgiven(spider: str) -> None:
    packed = gzip.compress(b"<h1>Heat</h1>")[:-8]
    headers = {"Content-Encoding": "gzip", "Content-Length": str(len(packed))}
    responses.get("http://movies.test/1", body=packed, headers=headers)

    shown = CliRunner().invoke(app, ["try", spider, "--direct"])

    assert shown.exit_code == 0, shown.output
    assert '"title": "Heat"' in shown.stdout
    assert "the check sum of the gzip data is wrong or missing" in shown.stderr


@responses.activate
def test_a_page_that_is_gone_is_reported_as_gone(spider: str) -> None:
    responses.get("http://movies.test/1", status=410)

    shown = CliRunner().invoke(app, ["try", spider, "--direct"])

    assert shown.exit_code == 3
    assert "gone" in shown.output


@responses.activate
def test_without_direct_and_without_proxies_nothing_goes_out(spider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing list is an error, never a reason to use this machine's own address."""
    monkeypatch.delenv("PINPOOL_PROXIES", raising=False)

    shown = CliRunner().invoke(app, ["try", spider])

    assert shown.exit_code != 0
    assert len(responses.calls) == 0


@responses.activate
def test_a_page_that_robots_txt_forbids_is_not_asked_for(spider: str) -> None:
    Path(spider).write_text(SPIDER.replace('"])', '"], robots=True)'), encoding="utf-8")
    responses.get("http://movies.test/robots.txt", body="User-agent: *\nDisallow: /\n")

    shown = CliRunner().invoke(app, ["try", spider, "--direct"])

    assert shown.exit_code == 3
    assert "http://movies.test/1: robots.txt forbids it" in shown.output
    assert len(responses.calls) == 1
