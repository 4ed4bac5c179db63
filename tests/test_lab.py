"""The lab is what everything else is judged by, so it is judged here, with clients that nobody here wrote."""

from __future__ import annotations

import gzip
import os
import socket
import ssl
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import trustme
import urllib3
from parsel import Selector
from urllib3.contrib.socks import SOCKSProxyManager
from urllib3.exceptions import HTTPError, ProxyError, ReadTimeoutError
from urllib3.util import make_headers
from w3lib.encoding import html_to_unicode

from pinpool.lab import FAULTS, SECRET, Lab, LabProxy
from pinpool.lab.faults import draw_flaw
from pinpool.lab.languages import LANGUAGES

DEADLINE = 10.0
HTTP, SOCKS = 0, 1  # both with a login whose password needs escaping
OPEN_HTTP, OPEN_SOCKS = 4, 7  # without a login
EVERY_KIND = pytest.mark.parametrize("index", [HTTP, SOCKS, OPEN_HTTP, OPEN_SOCKS])


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """One lab for the tests that neither change it nor count what others do."""
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
    elif proxy.kind == "http":
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


# --- the site


@EVERY_KIND
def test_a_crawl_from_link_to_link_finds_every_film_as_expected(lab: Lab, index: int) -> None:
    """List pages, all seven encodings, gzip and chunks, through each kind of proxy."""
    expected = lab.films(lab.named_url)
    found: dict[str, tuple[str | None, tuple[str, ...]]] = {}
    page: str | None = "/page/1"

    with client(lab.proxies[index]) as web:
        while page is not None:
            links = select(web.request("GET", lab.named_url + page))
            for link in links.xpath('//a[@class="name"]/@href').getall():
                film = select(web.request("GET", lab.named_url + link, headers={"Accept-Encoding": "gzip"}))
                directors = film.xpath('//div[@class="directors el-row"]//p/text()').getall()
                found[lab.named_url + link] = film.css("h2.m-b-sm::text").get(), tuple(directors)
            page = links.css("a[rel=next]::attr(href)").get()

    assert found == {url: (film.title, film.directors) for url, film in expected.items()}


def test_the_films_come_in_every_encoding_and_in_two_packings(lab: Lab) -> None:
    with client(None) as web:
        answers = [
            web.request("GET", lab.url + path, headers={"Accept-Encoding": "gzip"}, decode_content=False)
            for path in lab.films()
        ]

    assert {film.encoding for film in lab.films().values()} == {language.dress.name for language in LANGUAGES}
    assert {answer.headers.get("Content-Encoding") for answer in answers} == {None, "gzip"}
    assert {answer.headers.get("Transfer-Encoding") for answer in answers} == {None, "chunked"}
    for answer in answers:
        size = len(gzip.decompress(answer.data) if "Content-Encoding" in answer.headers else answer.data)
        assert 30_000 <= size <= 60_000


def test_the_label_of_the_french_pages_lies_as_sites_do() -> None:
    """Whoever takes iso-8859-1 at its word gets control characters instead of quotes."""
    films = Lab(pages=30).films().values()

    texts = [film.title for film in films if film.encoding == "cp1252 labelled iso-8859-1"]

    assert any(text.encode("cp1252") != text.encode("latin-1", "replace") for text in texts)


def test_the_same_seed_gives_the_same_films_and_another_seed_others() -> None:
    once, again, other = Lab(seed=5), Lab(seed=5), Lab(seed=6)

    assert once.films() == again.films()
    assert once.films() != other.films()
    assert once.catalogue.film_page(7, True) == again.catalogue.film_page(7, True)


def test_a_review_list_holds_what_the_film_announces(lab: Lab) -> None:
    films = lab.films()
    film = next(film for film in films.values() if film.reviews)

    with client(None) as web:
        answer = web.request("GET", f"{lab.url}/reviews/{film.number}")

    assert answer.json() == [review._asdict() for review in film.reviews]


