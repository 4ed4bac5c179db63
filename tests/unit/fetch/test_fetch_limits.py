"""Limits of one exchange: how large a body may be, and how long a page may take."""

from __future__ import annotations

import gzip
import math
import signal
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import closing

import pytest

from exchanges import PLAIN, evidence, fetch, soon, task
from peers import PATIENCE, Line, Peer, answer, answering, socks5
from pinpool.errors import DeadlinePassed, FetchFailed
from pinpool.fetch.fetcher import Fetcher
from pinpool.model import Sign, Step
from pinpool.pool.deadline import limit
from pinpool.settings import Settings

# Bodies


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
    body = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nHeat\r\n2;x=y\r\n!!\r\n0\r\nA: b\r\n\r\n"
    )
    with Peer(answering(body)) as proxy, closing(Fetcher(proxy.proxy(), Settings())) as fetcher:
        pages = [fetcher.fetch(task(), soon()) for _ in range(2)]

    assert [page.body for page in pages] == [b"Heat!!", b"Heat!!"]
    assert proxy.connections == 1


# Time


def dripping(start: bytes, data: bytes) -> Callable[[Line], None]:
    def script(line: Line) -> None:
        line.head()
        line.send(start)
        line.drip(data)

    return script


HEAD = b"HTTP/1.1 200 OK\r\n"
DRIPS = [
    (b"", b"HTTP/1.1 200 OK", Step.HEAD),
    (HEAD, b"X-Y: aaaaaaaaaaaaaaa\r\n", Step.HEAD),
    (b"", b"HTTP/1.1 100 Continue\r\n\r\n", Step.HEAD),
    (HEAD + b"Content-Length: 1000000\r\n\r\n", b"x", Step.BODY),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", Step.BODY),
    (HEAD + b"Connection: close\r\n\r\n", b"x", Step.BODY),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"A: b\r\n", Step.BODY),
]


@pytest.mark.parametrize(("start", "data", "step"), DRIPS)
def test_what_is_dripped_ends_at_the_deadline_without_any_signal(
    start: bytes, data: bytes, step: Step
) -> None:
    """Rule: no read time-out sees a drip, so the page's time is checked before each read, in any thread."""
    with (
        Peer(dripping(start, data)) as proxy,
        closing(Fetcher(proxy.proxy(), Settings())) as fetcher,
        pytest.raises(FetchFailed) as caught,
    ):
        fetcher.fetch(task(), time.monotonic() + 0.3)

    assert caught.value.evidence[:2] == (step, Sign.DEADLINE)


def test_silence_ends_at_the_deadline_if_that_comes_before_the_time_out() -> None:
    with (
        Peer(lambda line: line.wait()) as proxy,
        closing(Fetcher(proxy.proxy(), Settings())) as fetcher,
        pytest.raises(FetchFailed) as caught,
    ):
        fetcher.fetch(task(), time.monotonic() + 0.1)

    assert caught.value.evidence[:2] == (Step.HEAD, Sign.DEADLINE)


def test_no_time_left_means_nothing_is_sent() -> None:
    with (
        Peer(answering()) as proxy,
        closing(Fetcher(proxy.proxy(), Settings())) as fetcher,
        pytest.raises(FetchFailed) as caught,
    ):
        fetcher.fetch(task(), time.monotonic() - 1)

    assert caught.value.evidence.sign is Sign.DEADLINE
    assert proxy.connections == 0


def test_redirects_share_the_time_of_one_page() -> None:
    released = threading.Event()

    def slow(line: Line) -> None:
        while line.head():
            released.wait(0.05)
            line.send(answer(b"", "302 Found", Location="/films"))

    settings = Settings(max_redirects=1_000_000)
    with (
        Peer(slow) as proxy,
        closing(Fetcher(proxy.proxy(), settings)) as fetcher,
        pytest.raises(FetchFailed) as caught,
    ):
        fetcher.fetch(task(), time.monotonic() + 0.3)

    assert caught.value.evidence.sign is Sign.DEADLINE


def test_the_time_of_one_page_does_not_bind_the_next_use_of_the_session() -> None:
    with Peer(answering()) as proxy, closing(Fetcher(proxy.proxy(), Settings())) as fetcher:
        with pytest.raises(FetchFailed):
            fetcher.fetch(task(), time.monotonic() - 1)

        assert fetcher.session.until == math.inf
        assert fetcher.session.get(PLAIN).content == b"hello"


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no alarm on this platform")
def test_a_strike_of_the_alarm_passes_through_and_drops_the_connections() -> None:
    def slow_at_first(line: Line) -> None:
        while request := line.head():
            if "films" in request:
                line.send(HEAD + b"Content-Length: 1000\r\n\r\npart")
                line.wait()
            line.send(answer())

    with Peer(slow_at_first) as proxy, closing(Fetcher(proxy.proxy(), Settings())) as fetcher:
        fetcher.fetch(task("http://site.test/1"), soon())
        with pytest.raises(DeadlinePassed), limit(0.1):
            fetcher.fetch(task(), soon())
        page = fetcher.fetch(task("http://site.test/2"), soon())

    assert page.body == b"hello"
    assert proxy.connections == 2


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no alarm on this platform")
@pytest.mark.parametrize("strikes", [True, False])
def test_a_failure_at_one_site_closes_the_idle_connections_to_others(strikes: bool) -> None:
    """Rule: after a failure nothing is left of this pin at its proxy."""

    def site(line: Line) -> None:
        while line.head():
            if line.peer.heads[-2] == "slow.test:80":
                line.wait()
            line.send(answer())

    with (
        Peer(socks5(site)) as proxy,
        closing(Fetcher(proxy.proxy("socks5h"), Settings(timeout=0.2))) as fetcher,
    ):
        fetcher.fetch(task("http://site.test/1"), soon())
        with pytest.raises(DeadlinePassed if strikes else FetchFailed), limit(0.1 if strikes else PATIENCE):
            fetcher.fetch(task("http://slow.test/"), soon())
        fetcher.fetch(task("http://site.test/2"), soon())

    assert proxy.connections == 3
