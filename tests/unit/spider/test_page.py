"""The page that a spider's functions get: document, selectors, JSON, links."""

from __future__ import annotations

import json
import threading
from codecs import BOM_UTF8
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers import PATIENCE
from pinpool.model import Fetched
from pinpool.settings import Settings
from pinpool.spider.encoding import Decoded
from pinpool.spider.page import Page
from pinpool.tasks import request

URL = "https://site.example/films/1?page=2"


def page(
    body: bytes | str = b"",
    content_type: str | None = None,
    *,
    url: str = URL,
    stage: str = "index",
    data: dict[str, object] | None = None,
) -> Page:
    content = body.encode() if isinstance(body, str) else body
    headers = {"content-type": content_type} if content_type else {}
    fetched = Fetched(url, 200, headers, content, 0.1, len(content))
    return Page(request(URL, stage=stage, data=data), fetched, Settings())


# Documents


@pytest.mark.parametrize("body", [b"", b" \n", b"\0\0", b"<!-- only -->", b"<!doctype html>", b"\xff\xfe", b"<?xml ?>"])
def test_an_empty_document_has_no_more_than_its_root(body: bytes) -> None:
    empty = page(body)

    assert empty.all("//*") == [""]
    assert empty.first("//p") is None
    assert list(empty.details("//a/@href")) == []


def test_a_text_of_11_mb_is_read_to_its_end() -> None:
    large = page(b"<p>" + b"x" * 11_000_000 + b"</p><b>end</b>")

    assert len(large.first("//p/text()") or "") == 11_000_000
    assert large.all("//b") == ["end"]


def test_a_thousand_levels_are_kept() -> None:
    deep = page("<div>" * 1000 + "x" + "</div>" * 1000 + "<b>end</b>")

    assert len(deep.select("//div")) == 1000
    assert deep.all("//b") == ["end"]


def test_a_document_that_libxml2_cuts_is_read_as_far_as_it_goes() -> None:
    """It drops what is deeper than 2,048 levels, and all that follows, without raising."""
    tables = page("<table><tr><td>" * 1000 + "x" + "</td></tr></table>" * 1000 + "<b>end</b>")

    assert len(tables.select("//table")) > 500
    assert tables.all("//b") == []


def test_entities_are_neither_expanded_nor_read_from_files(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret")

    hostile = page(f'<!DOCTYPE p [<!ENTITY x SYSTEM "{secret.as_uri()}"><!ENTITY y "yy">]><p>&x;&y;</p>')

    assert "s3cret" not in "".join(hostile.all("//*"))


# Selectors


FILM = """
<h2 class="m-b-sm"> A <b>film</b>
  title </h2><p class="score">9.5</p><p class="score"></p>
<a class="name" href=" /film/1 ">one</a>
"""


def test_texts_are_unchanged_and_white_space_in_elements_is_folded() -> None:
    film = page(FILM)

    assert film.first("h2") == "A film title"
    assert film.first("h2::text") == " A "
    assert film.all("//p") == ["9.5", ""]
    assert film.all("//a/@href") == [" /film/1 "]
    assert film.all("count(//p)") == ["2"]


def test_where_nothing_matches_first_gives_the_default_and_all_nothing() -> None:
    film = page(FILM)

    assert (film.first("i"), film.first("i", "?"), film.first("i", default=0)) == (None, "?", 0)
    assert film.all("i") == []
    assert film.first("p:nth-child(3)", "?") == ""


def test_select_gives_elements() -> None:
    (link,) = page(FILM).select("a.name")

    assert link.get("class") == "name"


# JSON


def test_json_is_read_with_its_encoding_whatever_the_header_says() -> None:
    assert page('{"a": "é"}', "application/json").json() == {"a": "é"}
    assert page('{"a": "é"}', "application/json; charset=iso-8859-1").json() == {"a": "é"}
    assert page('\ufeff{"a": "é"}').json() == {"a": "é"}
    assert page('{"a": "é"}'.encode("utf-16")).json() == {"a": "é"}
    assert page('{"a": "京"}'.encode("gbk"), "application/json; charset=gbk").json() == {"a": "京"}


def test_the_error_for_a_body_that_is_not_json_shows_its_start() -> None:
    with pytest.raises(ValueError, match=r"not JSON: .*starts with '<html>blocked'"):
        page("<html>blocked").json()


# Links


def test_links_become_tasks_as_a_browser_resolves_them() -> None:
    listing = page(
        """<a href="/film/1">1</a> <a href="film/2#cast">2</a> <a href="?page=3">3</a>
        <a href="//cdn.example/%7e/100%">4</a> <a href="  ../a b\n ">5</a>"""
    )

    tasks = list(listing.details("//a/@href", rank=1, data={"list": "a"}))

    assert [task.url for task in tasks] == [
        "https://site.example/film/1",
        "https://site.example/films/film/2",
        "https://site.example/films/1?page=3",
        "https://cdn.example/%7e/100%",
        "https://site.example/a%20b",
    ]
    assert {task.stage for task in tasks} == {"detail"}
    assert {task.data for task in tasks} == {'{"list":"a","rank":1}'}


def test_elements_stand_for_their_links() -> None:
    assert [task.url for task in page('<a href="/1"></a><a>no link</a>').details("a")] == ["https://site.example/1"]


def test_what_a_browser_would_not_leave_the_page_for_is_left_out_and_that_can_be_seen() -> None:
    odd = [
        "",
        " ",
        "#",
        "#top",
        "mailto:a@b.example",
        "javascript:void(0)",
        "tel:1",
        "data:,x",
        "http://",
        "http://[::1",
    ]
    odd += ["https://alice:s3cret@site.example/", "http://a b/", "ftp://site.example/"]
    listing = page("".join(f'<a href="{href}">x</a>' for href in odd) + '<a href="/good">x</a>')

    assert [task.url for task in listing.details("//a/@href")] == ["https://site.example/good"]
    shown = "\n".join(listing.left_out)
    assert len(listing.left_out) == len(odd)
    assert "#top' leads to a place on the same page" in shown
    assert "mailto:a@b.example' cannot be requested: it must start with http" in shown
    assert "s3cret" not in shown


@pytest.mark.parametrize("selector", ["//p", "count(//a)", "//comment()"])
def test_a_selector_that_finds_no_links_is_a_mistake(selector: str) -> None:
    with pytest.raises(ValueError, match="not a link; end it with /@href"):
        list(page('<p>x</p><a href="/1">1</a><!-- x -->').details(selector))


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("/other/", "https://site.example/other/x"),
        ("https://cdn.example", "https://cdn.example/x"),
        ("javascript:x", "https://site.example/films/x"),
        ("http://[::1", "https://site.example/films/x"),
        ("ftp://site.example/", "https://site.example/films/x"),
    ],
)
def test_the_documents_base_counts_if_it_is_valid(base: str, url: str) -> None:
    listing = page(f'<!-- <base href="/commented/"> --><base href="{base}"><a href="x">x</a>')

    assert [task.url for task in listing.details("//a/@href")] == [url]
    assert listing.task("x").url == url