@pytest.mark.parametrize(
    "path",
    ["/page/0", "/page/4", "/page/01", "/detail/31", "/detail/x", "/reviews/31", "/nothing", "/status/99"],
)
def test_what_is_not_there_is_404(lab: Lab, path: str) -> None:
    with client(None) as web:
        assert status(web, lab.url + path) == 404


def test_status_pages_can_ask_to_be_retried_later(lab: Lab) -> None:
    with client(None) as web:
        answer = web.request("GET", lab.url + "/status/429?retry-after=7")

    assert (answer.status, answer.headers["Retry-After"]) == (429, "7")


def test_redirects_lead_on_as_often_as_asked(lab: Lab) -> None:
    with client(None) as web:
        answer = web.request("GET", lab.url + "/redirect/3", redirect=True, retries=5)

    assert (answer.status, answer.geturl()) == (200, "/redirect/0")


@EVERY_KIND
def test_echo_shows_the_site_a_post_and_never_the_login_for_the_proxy(lab: Lab, index: int) -> None:
    proxy = lab.proxies[index]

    with client(proxy) as web:
        seen = web.request("POST", lab.named_url + "/echo", body=b"a=\xc3\xa9", headers={"X-Own": "1"}).json()

    assert (seen["method"], seen["path"], seen["body"], seen["peer"]) == (
        "POST",
        "/echo",
        "a=é",
        proxy.exit_address,
    )
    assert seen["headers"]["x-own"] == "1"
    assert not [name for name in seen["headers"] if name.startswith("proxy-")]


def test_a_cookie_is_worth_nothing_from_another_address(lab: Lab) -> None:
    members = lab.named_url + "/members"
    with client(lab.proxies[HTTP]) as web, client(lab.proxies[SOCKS]) as elsewhere:
        cookie = {
            "Cookie": web.request("GET", lab.named_url + "/login").headers["Set-Cookie"].partition(";")[0]
        }

        assert status(web, members) == 403
        assert web.request("GET", members, headers=cookie).status == 200
        assert elsewhere.request("GET", members, headers=cookie).status == 403


def test_the_bomb_is_small_on_the_wire_and_hundreds_of_megabytes_inside(lab: Lab) -> None:
    with client(None) as web:
        wire = web.request("GET", lab.url + "/bomb", decode_content=False).data
        answer = web.request("GET", lab.url + "/bomb", preload_content=False)
        size = sum(len(part) for part in answer.stream(1 << 20))

    assert len(wire) < 1_000_000
    assert size == 300_000_000


def test_broken_pages_are_broken_as_announced(lab: Lab) -> None:
    with client(None) as web:
        with pytest.raises(urllib3.exceptions.ProtocolError, match="20000 more expected"):
            web.request("GET", lab.url + "/truncated")
        with pytest.raises(urllib3.exceptions.DecodeError):
            web.request("GET", lab.url + "/broken-gzip", headers={"Accept-Encoding": "gzip"})
        with pytest.raises(urllib3.exceptions.ProtocolError, match="reset"):
            web.request("GET", lab.url + "/reset")
        huge = web.request("GET", lab.url + "/huge", preload_content=False)
        assert int(huge.headers["Content-Length"]) == 100_000_000
        huge.close()


@pytest.mark.parametrize(
    ("path", "started"), [("/drip-head", b"X-Drip: ...."), ("/drip-body", b"\r\n\r\n<p>\n<p>")]
)
def test_a_drip_keeps_coming(lab: Lab, path: str, started: bytes) -> None:
    with plug(int(lab.url.rpartition(":")[2])) as plugged:
        plugged.sendall(get(path))

        assert started in read_until(plugged, started)
        assert plugged.recv(100)


def test_noise_is_answered_by_400_and_the_end(lab: Lab) -> None:
    for noise in (
        b"\x16\x03\x01\x02\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"x" * 70_000,
    ):
        with plug(int(lab.url.rpartition(":")[2])) as plugged:
            plugged.sendall(noise)

            assert plugged.recv(100).startswith(b"HTTP/1.1 400 ")


