"""Each kind of evidence, from the real situation on real sockets."""

from __future__ import annotations

import errno
import socket
import time
from contextlib import ExitStack, closing
from email.utils import formatdate

import pytest
import requests

from crawling import until
from exchanges import PASSWORD, PLAIN, SECURE, USER, evidence, fetch, soon, task
from peers import (
    PATIENCE,
    Line,
    Peer,
    Script,
    answer,
    answering,
    first,
    hang_up,
    reset,
    saying,
    saying_and_waiting,
    silent,
    socks5,
    taking,
)
from pinpool.errors import FetchFailed
from pinpool.fetch.diagnosis import diagnose, evidence_of, retry_after
from pinpool.fetch.fetcher import Fetcher
from pinpool.model import Fetched, Sign, Step, Task
from pinpool.proxies.proxy import Proxy
from pinpool.settings import Settings

HEAD = b"HTTP/1.1 200 OK\r\n"


# Connecting to the proxy


@pytest.mark.parametrize("scheme", ["http", "https", "socks4", "socks5", "socks5h"])
def test_a_proxy_that_refuses_connections_is_refused_at_connect(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    found = evidence(Proxy(scheme, "127.0.0.1", port, USER, PASSWORD))

    assert found[:2] == (Step.CONNECT, Sign.REFUSED)


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
@pytest.mark.parametrize("host", ["no-such-proxy.invalid", "a..b", "x" * 64 + ".test", "255.255.255.255"])
def test_a_proxy_that_cannot_be_reached_is_unreachable(scheme: str, host: str) -> None:
    found = evidence(Proxy(scheme, host, 8080, USER, PASSWORD))

    assert found[:2] == (Step.CONNECT, Sign.UNREACHABLE)


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
@pytest.mark.parametrize(("seconds", "sign"), [(PATIENCE, Sign.TIMEOUT), (0.1, Sign.DEADLINE)])
def test_a_proxy_that_swallows_connections_runs_into_the_time_out_or_the_deadline(
    scheme: str, seconds: float, sign: Sign
) -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):  # the queue is full from the second one on
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())

        found = evidence(Proxy(scheme, "127.0.0.1", listener.getsockname()[1]), seconds=seconds)

    assert found[:2] == (Step.CONNECT, sign)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EADDRNOTAVAIL])
def test_a_machine_that_runs_out_of_something_blames_no_proxy(number: int) -> None:
    found = diagnose(OSError(number, "local"), Step.CONNECT, late=False)

    assert found[:2] == (Step.WORKER, Sign.RAISED)


# Greeting the proxy


