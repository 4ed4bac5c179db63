"""The evidence of TLS: with the proxy, with the site, and one within the other."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple

import pytest

from certificates import Authority
from exchanges import PASSWORD, PLAIN, SECURE, USER, evidence, soon, task
from peers import (
    PATIENCE,
    Line,
    Peer,
    Script,
    answer,
    answering,
    connect_then,
    first,
    reset,
    silent,
    socks5,
    taking,
    tls,
)
from pinpool.errors import FetchFailed
from pinpool.fetch.fetcher import Fetcher
from pinpool.model import Sign, Step, Task
from pinpool.settings import Settings


class Certificates(NamedTuple):
    bundle: str
    site: ssl.SSLContext
    proxy: ssl.SSLContext
    stranger: ssl.SSLContext
    other_name: ssl.SSLContext
    treacherous: ssl.SSLContext


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    authority = Authority(tmp_path_factory.mktemp("tls"))
    stranger = Authority(tmp_path_factory.mktemp("stranger"))
    return Certificates(
        authority.bundle,
        site=authority.context("site.test"),
        proxy=authority.context("127.0.0.1"),
        stranger=stranger.context("site.test", owner="Films of Example"),
        other_name=authority.context("other.test"),
        treacherous=stranger.context("site.test", owner=f"{PASSWORD}\x1b[2J"),
    )


def after_the_hello(line: Line) -> None:
    line.sock.recv(65536)
    line.sock.shutdown(socket.SHUT_WR)
    line.wait()


# TLS with the proxy


def test_an_https_proxy_with_an_unknown_certificate_fails_in_tls_with_the_proxy(
    certificates: Certificates,
) -> None:
    with Peer(tls(certificates.proxy, answering())) as proxy:
        found = evidence(proxy.proxy("https"))

    assert found[:2] == (Step.PROXY, Sign.TLS)
    assert "unable to get local issuer certificate" in found.message


# TLS with the site


@pytest.fixture(params=["http", "socks5h"])
def through(request: pytest.FixtureRequest) -> Iterator[tuple[str, Script]]:
    yield request.param


def tunnelled(scheme: str, script: Script) -> Script:
    return connect_then(script) if scheme == "http" else socks5(script)


def test_a_site_with_a_known_certificate_is_fetched(through: str, certificates: Certificates) -> None:
    with Peer(tunnelled(through, tls(certificates.site, answering()))) as proxy:
        settings = Settings(ca_bundle=certificates.bundle)
        with closing(Fetcher(proxy.proxy(through), settings)) as fetcher:
            for _ in range(2):
                page = fetcher.fetch(task(SECURE), soon())

    assert (page.url, page.body) == (SECURE, b"hello")
    assert proxy.connections == 1
    assert proxy.heads[-1].startswith("GET / HTTP/1.1\r\nHost: site.test\r\n")


@pytest.mark.parametrize(
    ("who", "reason"),
    [("stranger", "unable to get local issuer certificate"), ("other_name", "not valid for 'site.test'")],
)
def test_a_site_with_a_wrong_certificate_is_evidence_with_the_reason(
    through: str, who: str, reason: str, certificates: Certificates
) -> None:
    with Peer(tunnelled(through, tls(getattr(certificates, who), answering()))) as proxy:
        found = evidence(proxy.proxy(through), SECURE, settings=Settings(ca_bundle=certificates.bundle))

    assert found[:2] == (Step.TLS, Sign.TLS)
    assert reason in found.message
    assert not [head for head in proxy.heads if head.startswith("GET")]


def test_a_certificate_that_is_not_trusted_is_named_by_subject_and_issuer(
    through: str, certificates: Certificates
) -> None:
    with Peer(tunnelled(through, tls(certificates.stranger, answering()))) as proxy:
        found = evidence(proxy.proxy(through), SECURE, settings=Settings(ca_bundle=certificates.bundle))

    subject, _, issuer = found.message.partition("; subject ")[2].partition("; issuer ")
    assert "O=Films of Example" in subject
    assert "O=trustme" in issuer


def test_a_proxy_cannot_show_its_password_or_steer_the_terminal_by_a_certificate(
    certificates: Certificates,
) -> None:
    with Peer(connect_then(tls(certificates.treacherous, answering()))) as proxy:
        settings = Settings(ca_bundle=certificates.bundle)
        found = evidence(proxy.proxy("http", USER, PASSWORD), SECURE, settings=settings)

    assert "subject O=*** [2J" in found.message


@pytest.mark.parametrize(
    ("script", "seconds", "sign"),
    [
        (first(b"SSH-2.0-OpenSSH\r\n"), PATIENCE, Sign.TLS),
        (silent, PATIENCE, Sign.TIMEOUT),
        (silent, 0.15, Sign.DEADLINE),
        (reset, PATIENCE, Sign.RESET),
        (taking(5), PATIENCE, Sign.RESET),
        (after_the_hello, PATIENCE, Sign.RESET),
    ],
)
def test_a_site_whose_handshake_fails_is_evidence_at_tls(
    through: str, script: Script, seconds: float, sign: Sign
) -> None:
    with Peer(tunnelled(through, script)) as proxy:
        found = evidence(proxy.proxy(through), SECURE, seconds)

    assert found[:2] == (Step.TLS, sign)


# TLS within TLS


def within_tls(certificates: Certificates, inner: Script) -> Script:
    """An https proxy that grants the tunnel; `inner` then talks to the client through memory, not on the line."""
    return tls(certificates.proxy, connect_then(inner))


def test_an_https_proxy_carries_plain_pages(certificates: Certificates) -> None:
    with Peer(tls(certificates.proxy, answering())) as proxy:
        settings = Settings(ca_bundle=certificates.bundle)
        with closing(Fetcher(proxy.proxy("https", USER, PASSWORD), settings)) as fetcher:
            page = fetcher.fetch(task(), soon())

    assert page.body == b"hello"
    assert proxy.heads[0].startswith(f"GET {PLAIN} HTTP/1.1")


@pytest.mark.parametrize("talks", ["answers", "drips"])
def test_an_https_proxy_carries_tls_with_the_site(talks: str, certificates: Certificates) -> None:
    """Also where the inner TLS is dripped by the proxy: then the page ends at its deadline."""

    def inner(line: Line) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        talk = certificates.site.wrap_bio(incoming, outgoing, server_side=True)

        def pump(action: object) -> bytes:
            while True:
                try:
                    done = action()  # type: ignore[operator]
                    line.send(outgoing.read())
                    return done or b""
                except ssl.SSLWantReadError:
                    line.send(outgoing.read())
                    incoming.write(line.sock.recv(65536))

        pump(talk.do_handshake)
        pump(lambda: talk.read(65536))
        talk.write(answer(b"hello" if talks == "answers" else bytes(2000)))
        reply = outgoing.read()
        if talks == "answers":
            line.send(reply)
            line.wait()
        for byte in reply[:400]:  # 8 s, and never a whole record: TLS would wait for it, read after read
            if line.peer.closing.wait(0.02):
                return
            line.send(bytes((byte,)))

    with Peer(within_tls(certificates, inner)) as proxy:
        settings = Settings(ca_bundle=certificates.bundle)
        with closing(Fetcher(proxy.proxy("https"), settings)) as fetcher:
            asked = Task("index", SECURE, b"k" * 16)
            if talks == "answers":
                assert fetcher.fetch(asked, time.monotonic() + PATIENCE).body == b"hello"
                return
            with pytest.raises(FetchFailed) as caught:
                fetcher.fetch(asked, time.monotonic() + 0.5)

    assert caught.value.evidence[:2] == (Step.HEAD, Sign.DEADLINE)
