"""
Every fault, over every kind of route, from a real situation: real sockets, real TLS, the worker's own job, and a
whole crawl for what ends a worker.

`test_diagnosis*` tests the evidence of the single steps; here it is the name that users read.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

import pytest

from certificates import Authority
from commands import Desk
from exchanges import PASSWORD, USER
from peers import Line, Peer, Script, answer, answering, connect_then, hang_up, saying, silent, socks5, tls
from pinpool.crawler.page_job import PageJob
from pinpool.lab import Lab
from pinpool.model import Assignment, Ending, Fault
from pinpool.policy.faults import fault_of
from pinpool.pool.job import JobResult
from pinpool.pool.lease_types import Lease
from pinpool.pool.pin import Pin
from pinpool.proxies.proxy import Proxy
from pinpool.settings import Settings, settings_from
from pinpool.spider.loader import parse_ref
from pinpool.tasks import request

ROUTES = ("http", "connect", "socks5")
TITLE = "<h1>A film</h1>"
#: Time-outs that a busy machine does not reach; a situation that waits for one has its own.
LIMITS = {"connect_timeout": 30, "timeout": 30, "deadline": 90, "max_body": 20_000, "max_redirects": 2}
SPIDER = """
from pinpool import Page, Spider

spider = Spider(seeds=["http://site.test/"])


@spider.index
def film(page: Page):
    if "raise" in page.url:
        raise KeyError("title")
    return {"url": page.url, "title": page.first("h1::text")}
