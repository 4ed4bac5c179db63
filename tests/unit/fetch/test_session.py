"""Everything is sent through the pin, whatever a caller passes or the environment says."""

from __future__ import annotations

import copy
import pickle
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from certificates import Authority
from peers import PATIENCE, Line, Peer, answer, answering, connect_then, socks5, tls
from pinpool.errors import SettingsError
from pinpool.fetch.fetcher import Fetcher
from pinpool.fetch.session import PinnedSession
from pinpool.fetch.sockets import tls_context
from pinpool.model import Task
from pinpool.proxies.proxy import Proxy
from pinpool.settings import Settings

URL = "http://site.test/"


@pytest.fixture
def hostile_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Peer], None]:
    """An environment in which everything points somewhere else."""

    def poison(elsewhere: Peer) -> None:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            for spelled in (name, name.lower()):
                monkeypatch.setenv(spelled, f"http://{elsewhere.netloc}")
        for spelled in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(spelled, "*")
        (tmp_path / ".netrc").write_text("default login anna password planted\n")
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing.pem"))

    return poison


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
def test_the_environment_changes_nothing(hostile_home: Callable[[Peer], None], scheme: str) -> None:
    """Rule: judged at the site and at the other proxy, which must not have been touched."""
    proxy_script = answering() if scheme == "http" else socks5(answering())
    with Peer(proxy_script) as proxy, Peer(answering()) as site, Peer(answering()) as elsewhere:
        hostile_home(elsewhere)
        url = f"http://{site.netloc}/"
        with closing(Fetcher(proxy.proxy(scheme), Settings())) as fetcher:
            fetcher.fetch(Task("index", url, b"k" * 16), time.monotonic() + PATIENCE)
            fetcher.session.get(url)

    assert len([head for head in proxy.heads if head.startswith("GET")]) == 2
    assert (site.connections, elsewhere.connections) == (0, 0)
    assert "authorization" not in "".join(proxy.heads).lower()


def test_a_tunnel_is_asked_of_the_pin_for_https_too(hostile_home: Callable[[Peer], None]) -> None:
    with Peer(answering(answer(b"", "502 No"))) as proxy, Peer(answering()) as elsewhere:
        hostile_home(elsewhere)
        with PinnedSession(proxy.proxy(), Settings()) as session, pytest.raises(requests.RequestException):
            session.get("https://site.test/")

    assert proxy.heads[0].startswith("CONNECT site.test:443 HTTP/1.")
    assert elsewhere.connections == 0


def test_a_session_follows_redirects_to_other_hosts_through_the_pin() -> None:
    with Peer(answering()) as site:

        def reply(request: str) -> bytes:
            if request.startswith(f"GET {URL}"):
                return answer(b"", "302 Found", Location=f"http://{site.netloc}/there")
            return answer(b"there")

        with Peer(answering(reply)) as proxy, PinnedSession(proxy.proxy(), Settings()) as session:
            page = session.get(URL)

    assert page.content == b"there"
    assert proxy.heads[1].startswith(f"GET http://{site.netloc}/there ")
    assert site.connections == 0


def by_session_proxies(session: PinnedSession, url: str) -> None:
    session.proxies.update({"http": "http://127.0.0.1:9"})
    session.get(url)


def by_no_proxy(session: PinnedSession, url: str) -> None:
    session.proxies = {"no_proxy": "*"}
    session.get(url)


def by_no_proxies(session: PinnedSession, url: str) -> None:
    session.proxies = {}
    session.get(url)


def by_nothing_for_proxies(session: PinnedSession, url: str) -> None:
    session.proxies = None  # type: ignore[assignment]
    session.get(url)


def by_sending_what_was_prepared(session: PinnedSession, url: str) -> None:
    session.trust_env = True
    prepared = session.prepare_request(requests.Request("GET", url))
    session.send(prepared, proxies={"http": "http://127.0.0.1:9"})


def by_trusting_the_environment(session: PinnedSession, url: str) -> None:
    session.trust_env = True
    session.get(url)


def by_mounting(session: PinnedSession, url: str) -> None:
    session.mount("http://127.0.0.1", HTTPAdapter())
    session.get(url)


def by_the_table_of_adapters(session: PinnedSession, url: str) -> None:
    session.adapters.update({"http://127.0.0.1": HTTPAdapter()})
    session.get(url)


