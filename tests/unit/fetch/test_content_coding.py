"""How a body is unpacked and put together, and how large it may be."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from contextlib import closing

import pytest

from exchanges import evidence, fetch, soon, task
from peers import Line, Peer, answer, answering
from pinpool.fetch.fetcher import Fetcher
from pinpool.model import Sign, Step
from pinpool.settings import Settings


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", gzip.compress(b"Heat" * 9, mtime=0)),
        ("X-GZIP", gzip.compress(b"Heat" * 9, mtime=0)),
        ("gzip", gzip.compress(b"Heat" * 4, mtime=0) + gzip.compress(b"Heat" * 5, mtime=0)),
        ("gzip", gzip.compress(b"Heat" * 9, mtime=0) + b"trailing garbage"),
        ("deflate", zlib.compress(b"Heat" * 9)),
        ("deflate", raw_deflate(b"Heat" * 9)),
        ("deflate, gzip", gzip.compress(zlib.compress(b"Heat" * 9), mtime=0)),
        ("identity", b"Heat" * 9),
    ],
)
def test_a_compressed_body_is_unpacked_and_its_size_is_that_on_the_wire(coding: str, packed: bytes) -> None:
    with Peer(answering(answer(packed, Content_Encoding=coding))) as proxy:
        page = fetch(proxy.proxy())

    assert page.body == b"Heat" * 9
    assert page.size == len(packed)


@pytest.mark.parametrize(
    ("coding", "packed", "sign"),
    [
        ("gzip", b"no gzip at all", Sign.BROKEN),
        ("deflate", b"no deflate at all", Sign.BROKEN),
        ("gzip", gzip.compress(b"Heat" * 99, mtime=0)[:-9], Sign.SHORT),
        ("gzip", gzip.compress(bytes(range(256)), mtime=0)[:-1], Sign.SHORT),
        ("deflate", zlib.compress(b"Heat" * 99)[:-5], Sign.SHORT),
        ("br", b"unasked", Sign.BROKEN),
        ("gzip, gzip, gzip, gzip", b"x", Sign.BROKEN),
    ],
)
def test_a_body_that_cannot_be_unpacked_is_evidence(coding: str, packed: bytes, sign: Sign) -> None:
    with Peer(answering(answer(packed, Content_Encoding=coding))) as proxy:
        found = evidence(proxy.proxy())

    assert found[:2] == (Step.BODY, sign)


def test_a_bomb_is_stopped_with_little_memory() -> None:
    """Rule: what is unpacked never exceeds the limit, however much a body promises."""
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(200)) + packer.flush()
    nested = gzip.compress(bomb, mtime=0)

    with Peer(answering(lambda request: answer(nested, Content_Encoding="gzip, gzip"))) as proxy:
        tracemalloc.start()
        try:
            found = evidence(proxy.proxy(), settings=Settings(max_body=1_000_000))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert found[:2] == (Step.BODY, Sign.TOO_LARGE)
    assert peak < 8_000_000


def test_a_hundred_thousand_gzip_members_do_not_take_for_ever() -> None:
    body = gzip.compress(b"", mtime=0) * 100_000
    with Peer(answering(answer(body, Content_Encoding="gzip"))) as proxy:
        page = fetch(proxy.proxy())

    assert page.body == b""


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * 3000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nbb8\r\n" + b"x" * 3000 + b"\r\n",
    ],
)
def test_a_body_beyond_the_limit_is_not_read_to_its_end(start: bytes) -> None:
    def endless(line: Line) -> None:
        line.head()
        line.send(start)
        line.wait()

    with Peer(endless) as proxy:
        found = evidence(proxy.proxy(), settings=Settings(max_body=1000))

    assert found[:2] == (Step.BODY, Sign.TOO_LARGE)
    assert found.status == 200


def test_a_body_of_exactly_the_limit_is_taken() -> None:
    packed = gzip.compress(b"x" * 1000, mtime=0)
    with Peer(answering(lambda request: answer(packed, Content_Encoding="gzip"))) as proxy:
        page = fetch(proxy.proxy(), settings=Settings(max_body=1000))

    assert len(page.body) == 1000


def test_a_chunked_body_is_put_together() -> None:
    body = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nHeat\r\n2;x=y\r\n!!\r\n0\r\nA: b\r\n\r\n"
    with Peer(answering(body)) as proxy, closing(Fetcher(proxy.proxy(), Settings())) as fetcher:
        pages = [fetcher.fetch(task(), soon()) for _ in range(2)]

    assert [page.body for page in pages] == [b"Heat!!", b"Heat!!"]
    assert proxy.connections == 1
