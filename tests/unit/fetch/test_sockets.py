"""How long a page may take, and the TLS context that all connections share."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from exchanges import PLAIN, evidence, soon, task
from peers import PATIENCE, Line, Peer, answer, answering, socks5
from pinpool.errors import DeadlinePassed, FetchFailed, SettingsError
from pinpool.fetch.fetcher import Fetcher
from pinpool.fetch.sockets import tls_context
from pinpool.model import Sign, Step
from pinpool.pool.deadline import limit
from pinpool.settings import Settings

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
def test_what_is_dripped_ends_at_the_deadline_without_any_signal(start: bytes, data: bytes, step: Step) -> None:
    """Rule: no read time-out sees a drip, so the page's time is checked before each read, in any thread."""
    with Peer(dripping(start, data)) as proxy:
        found = evidence(proxy.proxy(), seconds=0.3, settings=Settings())

    assert found[:2] == (step, Sign.DEADLINE)


def test_silence_ends_at_the_deadline_if_that_comes_before_the_time_out() -> None:
    with Peer(lambda line: line.wait()) as proxy:
        found = evidence(proxy.proxy(), seconds=0.1, settings=Settings())

    assert found[:2] == (Step.HEAD, Sign.DEADLINE)


def test_no_time_left_means_nothing_is_sent() -> None:
    with Peer(answering()) as proxy:
        found = evidence(proxy.proxy(), seconds=-1, settings=Settings())

    assert found.sign is Sign.DEADLINE
    assert proxy.connections == 0


def test_redirects_share_the_time_of_one_page() -> None:
    released = threading.Event()

    def slow(line: Line) -> None:
        while line.head():
            released.wait(0.05)
            line.send(answer(b"", "302 Found", Location="/films"))

    settings = Settings(max_redirects=1_000_000)
    with Peer(slow) as proxy:
        found = evidence(proxy.proxy(), seconds=0.3, settings=settings)

    assert found.sign is Sign.DEADLINE


def test_the_time_of_one_page_does_not_bind_the_next_use_of_the_session() -> None:
    with Peer(answering()) as proxy, closing(Fetcher(proxy.proxy(), Settings())) as fetcher:
        with pytest.raises(FetchFailed):
            fetcher.fetch(task(), time.monotonic() - 1)

        assert fetcher.session.pin.progress.until == math.inf
        assert fetcher.session.get(PLAIN).content == b"hello"


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no alarm on this platform")
def test_the_alarm_passes_through_and_drops_the_connections() -> None:
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


# Certificates


def test_the_context_is_read_once() -> None:
    assert tls_context(None) is tls_context(None)


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_a_bundle_that_cannot_be_used_is_named(tmp_path: Path, content: str | None) -> None:
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_text(content)

    with pytest.raises(SettingsError, match=r"ca_bundle: .*bundle\.pem: .*name a PEM file"):
        tls_context(str(bundle))
