"""The names of downloaded files: whatever a stranger says, it is one harmless name."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinpool.fetch.file_names import MAX_BYTES, candidates, file_name, folded, safe_name

URL = "https://site.test/files/report.pdf?id=7"
KEY = bytes(range(16))


def named(wanted: str | None = None, url: str = URL, asked: str = URL, disposition: str = "", type: str = "") -> str:
    headers = {"content-disposition": disposition} if disposition else {}
    return file_name(wanted, url, asked, headers, type)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("..\\..\\windows\\system.ini", "_.._windows_system.ini"),
        ("/etc/passwd", "_etc_passwd"),
        ("C:\\boot.ini", "C__boot.ini"),
        ("a\0b\nc.pdf", "a_b_c.pdf"),
        (".htaccess", "htaccess"),
        ("-rf.pdf", "rf.pdf"),
        ("..", "file"),
        ("", "file"),
        (" . ", "file"),
        ("///", "file"),
        ("con.pdf", "_con.pdf"),
        ("NUL", "_NUL"),
        ("Com1.tar.gz", "_Com1.tar.gz"),
        ("lpt¹.txt", "_lpt¹.txt"),
        ("console.txt", "console.txt"),
        ("report.pdf. . ", "report.pdf"),
        ("film\u202efdp.exe", "film_fdp.exe"),
        ('a:b*c?d"e<f>g|h.png', "a_b_c_d_e_f_g_h.png"),
        ("Bericht ü.pdf", "Bericht ü.pdf"),
        ("Bericht u\u0308.pdf", "Bericht ü.pdf"),
        ("電影.pdf", "電影.pdf"),
        ("\ud800.pdf", "_.pdf"),
    ],
)
def test_a_name_is_made_safe(text: str, name: str) -> None:
    assert safe_name(text) == name


@given(st.text(max_size=400))
def test_no_text_becomes_a_name_that_leaves_its_folder_or_that_a_system_refuses(text: str) -> None:
    name = safe_name(text)

    assert name and name not in (".", "..") and not name.startswith((".", "-")) and name == name.strip(" .")
    assert not set(name) & set('/\\:*?"<>|\0') and name.isprintable()
    assert len(name.encode()) <= MAX_BYTES


def test_a_long_name_keeps_its_ending_and_whole_letters() -> None:
    name = safe_name("電" * 300 + ".tar.gz")

    assert name.endswith("電.tar.gz")
    assert len(name.encode()) <= MAX_BYTES


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('attachment; filename="list.pdf"', "list.pdf"),
        ("attachment; filename=list.pdf", "list.pdf"),
        ("attachment; filename=\"b.pdf\"; filename*=UTF-8''%e2%82%ac.pdf", "€.pdf"),
        ('attachment; filename="../../up.pdf"', "up.pdf"),
        ('attachment; filename="..\\\\..\\\\up.pdf"', "up.pdf"),
        ("attachment; filename*=UTF-8''..%2F..%2Fup.pdf", "_.._up.pdf"),
        ('attachment; filename="f\\"oo.pdf"', "f_oo.pdf"),
        ('attachment; filename="%e2%82%ac.pdf"', "€.pdf"),
        ('attachment; filename="' + "ü.pdf".encode().decode("latin-1") + '"', "ü.pdf"),
        ("attachment", "report.pdf"),
        ("attachment; filename=", "report.pdf"),
        ("attachment; filename*=KOI8''x", "report.pdf"),
    ],
)
def test_the_site_may_name_a_file(disposition: str, name: str) -> None:
    assert named(disposition=disposition) == name


def test_what_the_spider_says_goes_before_what_the_site_says() -> None:
    assert named("My report", disposition="attachment; filename=x.pdf", type="application/pdf") == "My report.pdf"


@pytest.mark.parametrize(
    ("url", "asked", "type", "name"),
    [
        ("https://a.test/files/r.pdf", "https://a.test/get?id=5", "application/pdf", "r.pdf"),
        ("https://cdn.test/x/8f3a", "https://a.test/r.pdf", "application/pdf", "r.pdf"),
        ("https://a.test/get/5", "https://a.test/get/5", "application/pdf", "5.pdf"),
        ("https://a.test/", "https://a.test/", "image/png", "file.png"),
        ("https://a.test/%E9%9B%BB%2F..%2Fx.pdf", "https://a.test/", "", "電_.._x.pdf"),
        ("https://a.test/%FF.pdf", "https://a.test/", "", "\ufffd.pdf"),
    ],
)
def test_a_url_names_a_file(url: str, asked: str, type: str, name: str) -> None:
    assert named(url=url, asked=asked, type=type) == name


def test_there_is_always_one_more_name_to_take() -> None:
    first = list(islice(candidates("a.tar.gz", KEY), 5))

    assert first[0] == "a.tar.gz"
    assert first[1] == "a-00010203.tar.gz"
    assert len(set(first)) == 5


@pytest.mark.parametrize(("one", "other"), [("A.PDF", "a.pdf"), ("ü.pdf", "u\u0308.pdf"), ("ß.pdf", "SS.pdf")])
def test_names_that_some_system_takes_for_one_are_one(one: str, other: str) -> None:
    assert folded(one) == folded(other)