@pytest.mark.parametrize(
    "elsewhere",
    [
        "<title>{}</title>",
        "<textarea>{}</textarea>",
        "<style>{}</style>",
        "<script>{}</script>",
        "<template>{}</template>",
        "<noscript>{}</noscript>",
        "<base target=x>",
    ],
)
def test_a_base_that_is_no_element_of_the_document_does_not_count(elsewhere: str) -> None:
    listing = page(
        elsewhere.format("<base href=/wrong/>") + '<base href="/right/?a&amp;b"><base href=/late/><a href=x>'
    )

    assert [task.url for task in listing.details("//a/@href")] == ["https://site.example/right/x"]


def test_the_first_base_counts_even_if_it_is_empty() -> None:
    assert page('<base href=" "><base href="/late/"><a href="x">').task("x").url == "https://site.example/films/x"


@given(
    st.lists(st.sampled_from([b"a", b"\0", BOM_UTF8, "é".encode(), b"\xe9", b"<p>", "\ufffd".encode(), "京".encode()]))
)
def test_the_tree_is_that_of_the_text(parts: list[bytes]) -> None:
    """Rule: the body itself is parsed if its text says the same."""
    read = page(b"".join(parts), "text/html; charset=utf-8")

    assert read._utf8 == read.text.encode()


def test_links_are_resolved_against_where_the_redirects_ended() -> None:
    assert page('<a href="x">', url="https://new.example/a/").task("x").url == "https://new.example/a/x"


def test_a_query_is_spelled_in_the_encoding_of_the_page() -> None:
    listing = page('<a href="/京?q=京">x</a>'.encode("gbk"), "text/html; charset=gbk")

    assert [task.url for task in listing.details("a")] == ["https://site.example/%E4%BA%AC?q=%BE%A9"]
    assert listing.task("?q=京").url.endswith("?q=%BE%A9")
    assert page("\ufeff".encode("utf-16")).task("?q=京").url.endswith("?q=%E4%BA%AC")


def test_more_stays_in_the_stage_of_the_page() -> None:
    tasks = [*page('<a href="/2">', stage="reviews").more("a"), *page('<a href="/2">').tasks("a", "reviews")]

    assert [task.stage for task in tasks] == ["reviews", "reviews"]


def test_a_task_may_carry_a_form_and_data() -> None:
    task = page().task("/search", "results", form={"q": "x"}, headers={"X-A": "1"}, data={"a": 1}, b=2)

    assert (task.stage, task.method, task.body, task.data) == ("results", "POST", b"q=x", '{"a":1,"b":2}')
    assert ("X-A", "1") in task.headers


