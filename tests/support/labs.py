"""Labs for the tests, and clients of other authors for them."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trustme
import urllib3
from parsel import Selector
from urllib3.contrib.socks import SOCKSProxyManager
from urllib3.util import make_headers
from w3lib.encoding import html_to_unicode

from pinpool.lab import Lab, LabProxy

DEADLINE = 10.0
HTTP, SOCKS = 0, 1  # both with a login whose password needs escaping
OPEN_HTTP, OPEN_SOCKS = 4, 7  # without a login
EVERY_KIND = pytest.mark.parametrize("index", [HTTP, SOCKS, OPEN_HTTP, OPEN_SOCKS])


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """One lab for tests that neither change it nor count requests."""
    with Lab(pages=3) as running:
        yield running


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def tls_lab(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("certificate")
    certificate = authority.issue_cert("movies.test", "127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    with Lab(pages=1, certificate=(folder / "cert.pem", folder / "key.pem")) as running:
        yield running


def faulty(fault: str | None, index: int, **settings: float) -> Lab:
    lab = Lab(pages=1, flaky_rate=settings.get("flaky_rate", 0.3), ban_after=int(settings.get("ban_after", 6)))
    lab.set_fault(index, fault)
    return lab


@contextmanager
def client(
    proxy: LabProxy | None, password: str | None = None, authority: trustme.CA | None = None
) -> Iterator[urllib3.PoolManager]:
    """A client that goes through `proxy`, by its own password or another, with a deadline on every wait."""
    context = None
    if authority is not None:
        context = ssl.create_default_context()
        authority.configure_trust(context)
    timeout, login = urllib3.Timeout(DEADLINE), password or (proxy.password if proxy else "")
    manager: urllib3.PoolManager
    if proxy is None:
        manager = urllib3.PoolManager(timeout=timeout, retries=False, ssl_context=context)
    elif proxy.scheme == "http":
        headers = make_headers(proxy_basic_auth=f"{proxy.user}:{login}") if proxy.user else {}
        address = f"http://{proxy.host}:{proxy.port}"
        manager = urllib3.ProxyManager(
            address, proxy_headers=headers, timeout=timeout, retries=False, ssl_context=context
        )
    else:
        manager = SOCKSProxyManager(
            f"socks5h://{proxy.host}:{proxy.port}",
            username=proxy.user or None,
            password=login or None,
            timeout=timeout,
            retries=False,
            ssl_context=context,
        )
    with manager:
        yield manager


def status(web: urllib3.PoolManager, url: str) -> int:
    return web.request("GET", url).status


def select(answer: urllib3.BaseHTTPResponse) -> Selector:
    _, text = html_to_unicode(answer.headers.get("Content-Type"), answer.data)
    return Selector(text=text)


def plug(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)


def read_until(plugged: socket.socket, end: bytes) -> bytes:
    taken = b""
    while end not in taken:
        more = plugged.recv(65536)
        assert more, f"closed after {taken!r}"
        taken += more
    return taken


def get(path: str, host: str = "movies.test") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