def by_a_new_table_of_adapters(session: PinnedSession, url: str) -> None:
    session.adapters = {"http://": HTTPAdapter()}
    session.get(url)


def by_the_adapter(session: PinnedSession, url: str) -> None:
    session.pin.send(requests.Request("GET", url).prepare(), proxies={"http": url})


NOTHING: Any = {"http": None, "https": None, "all": None}
WAYS_AROUND: list[Callable[[PinnedSession, str], Any]] = [
    by_session_proxies,
    by_no_proxy,
    by_no_proxies,
    by_nothing_for_proxies,
    by_sending_what_was_prepared,
    by_trusting_the_environment,
    by_mounting,
    by_the_table_of_adapters,
    by_a_new_table_of_adapters,
    by_the_adapter,
    lambda session, url: session.get(url, proxies={"http": "http://127.0.0.1:9"}),
    lambda session, url: session.get(url, proxies=NOTHING),
    lambda session, url: session.get(url, proxies={}),
    lambda session, url: requests.Session.request(session, "GET", url),
    lambda session, url: requests.Session.send(session, requests.Request("GET", url).prepare()),
    lambda session, url: session.get(url, proxies={"no_proxy": "*"}),
    lambda session, url: session.pin.poolmanager.urlopen("GET", url),
    lambda session, url: session.pin.poolmanager.connection_from_url(url).urlopen("GET", "/"),
    lambda session, url: session.pin.get_connection(url),
    lambda session, url: session.pin.proxy_manager_for(url),
    lambda session, url: session.pin.send(requests.Request("GET", url).prepare()),
    lambda session, url: session.get(url.replace("http://", "HTTP://")),
    lambda session, url: session.get(url, verify=False),
]


@pytest.mark.parametrize("way", WAYS_AROUND)
@pytest.mark.parametrize("scheme", ["http", "socks5h"])
def test_there_is_no_way_around_the_pin(
    way: Callable[[PinnedSession, str], Any], scheme: str, hostile_home: Callable[[Peer], None]
) -> None:
    """Rule: a request goes through the pin or is refused, and never reaches the site by itself."""
    proxy_script = answering() if scheme == "http" else socks5(answering())
    with Peer(proxy_script) as proxy, Peer(answering()) as site, Peer(answering()) as elsewhere:
        hostile_home(elsewhere)
        with PinnedSession(proxy.proxy(scheme), Settings()) as session:
            try:
                way(session, f"http://{site.netloc}/")
                refused = False
            except (requests.RequestException, SettingsError, AttributeError):
                refused = True

    assert (site.connections, elsewhere.connections) == (0, 0)
    assert refused == (proxy.connections == 0)


def test_another_proxy_is_refused_with_a_reason() -> None:
    with (
        Peer(answering()) as proxy,
        PinnedSession(proxy.proxy("http", "anna", "planted"), Settings()) as session,
    ):
        with pytest.raises(requests.exceptions.ProxyError, match=f"pinned to http://anna@{proxy.netloc}"):
            session.get(URL, proxies={"http": "http://127.0.0.1:9"})
        with pytest.raises(requests.exceptions.ProxyError, match="mount no adapter"):
            session.mount("http://", HTTPAdapter())

    assert proxy.connections == 0


def test_a_pinned_session_cannot_be_copied_out_of_its_worker() -> None:
    """Rule: no password in any pickle, and no second holder of a pin."""
    with PinnedSession(Proxy("http", "127.0.0.1", 9, "anna", "planted"), Settings()) as session:
        for copied in (pickle.dumps, copy.copy, copy.deepcopy):
            for holder in (session, session.pin):
                with pytest.raises(TypeError, match="belongs to its worker"):
                    copied(holder)


# The login


