"""The practice site judges every crawl, so its pages are judged here, by clients of other authors."""

from __future__ import annotations

import gzip

import pytest
import urllib3
from urllib3.exceptions import HTTPError

import labs
from labs import EVERY_KIND, HTTP, SOCKS, client, get, plug, read_until, select, status
from pinpool.lab import Lab
from pinpool.lab.pages import LANGUAGES

lab = labs.lab  # pytest finds a fixture by the module's own names


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

    assert {film.encoding for film in lab.films().values()} == {language.encoding.name for language in LANGUAGES}
    assert {answer.headers.get("Content-Encoding") for answer in answers} == {None, "gzip"}
    assert {answer.headers.get("Transfer-Encoding") for answer in answers} == {None, "chunked"}
    for answer in answers:
        size = len(gzip.decompress(answer.data) if "Content-Encoding" in answer.headers else answer.data)
        assert 30_000 <= size <= 60_000


def test_the_label_of_the_french_pages_lies_as_sites_do() -> None:
    """A client that believes iso-8859-1 gets control characters instead of quotes."""
    films = Lab(pages=30).films().values()

    texts = [film.title for film in films if film.encoding == "cp1252 labelled iso-8859-1"]

    assert any(text.encode("cp1252") != text.encode("latin-1", "replace") for text in texts)


def test_the_same_seed_gives_the_same_films_and_another_seed_others() -> None:
    once, again, other = Lab(seed=5), Lab(seed=5), Lab(seed=6)

    assert once.films() == again.films()
    assert once.films() != other.films()
    assert once.catalogue.film_page(7, True) == again.catalogue.film_page(7, True)


@pytest.mark.parametrize(
    "path",
    ["/page/0", "/page/4", "/page/01", "/detail/31", "/detail/x", "/nothing", "/status/99"],
)
def test_what_is_not_there_is_404(lab: Lab, path: str) -> None:
    with client(None) as web:
        assert status(web, lab.url + path) == 404


def test_status_pages_can_ask_to_be_retried_later(lab: Lab) -> None:
    with client(None) as web:
        answer = web.request("GET", lab.url + "/status/429?retry-after=7")

    assert (answer.status, answer.headers["Retry-After"]) == (429, "7")


def test_redirects_go_on_as_often_as_requested(lab: Lab) -> None:
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
        cookie = {"Cookie": web.request("GET", lab.named_url + "/login").headers["Set-Cookie"].partition(";")[0]}

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
        huge = web.request("GET", lab.url + "/huge", preload_content=False)
        assert int(huge.headers["Content-Length"]) == 100_000_000
        huge.close()


@pytest.mark.parametrize(("path", "started"), [("/drip-head", b"X-Drip: ...."), ("/drip-body", b"\r\n\r\n<p>\n<p>")])
def test_a_drip_does_not_stop(lab: Lab, path: str, started: bytes) -> None:
    with plug(int(lab.url.rpartition(":")[2])) as plugged:
        plugged.sendall(get(path))

        assert started in read_until(plugged, started)
        assert plugged.recv(100)


def test_noise_is_answered_with_400_and_a_close(lab: Lab) -> None:
    for noise in (
        b"\x16\x03\x01\x02\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"x" * 70_000,
    ):
        with plug(int(lab.url.rpartition(":")[2])) as plugged:
            plugged.sendall(noise)

            assert plugged.recv(100).startswith(b"HTTP/1.1 400 ")


def test_requests_sent_ahead_are_answered_in_order() -> None:
    with Lab(pages=1, latency=0.01) as lab, plug(int(lab.url.rpartition(":")[2])) as plugged:
        plugged.sendall(get("/status/201") + get("/status/203") + get("/status/202"))

        answers = read_until(plugged, b"Status 202</h1>")

    assert answers.index(b"Status 201</h1>") < answers.index(b"Status 203</h1>") < answers.index(b"Status 202</h1>")


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