def test_requests_sent_ahead_are_answered_in_order(lab: Lab) -> None:
    with plug(int(lab.url.rpartition(":")[2])) as plugged:
        plugged.sendall(get("/status/201") + get("/slow/0.01") + get("/status/202"))

        answers = read_until(plugged, b"Status 202</h1>")

    assert (
        answers.index(b"Status 201</h1>") < answers.index(b"After 0.01") < answers.index(b"Status 202</h1>")
    )


# --- the proxies


@EVERY_KIND
def test_a_client_keeps_one_connection_for_all_its_requests(index: int) -> None:
    with Lab(pages=1) as lab, client(lab.proxies[index]) as web:
        for path in lab.films():
            assert status(web, lab.named_url + path) == 200

        proxy = lab.proxies[index]
        assert (proxy.requests, proxy.connections, proxy.max_connections) == (10, 1, 1)
        assert (proxy.max_users, lab.direct) == (1, 0)
        assert [(seen.proxy, seen.status) for seen in lab.requests] == [(index, 200)] * 10


@pytest.mark.parametrize("index", [HTTP, SOCKS])
def test_a_wrong_password_is_refused(lab: Lab, index: int) -> None:
    proxy = lab.proxies[index]
    before = proxy.logins_refused

    with client(proxy, password="wrong") as web:
        if proxy.kind == "http":
            assert status(web, lab.named_url + "/page/1") == 407
        else:
            with pytest.raises(HTTPError, match="authentication failed"):
                status(web, lab.named_url + "/page/1")

    assert proxy.logins_refused == before + 1


def test_who_bypasses_the_proxies_cannot_resolve_the_name_and_is_counted() -> None:
    with Lab(pages=1) as lab, client(None) as web:
        with pytest.raises(HTTPError, match="resolve"):
            status(web, lab.named_url + "/page/1")
        assert status(web, lab.url + "/page/1") == 200

        assert lab.direct == 1
        assert [(seen.proxy, seen.path) for seen in lab.requests] == [(None, "/page/1")]


@pytest.mark.parametrize("index", [None, HTTP, SOCKS, OPEN_HTTP, OPEN_SOCKS])
def test_https_is_the_same_site(tls_lab: Lab, authority: trustme.CA, index: int | None) -> None:
    proxy = None if index is None else tls_lab.proxies[index]
    base = tls_lab.tls_url if proxy is None else tls_lab.named_tls_url

    with client(proxy, authority=authority) as web:
        titles = [
            select(web.request("GET", base + path)).css("h2.m-b-sm::text").get() for path in tls_lab.films()
        ]
        huge = web.request("GET", base + "/huge", preload_content=False)
        start = huge.read(5_000_000)
        huge.close()

    assert titles == [film.title for film in tls_lab.films().values()]
    assert len(start) == 5_000_000
    assert {seen.proxy for seen in tls_lab.requests[-11:]} == {index}


@pytest.mark.parametrize("index", [None, HTTP, SOCKS])
def test_a_client_that_distrusts_the_certificate_leaves_no_trace(tls_lab: Lab, index: int | None) -> None:
    proxy = None if index is None else tls_lab.proxies[index]

    with client(proxy) as web, pytest.raises(urllib3.exceptions.SSLError):
        status(web, (tls_lab.tls_url if proxy is None else tls_lab.named_tls_url) + "/page/1")

    tls_lab.wait_for(lambda: proxy is None or (proxy.open, proxy.users) == (0, 0), DEADLINE)


