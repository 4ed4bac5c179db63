"""The lab's proxies lead where they should and fail as they should, with any client."""

from __future__ import annotations

import socket
import struct
from contextlib import closing

import pytest
import trustme
import urllib3
from urllib3.exceptions import HTTPError, ProxyError

import labs
from labs import (
    DEADLINE,
    EVERY_KIND,
    HTTP,
    OPEN_HTTP,
    OPEN_SOCKS,
    SOCKS,
    client,
    faulty,
    get,
    plug,
    read_until,
    select,
    status,
)
from pinpool.lab import FAULTS, Lab
from pinpool.lab.faults import draw_flaw

lab, authority, tls_lab = labs.lab, labs.authority, labs.tls_lab


@EVERY_KIND
def test_a_client_keeps_one_connection_for_all_its_requests(index: int) -> None:
    with Lab(pages=1) as lab, client(lab.proxies[index]) as web:
        for path in lab.films():
            assert status(web, lab.named_url + path) == 200

        proxy = lab.proxies[index]
        assert (proxy.requests, proxy.connections) == (10, 1)
        assert (proxy.max_users, lab.direct) == (1, 0)
        assert [(seen.proxy, seen.status) for seen in lab.requests] == [(index, 200)] * 10


@pytest.mark.parametrize("index", [HTTP, SOCKS])
def test_a_wrong_password_is_refused(lab: Lab, index: int) -> None:
    proxy = lab.proxies[index]
    before = proxy.logins_refused

    with client(proxy, password="wrong") as web:
        if proxy.scheme == "http":
            assert status(web, lab.named_url + "/page/1") == 407
        else:
            with pytest.raises(HTTPError, match="authentication failed"):
                status(web, lab.named_url + "/page/1")

    assert proxy.logins_refused == before + 1


def test_a_client_that_bypasses_the_proxies_cannot_resolve_the_name_and_is_counted() -> None:
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
        titles = [select(web.request("GET", base + path)).css("h2.m-b-sm::text").get() for path in tls_lab.films()]
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


# --- faults


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
            plugged.sendall(b"\x05\x02\0\x02" if proxy.scheme == "socks5h" else get(lab.named_url + "/page/1"))
            lab.wait_for(lambda: proxy.users == 1, DEADLINE)
            plugged.settimeout(0.05)
            with pytest.raises(TimeoutError):
                plugged.recv(1)
        lab.wait_for(lambda: proxy.users == 0, DEADLINE)


@EVERY_KIND
def test_a_proxy_that_refuses_every_login_refuses_the_right_one(index: int) -> None:
    with faulty("auth", index) as lab, client(lab.proxies[index]) as web:
        if lab.proxies[index].scheme == "http":
            assert status(web, lab.named_url + "/page/1") == 407
            with pytest.raises(ProxyError, match="407"):
                status(web, "https://movies.test/")
        else:
            with pytest.raises(HTTPError):
                status(web, lab.named_url + "/page/1")
        assert lab.proxies[index].logins_refused == (2 if lab.proxies[index].scheme == "http" else 1)
        assert lab.requests == []


@EVERY_KIND
def test_a_banned_proxy_gets_403_after_its_last_page(index: int) -> None:
    with faulty("ban", index, ban_after=3) as lab, client(lab.proxies[index]) as web:
        answers = [status(web, lab.named_url + "/page/1") for _ in range(6)]

    assert answers == [200] * 3 + [403] * 3


@EVERY_KIND
def test_a_soft_ban_answers_200_with_a_block_page(index: int) -> None:
    with faulty("softban", index) as lab, client(lab.proxies[index]) as web:
        answer = web.request("GET", lab.named_url + "/detail/1")

    assert answer.status == 200
    assert b"unusual traffic" in answer.data
    assert not select(answer).css("h2.m-b-sm")


@EVERY_KIND
def test_a_proxy_with_a_broken_cache_gives_one_page_of_each_kind(index: int) -> None:
    with faulty("cached", index) as lab, client(lab.proxies[index]) as web, client(lab.proxies[2]) as other:
        films = {web.request("GET", f"{lab.named_url}/detail/{number}").data for number in (1, 2, 3)}
        right = other.request("GET", f"{lab.named_url}/detail/1").data

        assert films == {right}
        assert status(web, f"{lab.named_url}/echo") == 200
        assert [seen.path for seen in lab.requests][:3] == ["/detail/1", "/detail/2", "/detail/3"]


@EVERY_KIND
def test_a_sparse_proxy_leaves_the_directors_out_in_every_encoding(index: int) -> None:
    with faulty("sparse", index) as lab, client(lab.proxies[index]) as web:
        for number in range(1, 9):
            page = select(web.request("GET", f"{lab.named_url}/detail/{number}"))

            assert page.css("h2.m-b-sm::text").get() == lab.catalogue.film(number).title
            assert not page.xpath('//div[@class="directors el-row"]//p')


@EVERY_KIND
def test_a_dripping_proxy_sends_the_page_very_slowly(index: int) -> None:
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
                    seen.add(next(word for word in ("reset", "IncompleteRead", "SOCKS") if word in repr(error)))

    refusal = "502" if lab.proxies[index].scheme == "http" else "SOCKS"
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


def test_the_seed_chooses_which_proxies_are_faulty() -> None:
    def chosen(seed: int) -> list[str | None]:
        return [proxy.fault for proxy in Lab(proxies=20, faults=FAULTS, seed=seed).proxies]

    assert chosen(1) == chosen(1)
    assert chosen(1) != chosen(2)
    assert sorted(fault for fault in chosen(1) if fault) == sorted(FAULTS)


def test_proxies_that_die_over_time_work_until_the_first_request_and_then_refuse_one_by_one() -> None:
    with Lab(pages=1, proxies=30, dying=1 - 1e-15) as lab:
        assert not any(proxy.fault for proxy in lab.proxies)
        with client(lab.proxies[OPEN_HTTP]) as web:
            assert status(web, lab.named_url + "/page/1") == 200

        lab.wait_for(lambda: any(proxy.fault == "refused" for proxy in lab.proxies), DEADLINE)

        assert not all(proxy.fault for proxy in lab.proxies)