@pytest.mark.parametrize(
    ("charset", "body"),
    [
        ("windows-1251", b"q=%CA%E8%ED%EE+%26%2320140%3B"),
        ("utf-8", b"q=%D0%9A%D0%B8%D0%BD%D0%BE+%E4%BA%AC"),
        ("gb2312", b"q=%A7%AC%A7%DA%A7%DF%A7%E0+%BE%A9"),
        ("x-euc-jp", b"q=%A7%AC%A7%DA%A7%DF%A7%E0+%B5%FE"),
        ("utf-16", b"q=%D0%9A%D0%B8%D0%BD%D0%BE+%E4%BA%AC"),
    ],
)
def test_a_form_is_sent_in_the_encoding_of_the_page(charset: str, body: bytes) -> None:
    search = page(b"", f"text/html; charset={charset}").task("/search", form={"q": "Кино 京"})

    assert search.body == body


def test_a_task_stays_in_the_stage_of_its_page_unless_it_is_told_otherwise() -> None:
    reviews = page('<a href="/2">', stage="reviews")

    assert (reviews.task("/2").stage, reviews.task("/2", stage="detail").stage) == ("reviews", "detail")
    assert [task.stage for task in reviews.details("a")] == ["detail"]


def test_a_task_may_carry_a_body_of_its_own() -> None:
    task = page().task("/search", body="<find>é</find>", headers={"Content-Type": "text/xml"})

    assert (task.method, task.body) == ("POST", "<find>é</find>".encode())


def test_a_link_is_joined_as_a_browser_does_it() -> None:
    listing = page('<base href="/shop/"><img src="a b.jpg">')

    assert listing.join(listing.first("img::attr(src)")) == "https://site.example/shop/a%20b.jpg"
    assert listing.join("//cdn.example/x#top") == "https://cdn.example/x"
    assert listing.join(listing.first("video::attr(src)")) is None
    with pytest.raises(ValueError, match="mailto"):
        listing.join("mailto:a@b.example")


def test_headers_are_found_in_any_case() -> None:
    fetched = Fetched(URL, 200, {"Content-Type": "text/html", "x-total": "7"}, b"", 0.1, 0)
    listing = Page(request(URL), fetched, Settings())

    assert listing.headers["X-Total"] == listing.headers["x-total"] == listing.headers.get("X-TOTAL") == "7"
    assert "CONTENT-type" in listing.headers
    assert dict(listing.headers) == {"content-type": "text/html", "x-total": "7"}
    assert (listing.headers.get("x-none"), listing.headers.get("x-none", "?")) == (None, "?")
    with pytest.raises(KeyError):
        listing.headers["X-None"]


def test_a_field_that_was_not_found_is_not_sent() -> None:
    search = page("<input name=q>")

    assert search.task("/s", form={"q": "x", "token": search.first("#token::attr(value)")}).body == b"q=x"


def test_a_bad_url_of_a_single_task_is_not_skipped_silently() -> None:
    with pytest.raises(ValueError, match="mailto"):
        page().task("mailto:a@b.example")


def test_a_link_that_was_not_found_is_no_task() -> None:
    with pytest.raises(ValueError, match="the selector for it found nothing"):
        page().task(page().first("a::attr(href)"))  # type: ignore[arg-type]


def test_a_page_knows_what_was_handed_on() -> None:
    assert page(data={"rank": 1}).data == {"rank": 1}
    assert page().data == {}


def test_a_page_that_takes_long_to_read_holds_up_no_other_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def slow(body: bytes, content_type: str | None, override: str | None) -> Decoded:
        assert body != b"slow" or released.wait(PATIENCE)
        return Decoded("utf-8", body.decode())

    monkeypatch.setattr("pinpool.spider.page.decode", slow)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(lambda: page(b"slow").root)
        try:
            assert threads.submit(lambda: page(b"<p>quick").first("p")).result(PATIENCE / 2) == "quick"
            assert not first.done()
        finally:
            released.set()


# Files


def test_a_file_is_a_task_of_a_stage_of_its_own() -> None:
    wanted = page().file("../a b.pdf", "Press kit.pdf", type="application/PDF; x=1", film=7)

    assert (wanted.stage, wanted.method, wanted.url) == ("file", "GET", "https://site.example/a%20b.pdf")
    assert json.loads(wanted.data or "") == {"name": "Press kit.pdf", "type": "application/pdf", "data": {"film": 7}}
    assert page().file("/x").data is None


def test_what_cannot_be_a_file_is_said_with_its_url() -> None:
    with pytest.raises(ValueError, match=r"site\.example/x.*name is int, not text"):
        page().file("/x", 7)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"site\.example/x.*'pdf' is not a content type"):
        page().file("/x", type="pdf")
    with pytest.raises(ValueError, match="cannot be requested"):
        page().file("javascript:void(0)")
