"""
A kept connection that the other side has closed, so that our next request crosses the close.

Tinyproxy closes after every answer without announcing it; others close connections that are idle for long.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from certificates import Authority
from exchanges import PLAIN, SECURE, evidence, soon, task
from peers import Line, Peer, Script, answer, connect_then, socks5, tls
from pinpool.errors import FetchFailed
from pinpool.fetch.fetcher import Fetcher
from pinpool.model import Fault
from pinpool.policy.faults import fault_of
from pinpool.settings import Settings


def answering_once(line: Line) -> None:
    """Take a second request on the line, and hang up on it."""
    line.head()
    line.send(answer(b"fine"))
    line.head()


@pytest.mark.parametrize(
    ("scheme", "script", "target"),
    [("http", answering_once, PLAIN), ("socks5h", socks5(answering_once), "/films?page=1")],
)
def test_a_page_whose_connection_was_closed_is_requested_on_a_new_one(scheme: str, script: Script, target: str) -> None:
    with Peer(script) as proxy, closing(Fetcher(proxy.proxy(scheme), Settings())) as fetcher:
        pages = [fetcher.fetch(task(), soon()) for _ in range(3)]
        by_session = fetcher.session.get(PLAIN)

    assert [page.body for page in pages] == [b"fine"] * 3
    assert by_session.content == b"fine"
    asked = [head.split()[1] for head in proxy.heads if head.startswith("GET")]
    assert asked == [target] * 7
    assert proxy.connections == 4


def test_https_is_requested_again_through_a_new_tunnel(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    settings = Settings(ca_bundle=authority.bundle)
    script = connect_then(tls(authority.context("site.test"), answering_once))

    with Peer(script) as proxy, closing(Fetcher(proxy.proxy(), settings)) as fetcher:
        pages = [fetcher.fetch(task(SECURE + "films?page=1"), soon()) for _ in range(2)]

    assert [page.body for page in pages] == [b"fine"] * 2
    asked = [head.split()[1] for head in proxy.heads]
    assert asked == ["site.test:443", *["/films?page=1"] * 2, "site.test:443", "/films?page=1"]


def test_a_form_is_not_sent_a_second_time() -> None:
    """Rule: a request that may change something is only repeated as a new attempt."""
    form = task(method="POST", body=b"q=heat")
    with Peer(answering_once) as proxy, closing(Fetcher(proxy.proxy(), Settings())) as fetcher:
        fetcher.fetch(form, soon())
        with pytest.raises(FetchFailed) as caught:
            fetcher.fetch(form, soon())

    assert fault_of(caught.value.evidence) is Fault.RESET
    assert len(proxy.heads) == 2


def test_a_new_connection_that_is_closed_without_an_answer_is_a_reset() -> None:
    def silent(line: Line) -> None:
        line.head()

    with Peer(silent) as proxy:
        found = evidence(proxy.proxy())

    assert fault_of(found) is Fault.RESET
    assert len(proxy.heads) == 1


def test_a_proxy_that_hangs_up_for_good_is_asked_twice_and_no_more() -> None:
    def script(line: Line) -> None:
        line.head()
        if line.peer.connections == 1:
            line.send(answer(b"fine"))
            line.head()

    with Peer(script) as proxy, closing(Fetcher(proxy.proxy(), Settings())) as fetcher:
        fetcher.fetch(task(), soon())
        with pytest.raises(FetchFailed) as caught:
            fetcher.fetch(task(), soon())

    assert fault_of(caught.value.evidence) is Fault.RESET
    assert len(proxy.heads) == 3
