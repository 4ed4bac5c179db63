"""Status lines and headers as browsers read them; requests as urllib3 writes them."""

from __future__ import annotations

import http.client
import io
import socket
import string
from itertools import pairwise
from typing import Any, cast

import pytest
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from pinpool.fetch.heads import MAX_HEAD, Framing, Head, HeadReader, framing, request_bytes

OK = b"HTTP/1.1 200 OK\r\n"


def head(data: bytes) -> Head:
    found = HeadReader().feed(data)
    assert found is not None
    return found


def fields(lines: bytes) -> list[tuple[str, str]]:
    return head(OK + lines + b"\r\n").headers


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (b"", []),
        (b"A: b\r\nC:d\r\n", [("A", "b"), ("C", "d")]),
        (b"A: b\nC: d\n", [("A", "b"), ("C", "d")]),
        (b"A : b\r\nC\t:\t d \t\r\n", [("A", "b"), ("C", "d")]),
        (b"A:\r\nB: : c\r\n", [("A", ""), ("B", ": c")]),
        (b"A: b\r\nA: c\r\n", [("A", "b"), ("A", "c")]),
        (b"A: b\r\n c\r\n\t d\r\nE: f\r\n", [("A", "b c d"), ("E", "f")]),
        (b"A: b\r\n  \r\nE: f\r\n", [("A", "b"), ("E", "f")]),
        (b"A: \xc3\xa0\xa0\r\n", [("A", "\xc3\xa0\xa0")]),
    ],
)
def test_headers_keep_order_and_spelling_and_lose_the_blanks_around(
    lines: bytes, expected: list[tuple[str, str]]
) -> None:
    assert fields(lines) == expected


@pytest.mark.parametrize(
    "junk",
    [
        b"junk",
        b"HTTP/1.1 200 OK",
        b": no name",
        b"two words: a",
        b"\xc3\xa9t\xc3\xa9: a",
        b"junk\r\n Fold: b",
        b"\0: a",
    ],
)
def test_a_line_that_is_no_header_is_passed_over(junk: bytes) -> None:
    assert fields(b"A: b\r\n" + junk + b"\r\nC: d\r\n") == [("A", "b"), ("C", "d")]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"HTTP/1.1 200 OK", (11, 200, "OK")),
        (b"HTTP/1.0 404 Not Found", (10, 404, "Not Found")),
        (b"HTTP/1.1 200", (11, 200, "")),
        (b"http/1.1 301  moved ", (11, 301, "moved")),
        (b"HTTP/0.9 200 OK", (10, 200, "OK")),
        (b"HTTP/2 200", (11, 200, "")),
        (b"\r\nHTTP/1.1 200 OK", (11, 200, "OK")),
    ],
)
def test_a_status_line_may_lack_a_reason_and_be_in_lower_case(line: bytes, expected: tuple[int, int, str]) -> None:
    assert head(line + b"\r\n\r\n")[:3] == expected


@pytest.mark.parametrize(
    "line", [b"SSH-2.0-OpenSSH", b"HTTP/1.1 2000 OK", b"HTTP/1.1 OK", b"<html>", b"HTTP/1.1 099 no"]
)
def test_what_is_not_http_is_refused_with_its_first_line(line: bytes) -> None:
    """Rule: such a peer may wait for us, and then no more comes."""
    with pytest.raises(http.client.BadStatusLine):
        HeadReader().feed(line + b"\r\n")


def test_interim_answers_are_passed_over() -> None:
    reader = HeadReader()

    found = reader.feed(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nA: b\r\n\r\n" + OK + b"C: d\r\n\r\nbody")

    assert found == (11, 200, "OK", [("C", "d")])
    assert reader.rest == b"body"


@pytest.mark.parametrize(
    "data",
    [
        OK + b"A: " + b"b" * MAX_HEAD,
        b"HTTP/1.1 " * (MAX_HEAD // 9 + 1),
        OK + b"A: b\r\n" * 1_000 + b"\r\n",
        b"HTTP/1.1 100 Go on\r\n\r\n" * 501,
    ],
)
def test_a_head_has_limits(data: bytes) -> None:
    with pytest.raises(http.client.HTTPException):
        HeadReader().feed(data)


def test_a_head_of_many_or_of_long_lines_is_read() -> None:
    found = fields(b"A: b\r\n" * 990 + b"C: " + b"d" * 250_000 + b"\r\n")

    assert len(found) == 991


junk = st.binary(max_size=30) | st.sampled_from([OK, b"\r\n", b"\n", b"A: b\r\n", b" c\r\n", b"HTTP/1.1 100 C\r\n\r\n"])


@given(st.lists(junk, max_size=12), st.lists(st.integers(0, 300), max_size=5))
def test_whatever_comes_is_read_alike_however_it_is_cut(parts: list[bytes], cuts: list[int]) -> None:
    data = b"".join(parts)

    def read(pieces: list[bytes]) -> object:
        reader = HeadReader()
        try:
            for number, piece in enumerate(pieces):
                if (found := reader.feed(piece)) is not None:
                    return found, reader.rest + b"".join(pieces[number + 1 :])
        except http.client.HTTPException as error:
            return type(error)
        return None

    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    assert read([data[start:end] for start, end in pairwise(places)]) == read([data])


tokens = st.text(string.ascii_letters + string.digits + "!#$%&'*+.^_`|~-", min_size=1, max_size=12)
values = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_categories=["Cc"]), max_size=20)