"""


class Rig(NamedTuple):
    """What a situation is built on. `trusted` is the certificate file of the authority that signed the others."""

    stack: ExitStack
    route: str
    folder: Path
    trusted: str
    site: ssl.SSLContext
    proxy: ssl.SSLContext
    stranger: ssl.SSLContext

    def ask(self, proxy: Proxy, path: str = "", scheme: str = "", **settings: object) -> JobResult:
        """The result of one page for a worker with this pin."""
        chosen = settings_from({**LIMITS, "ca_bundle": self.trusted, **settings}, Settings())
        job = PageJob(parse_ref(str(self.folder / "film.py")), chosen)
        pin = Pin(Lease(1, proxy, probing=False), chosen)
        scheme = scheme or ("https" if self.route == "connect" else "http")
        with closing(pin.fetcher):
            done = job.perform(pin, Assignment(request(f"{scheme}://site.test/{path}")))
        assert done is not None
        return done

    def listen(self, script: Script) -> Peer:
        return self.stack.enter_context(Peer(script))

    def through(self, site: Script, context: ssl.SSLContext | None = None) -> Proxy:
        """A good proxy of this route, with `site` behind it."""
        if self.route == "connect" or context:
            site = tls(context or self.site, site)
        wrappers: dict[str, Callable[[Script], Script]] = {"connect": connect_then, "socks5": socks5}
        wrap = wrappers.get(self.route)
        return self.listen(wrap(site) if wrap else site).proxy(self.scheme)

    @property
    def scheme(self) -> str:
        return "socks5h" if self.route == "socks5" else "http"


Situation = Callable[[Rig], JobResult]
SITUATIONS: dict[tuple[Fault, str], Situation] = {}


def situation(fault: Fault, *routes: str) -> Callable[[Situation], Situation]:
    """Add it to the table for these routes, or for all."""

    def enter(made: Situation) -> Situation:
        for route in routes or ROUTES:
            assert (fault, route) not in SITUATIONS
            SITUATIONS[fault, route] = made
        return made

    return enter


#: Pairs that cannot happen, each with the reason.
IMPOSSIBLE = {
    (Fault.TUNNEL, "http"): "no tunnel: a proxy that cannot reach the site answers for it",
    (Fault.TLS, "http"): "no TLS with the site",
    (Fault.PROXY_TLS, "socks5"): "no TLS with a SOCKS proxy",
    (Fault.DNS, "socks5"): "SOCKS has one reply for all hosts that cannot be reached",
}


# --- the proxy itself


@situation(Fault.REFUSED)
def nobody_listens(rig: Rig) -> JobResult:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return rig.ask(Proxy(rig.scheme, "127.0.0.1", port, USER, PASSWORD))


@situation(Fault.UNREACHABLE)
def its_name_does_not_resolve(rig: Rig) -> JobResult:
    return rig.ask(Proxy(rig.scheme, "no-such-proxy.invalid", 8080, USER, PASSWORD))


@situation(Fault.CONNECT_TIMEOUT)
def it_takes_no_more_connections(rig: Rig) -> JobResult:
    listener = rig.stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
    for _ in range(4):  # the queue is full from the second one on
        filler = rig.stack.enter_context(socket.socket())
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
    return rig.ask(Proxy(rig.scheme, "127.0.0.1", listener.getsockname()[1]), connect_timeout=0.3)


@situation(Fault.PROXY_AUTH, "http", "connect")
def it_wants_another_password(rig: Rig) -> JobResult:
    wants = answer(b"", "407 Proxy Authentication Required", Proxy_Authenticate="Basic")
    return rig.ask(rig.listen(answering(wants)).proxy("http", USER, PASSWORD))


@situation(Fault.PROXY_AUTH, "socks5")
def it_knows_another_login(rig: Rig) -> JobResult:
    return rig.ask(rig.listen(socks5(silent, (USER, "another"))).proxy("socks5h", USER, PASSWORD))


@situation(Fault.TUNNEL, "connect")
def it_answers_502_to_connect(rig: Rig) -> JobResult:
    return rig.ask(rig.listen(answering(answer(b"", "502 Bad Gateway"))).proxy())


@situation(Fault.TUNNEL, "socks5")
def it_says_that_the_host_cannot_be_reached(rig: Rig) -> JobResult:
    return rig.ask(rig.listen(socks5(silent, reply=4)).proxy("socks5h"))


@situation(Fault.PROXY_TLS, "http", "connect")
def its_own_certificate_is_a_strangers(rig: Rig) -> JobResult:
    return rig.ask(rig.listen(tls(rig.stranger, answering())).proxy("https"))


# --- the proxy or the site: the page did not arrive whole


@situation(Fault.TIMEOUT)
def nothing_comes(rig: Rig) -> JobResult:
    return rig.ask(rig.through(silent), timeout=0.3)


@situation(Fault.DEADLINE)
def it_comes_one_byte_at_a_time(rig: Rig) -> JobResult:
    def drip(line: Line) -> None:
        line.head()
        line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
        line.drip(b"x")

    return rig.ask(rig.through(drip), deadline=0.4)


@situation(Fault.RESET)
def the_connection_is_closed_before_an_answer(rig: Rig) -> JobResult:
    return rig.ask(rig.through(hang_up))


@situation(Fault.TRUNCATED)
def the_body_is_cut_off(rig: Rig) -> JobResult:
    return rig.ask(rig.through(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n<h1>A fi")))


@situation(Fault.TLS, "connect", "socks5")
def the_sites_certificate_is_a_strangers(rig: Rig) -> JobResult:
    return rig.ask(rig.through(answering(), rig.stranger), scheme="https")


# --- the site and the page


@situation(Fault.BANNED)
def the_site_turns_us_away(rig: Rig) -> JobResult:
    return rig.ask(rig.through(answering(answer(b"Go away", "403 Forbidden"))))


@situation(Fault.EMPTY)
def there_is_nothing_in_the_page(rig: Rig) -> JobResult:
    return rig.ask(rig.through(answering(answer(b"<p>unusual traffic</p>"))))


@situation(Fault.DNS, "http", "connect")
def squid_says_that_the_name_is_unknown(rig: Rig) -> JobResult:
    says = answer(
        b"<html>",
        "503 Service Unavailable",
        Server="squid/4.10",
        X_Squid_Error="ERR_DNS_FAIL 0",
        Connection="close",
    )
    return rig.ask(rig.listen(answering(says)).proxy())


@situation(Fault.SERVER_ERROR)
def the_site_is_out_of_order(rig: Rig) -> JobResult:
    return rig.ask(rig.through(answering(answer(b"", "500 Internal Server Error"))))


@situation(Fault.HTTP_ERROR)
def the_site_answers_with_an_odd_status(rig: Rig) -> JobResult:
    return rig.ask(rig.through(answering(answer(b"", "418 I'm a teapot"))))


@situation(Fault.TOO_LARGE)
def the_page_is_larger_than_allowed(rig: Rig) -> JobResult:
    return rig.ask(rig.through(answering(answer(bytes(30_000)))))


@situation(Fault.REDIRECTS)
def the_site_leads_in_a_circle(rig: Rig) -> JobResult:
    return rig.ask(rig.through(answering(answer(b"", "302 Found", Location="/again"))))


@situation(Fault.EXTRACT)
def the_spider_raises(rig: Rig) -> JobResult:
    return rig.ask(rig.through(answering(answer(TITLE.encode()))), "raise")


#: Whole crawls show what ends a worker (below), and the simulated ones of `test_second_attempts` who is slow.
IN_A_CRAWL = {(fault, route) for fault in (Fault.CRASH, Fault.HANG, Fault.SLOW) for route in ROUTES}


# --- the tests


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def contexts(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> list[ssl.SSLContext]:
    """Of the site, of a proxy, and of a site that another authority has signed."""
    stranger = Authority(tmp_path_factory.mktemp("stranger"))
    signers = ((authority, "site.test"), (authority, "127.0.0.1"), (stranger, "site.test"))
    return [signer.context(name, "127.0.0.1") for signer, name in signers]


@pytest.fixture
def rig(tmp_path: Path, authority: Authority, contexts: list[ssl.SSLContext]) -> Iterator[Rig]:
    (tmp_path / "film.py").write_text(SPIDER)
    with ExitStack() as stack:
        yield Rig(stack, "", tmp_path, authority.bundle, *contexts)


def test_every_fault_has_its_situation_over_every_route() -> None:
    every = {(fault, route) for fault in Fault for route in ROUTES}

    assert len(SITUATIONS) + len(IMPOSSIBLE) + len(IN_A_CRAWL) == len(every)
    assert SITUATIONS.keys() | IMPOSSIBLE.keys() | IN_A_CRAWL == every


@pytest.mark.parametrize("route", ROUTES)
def test_without_a_fault_there_is_a_page(rig: Rig, route: str) -> None:
    """Otherwise each situation below could be that of a proxy that never works."""
    rig = rig._replace(route=route)

    done = rig.ask(rig.through(answering(answer(TITLE.encode()))))

    assert done.ending is Ending.OK
    assert [json.loads(item)["title"] for item in done.items] == ["A film"]


@pytest.mark.parametrize(("fault", "route"), [pytest.param(*pair, id=f"{pair[0]}-{pair[1]}") for pair in SITUATIONS])
def test_each_situation_is_reported_as_its_fault(rig: Rig, fault: Fault, route: str) -> None:
    done = SITUATIONS[fault, route](rig._replace(route=route))

    assert done.ending is Ending.FAILED
    assert done.evidence is not None
    assert (fault_of(done.evidence), done.items, done.tasks) == (fault, (), ())
    assert done.evidence.message
    assert PASSWORD not in repr(done)


FATAL = """
import os
from pinpool import Page, Spider

