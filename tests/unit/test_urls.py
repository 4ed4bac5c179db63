"""Which URLs and headers can be sent, and how."""

from __future__ import annotations

from typing import Any

import pytest
from ada_url import normalize_url
from hypothesis import given
from hypothesis import strategies as st
from lxml import html
from w3lib.url import canonicalize_url

from pinpool.text import shown_url
from pinpool.urls import _PLAIN, MAX_URL, canonical_url, clean_url, header_problems, resolve_url


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("https://site.example", "https://site.example/"),
        ("HTTPS://Site.Example/A", "https://site.example/A"),
        (" \n https://site.example/a\tb \x00", "https://site.example/ab"),
        ("https://site.example/a#top", "https://site.example/a"),
        ("https://site.example/?q=a b", "https://site.example/?q=a%20b"),
        ("https://site.example/ü?q=ü", "https://site.example/%C3%BC?q=%C3%BC"),
        ("https://site.example/100%?a=%zz&b=%41%7e", "https://site.example/100%?a=%zz&b=%41%7e"),
        ("https://site.example/a;b=1,2/(c)!", "https://site.example/a;b=1,2/(c)!"),
        ("https://site.example/?a&b=&a=2", "https://site.example/?a&b=&a=2"),
        ("https://site.example/?q=it's", "https://site.example/?q=it%27s"),
        ("https://site.example/a?", "https://site.example/a?"),
        ("https://site.example/a\x01b", "https://site.example/a%01b"),
        ("http:\\\\site.example\\a?b\\c", "http://site.example/a?b\\c"),
        ("http:///site.example/a", "http://site.example/a"),
        ("http:site.example/a", "http://site.example/a"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://☃.example/", "https://xn--n3h.example/"),
        ("https://a_b.例え.example/", "https://a_b.xn--r8jz45g.example/"),
        ("https://ex%41mple.com/", "https://example.com/"),
        ("http://0x7f.1/", "http://127.0.0.1/"),
        ("http://[2001:DB8:0::1]:8080/", "http://[2001:db8::1]:8080/"),
        ("http://site.example:80/", "http://site.example/"),
        ("https://site.example:443/", "https://site.example/"),
        ("https://site.example:80/", "https://site.example:80/"),
        ("http://site.example/a/./b/../c/%2e%2E/d", "http://site.example/a/d"),
        ("https://site.example?q", "https://site.example/?q"),
        ("https://site.example/\ud800", "https://site.example/%EF%BF%BD"),
    ],
)
def test_a_url_is_sent_as_a_browser_sends_it(written: str, sent: str) -> None:
    assert clean_url(written) == sent


PIECES = [
    "http",
    "https",
    "://",
    "a.b",
    "site.example",
    ":",
    "80",
    "99999",
    "0",
    "/",
    "?",
    "&",
    "=",
    "a",
    "b=2",
    "%41",
    "+",
]
PIECES += [":443", "%2e", "xn--a", "/.", ".", "..", "~", "-", ";", "(c)", "'", "[", "]", "|", "^", "{"]
PIECES += ["#x", "A", "ü", " ", "\\", "@"]


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_the_short_way_of_a_plain_url_leads_to_the_same_end(rest: str) -> None:
    for url in (f"http://site.example/{rest}", f"https://a.b{rest}", rest):
        try:
            cleaned = clean_url(f" {url}")
        except ValueError:
            with pytest.raises(ValueError, match="requested"):
                clean_url(url)
            continue
        assert clean_url(url) == cleaned
        assert clean_url(cleaned) == cleaned
        assert canonical_url(cleaned) == canonicalize_url(cleaned)


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_the_short_way_is_the_one_of_the_standard(rest: str) -> None:
    for url in (f"http://site.example/{rest}", f"https://a.b{rest}", f"http://{rest}"):
        if _PLAIN.fullmatch(url):
            assert normalize_url(url) == url


def test_most_urls_go_the_short_way() -> None:
    site = "http://site.example"
    assert all(map(_PLAIN.fullmatch, [f"{site}/", f"{site}:8080/film/7.html?page=2&q=%C3%A9", f"{site}/a;b/(c)?x"]))
    others = [site, f"{site}:80/", f"{site}/a/../b", f"{site}/é", f"{site}/?q='", f"{site}/a#b", "http://0x7f.1/"]
    assert not any(map(_PLAIN.fullmatch, others))