def test_connect_leads_to_the_plain_port_too(lab: Lab) -> None:
    with plug(lab.proxies[OPEN_HTTP].port) as plugged:
        plugged.sendall(b"CONNECT movies.test:%d HTTP/1.1\r\n\r\n" % int(lab.url.rpartition(":")[2]))
        assert read_until(plugged, b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        plugged.sendall(get("/echo"))

        assert lab.proxies[OPEN_HTTP].exit_address.encode() in read_until(plugged, b"\n}")


@pytest.mark.parametrize(
    "address",
    [
        b"\x01\x7f\0\0\x01",
        b"\x03\x0bmovies.test",
        b"\x04" + b"\0" * 15 + b"\x01",
    ],
    ids=["IPv4", "name", "IPv6"],
)
def test_socks_5_takes_every_form_of_address(lab: Lab, address: bytes) -> None:
    port = struct.pack("!H", int(lab.url.rpartition(":")[2]))
    with plug(lab.proxies[OPEN_SOCKS].port) as plugged:
        for byte in b"\x05\x01\x00":  # one at a time: nobody promises how bytes arrive
            plugged.sendall(bytes([byte]))
        assert plugged.recv(2) == b"\x05\x00"
        plugged.sendall(b"\x05\x01\x00" + address + port)
        assert plugged.recv(10)[:2] == b"\x05\x00"
        plugged.sendall(get("/status/204"))

        assert read_until(plugged, b"\r\n\r\n").startswith(b"HTTP/1.1 204 ")


@pytest.mark.parametrize("address", [b"\x7f\0\0\x01me\0", b"\0\0\0\x01me\0movies.test\0"], ids=["4", "4a"])
def test_socks_4_works_where_no_login_is_asked(lab: Lab, address: bytes) -> None:
    ask = b"\x04\x01" + struct.pack("!H", int(lab.url.rpartition(":")[2])) + address
    with plug(lab.proxies[OPEN_SOCKS].port) as plugged, plug(lab.proxies[SOCKS].port) as with_login:
        plugged.sendall(ask)
        with_login.sendall(ask)

        assert plugged.recv(8)[:2] == b"\0\x5a"
        assert with_login.recv(8)[:2] == b"\0\x5b"
        plugged.sendall(get("/status/204"))
        assert read_until(plugged, b"\r\n\r\n").startswith(b"HTTP/1.1 204 ")


@pytest.mark.parametrize("url", ["http://elsewhere.test/", "http://127.0.0.1:9/"])
def test_the_proxies_lead_nowhere_but_to_the_practice_site(lab: Lab, url: str) -> None:
    with client(lab.proxies[OPEN_HTTP]) as web, client(lab.proxies[OPEN_SOCKS]) as socks:
        assert status(web, url) == 502
        with pytest.raises(HTTPError, match="Host unreachable"):
            status(socks, url)
        with pytest.raises(ProxyError, match="502"):
            status(web, url.replace("http:", "https:"))


# --- who used which proxy when


@EVERY_KIND
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_a_client_that_leaves_is_ended_at_once_though_its_answer_is_an_hour_away(
    tls_lab: Lab, authority: trustme.CA, index: int, secure: bool
) -> None:
    proxy = tls_lab.proxies[index]
    base = tls_lab.named_tls_url if secure else tls_lab.named_url

    with client(proxy, authority=authority) as web, pytest.raises(ReadTimeoutError):
        web.request("GET", base + "/slow/3600", timeout=urllib3.Timeout(connect=DEADLINE, read=0.3))
    tls_lab.wait_for(lambda: (proxy.users, proxy.open) == (0, 0), DEADLINE)
    tls_lab.wait_for(lambda: tls_lab.requests[-1].ended is not None, DEADLINE)

    assert tls_lab.requests[-1].status is None
    assert proxy.max_users == 1


@pytest.mark.parametrize("index", [OPEN_HTTP, OPEN_SOCKS])
def test_two_clients_at_once_are_told_from_two_in_turn(index: int) -> None:
    with Lab(pages=1) as lab:
        proxy = lab.proxies[index]
        with client(proxy) as first, client(proxy) as second:
            status(first, lab.named_url + "/page/1")
            status(second, lab.named_url + "/page/1")
            assert (proxy.max_users, proxy.max_connections) == (1, 2)

            waiting = first.urlopen("GET", lab.named_url + "/drip-body", preload_content=False)
            status(second, lab.named_url + "/page/1")
            waiting.close()

        assert proxy.max_users == 2
        lab.wait_for(lambda: (proxy.users, proxy.open) == (0, 0), DEADLINE)
        with client(proxy) as third:
            status(third, lab.named_url + "/page/1")
        assert (proxy.connections, proxy.max_connections) == (3, 2)


def test_a_reset_and_the_next_request_in_one_turn_of_the_loop_are_one_user() -> None:
    """A killed worker's connection is over before another takes its proxy, whatever the lab hears first."""
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        held.set()
        release.wait(DEADLINE)

    with Lab(pages=1) as lab, plug(lab.proxies[OPEN_HTTP].port) as second:
        proxy = lab.proxies[OPEN_HTTP]
        with plug(proxy.port) as first:
            second.sendall(get(lab.named_url + "/page/1"))
            read_until(second, b"</html>")
            first.sendall(get(lab.named_url + "/slow/3600"))
            lab.wait_for(lambda: len(lab.requests) == 2, DEADLINE)
            assert lab._loop is not None
            lab._loop.call_soon_threadsafe(hold)
            held.wait(DEADLINE)
            first.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        second.sendall(get(lab.named_url + "/page/1"))
        release.set()
        read_until(second, b"</html>")

        assert (proxy.max_users, len(lab.requests)) == (1, 3)


def test_a_client_that_hangs_up_half_way_is_ended_with_most_of_its_answer_unsent() -> None:
    with Lab(pages=1) as lab, plug(lab.proxies[OPEN_HTTP].port) as plugged:
        plugged.sendall(get(lab.named_url + "/huge"))
        read_until(plugged, b"<p>")

        plugged.shutdown(socket.SHUT_WR)

        lab.wait_for(lambda: lab.requests[0].ended is not None and not lab.proxies[OPEN_HTTP].open, DEADLINE)


def test_a_client_that_leaves_a_long_answer_makes_no_noise(
    tls_lab: Lab, authority: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    with client(tls_lab.proxies[OPEN_HTTP], authority=authority) as web:
        for _ in range(5):
            answer = web.request("GET", tls_lab.named_tls_url + "/huge", preload_content=False)
            answer.read(1_000_000)
            answer.close()
            tls_lab.wait_for(lambda: tls_lab.requests[-1].ended is not None, DEADLINE)

    assert caplog.messages == []


def test_a_client_that_vanishes_while_shaking_hands_is_ended(tls_lab: Lab) -> None:
    proxy = tls_lab.proxies[OPEN_HTTP]
    with plug(proxy.port) as plugged:
        plugged.sendall(b"CONNECT movies.test:%d HTTP/1.1\r\n\r\n" % int(tls_lab.tls_url.rpartition(":")[2]))
        read_until(plugged, b"\r\n\r\n")
        plugged.sendall(b"\x16\x03\x01\x02\x00")

        plugged.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    tls_lab.wait_for(lambda: proxy.open == 0, DEADLINE)


def test_a_client_that_says_nothing_is_connected_but_no_user() -> None:
    with Lab(pages=1) as lab, plug(lab.proxies[OPEN_HTTP].port), plug(lab.proxies[OPEN_SOCKS].port):
        lab.wait_for(lambda: all(lab.proxies[index].open == 1 for index in (OPEN_HTTP, OPEN_SOCKS)), DEADLINE)

        assert [proxy.max_users for proxy in lab.proxies] == [0] * 8


def test_the_books_name_the_user_agent_and_the_clients_port() -> None:
    with Lab(pages=1) as lab, plug(lab.proxies[OPEN_HTTP].port) as plugged:
        plugged.sendall(
            get(lab.named_url + "/page/1?x=1").replace(b"\r\n\r\n", b"\r\nUser-Agent: me\r\n\r\n")
        )
        read_until(plugged, b"</html>")

        (seen,) = lab.requests
        assert (seen.method, seen.path, seen.agent, seen.port) == (
            "GET",
            "/page/1?x=1",
            "me",
            plugged.getsockname()[1],
        )


def test_an_answer_takes_the_latency_a_quarter_more_or_less() -> None:
    with Lab(pages=1, latency=0.02) as lab, client(lab.proxies[HTTP]) as web:
        for _ in range(3):
            status(web, lab.named_url + "/page/1")

        lab.wait_for(lambda: all(seen.ended is not None for seen in lab.requests), DEADLINE)
        delays = [seen.ended - seen.at for seen in lab.requests if seen.ended is not None]
        assert min(delays) > 0.0149
        assert len(set(delays)) == 3


def test_no_answer_waits_for_the_clients_acknowledgement() -> None:
    """Without TCP_NODELAY an answer in two parts takes 45 ms, and every figure measured here lies."""
    with Lab(pages=1) as lab, plug(lab.proxies[OPEN_HTTP].port), plug(int(lab.url.rpartition(":")[2])):
        lab.wait_for(lambda: len(lab._books.lines) == 2, DEADLINE)

        accepted = [line.transport.get_extra_info("socket") for line in lab._books.lines]
        assert all(each.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for each in accepted)


def test_waiting_for_what_does_not_happen_ends_with_an_error() -> None:
    with Lab(pages=1) as lab, pytest.raises(TimeoutError, match="0 requests"):
        lab.wait_for(lambda: False, 0.05)


# --- faults


def faulty(fault: str | None, index: int, **settings: float) -> Lab:
    lab = Lab(
        pages=1, flaky_rate=settings.get("flaky_rate", 0.3), ban_after=int(settings.get("ban_after", 6))
    )
    lab.set_fault(index, fault)
    return lab


@EVERY_KIND
def test_a_refusing_proxy_refuses_and_keeps_its_port(index: int) -> None:
    with faulty("refused", index) as lab, client(lab.proxies[index]) as web:
        with pytest.raises((HTTPError, OSError), match="refused"):
            status(web, lab.named_url + "/page/1")
        with closing(socket.socket()) as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", lab.proxies[index].port))


@EVERY_KIND
def test_a_black_hole_reads_and_never_answers(index: int) -> None:
    with faulty("blackhole", index) as lab:
        proxy = lab.proxies[index]
        with plug(proxy.port) as plugged:
            plugged.sendall(b"\x05\x02\0\x02" if proxy.kind == "socks5" else get(lab.named_url + "/page/1"))
            lab.wait_for(lambda: proxy.users == 1, DEADLINE)
            plugged.settimeout(0.05)
            with pytest.raises(TimeoutError):
                plugged.recv(1)
        lab.wait_for(lambda: proxy.users == 0, DEADLINE)


@EVERY_KIND
def test_a_proxy_that_refuses_every_login_refuses_the_right_one(index: int) -> None:
    with faulty("auth", index) as lab, client(lab.proxies[index]) as web:
        if lab.proxies[index].kind == "http":
            assert status(web, lab.named_url + "/page/1") == 407
            with pytest.raises(ProxyError, match="407"):
                status(web, "https://movies.test/")
        else:
            with pytest.raises(HTTPError):
                status(web, lab.named_url + "/page/1")
        assert lab.proxies[index].logins_refused == (2 if lab.proxies[index].kind == "http" else 1)
        assert lab.requests == []


@EVERY_KIND
def test_a_banned_proxy_gets_403_for_ever_after_its_last_page(index: int) -> None:
    with faulty("ban", index, ban_after=3) as lab, client(lab.proxies[index]) as web:
        answers = [status(web, lab.named_url + "/page/1") for _ in range(6)]

    assert answers == [200] * 3 + [403] * 3


@EVERY_KIND
def test_a_soft_ban_says_200_and_means_no(index: int) -> None:
    with faulty("softban", index) as lab, client(lab.proxies[index]) as web:
        answer = web.request("GET", lab.named_url + "/detail/1")

    assert answer.status == 200
    assert b"unusual traffic" in answer.data
    assert not select(answer).css("h2.m-b-sm")


@EVERY_KIND
def test_a_dripping_proxy_sends_the_page_but_hardly(index: int) -> None:
    with faulty("drip", index) as lab, client(lab.proxies[index]) as web:
        answer = web.request("GET", lab.named_url + "/detail/1", preload_content=False, decode_content=False)
        first = answer.read1(65536, decode_content=False)
        second = answer.read1(65536, decode_content=False)
        answer.close()

    assert answer.status == 200
    assert 0 < len(first) < 1000
    assert 0 < len(second) < 1000


@EVERY_KIND
def test_a_resetting_proxy_resets(index: int) -> None:
    with faulty("reset", index) as lab, client(lab.proxies[index]) as web:
        with pytest.raises(HTTPError, match="reset"):
            status(web, lab.named_url + "/page/1")

        assert [(seen.proxy, seen.status) for seen in lab.requests] == [(index, None)]


@EVERY_KIND
def test_a_flaky_proxy_fails_in_several_ways_and_works_in_between(index: int) -> None:
    seen: set[str] = set()
    with faulty("flaky", index, flaky_rate=0.6) as lab:
        for _ in range(60):
            with client(lab.proxies[index]) as web:
                try:
                    seen.add(str(status(web, lab.named_url + "/page/1")))
                except HTTPError as error:
                    seen.add(
                        next(word for word in ("reset", "IncompleteRead", "SOCKS") if word in repr(error))
                    )

    refusal = "502" if lab.proxies[index].kind == "http" else "SOCKS"
    assert seen == {"200", "reset", "IncompleteRead", refusal}


def test_a_flaw_is_drawn_as_often_as_the_rate_says() -> None:
    drawn = [draw_flaw(draw / 1000, 0.3) for draw in range(1000)]

    assert [drawn.count(flaw) for flaw in ("reset", "502", "cut", None)] == [100, 100, 100, 700]


@EVERY_KIND
def test_a_proxy_can_stop_working_and_recover(index: int) -> None:
    with Lab(pages=1) as lab, client(lab.proxies[index]) as web:
        assert status(web, lab.named_url + "/page/1") == 200
        lab.set_fault(index, "refused")
        with pytest.raises((HTTPError, OSError)):
            status(web, lab.named_url + "/page/1")
        with pytest.raises((HTTPError, OSError), match="refused"):
            status(web, lab.named_url + "/page/1")

        lab.set_fault(index, None)

        assert status(web, lab.named_url + "/page/1") == 200
        assert lab.proxies[index].open == 1


def test_the_site_can_be_out_of_order_in_part_or_for_a_while() -> None:
    with Lab(pages=1) as lab, client(lab.proxies[HTTP]) as web:
        lab.set_site_fault("*", 503)
        lab.set_site_fault("/detail/*", 500, times=1)
        lab.set_site_fault("/page/1", "reset")

        assert status(web, lab.named_url + "/detail/1") == 500
        assert status(web, lab.named_url + "/detail/1") == 503
        with pytest.raises(HTTPError, match="reset"):
            status(web, lab.named_url + "/page/1")
        lab.set_site_fault("*", None)
        assert status(web, lab.named_url + "/detail/1") == 200


def test_the_seed_chooses_which_proxies_are_faulty() -> None:
    def chosen(seed: int) -> list[str | None]:
        return [proxy.fault for proxy in Lab(proxies=20, faults=FAULTS, seed=seed).proxies]

    assert chosen(1) == chosen(1)
    assert chosen(1) != chosen(2)
    assert sorted(fault for fault in chosen(1) if fault) == sorted(FAULTS)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"proxies": 1, "faults": ["ban", "drip"]}, "2 faults need as many proxies, there are 1"),
        ({"faults": ["bann"]}, "unknown fault 'bann'.*refused, blackhole"),
        ({"pages": 0}, "at least one page"),
        ({"site_port": 70_000}, "site_port"),
    ],
)
def test_a_lab_that_cannot_be_is_refused(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Lab(**settings)  # type: ignore[arg-type]  # the wrong settings come from a table


# --- start and stop


def test_a_taken_port_is_an_error_of_start() -> None:
    with Lab(pages=1) as lab:
        second = Lab(pages=1, site_port=int(lab.url.rpartition(":")[2]))

        with pytest.raises(OSError, match="in use"):
            second.start()
        second.stop()


def test_stop_ends_whoever_waits_and_may_be_repeated() -> None:
    lab = faulty("blackhole", OPEN_HTTP)
    lab.start()
    with plug(lab.proxies[OPEN_HTTP].port) as waiting, plug(lab.proxies[OPEN_SOCKS].port) as silent:
        waiting.sendall(get(lab.named_url + "/page/1"))
        lab.wait_for(
            lambda: lab.proxies[OPEN_HTTP].users == 1 and lab.proxies[OPEN_SOCKS].open == 1, DEADLINE
        )

        lab.stop()
        lab.stop()

        assert (waiting.recv(1), silent.recv(1)) == (b"", b"")
    with pytest.raises(RuntimeError, match="make a new one"):
        lab.start()


def test_a_forked_child_does_not_hold_the_labs_connections_open() -> None:
    """A connection is closed when its last holder closes it: a worker forked later must not be one."""
    with Lab(pages=1) as lab, plug(lab.proxies[OPEN_HTTP].port) as plugged:
        lab.wait_for(lambda: lab.proxies[OPEN_HTTP].open == 1, DEADLINE)
        (hold, release), (started, start) = os.pipe(), os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", DeprecationWarning
            )  # forking beside threads: just what is tried here
            child = os.fork()
        if child == 0:
            os.close(release)
            os.write(start, b".")
            os.read(hold, 1)
            os._exit(0)
        os.read(started, 1)

        lab.set_fault(OPEN_HTTP, "refused")

        try:
            with pytest.raises(ConnectionResetError):
                plugged.recv(1)
            with pytest.raises(ConnectionRefusedError):
                plug(lab.proxies[OPEN_HTTP].port)
        finally:
            for end in (hold, release, started, start):
                os.close(end)
            os.waitpid(child, 0)


def test_the_list_of_proxies_uses_every_notation(tmp_path: Path) -> None:
    with Lab(pages=1) as lab:
        lab.write_proxies(tmp_path / "proxies.txt")
        ports = [proxy.port for proxy in lab.proxies]
    lines = (tmp_path / "proxies.txt").read_text(encoding="utf-8").splitlines()[2:]

    assert lines[0] == f"http://user0:{SECRET}-0%3A%40%2F%23%3F%25%20%2B@127.0.0.1:{ports[0]}"
    assert lines[1].startswith(f"socks5h://user1:{SECRET}-1%3A")
    assert lines[2] == f"127.0.0.1:{ports[2]}:user2:{SECRET}-2"
    assert lines[4] == f"127.0.0.1:{ports[4]}"
    assert lines[6] == f"user6:{SECRET}-6@127.0.0.1:{ports[6]}"
    assert lines[7] == f"socks5h://127.0.0.1:{ports[7]}"


def test_no_password_shows_in_what_is_printed() -> None:
    with Lab(pages=1, faults=["drip"]) as lab:
        shown = f"{lab!r} {lab.proxies!r} {[proxy.label for proxy in lab.proxies]}"

    assert SECRET not in shown
    assert "10 films, 8 proxies, 1 faulty" in shown
