"""In which encoding a page is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinpool.model import Fetched
from pinpool.settings import Settings
from pinpool.spider.encoding import decode
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


FILLER = b"<script>" + b"x" * 1100 + b"</script>"
CP1251 = "<p>кино</p>".encode("cp1251")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (FILLER + b"<meta charset=windows-1251>" + CP1251, "text/html"),
        (
            b"<html><head><!--"
            + FILLER
            + b"--><title>x</title><META HTTP-EQUIV='Content-Type' CONTENT=\"a; charset = x-cp1251\">"
            + CP1251,
            "",
        ),
        (FILLER + b"<noscript><img></noscript></head><meta\ncharset='windows-1251' />" + CP1251, "text/html"),
        (FILLER + b"<div><meta charset=windows-1251>" + CP1251, "text/html"),
        (b"<?xml version='1.0' encoding='windows-1251'?>" + CP1251, "text/html"),
        (
            b'<?xml version="1.0" encoding="windows-1251"?><rss><title>\xea\xe8\xed\xee</title></rss>',
            "application/rss+xml",
        ),
        (b"<meta charset=klingon><meta charset=windows-1251>" + CP1251, "text/html; charset=klingon"),
        (CP1251, "text/html; charset='windows-1251'"),
        (CP1251, 'text/html; x="a, charset=gbk"; Charset = "windows-1251"'),
        (CP1251, "text/html; charset=windows-1251, text/html"),
        (CP1251, "text/html; charset=utf-8, application/xhtml+xml; charset=windows-1251, */*"),
        (CP1251, "text/html charset=windows-1251"),
        (CP1251, "charset=windows-1251"),
        (
            b"<!-- <meta charset=utf-8> --><a title='<meta charset=utf-8>'><meta charset=windows-1251>" + CP1251,
            "text/html",
        ),
        (b"<meta name=x content='charset=utf-8'><meta charset=windows-1251>" + CP1251, "text/html"),
    ],
)
def test_a_declaration_is_found_where_browsers_find_it(body: bytes, content_type: str) -> None:
    read = page(body, content_type)

    assert "кино" in read.text
    assert read.encoding == "cp1251"


@pytest.mark.parametrize(
    "body",
    [
        b"<meta charset=utf-16>",
        b"<meta charset=utf-16be>",
        b"<?xml version='1.0' encoding='UTF-16'?>",
        FILLER + b"<script>'<meta charset=gbk>'</script><title><meta charset=gbk></title>",
        FILLER + b"<body><meta charset=gbk>",
        b"<meta http-equiv=refresh content='text/html; charset=gbk'>",
        b"<meta content='charset=gbk'>",
        b"<metacharset=gbk>",
        b"<meta http-equiv='Content-Type ' content='text/html; charset=gbk'>",
        b"<meta http-equiv='Content-Type content='text/html; charset=gbk'>",
        b"<meta test='\" charset=gbk>'>",
        b"<meta charset=utf-8 charset=gbk>",
        b"<a title='x>\n<meta test=x charset=gbk>'>x</a><meta charset=utf8>",
        b"<!--><meta charset=utf-8><!-- --><meta charset=gbk>",
        b"<meta http-equiv=content-type content='charset=\"gbk' charset=utf-8>",
    ],
)
@pytest.mark.parametrize("text", ["<p>é京</p>", "<p>é京</p>\udce9"])
def test_what_does_not_declare_an_encoding_leaves_it_utf_8(body: bytes, text: str) -> None:
    content = body + text.encode("utf-8", "surrogateescape")

    assert page(content, "text/html").all("//p") == ["é京"]


def test_a_late_meta_in_the_head_counts_even_if_the_page_could_be_utf_8() -> None:
    read = page(FILLER + "<title>x</title><meta charset=windows-1251><p>é".encode(), "text/html")

    assert read.encoding == "cp1251"
    assert read.task("/?q=я").url.endswith("?q=%FF")


def test_utf_16_in_a_header_needs_no_byte_order_mark() -> None:
    assert page("<p>é京</p>".encode("utf-16-le"), "text/html; charset=utf-16").all("//p") == ["é京"]
    assert page("<p>é京</p>".encode("utf-16-be"), "text/html; charset=utf-16be").all("//p") == ["é京"]
    assert page("<?xml version='1.0'?><p>é京</p>".encode("utf-16-le")).all("//p") == ["é京"]


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        ("é京".encode() * 9 + b"\xe9" * 9, "utf-8"),
        ("é".encode() + b"\xe9", "utf-8"),
        (b"<p>" * 9999 + "é".encode() * 3 + b"\xe9", "utf-8"),
        ("\ufffd".encode() * 9 + "é".encode() + b"\xe9", "utf-8"),
        (b"\xe9t\xe9 " * 9 + "é".encode(), "cp1252"),
        ("京都".encode("gbk") * 9, "cp1252"),
        (b"\xe9t\xe9" * 9999, "cp1252"),
    ],
)
def test_a_page_that_declares_nothing_is_what_most_of_it_is(body: bytes, encoding: str) -> None:
    assert page(body, "text/html").encoding == encoding


@pytest.mark.parametrize(
    ("body", "content_type", "value"),
    [
        ('{"a": "京'.encode()[:-1] + b'"}', "application/json", "\ufffd"),
        (b'{"a": "\xe9"}', "application/json", "\ufffd"),
        (b'{"a": "\xe9"}', "application/json; charset=utf-8", "\ufffd"),
        (b'{"a": "\xe9"}', "application/json; charset=iso-8859-1", "é"),
        ('\ufeff{"a": "x京"}'.encode()[:-3] + b'"}', "application/hal+json", "x\ufffd"),
        ('\ufeff{"a": "京"}'.encode("utf-16-be"), "application/json", "京"),
        ('{"a": "京"}'.encode("utf-16-le"), "text/html", "京"),
        ('{"a": "京都'.encode() + b'\xff"}', "application/json; charset=iso-8859-1", "京都\ufffd"),
        ('{"a": "한글"}'.encode("cp949"), "application/json; charset=ks_c_5601-1989", "한글"),
        ('\ufeff{"a": "京"}'.encode("utf-32-le"), "application/json", "京"),
        (b"<meta charset=gbk>".join([b'{"a": "\xe9', b'"}']), "application/json", "\ufffd<meta charset=gbk>"),
    ],
)
def test_json_is_utf_8_and_what_is_broken_in_it_does_not_spoil_the_rest(
    body: bytes, content_type: str, value: str
) -> None:
    read = page(body, content_type)

    assert read.json() == {"a": value}


@pytest.mark.parametrize(
    "piece", [b"<", b"<meta a=", b"<!--", b"<a b='", b"<script></scrip", b"<meta charset=x>", b"\xe9<"]
)
def test_a_page_that_tries_to_be_slow_is_looked_at_once(piece: bytes) -> None:
    body = piece * (200_000 // len(piece)) + b"\xff"

    assert decode(body, "text/html", None).encoding == "cp1252"


@given(st.binary(max_size=200), st.text(max_size=60))
def test_whatever_a_site_sends_becomes_text(body: bytes, content_type: str) -> None:
    found = decode(b"<meta charset=" + body, content_type, None)

    assert "\0" not in found.text
    assert isinstance("é京".encode(found.sent_in, "xmlcharrefreplace"), bytes)


@pytest.mark.parametrize("charset", ["zlib", "idna", "undefined", "rot13", "unicode_escape", "utf-7", "mbcs"])
def test_a_codec_that_is_not_an_encoding_of_text_is_ignored(charset: str) -> None:
    assert page("<p>é+ADw-</p>", f"text/html; charset={charset}").all("//p") == ["é+ADw-"]


@pytest.mark.parametrize("setting", ["koi8-ru", "KOI8-U", "koi8_u"])
def test_a_setting_may_be_any_name_that_browsers_or_python_know(setting: str) -> None:
    assert page("кіно".encode("koi8-u"), encoding=setting).text == "кіно"
    assert page("é".encode("cp850"), encoding="cp850").text == "é"
    assert page("\ufeffé".encode("utf-16-be"), encoding="utf-16").text == "é"


def test_the_setting_overrules_what_the_site_declares() -> None:
    read = page("\ufeff<p>é</p>", "text/html; charset=gbk", encoding="utf-8")

    assert (read.encoding, read.text) == ("utf-8", "<p>é</p>")


def test_nuls_are_dropped() -> None:
    assert page(b"<p>a\0b</p\0>\0").all("//p") == ["ab"]