@pytest.mark.parametrize(
    ("username", "password", "sent"),
    [("anna", "secret", "YW5uYTpzZWNyZXQ="), ("ännä", "p:@ß", "w6RubsOkOnA6QMOf"), ("key", "", "a2V5Og==")],
)
def test_the_login_is_sent_to_the_proxy_and_not_into_the_tunnel(
    username: str, password: str, sent: str, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    context = authority.context("site.test")

    def script(line: Line) -> None:
        request = line.head()
        if request.startswith("CONNECT"):
            line.send(b"HTTP/1.1 200 OK\r\n\r\n")
            tls(context, answering())(line)
        line.send(answer())

    settings = Settings(ca_bundle=authority.bundle)
    with (
        Peer(script) as proxy,
        PinnedSession(proxy.proxy("http", username, password), settings) as session,
    ):
        session.get(URL)
        session.get("https://site.test/")

    plain, connect, tunnelled = proxy.heads
    header = f"Proxy-Authorization: Basic {sent}\r\n"
    assert header in plain
    assert header in connect
    assert "Proxy-Authorization" not in tunnelled


# A session for people


def test_a_session_just_works() -> None:
    settings = Settings(headers={"User-Agent": "spider"})
    with (
        Peer(answering(answer(b"caf\xc3\xa9", Set_Cookie="id=7"))) as proxy,
        PinnedSession(proxy.proxy(), settings) as session,
    ):
        first = session.get(URL, params={"page": 2})
        session.post(URL, data={"q": "heat"})

    assert first.content == b"caf\xc3\xa9"
    assert proxy.heads[0].startswith(f"GET {URL}?page=2 HTTP/1.1\r\n")
    assert "User-Agent: spider\r\n" in proxy.heads[0]
    assert "Cookie: id=7\r\n" in proxy.heads[1]
    assert proxy.heads[1].endswith("\r\n\r\nq=heat")
    assert proxy.connections == 1


def test_a_session_has_a_time_out_where_the_caller_gives_none() -> None:
    with (
        Peer(lambda line: line.wait()) as proxy,
        PinnedSession(proxy.proxy(), Settings(timeout=0.1)) as session,
        pytest.raises(requests.exceptions.ReadTimeout),
    ):
        session.get(URL)


def test_a_session_reads_nothing_after_the_end_of_its_progress() -> None:
    """For hooks on a new pin in a thread, where no alarm can be set."""

    def drip(line: Line) -> None:
        line.head()
        line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        line.drip(b"x")

    with Peer(drip) as proxy, PinnedSession(proxy.proxy(), Settings()) as session:
        session.pin.progress.until = time.monotonic() + 0.2
        with pytest.raises(requests.RequestException):
            session.get(URL)


def test_closing_hangs_up_even_while_somebody_keeps_an_answer() -> None:
    """Rule: a proxy is free for the next worker only when we are gone from it."""
    gone = threading.Event()

    def until_hung_up(line: Line) -> None:
        answering()(line)
        gone.set()

    with Peer(until_hung_up) as proxy:
        session = PinnedSession(proxy.proxy(), Settings())
        kept = session.get(URL)
        session.close()

        assert gone.wait(PATIENCE)
        assert kept.content == b"hello"


def test_a_session_refuses_other_schemes() -> None:
    with PinnedSession(Proxy("http", "127.0.0.1", 9), Settings()) as session:
        with pytest.raises(requests.exceptions.InvalidSchema):
            session.get("ftp://site.test/")
        with pytest.raises(requests.exceptions.InvalidSchema):
            session.get("file:///etc/passwd")


def test_a_client_certificate_is_refused_rather_than_left_out() -> None:
    with (
        Peer(answering()) as proxy,
        PinnedSession(proxy.proxy(), Settings()) as session,
        pytest.raises(requests.exceptions.SSLError, match="client certificate"),
    ):
        session.get(URL, cert="client.pem")

    assert proxy.connections == 0


# Certificates


def test_switching_verification_off_for_one_request_leaves_it_on_for_all_others(tmp_path: Path) -> None:
    """Rule: the context is shared, and urllib3 writes `verify` into the one it is given."""
    authority = Authority(tmp_path)

    with (
        Peer(connect_then(tls(authority.context("site.test"), answering()))) as proxy,
        PinnedSession(proxy.proxy(), Settings()) as session,
    ):
        with pytest.warns(match="Unverified HTTPS request"):
            assert session.get("https://site.test/", verify=False).content == b"hello"
        with pytest.raises(requests.exceptions.SSLError):
            session.get("https://site.test/")
        assert session.get("https://site.test/", verify=authority.bundle).content == b"hello"

    assert tls_context(None).verify_mode is ssl.CERT_REQUIRED
    assert tls_context(None).check_hostname