def test_a_clean_url_is_plain_text_also_if_lxml_has_read_it() -> None:
    """Its strings keep the whole page alive."""
    hrefs: Any = html.fromstring('<a href="http://site.example/a"></a>').xpath("//@href")

    assert type(clean_url(hrefs[0])) is str


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("", "http://"),
        ("/page/1", "http://"),
        ("ftp://site.example/", "http://"),
        ("javascript:alert(1)", "http://"),
        ("http://", "host"),
        ("http://?q", "host"),
        ("http://a b.example/", "host"),
        ("http://a..example/", "host"),
        (f"http://{'a' * 64}.example/", "host"),
        ("http://[::1", "host or port"),
        ("http://[fe80::1%25eth0]/", "IPv6"),
        ("http://site.example:70000/", "host or port"),
        ("http://site.example:0/", "its port is 0"),
        ("http://site.example:8o/", "host or port"),
        ("//site.example/", "http://"),
        ("http://-\ufffd-.example/", "host"),
        ("http://site.example/" + "a" * MAX_URL, "more than"),
    ],
)
def test_what_cannot_be_requested_is_refused_with_the_reason(written: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refused:
        clean_url(written)

    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    "url",
    [
        "https://alice:s3cret@site.example/",
        "https://alice:s3c/s3cret@site.example/",
        "https://alice:s3cret@[::1/",
        "https://s3cret@site.example/",
        "ftp://alice:s3cret@site.example/",
    ],
)
def test_a_password_in_a_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="cannot be requested") as refused:
        clean_url(url)

    assert "s3c" not in str(refused.value)


def test_an_at_sign_in_the_path_is_not_a_password() -> None:
    assert clean_url("https://site.example/@alice") == "https://site.example/@alice"
    assert shown_url("https://site.example/@alice") == "'https://site.example/@alice'"


def test_a_query_is_spelled_in_the_encoding_of_its_page() -> None:
    """Old Chinese and Japanese sites know their own encoding only; what it lacks goes as a reference."""
    assert clean_url("http://site.example/京?q=京", "gb18030") == "http://site.example/%E4%BA%AC?q=%BE%A9"
    assert clean_url("http://site.example/?q=京&r=1", "cp1252") == "http://site.example/?q=%26%2320140%3B&r=1"


@pytest.mark.parametrize(
    ("href", "url"),
    [
        ("c", "https://site.example/a/c"),
        ("../c", "https://site.example/c"),
        ("/c", "https://site.example/c"),
        ("//other.example/c", "https://other.example/c"),
        ("?p=2", "https://site.example/a/b?p=2"),
        ("..\\c", "https://site.example/c"),
        ("\n  c\t ", "https://site.example/a/c"),
        ("%2e%zz", "https://site.example/a/%2e%zz"),
        ("?", "https://site.example/a/b?"),
        ("", "https://site.example/a/b?p=1"),
        ("https:c", "https://site.example/a/c"),
        ("http:c", "http://c/"),
        ("///other.example/c", "https://other.example/c"),
        ("%2E%2e/c", "https://site.example/c"),
        ("//site.example:443", "https://site.example/"),
    ],
)
def test_a_link_is_resolved_as_a_browser_would(href: str, url: str) -> None:
    assert resolve_url("https://site.example/a/b?p=1", href) == url


@given(st.text())
def test_a_cleaned_url_is_plain_and_cleaning_it_again_changes_nothing(tail: str) -> None:
    """A URL that went through once is not changed by going through again: a resumed run asks for the same pages."""
    try:
        once = clean_url("https://site.example/" + tail)
    except ValueError:
        return

    assert once.isascii() and once.isprintable() and " " not in once
    assert clean_url(once) == once


@given(st.text())
def test_no_text_raises_anything_but_a_valueerror(text: str) -> None:
    for url in (text, "http://" + text, "https://site.example?" + text):
        try:
            resolve_url("https://site.example/a/b", url)
        except ValueError as refused:
            assert str(refused)


def test_headers_that_smuggle_are_named_without_their_values() -> None:
    problems = header_problems(
        {
            "Accept": "text/html",
            "Cookie": "s3cret\r\nX-Evil: 1",
            "bad name": "s3cret",
            "Content-Length": "5",
            "X-Snow": "s3cret ☃",
            "X-Number": 5,
        }
    )

    assert len(problems) == 5
    assert "s3cret" not in " ".join(problems)
    for name, problem in zip(("Cookie", "bad name", "Content-Length", "X-Snow", "X-Number"), problems, strict=True):
        assert name in problem
