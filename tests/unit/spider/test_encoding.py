"""In which encoding a page is read."""

from __future__ import annotations

import pytest

from pinpool.model import Fetched
from pinpool.settings import Settings
from pinpool.spider.page import Page
from pinpool.tasks import request

URL = "https://site.example/"


def page(body: bytes | str, content_type: str | None = None, encoding: str | None = None) -> Page:
    content = body.encode() if isinstance(body, str) else body
    headers = {"content-type": content_type} if content_type else {}
    fetched = Fetched(URL, 200, headers, content, 0.1, len(content))
    return Page(request(URL), fetched, Settings(encoding=encoding))


@pytest.mark.parametrize(
    ("body", "content_type", "encoding"),
    [
        ("<meta charset=utf-8><p>é京</p>".encode(), None, "utf-8"),
        ("<p>é京</p>".encode(), None, "utf-8"),
        ("<p>é京</p>".encode(), "text/html; charset=utf-8", "utf-8"),
        ("\ufeff<p>é京</p>".encode(), "text/html; charset=iso-8859-1", "utf-8"),
        ("\ufeff<p>é京</p>".encode("utf-16-le"), None, "utf-16-le"),
        ("\ufeff<p>é京</p>".encode("utf-16-be"), "text/html; charset=utf-8", "utf-16-be"),
        ("<meta charset=gb2312><p>é京</p>".encode("gbk"), None, "gb18030"),
        ("<?xml version='1.0' encoding='gbk'?><p>é京</p>".encode("gbk"), None, "gb18030"),
        ("<p>é京</p>".encode("gb18030"), "text/html; charset=GBK", "gb18030"),
        # The declaration in the document is ignored when the tree is built.
        ("<meta charset=gbk><p>é京</p>".encode(), "text/html; charset=utf-8", "utf-8"),
    ],
)
def test_a_page_is_read_as_a_browser_reads_it(body: bytes, content_type: str | None, encoding: str) -> None:
    read = page(body, content_type)

    assert read.all("//p") == ["é京"]
    assert read.encoding == encoding
    assert not read.text.startswith("\ufeff")


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        (b"<p>\x93caf\xe9\x94 \x80</p>", "text/html; charset=iso-8859-1", "“café” €"),
        (b"<p>\x93caf\xe9\x94</p>", None, "“café”"),
        ("<p>кино</p>".encode("cp1251"), "text/html; charset=windows-1251", "кино"),
        ("<p>京都</p>".encode("shift_jis"), "text/html; charset=shift_jis", "京都"),
        (b"<p>a\xffb\xc3</p>", "text/html; charset=utf-8", "a\ufffdb\ufffd"),
        # A wrong header is believed, as in a browser.
        ("<p>é</p>".encode(), "text/html; charset=iso-8859-1", "Ã©"),
        ("<p>é</p>".encode(), "text/html; charset=klingon", "é"),
    ],
)
def test_an_unclear_encoding_is_read_as_most_pages_mean_it(body: bytes, content_type: str | None, text: str) -> None:
    assert page(body, content_type).first("//p") == text


@pytest.mark.parametrize("charset", ["zlib", "idna", "undefined", "rot13", "unicode_escape", "utf-7", "mbcs"])
def test_a_codec_that_is_not_an_encoding_of_text_is_ignored(charset: str) -> None:
    assert page("<p>é+ADw-</p>", f"text/html; charset={charset}").all("//p") == ["é+ADw-"]


def test_the_setting_overrules_what_the_site_declares() -> None:
    read = page("\ufeff<p>é</p>", "text/html; charset=gbk", encoding="utf-8")

    assert (read.encoding, read.text) == ("utf-8", "<p>é</p>")


def test_nuls_are_dropped() -> None:
    assert page(b"<p>a\0b</p\0>\0").all("//p") == ["ab"]
