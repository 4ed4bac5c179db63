"""
Nothing is sent without a proxy, not even a name to a DNS server. The site and the processes' own calls are the judges.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from certificates import Authority
from commands import Desk
from exchanges import IMPATIENT, evidence, soon, task
from peers import Line, Peer, Script, answer, answering, connect_then, socks4, socks5, tls
from pinpool.errors import FetchFailed
from pinpool.fetch.fetcher import Fetcher
from pinpool.fetch.session import PinnedSession
from pinpool.fetch.sockets import tls_context
from pinpool.lab import Lab
from pinpool.model import Fault
from pinpool.policy.faults import fault_of
from pinpool.proxies.proxy import Proxy
from pinpool.settings import Settings

#: Every process of a run logs which names it looks up, and where it connects to.
WATCH = """
import os, socket, sys

def watch(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        what = arguments[0]
    elif event in ("socket.connect", "socket.sendto") and arguments[0].family != socket.AF_UNIX:
        what = "%s:%s" % arguments[1][:2]
    else:
        return
    with open(os.environ["WATCHED"], "a") as file:
        file.write(f"{event} {what}\\n")

sys.addaudithook(watch)
"""

ECHO = """
from pinpool import Page, Spider

spider = Spider(seeds=[f"{base}/echo?{{n}}" for n in range(40)])


@spider.index
def echo(page: Page):
    return {{"url": page.url, "headers": page.json()["headers"]}}
"""


#: User code that asks for the environment's proxies, and for none.
POOL = """
from pinpool import PinnedPool, session


def ask(way):
    mine = session()
    mine.trust_env, mine.proxies = way % 2 == 0, {{}}
    return mine.get("{base}/echo").json()["headers"]


if __name__ == "__main__":
    with PinnedPool("proxies.txt", workers=4) as pool:
        for headers in pool.map_unordered(ask, range(8)):
            print("echo" if "host" in headers else headers)
"""


def with_all(names: str, value: str) -> dict[str, str]:
    """These variables, in capitals and in small letters."""
    return {spelled: value for name in names.split() for spelled in (name, name.lower())}


def watched(desk: Desk) -> dict[str, set[str]]:
    """What the processes of the runs did, by audit event."""
    found: dict[str, set[str]] = {}
    for line in (desk / "watched").read_text().splitlines():
        event, _, what = line.partition(" ")
        found.setdefault(event, set()).add(what)
    return found


# Whole commands


def hostile(desk: Desk, lab: Lab, which: str) -> dict[str, str]:
    """
    Variables that name the site itself as the proxy ("proxies"), or say that it needs none ("exceptions"), or "both";
    and files that have a login for it.
    """
    # An account of HTTP, one of SOCKS; and one address that is listed as both of the older schemes.
    open_one = lab.proxies[7]
    older = [f"{scheme}://{open_one.host}:{open_one.port}" for scheme in ("socks5", "socks4")]
    desk.write("proxies.txt", "\n".join([lab.proxies[0].url, lab.proxies[1].url, *older]))
    desk.write("sitecustomize.py", WATCH)
    desk.write(".netrc", "machine movies.test login anna password planted\ndefault login x password planted\n")
    authorities = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
    return {
        "HOME": str(desk.folder),
        "NETRC": str(desk / ".netrc"),
        "PYTHONPATH": str(desk.folder),
        "WATCHED": str(desk / "watched"),
        **dict.fromkeys(authorities, str(desk / "missing.pem")),
        **(with_all("NO_PROXY", "*") if which != "proxies" else {}),
        **(with_all("HTTP_PROXY HTTPS_PROXY ALL_PROXY FTP_PROXY", lab.url) if which != "exceptions" else {}),
    }


def assert_only_these_were_met(desk: Desk, lab: Lab, *proxies: int) -> None:
    """Neither by a connection nor by a DNS query. And the site has seen nobody else."""
    happened = watched(desk)
    looked_up = happened.get("socket.getaddrinfo", set()) | happened.get("socket.gethostbyname", set())
    assert happened["socket.connect"] == {f"127.0.0.1:{lab.proxies[index].port}" for index in proxies}
    assert "socket.sendto" not in happened
    assert looked_up <= {"127.0.0.1"}
    assert lab.requests
    assert lab.direct == 0


@pytest.mark.grid(keep=2)
@pytest.mark.processes
@pytest.mark.parametrize("method", ["forkserver", "spawn"])
@pytest.mark.parametrize("which", ["proxies", "exceptions", "both"])
def test_a_crawl_in_a_hostile_environment_asks_the_proxies_of_its_list_and_nobody_else(
    desk: Desk, which: str, method: str
) -> None:
    with Lab(pages=1) as lab:
        desk.write("echo.py", ECHO.format(base=lab.named_url))
        environment = hostile(desk, lab, which)

        said = desk.run(
            *("crawl", "echo.py", "-p", "proxies.txt", "-o", "echo.jsonl"),
            *("-q", "--pace", "0.2", "--start-method", method),
            **environment,
        )

    headers = [item["headers"] for item in desk.lines("echo.jsonl")]
    assert (said.code, len(headers)) == (0, 40), said.err
    assert not [sent for sent in headers if "planted" in str(sent) or "authorization" in str(sent).lower()]
    assert_only_these_were_met(desk, lab, 0, 1, 7)


@pytest.mark.processes
def test_every_other_command_asks_the_proxies_of_its_list_and_nobody_else(desk: Desk) -> None:
    with Lab(pages=1) as lab:
        desk.write("echo.py", ECHO.format(base=lab.named_url))
        desk.write("pool.py", POOL.format(base=lab.named_url))
        environment = hostile(desk, lab, "both")
        # A session that trusts the environment uses its authorities, and these files do not exist.
        trusting = {name: value for name, value in environment.items() if "CA_BUNDLE" not in name}

        said = [
            desk.run("check", "proxies.txt", "--url", f"{lab.named_url}/echo", **environment),
            desk.run("try", "echo.py", "-p", "proxies.txt", **environment),
            desk.start_python("pool.py", **trusting).end(),
        ]

    assert [result.code for result in said] == [0, 0, 0], said
    assert "planted" not in str(said)
    assert_only_these_were_met(desk, lab, 0, 1, 7)


@pytest.mark.processes
def test_a_crawl_whose_proxies_all_die_stops_and_never_asks_the_site_itself(desk: Desk) -> None:
    """The site is named by an address that this machine could reach."""
    with Lab(pages=3, proxies=2) as lab:
        desk.write("echo.py", ECHO.format(base=lab.url))
        lab.write_proxies(desk / "proxies.txt")
        crawl = desk.start(
            *("crawl", "echo.py", "-p", "proxies.txt", "-q", "--pace", "0.1"),
            *("-s", "cooling=0.1", "-s", "connect_timeout=1"),
        )
        lab.wait_for(lambda: len(lab.requests) >= 4, 30)
        for proxy in lab.proxies:
            lab.set_fault(proxy.index, "refused")
        said = crawl.end()

    assert said.code == 4, said.err
    assert lab.direct == 0


# Names


ROUTES: dict[str, Callable[[Script], Script]] = {
    "http": lambda site: site,
    "https": lambda site: site,
    "socks4": socks4,
    "socks5": socks5,
    "socks5h": socks5,
}


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that this machine looks up during the test."""
    asked: list[str] = []
    look_up = socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
        asked.append(str(host))
        return look_up(host, *arguments, **options)

    def no_other_way(*arguments: object) -> None:
        raise AssertionError(f"looked up by another function: {arguments}")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(socket, "gethostbyname", no_other_way)
    monkeypatch.setattr(socket, "gethostbyname_ex", no_other_way)
    return asked


@pytest.mark.parametrize(
    ("scheme", "secure"),
    # TLS within TLS is "https" as far as the proxy, and "http" from there.
    [(scheme, secure) for scheme in ROUTES for secure in (False, True) if (scheme, secure) != ("https", True)],
)
def test_the_proxy_looks_up_the_name_of_the_site(lookups: list[str], tmp_path: Path, scheme: str, secure: bool) -> None:
    authority = Authority(tmp_path)
    context = authority.context("site.test", "127.0.0.1")
    site = tls(context, answering()) if secure else answering()
    script = connect_then(site) if secure and scheme.startswith("http") else ROUTES[scheme](site)
    if scheme == "https":
        script = tls(context, script)
    settings = Settings(ca_bundle=authority.bundle)

    with Peer(script) as proxy, closing(Fetcher(proxy.proxy(scheme), settings)) as fetcher:
        url = f"http{'s' * secure}://site.test/"
        fetched = fetcher.fetch(task(url), soon())
        by_session = fetcher.session.get(url)

    assert (fetched.body, by_session.content) == (b"hello", b"hello")
    assert set(lookups) == {"127.0.0.1"}
    assert "site.test" in proxy.heads[0]


def test_a_socks4_proxy_that_cannot_look_up_names_is_to_blame_and_not_bypassed(
    lookups: list[str],
) -> None:
    def refusing(line: Line) -> None:
        line.exactly(9)
        line.send(b"\x00\x5b" + bytes(6))
        line.wait()

    with Peer(refusing) as proxy:
        found = evidence(proxy.proxy("socks4"))

    assert fault_of(found) is Fault.TUNNEL
    assert set(lookups) == {"127.0.0.1"}


# Hosts and redirects


PLACES = [
    "http://localhost:{port}/",
    "http://127.0.0.1:{port}/",
    "http://127.1:{port}/",
    "http://0:{port}/",
    "http://[::1]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http:\\\\127.0.0.1:{port}\\",
    "//127.0.0.1:{port}/",
    "http://site.test@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\\@site.test/",
    "http://site.test#@127.0.0.1:{port}/",
    "HTTP://127.0.0.1:{port}/",
    "https://127.0.0.1:{port}/",
    "ftp://127.0.0.1:{port}/",
    "ws://127.0.0.1:{port}/",
    "gopher://127.0.0.1:{port}/",
    "file:///etc/passwd",
    "data:text/html,hello",
    "javascript:fetch('http://127.0.0.1:{port}/')",
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("start", ["http", "https"])
@pytest.mark.parametrize("scheme", ["http", "socks5h"])
def test_every_redirect_goes_through_the_pin_or_nowhere(place: str, start: str, scheme: str, tmp_path: Path) -> None:
    """The place is a listener on this machine, which must never be touched."""
    authority = Authority(tmp_path)
    context = authority.context("site.test", "127.0.0.1", "::1", "localhost")
    settings = Settings(ca_bundle=authority.bundle, connect_timeout=1, timeout=1)

    with Peer(answering(answer(b"<p>direct</p>"))) as there:
        location = place.format(port=there.port)

        def reply(request: str) -> bytes:
            first_page = re.match(r"GET (http://site\.test)?/start ", request)
            return answer(b"", "302 Found", Location=location) if first_page else answer(b"by proxy")

        def play(line: Line) -> None:
            """Accept TLS, a tunnel or a page request."""
            if line.sock.recv(1, socket.MSG_PEEK) == b"\x16":
                tls(context, answering(reply))(line)
                return
            while request := line.head():
                if request.startswith("CONNECT"):
                    line.send(b"HTTP/1.1 200 OK\r\n\r\n")
                    play(line)
                    return
                line.send(reply(request))

        with Peer(play if scheme == "http" else socks5(play)) as proxy:
            url = f"{start}://site.test/start"
            with closing(Fetcher(proxy.proxy(scheme), settings)) as fetcher:
                with suppress(FetchFailed):
                    assert fetcher.fetch(task(url), soon()).body == b"by proxy"
                with suppress(requests.RequestException):
                    assert fetcher.session.get(url).content == b"by proxy"
            assert proxy.connections

    assert there.connections == 0


@pytest.mark.parametrize("place", PLACES)
def test_every_url_of_user_code_goes_through_the_pin_or_nowhere(place: str) -> None:
    with (
        Peer(answering()) as there,
        Peer(answering()) as proxy,
        PinnedSession(proxy.proxy(), IMPATIENT) as session,
    ):
        for ask in (session.get, session.post, session.head):
            with suppress(requests.RequestException):
                ask(place.format(port=there.port))

    assert there.connections == 0


@pytest.mark.parametrize("scheme", ["http", "socks4", "socks5", "socks5h"])
@pytest.mark.parametrize("by_session", [False, True])
def test_a_proxy_that_dies_between_two_pages_is_a_fault_and_never_bypassed(scheme: str, by_session: bool) -> None:
    """Its kept connection closes at the next request. The site could be reached directly."""
    with Peer(answering()) as site:
        url = f"http://{site.netloc}/"
        with Peer(ROUTES[scheme](answering())) as proxy:
            fetcher = Fetcher(proxy.proxy(scheme), IMPATIENT)
            fetcher.fetch(task(url), soon())
        with closing(fetcher), pytest.raises((FetchFailed, requests.RequestException)):
            fetcher.session.get(url) if by_session else fetcher.fetch(task(url), soon())

    assert site.connections == 0


def ipv6_works() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not ipv6_works(), reason="this machine has no IPv6")
@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h"])
def test_a_proxy_with_an_ipv6_address_is_used_like_any_other(scheme: str) -> None:
    class Peer6(Peer):
        def __init__(self, script: Script) -> None:
            super().__init__(script)
            self._listener.close()
            self._listener = socket.create_server(("::", self.port), family=socket.AF_INET6, dualstack_ipv6=True)

    with (
        Peer6(ROUTES[scheme](answering())) as peer,
        closing(Fetcher(Proxy(scheme, "::1", peer.port, "", ""), IMPATIENT)) as fetcher,
    ):
        assert fetcher.fetch(task("http://[::1]/"), soon()).body == b"hello"

    assert "[::1]" in peer.heads[0] or "::1:80" in peer.heads[0]


# Certificates


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_no_variable_of_the_environment_adds_an_authority(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    """An added authority could read along. A run names its own by the setting ca_bundle."""
    authority = Authority(tmp_path)
    monkeypatch.setenv(variable, str(tmp_path) if variable.endswith("DIR") else authority.bundle)
    tls_context.cache_clear()

    with Peer(connect_then(tls(authority.context("site.test"), answering()))) as proxy:
        found = evidence(proxy.proxy(), "https://site.test/")
        with (
            PinnedSession(proxy.proxy(), IMPATIENT) as session,
            pytest.raises(requests.exceptions.SSLError),
        ):
            session.get("https://site.test/")

    assert fault_of(found) is Fault.TLS
