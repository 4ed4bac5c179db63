"""How a body is unpacked and put together, and how large it may be."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from contextlib import closing

import pytest

from exchanges import evidence, fetch, soon, task
from peers import Line, Peer, answer, answering, saying
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
        (' "gzip" ,', gzip.compress(b"Heat" * 9, mtime=0)),
    ],
)
def test_a_compressed_body_is_unpacked_and_its_size_is_that_on_the_wire(coding: str, packed: bytes) -> None:
    with Peer(answering(answer(packed, Content_Encoding=coding))) as proxy:
        page = fetch(proxy.proxy())

    assert page.body == b"Heat" * 9
    assert page.size == len(packed)
    assert page.note == ""


PAGE = b"<p>" + bytes(range(256)) * 9
GZIP = gzip.compress(PAGE, mtime=0)
NAMED = b"\x1f\x8b\x08\x1e" + GZIP[4:10] + b"\x02\0ab" + b"name\0" + b"comment\0" + b"\0\0" + GZIP[10:]


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", GZIP[:-8]),
        ("gzip", GZIP[:-1]),
        ("gzip", GZIP[:-8] + b"12345678"),
        ("gzip", GZIP[:-4] + b"1234"),
        ("gzip", NAMED[:-8] + b"12345678"),
        ("gzip", gzip.compress(PAGE[:5]) + gzip.compress(PAGE[5:])[:-2]),
        ("gzip", gzip.compress(PAGE[:5])[:-8] + b"12345678" + gzip.compress(PAGE[5:])),
        ("gzip", GZIP + b"\x1f\x8b no gzip"),
        ("deflate", zlib.compress(PAGE)[:-4]),
        ("deflate", zlib.compress(PAGE)[:-4] + b"1234"),
        ("deflate, gzip", gzip.compress(zlib.compress(PAGE)[:-4])[:-8]),
    ],
)
def test_a_check_sum_that_is_wrong_or_missing_is_forgiven_with_a_note(coding: str, packed: bytes) -> None:
    with Peer(answering(answer(packed, Content_Encoding=coding))) as proxy:
        page = fetch(proxy.proxy())

    assert page.body == PAGE
    assert page.note.startswith("the check sum of the")


@pytest.mark.parametrize(
    ("coding", "packed"),
    [("gzip", GZIP[:100]), ("deflate", zlib.compress(PAGE)[:100]), ("deflate", raw_deflate(PAGE)[:100])],
)
def test_what_the_site_itself_cut_off_is_taken_as_far_as_it_goes(coding: str, packed: bytes) -> None:
    """Rule: only if the length is right. If the connection ends the body, a proxy may have cut it."""
    cut_on_the_way = b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\n\r\n%s" % (coding.encode(), packed)

    with Peer(answering(answer(packed, Content_Encoding=coding))) as proxy:
        page = fetch(proxy.proxy())
    with Peer(saying(cut_on_the_way)) as proxy:
        found = evidence(proxy.proxy())

    assert PAGE.startswith(page.body) and page.body.startswith(b"<p>")
    assert page.note == f"the {coding} data are cut off"
    assert found[:2] == (Step.BODY, Sign.SHORT)


@pytest.mark.parametrize("coding", ["utf-8", "none", "binary", "aws-chunked", "UTF-8, none", "8bit"])
def test_a_word_that_is_no_content_coding_is_passed_over(coding: str) -> None:
    with Peer(answering(answer(b"<p>x", Content_Encoding=coding))) as proxy:
        plain = fetch(proxy.proxy())
    with Peer(answering(answer(GZIP, Content_Encoding=f"{coding},gzip"))) as proxy:
        packed = fetch(proxy.proxy())

    assert (plain.body, packed.body) == (b"<p>x", PAGE)
    assert f"{coding.split(',', maxsplit=1)[0].lower()!r} is passed over" in plain.note


def test_a_coding_that_was_not_asked_for_is_passed_over_where_the_body_is_text() -> None:
    with Peer(answering(answer(b"<p>x", Content_Encoding="br"))) as proxy:
        assert fetch(proxy.proxy()).body == b"<p>x"


@pytest.mark.parametrize(
    ("coding", "packed", "sign", "reason"),
    [
        ("gzip", b"no gzip at all", Sign.BROKEN, "not gzip"),
        ("gzip", b"\x1f\x8b\x08", Sign.SHORT, "cut off"),
        ("gzip", NAMED[:14], Sign.SHORT, "cut off"),
        ("gzip", GZIP[:10] + b"\xff" * 99, Sign.BROKEN, "damaged"),
        ("deflate", b"no deflate at all", Sign.BROKEN, "not deflate"),
        ("br", b"\x8b\x02\x80Heat\x03", Sign.BROKEN, "br, which was not asked for"),
        ("gzip, gzip, gzip, gzip", b"x", Sign.BROKEN, "4 content codings"),
    ],
)
def test_a_body_that_cannot_be_unpacked_is_evidence(coding: str, packed: bytes, sign: Sign, reason: str) -> None:
    with Peer(answering(answer(packed, Content_Encoding=coding))) as proxy:
        found = evidence(proxy.proxy())

    assert found[:2] == (Step.BODY, sign)
    assert reason in found.message


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
