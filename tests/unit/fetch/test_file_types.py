"""What a downloaded file is, whatever its site says of it."""

from __future__ import annotations

import time

import pytest

from pinpool.fetch.file_types import type_of, why_wrong

PDF = b"%PDF-1.7\n"
PAGE = b"\xef\xbb\xbf\n <!-- blocked --> <!DOCTYPE html><title>Log in</title>"


@pytest.mark.parametrize(
    ("declared", "head", "name", "type"),
    [
        ("application/pdf", PDF, "a.pdf", "application/pdf"),
        ("text/html; charset=utf-8", PDF, "a.pdf", "application/pdf"),
        ("application/octet-stream", PDF, "a", "application/pdf"),
        ("", b"\0\0\0\1", "a.pdf", "application/pdf"),
        ("application/pdf", PAGE, "a.pdf", "text/html"),
        ("application/octet-stream", PAGE, "a.pdf", "text/html"),
        ("text/plain", PAGE, "a.txt", "text/plain"),
        ("application/x-gzip", b"\x1f\x8b\x08", "a.gz", "application/gzip"),
        ("application/epub+zip", b"PK\x03\x04", "a.epub", "application/epub+zip"),
        ("text/csv", b"a;b", "a.csv", "text/csv"),
        ("", b"", "a", "application/octet-stream"),
        ("image/jpg", b"\xff\xd8\xff\xe0", "a.jpg", "image/jpeg"),
        ("image/jpeg", b"RIFF....WEBPVP8 ", "a.jpg", "image/webp"),
    ],
)
def test_the_bytes_decide_where_they_can(declared: str, head: bytes, name: str, type: str) -> None:
    assert type_of(declared, head, [name]) == type


def test_a_page_in_place_of_the_file_that_the_url_promises_is_wrong() -> None:
    assert "text/html in place of the file" in why_wrong("text/html", (), ["https://a.test/report.pdf"])
    assert why_wrong("application/json", (), ["https://a.test/photo.jpg"])


@pytest.mark.parametrize(
    ("type", "name"),
    [
        ("application/pdf", "https://a.test/report.pdf"),
        ("text/html", "https://a.test/report.html"),
        ("text/html", "https://a.test/get?file=report.pdf"),
        ("text/html", "https://a.test/report.php"),
        ("image/webp", "https://a.test/photo.jpg"),
        ("application/octet-stream", "https://a.test/report.pdf"),
    ],
)
def test_anything_else_is_fine_as_long_as_nobody_wants_a_type(type: str, name: str) -> None:
    assert why_wrong(type, (), [name]) == ""


def test_a_wanted_type_is_asked_for_by_its_name_or_its_kind() -> None:
    assert why_wrong("image/png", ("image/*", "application/pdf"), []) == ""
    assert why_wrong("text/html", ("image/*", "application/pdf"), []) == (
        "the file is text/html, not image/* or application/pdf"
    )


@pytest.mark.parametrize("head", [b"<!--" * 256, b"<!-- -->" * 128, b" " * 1024, b"<!-- --> " * 113 + b"<"])
def test_no_bytes_keep_the_look_busy(head: bytes) -> None:
    start = time.perf_counter()

    type_of("", head, [])

    assert time.perf_counter() - start < 0.1