@given(st.lists(st.tuples(tokens, values), max_size=20))
def test_a_head_that_keeps_to_the_standard_is_read_as_http_client_reads_it(sent: list[tuple[str, str]]) -> None:
    lines = b"".join(f"{name}: {value}\r\n".encode("latin-1") for name, value in sent)

    theirs = http.client.parse_headers(io.BytesIO(lines + b"\r\n"))

    assert fields(lines) == sent
    assert head(OK + lines + b"\r\n").message().items() == theirs.items()


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (b"Content-Length: 5\r\n", Framing(False, 5, True)),
        (b"Content-Length: 5, 5\r\nContent-Length: 5\r\n", Framing(False, 5, True)),
        (b"Content-Length: five\r\n", Framing(False, None, False)),
        (b"Content-Length: -5\r\n", Framing(False, None, False)),
        (b"Content-Length: " + b"9" * 5_000 + b"\r\n", Framing(False, None, False)),
        (b"Content-Length: 5\r\nConnection: Close\r\n", Framing(False, 5, False)),
        (b"Transfer-Encoding: CHUNKED \r\nContent-Length: 5\r\n", Framing(True, None, True)),
        (b"Transfer-Encoding: gzip, chunked\r\n", Framing(True, None, True)),
        (b"", Framing(False, None, False)),
    ],
)
def test_a_body_ends_as_its_head_says(lines: bytes, expected: Framing) -> None:
    found = head(OK + lines + b"\r\n")

    assert framing(found, found.merged(), "GET") == expected
    assert framing(found, found.merged(), "HEAD")[:2] == (False, 0)


@pytest.mark.parametrize(
    ("lines", "reusable"),
    [(b"", False), (b"Connection: keep-alive\r\n", True), (b"Keep-Alive: timeout=5\r\n", True)],
)
def test_an_old_server_has_to_say_that_it_keeps_the_connection(lines: bytes, reusable: bool) -> None:
    found = head(b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n" + lines + b"\r\n")

    assert framing(found, found.merged(), "GET").reusable is reusable


def test_two_different_lengths_are_refused() -> None:
    found = head(OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n")

    with pytest.raises(http.client.HTTPException):
        framing(found, found.merged(), "GET")


class Recording:
    """A socket that keeps what is sent."""

    def __init__(self) -> None:
        self.sent = b""

    def sendall(self, data: bytes) -> None:
        self.sent += data

    def settimeout(self, seconds: object) -> None:
        pass


names = st.sampled_from(["User-Agent", "accept-encoding", "Host", "X-A", "x-b", "Content-Type", "Cookie"])


@given(
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]),
    st.sampled_from(["/a?b=c", "http://site.test/%e4?q=100%", "/|{}"]),
    st.dictionaries(names, values, max_size=5),
    st.none() | st.binary(max_size=20),
)
def test_a_request_is_written_as_urllib3_writes_it(
    method: str, target: str, headers: dict[str, str], body: bytes | None
) -> None:
    theirs = urllib3.connection.HTTPConnection("site.test")
    theirs.sock = cast(socket.socket, recording := Recording())
    theirs.request(method, target, body, cast(Any, headers))

    assert request_bytes(method, target, "site.test", headers, body) == recording.sent


@pytest.mark.parametrize(
    ("method", "target", "name", "value"),
    [
        ("GET", "/a b", "A", "b"),
        ("GET", "/a\r\nX: y", "A", "b"),
        ("GET", "/", "A", "b\r\nX: y"),
        ("GET", "/", "A", "b\0"),
        ("GET", "/", "A: b\r\nX", "y"),
        ("GET / HTTP/1.1\r\nX: y\r\n\r\nGET", "/", "A", "b"),
    ],
)
def test_a_request_that_would_be_another_one_is_not_written(method: str, target: str, name: str, value: str) -> None:
    with pytest.raises(ValueError, match="cannot be sent"):
        request_bytes(method, target, "site.test", {name: value}, None)
