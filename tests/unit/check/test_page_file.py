"""Pages in files: whoever reads a saved page reads the text that came."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from pinpool.check.page_file import read_page, refusal_to_save, save_page
from pinpool.errors import UsageError
from pinpool.model import Fetched, Task
from pinpool.settings import Settings
from pinpool.spider.page import Page
from pinpool.tasks import request

URL = "https://site.example/film"
TASK: Task = request(URL)


def fetched(body: bytes, content_type: str | None = None) -> Fetched:
    return Fetched(URL, 200, {"content-type": content_type} if content_type else {}, body, 0.1, len(body))


def text_of(page: Fetched) -> str:
    return Page(TASK, page, Settings()).text


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("<h1>Amélie</h1>".encode(), "text/html; charset=utf-8"),
        ('<meta charset="gb2312"><h1>霸王别姬</h1>'.encode("gb2312"), "text/html"),
        (gzip.compress(b"<urlset><url><loc>/a</loc></url></urlset>", mtime=0), "application/x-gzip"),
        (b'{"title": "Up"}', "application/json"),
        (b"", None),
    ],
)
def test_a_page_that_says_itself_how_to_read_it_is_saved_as_it_came(
    tmp_path: Path, body: bytes, content_type: str | None
) -> None:
    page, path = fetched(body, content_type), tmp_path / "page.html"

    said = save_page(path, page, Settings())

    assert path.read_bytes() == body
    assert said == f"saved {path}: {len(body)} bytes"
    assert text_of(read_page(path, URL, Settings())) == text_of(page)


def test_a_page_whose_encoding_only_the_header_told_is_saved_so_that_its_text_stays(tmp_path: Path) -> None:
    page, path = fetched("<h1>Ёлки</h1>".encode("koi8-r"), "text/html; charset=koi8-r"), tmp_path / "page.html"

    said = save_page(path, page, Settings())

    assert said.endswith("now in UTF-8: only its header said that it is koi8-r")
    assert text_of(read_page(path, URL, Settings())) == text_of(page) == "<h1>Ёлки</h1>"


def test_the_ending_of_a_file_tells_xml(tmp_path: Path) -> None:
    body = b"<films><Film><link>/up</link></Film></films>"
    page = fetched(body, "application/xml")

    as_html = save_page(tmp_path / "films.html", page, Settings())
    as_xml = save_page(tmp_path / "films.xml", page, Settings())
    again = Page(TASK, read_page(tmp_path / "films.xml", URL, Settings()), Settings())

    assert as_html.endswith("it came as XML: a name that ends in .xml makes --file read it so")
    assert as_xml == f"saved {tmp_path / 'films.xml'}: {len(body)} bytes"
    assert again.first("//Film/link") == "/up"


def test_a_page_is_never_saved_over_a_file_or_into_a_folder_that_is_not_there(tmp_path: Path) -> None:
    there = tmp_path / "page.html"
    there.write_text("mine")

    with pytest.raises(UsageError, match="is there already: move it away, or name another file"):
        save_page(there, fetched(b"theirs"), Settings())

    assert there.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert "its folder does not exist" in refusal_to_save(tmp_path / "none" / "page.html")
    assert refusal_to_save(tmp_path / "new.html") == ""


def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "large.html").write_bytes(b"x" * 11)

    with pytest.raises(UsageError, match=r"--file .*none.html: cannot be read: No such file or directory"):
        read_page(tmp_path / "none.html", URL, Settings())
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        read_page(tmp_path, URL, Settings())
    with pytest.raises(UsageError, match="larger than 10 bytes, and a crawl would refuse"):
        read_page(tmp_path / "large.html", URL, Settings(max_body=10))