spider = Spider(seeds=[{base!r} + "/detail/1", {base!r} + "/detail/2"], deadline=0.3, grace=0.2)


@spider.index
def film(page: Page):
    if page.url.endswith("1"):
        os._exit(1)
    while True:
        try:
            sum(range(10**12))
        except BaseException:
            pass
"""


@pytest.mark.grid(keep=1)
@pytest.mark.processes
@pytest.mark.parametrize("route", ROUTES)
def test_what_ends_a_worker_is_reported_as_crash_or_hang(desk: Desk, route: str, authority: Authority) -> None:
    with Lab(pages=1, certificate=authority.files("movies.test")) as lab:
        base = lab.named_tls_url if route == "connect" else lab.named_url
        desk.write("fatal.py", FATAL.format(base=base))
        scheme = "socks5h" if route == "socks5" else "http"
        desk.write("proxies.txt", "\n".join(proxy.url for proxy in lab.proxies if proxy.scheme == scheme))
        crawl = desk.run(
            *("crawl", "fatal.py", "-p", "proxies.txt", "-w", 2, "-q", "-s", f"ca_bundle={authority.bundle}")
        )
        failures = desk.run("failures", "fatal.db", "--json").json()

    faults = {task["url"][-1]: {attempt["fault"] for attempt in task["attempts"]} for task in failures}
    assert crawl.code == 3, crawl.err
    assert faults == {"1": {Fault.CRASH.value}, "2": {Fault.HANG.value}}
    assert (lab.direct, len({seen.proxy for seen in lab.requests}) > 1) == (0, True)
