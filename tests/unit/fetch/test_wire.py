"""Bodies on a connection: whole, in chunks, cut into pieces of any size."""

from __future__ import annotations

import socket
from contextlib import suppress
from http.client import HTTPException, IncompleteRead
from itertools import pairwise
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinpool.errors import FetchFailed
from pinpool.fetch.heads import Framing
from pinpool.fetch.sockets import Progress
from pinpool.fetch.wire import Wire

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"
CHUNKED, ENDLESS = Framing(True, None, True), Framing(False, None, False)


class Pieces:
    """A socket on which these pieces come in, and then its end."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = [piece for piece in pieces if piece]

    def gettimeout(self) -> float:
        return 1.0

    def recv(self, count: int) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


def wire(*pieces: bytes) -> Wire:
    """An answer whose head is read."""
    found = Wire(cast(socket.socket, Pieces(*pieces)), Progress())
    found.head()
    return found


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(min(place, len(data)) for place in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


def chunked(parts: list[bytes], end: bytes = b"0\r\n\r\n") -> bytes:
    return b"".join(b"%x; a=b\r\n%b\r\n" % (len(part), part) for part in parts if part) + end


cuts = st.lists(st.integers(0, 200), max_size=6)


@given(st.lists(st.binary(max_size=40), max_size=5), cuts)
def test_chunks_are_put_together_however_they_come_in(parts: list[bytes], places: list[int]) -> None:
    found = wire(*cut(HEAD + chunked(parts), places))

    assert found.body(CHUNKED, 1_000, 200) == b"".join(parts)
    assert found.is_empty


@given(st.binary(max_size=100), cuts, st.binary(max_size=5))
def test_a_body_of_a_known_length_leaves_what_follows(body: bytes, places: list[int], more: bytes) -> None:
    found = wire(*cut(HEAD + body + more, places))

    assert found.body(Framing(False, len(body), True), 1_000, 200) == body
    assert b"".join(iter(lambda: found.read(10), b"")) == more


@given(st.binary(max_size=100), cuts)
def test_a_body_without_a_length_ends_with_the_connection(body: bytes, places: list[int]) -> None:
    assert wire(*cut(HEAD + body, places)).body(ENDLESS, 1_000, 200) == body


@given(st.binary(max_size=60), cuts)
def test_whatever_comes_for_chunks_ends(data: bytes, places: list[int]) -> None:
    found = wire(*cut(HEAD + data, places))
    with suppress(HTTPException, FetchFailed):
        assert len(found.body(CHUNKED, 1_000, 200)) < 60


@pytest.mark.parametrize(
    ("framing", "data"),
    [(CHUNKED, chunked([b"x" * 600, b"x" * 600])), (Framing(False, 1_001, True), b""), (ENDLESS, b"x" * 1_001)],
)
def test_a_body_has_a_limit(framing: Framing, data: bytes) -> None:
    with pytest.raises(FetchFailed) as caught:
        wire(HEAD + data).body(framing, 1_000, 200)

    assert caught.value.evidence.status == 200


@pytest.mark.parametrize("end", [b"0\r\n", b"0\r\nA: b\r\n", b"0\r\nA: b\r\n\r\n", b"000\n\n", b" 0 \r\n\r\n"])
def test_the_last_chunk_may_have_a_trailer_or_no_end(end: bytes) -> None:
    assert wire(HEAD + chunked([b"hello"], end)).body(CHUNKED, 1_000, 200) == b"hello"


@pytest.mark.parametrize(
    "data", [b"5\r\nhel", b"5\r\nhello", b"5\r\nhello!\r\n0\r\n\r\n", b"-5\r\n", b"0x5\r\n", b"\r\n", b""]
)
def test_chunks_that_break_off_or_are_none_are_incomplete(data: bytes) -> None:
    with pytest.raises(IncompleteRead):
        wire(HEAD + data).body(CHUNKED, 1_000, 200)


def test_trailers_have_a_limit() -> None:
    with pytest.raises(HTTPException):
        wire(HEAD + b"0\r\n" + b"A: b\r\n" * 70_000).body(CHUNKED, 1_000, 200)