@pytest.mark.parametrize("url", [PLAIN, SECURE])
def test_an_http_proxy_listed_as_https_fails_in_tls_with_the_proxy(url: str) -> None:
    with Peer(first(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as proxy:
        found = evidence(proxy.proxy("https"), url)

    assert found[:2] == (Step.PROXY, Sign.TLS)


@pytest.mark.parametrize(("scheme", "url"), [("https", PLAIN), ("https", SECURE), ("socks5h", PLAIN)])
@pytest.mark.parametrize(
    ("script", "seconds", "sign"),
    [(silent, PATIENCE, Sign.TIMEOUT), (silent, 0.1, Sign.DEADLINE), (reset, PATIENCE, Sign.RESET)],
)
def test_a_proxy_that_does_not_greet_fails_before_the_tunnel(
    scheme: str, url: str, script: Script, seconds: float, sign: Sign
) -> None:
    with Peer(script) as proxy:
        found = evidence(proxy.proxy(scheme), url, seconds)

    assert found[:2] == (Step.PROXY, sign)


def test_a_socks_proxy_that_hangs_up_at_the_greeting_is_a_reset() -> None:
    with Peer(taking(3)) as proxy:
        found = evidence(proxy.proxy("socks5h"))

    assert found[:2] == (Step.PROXY, Sign.RESET)


def test_an_http_proxy_listed_as_socks_fails_in_the_greeting() -> None:
    with Peer(first(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as proxy:
        found = evidence(proxy.proxy("socks5h"))

    assert found[:2] == (Step.PROXY, Sign.BROKEN)


@pytest.mark.parametrize("version", [1, 5])
@pytest.mark.parametrize("login", [("", ""), (USER, PASSWORD)])
def test_a_socks_proxy_with_another_login_refuses_ours(login: tuple[str, str], version: int) -> None:
    with Peer(socks5(answering(), ("anna", "right"), login_version=version)) as proxy:
        found = evidence(proxy.proxy("socks5h", *login))

    assert found[:2] == (Step.PROXY, Sign.AUTH)


@pytest.mark.parametrize("version", [1, 5])
def test_a_socks_proxy_with_our_login_carries_the_page(version: int) -> None:
    """The login has a version of its own, 1. Some proxies write 5 there."""
    login = ("ännä", "p:@ ß")
    with Peer(socks5(answering(), login, login_version=version)) as proxy:
        page = fetch(proxy.proxy("socks5h", *login))

    assert page.body == b"hello"
    assert proxy.heads[0] == "site.test:80"


def test_a_socks_reply_that_drips_ends_at_the_deadline() -> None:
    def script(line: Line) -> None:
        line.exactly(3)
        line.send(b"\x05\x00")
        line.sock.recv(65536)
        line.send(b"\x05\x00\x00\x03\xff")  # a bound address of 255 bytes
        line.drip(b"x")

    with Peer(script) as proxy:
        found = evidence(proxy.proxy("socks5h"), seconds=0.25)

    assert found[:2] == (Step.TUNNEL, Sign.DEADLINE)


# Asking for the site


def test_a_407_to_a_plain_page_is_a_refused_login() -> None:
    with Peer(answering(answer(b"", f"407 {PASSWORD}"))) as proxy:
        found = evidence(proxy.proxy("http", USER, PASSWORD))

    assert (found.step, found.sign, found.status) == (Step.PROXY, Sign.AUTH, 407)


def test_a_407_to_a_tunnel_is_a_refused_login() -> None:
    with Peer(answering(answer(b"", f"407 {PASSWORD}"))) as proxy:
        found = evidence(proxy.proxy("http", USER, PASSWORD), SECURE)

    assert (found.step, found.sign, found.status) == (Step.PROXY, Sign.AUTH, 407)


def test_a_407_out_of_a_tunnel_is_the_sites_own_answer() -> None:
    """Rule: believed, it would retire the proxy."""
    with Peer(socks5(answering(answer(b"odd", "407 Odd")))) as proxy:
        page = fetch(proxy.proxy("socks5h"))

    assert (page.status, page.body) == (407, b"odd")


@pytest.mark.parametrize("status", [403, 502, 503])
def test_a_refused_tunnel_is_evidence_with_its_status(status: int) -> None:
    with Peer(answering(answer(b"", f"{status} {PASSWORD}"))) as proxy:
        found = evidence(proxy.proxy("http", USER, PASSWORD), SECURE)

    assert (found.step, found.sign, found.status) == (Step.TUNNEL, Sign.STATUS, status)


@pytest.mark.parametrize(
    ("script", "seconds", "sign"),
    [
        (silent, PATIENCE, Sign.TIMEOUT),
        (silent, 0.1, Sign.DEADLINE),
        (reset, PATIENCE, Sign.RESET),
        (hang_up, PATIENCE, Sign.RESET),
        (saying(b"HTTP/1.1 200 OK\r\nX: y\r\n"), PATIENCE, Sign.RESET),
        (saying(b"SSH-2.0-OpenSSH\r\n\r\n"), PATIENCE, Sign.BROKEN),
    ],
)
def test_a_tunnel_that_fails_is_evidence_at_the_tunnel(script: Script, seconds: float, sign: Sign) -> None:
    with Peer(script) as proxy:
        found = evidence(proxy.proxy(), SECURE, seconds)

    assert found[:2] == (Step.TUNNEL, sign)


@pytest.mark.parametrize("data", [b"HTTP/1.1 200 OK", b"X-Y: aaaa\r\n"])
def test_a_tunnel_answer_that_drips_ends_at_the_deadline(data: bytes) -> None:
    def script(line: Line) -> None:
        line.head()
        line.send(b"HTTP/1.1 200 OK\r\n" if data.startswith(b"X") else b"")
        line.drip(data)

    with Peer(script) as proxy:
        found = evidence(proxy.proxy(), SECURE, 0.25)

    assert found[:2] == (Step.TUNNEL, Sign.DEADLINE)


@pytest.mark.parametrize(
    ("code", "sign"),
    [
        (1, Sign.REFUSED),
        (2, Sign.REFUSED),
        (3, Sign.UNREACHABLE),
        (4, Sign.UNREACHABLE),
        (5, Sign.REFUSED),
        (6, Sign.TIMEOUT),
        (99, Sign.REFUSED),
    ],
)
def test_a_refusing_socks_reply_is_evidence_by_its_code(code: int, sign: Sign) -> None:
    with Peer(socks5(answering(), reply=code)) as proxy:
        found = evidence(proxy.proxy("socks5h"))

    assert found[:2] == (Step.TUNNEL, sign)
    assert f"{code:#04x}" in found.message


@pytest.mark.parametrize(
    ("code", "expected"),
    [(0x5B, (Step.TUNNEL, Sign.REFUSED)), (0x5D, (Step.PROXY, Sign.AUTH))],
)
def test_a_refusing_socks4_reply_is_evidence_by_its_code(code: int, expected: tuple[Step, Sign]) -> None:
    def script(line: Line) -> None:
        line.sock.recv(65536)
        line.send(bytes((0, code, 0, 0, 0, 0, 0, 0)))
        line.wait()

    with Peer(script) as proxy:
        found = evidence(proxy.proxy("socks4", USER), "http://127.0.0.1:1/")

    assert found[:2] == expected


def test_a_granting_socks4_proxy_carries_the_page() -> None:
    def script(line: Line) -> None:
        line.exactly(8)
        while line.exactly(1) != b"\0":
            pass
        line.send(b"\x00\x5a" + bytes(6))
        answering()(line)

    with Peer(script) as proxy:
        page = fetch(proxy.proxy("socks4", USER), task("http://127.0.0.1:1/"))

    assert page.body == b"hello"


SQUID_SAYS = answer(b"<html>", "503 Service Unavailable", Server="squid/5.7", X_Squid_Error="ERR_DNS_FAIL 0")


@pytest.mark.parametrize(("url", "step"), [(PLAIN, Step.HEAD), (SECURE, Step.TUNNEL)])
def test_a_site_whose_name_does_not_resolve_is_evidence_of_the_name_if_the_proxy_says_so(url: str, step: Step) -> None:
    """Charged to the proxy, a site that is gone would have one proxy after the other swapped."""
    with Peer(answering(SQUID_SAYS)) as proxy:
        found = evidence(proxy.proxy("http", USER, PASSWORD), url)

    assert found[:2] == (step, Sign.NAME)


def test_a_site_behind_a_tunnel_may_send_that_header_like_any_other() -> None:
    with Peer(socks5(answering(SQUID_SAYS))) as proxy:
        page = fetch(proxy.proxy("socks5h"))

    assert page.status == 503


@pytest.mark.parametrize(
    "headers", [b"", b"\r\n", b"X-Squid-Error: ERR_CONNECT_FAIL 111\r\n\r\n", b"X: y\r\n" * 200 + b"\r\n"]
)
def test_a_tunnel_that_is_refused_without_that_header_is_the_proxys_fault(headers: bytes) -> None:
    with Peer(saying(b"HTTP/1.1 503 No\r\n" + headers)) as proxy:
        found = evidence(proxy.proxy(), SECURE)

    assert (found.step, found.sign, found.status) == (Step.TUNNEL, Sign.STATUS, 503)


def test_a_refused_tunnel_whose_headers_never_end_is_still_refused() -> None:
    with Peer(saying_and_waiting(b"HTTP/1.1 503 No\r\nX-Squid")) as proxy:
        found = evidence(proxy.proxy(), SECURE)

    assert (found.step, found.sign, found.status) == (Step.TUNNEL, Sign.STATUS, 503)


def test_a_host_name_that_socks_cannot_carry_is_not_the_proxys_fault() -> None:
    with Peer(socks5(answering())) as proxy:
        found = evidence(proxy.proxy("socks5h"), f"http://{'x' * 64}.test/")

    assert found[:2] == (Step.HEAD, Sign.BROKEN)


def test_a_socks_proxy_that_hangs_up_when_asked_for_the_site_is_a_reset_of_the_tunnel() -> None:
    def script(line: Line) -> None:
        line.exactly(3)
        line.send(b"\x05\x00")
        line.sock.recv(65536)

    with Peer(script) as proxy:
        found = evidence(proxy.proxy("socks5h"))

    assert found[:2] == (Step.TUNNEL, Sign.RESET)


# Head and body


@pytest.mark.parametrize(
    ("script", "step", "sign"),
    [
        (silent, Step.HEAD, Sign.TIMEOUT),
        (reset, Step.HEAD, Sign.RESET),
        (hang_up, Step.HEAD, Sign.RESET),
        (saying(b"HTTP/1.1 20"), Step.HEAD, Sign.RESET),
        (saying(HEAD + b"Content-Ty"), Step.HEAD, Sign.RESET),
        (saying(HEAD + b"Content-Type: text/html\r\n"), Step.HEAD, Sign.RESET),
        (saying_and_waiting(HEAD + b"Content-Ty"), Step.HEAD, Sign.TIMEOUT),
        (saying(b"SSH-2.0-OpenSSH\r\n\r\n"), Step.HEAD, Sign.BROKEN),
        (saying(b"HTTP/1.1 999999 No\r\n\r\n"), Step.HEAD, Sign.BROKEN),
        (saying(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), Step.HEAD, Sign.BROKEN),
        (saying(b"HTTP/1.1 103 Early Hints\r\n\r\n"), Step.HEAD, Sign.RESET),
        (saying(HEAD + b"A: b\r\n" * 1_000 + b"\r\n"), Step.HEAD, Sign.BROKEN),
        (saying(HEAD + b"A: " + b"b" * 300_000 + b"\r\n\r\n"), Step.HEAD, Sign.BROKEN),
        (saying(HEAD + b"Content-Length: 5, 6\r\n\r\nhello!"), Step.HEAD, Sign.BROKEN),
        (saying_and_waiting(HEAD + b"Content-Length: 5\r\n\r\nhel"), Step.BODY, Sign.TIMEOUT),
        (saying(HEAD + b"Content-Length: 5\r\n\r\nhel"), Step.BODY, Sign.SHORT),
        (saying(HEAD + b"Content-Length: 5\r\n\r\n"), Step.BODY, Sign.SHORT),
        (saying(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel"), Step.BODY, Sign.SHORT),
        (saying(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"), Step.BODY, Sign.SHORT),
        (saying(HEAD + b"Transfer-Encoding: chunked\r\n\r\nhello\r\n"), Step.BODY, Sign.SHORT),
    ],
)
def test_an_answer_that_breaks_off_or_is_not_http_is_evidence_at_head_or_body(
    script: Script, step: Step, sign: Sign
) -> None:
    with Peer(script) as proxy:
        found = evidence(proxy.proxy("http", USER, PASSWORD))

    assert found[:2] == (step, sign)


def test_a_reset_within_the_body_is_evidence_at_the_body() -> None:
    sent = HEAD + b"Content-Length: 5\r\n\r\nhel"

    def script(line: Line) -> None:
        line.head()
        line.send(sent)
        # A reset would overtake it.
        until(lambda: fetcher.session.pin.progress.received >= len(sent), "the beginning of the body")
        line.reset()

    with (
        Peer(script) as proxy,
        closing(Fetcher(proxy.proxy(), Settings())) as fetcher,
        pytest.raises(FetchFailed) as caught,
    ):
        fetcher.fetch(task(), soon())

    assert caught.value.evidence[:2] == (Step.BODY, Sign.RESET)


def test_an_unexpected_exception_is_evidence_too() -> None:
    with Peer(answering()) as proxy, closing(Fetcher(proxy.proxy(), Settings())) as fetcher:
        broken = Task("index", PLAIN, b"k" * 16, headers=(("X-Bad", "line\nbreak"),))
        with pytest.raises(FetchFailed) as caught:
            fetcher.fetch(broken, time.monotonic() + PATIENCE)

    assert caught.value.evidence[:2] == (Step.HEAD, Sign.BROKEN)
    assert "ValueError" in caught.value.evidence.message


# Exceptions of the session that hooks use


def session_error(peer: Peer, url: str = PLAIN) -> Exception:
    settings = Settings(connect_timeout=0.3, timeout=0.3, max_redirects=2)
    with (
        closing(Fetcher(peer.proxy("http", USER, PASSWORD), settings)) as fetcher,
        pytest.raises(requests.RequestException) as caught,
    ):
        fetcher.session.get(url)
    assert PASSWORD not in repr(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("script", "url", "expected"),
    [
        (silent, PLAIN, (Step.HEAD, Sign.TIMEOUT)),
        (hang_up, PLAIN, (Step.HEAD, Sign.RESET)),
        (saying(HEAD + b"Content-Ty"), PLAIN, (Step.HEAD, Sign.RESET)),
        (saying(HEAD + b"Content-Length: 5\r\n\r\nhel"), PLAIN, (Step.BODY, Sign.SHORT)),
        (saying_and_waiting(HEAD + b"Content-Length: 5\r\n\r\nhel"), PLAIN, (Step.BODY, Sign.TIMEOUT)),
        (answering(answer(b"no gzip", Content_Encoding="gzip")), PLAIN, (Step.BODY, Sign.BROKEN)),
        (answering(answer(b"", "407 No")), PLAIN, (Step.PROXY, Sign.AUTH)),
        (answering(answer(b"", "407 No")), SECURE, (Step.PROXY, Sign.AUTH)),
        (answering(answer(b"", "502 No")), SECURE, (Step.TUNNEL, Sign.STATUS)),
        (answering(answer(b"", "302 Found", Location="/")), PLAIN, (Step.PAGE, Sign.REDIRECTS)),
    ],
)
def test_what_a_session_raises_is_evidence_as_well(script: Script, url: str, expected: tuple[Step, Sign]) -> None:
    with Peer(script) as proxy:
        found = evidence_of(session_error(proxy, url))

    assert found is not None
    assert found[:2] == expected


def test_errors_without_the_network_are_not_evidence() -> None:
    answered = requests.Response()
    answered.status_code = 404

    assert evidence_of(KeyError("title")) is None
    assert evidence_of(FileNotFoundError("page.html")) is None
    assert evidence_of(requests.HTTPError(response=answered)) is None
    assert evidence_of(requests.exceptions.InvalidURL("x")) is None


# Retry-After


def answered(**headers: str) -> Fetched:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fetched(PLAIN, 429, named, b"", 0.1, 0)


def test_retry_after_is_read_as_seconds_or_as_a_date() -> None:
    in_an_hour, long_past = formatdate(time.time() + 3600, usegmt=True), formatdate(0, usegmt=True)

    assert retry_after(answered(retry_after="120")) == 120.0
    assert retry_after(answered(retry_after=in_an_hour)) == pytest.approx(3600, abs=60)
    assert retry_after(answered(retry_after=long_past)) == 0.0
    assert retry_after(answered()) is None


@pytest.mark.parametrize("nonsense", ["soon", "9" * 5000, "Fri, 01 Jan 999999 00:00:00 GMT", "-"])
def test_a_retry_after_that_makes_no_sense_is_none(nonsense: str) -> None:
    """A ban with nonsense in it is still a ban, and not the fault of the page."""
    assert retry_after(answered(retry_after=nonsense)) is None
