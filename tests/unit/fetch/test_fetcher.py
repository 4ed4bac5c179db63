"""One exchange through one proxy: answers, connections, cookies and redirects."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing

import pytest
import requests

from exchanges import PLAIN, evidence, fetch, soon, task
from peers import Line, Peer, answer, answering, socks5
from pinpool.errors import FetchFailed
from pinpool.fetch.fetcher import Fetcher
from pinpool.model import Charge, Evidence, Sign, Step
from pinpool.policy.faults import FAULTS, fault_of
from pinpool.settings import Settings

# Requests and answers


def test_an_answer_comes_back_whole_with_lower_case_headers() -> None:
    with Peer(answering(answer(b"<p>Heat</p>", Retry_After="7", X_Note="a"))) as proxy:
        page = fetch(proxy.proxy())

    assert (page.url, page.status, page.body, page.size) == (PLAIN, 200, b"<p>Heat</p>", 11)
    assert page.headers["retry-after"] == "7"
    assert page.headers["x-note"] == "a"
    assert page.seconds > 0


def test_an_error_status_is_an_answer() -> None:
    """Rule: a fetch does not judge the status."""
    with Peer(answering(answer(b"later", "503 Service Unavailable", Retry_After="9"))) as proxy:
        page = fetch(proxy.proxy())

    assert (page.status, page.body, page.headers["retry-after"]) == (503, b"later", "9")


def test_a_plain_request_asks_the_proxy_for_the_whole_url() -> None:
    with Peer(answering()) as proxy:
        fetch(proxy.proxy())

    request = proxy.heads[0]
    assert request.startswith(f"GET {PLAIN} HTTP/1.1\r\n")
    assert "Host: site.test\r\n" in request
    assert "Accept-Encoding: gzip, deflate\r\n" in request


@pytest.mark.parametrize("path", ["/%e4?q=100%", "/a%2Fb?x=%zz", "/a/../b?c=[d]|{e}", "/?q=%u0041"])
def test_a_url_is_requested_letter_by_letter(path: str) -> None:
    """Rule: percent signs stay as they are. urllib3 would make %E4 of %e4, and 100%25 of 100%."""
    with Peer(answering()) as proxy, Peer(socks5(answering())) as tunnel:
        fetch(proxy.proxy(), task("http://site.test" + path))
        with closing(Fetcher(tunnel.proxy("socks5h"), Settings())) as fetcher:
            fetcher.fetch(task("http://site.test" + path), soon())

    assert proxy.heads[0].startswith(f"GET http://site.test{path} HTTP/1.1\r\n")
    assert tunnel.heads[1].startswith(f"GET {path} HTTP/1.1\r\nHost: site.test\r\n")


def test_the_tasks_headers_overrule_the_settings_which_overrule_the_defaults() -> None:
    settings = Settings(headers={"user-agent": "spider", "X-Both": "settings"})
    with Peer(answering()) as proxy:
        fetch(proxy.proxy(), task(x_both="task"), settings)

    request = proxy.heads[0].lower()
    assert request.count("user-agent: spider\r\n") == request.count("user-agent:") == 1
    assert request.count("x-both: task\r\n") == request.count("x-both:") == 1


def test_a_form_is_posted_with_its_body() -> None:
    with Peer(answering()) as proxy:
        fetch(
            proxy.proxy(),
            task(method="POST", body=b"q=heat", content_type="application/x-www-form-urlencoded"),
        )

    assert proxy.heads[0].startswith("POST http://site.test/films")
    assert "content-type: application/x-www-form-urlencoded\r\n" in proxy.heads[0]
    assert proxy.heads[0].endswith("\r\n\r\nq=heat")


def test_a_login_set_on_the_session_counts() -> None:
    """A hook that runs on a new pin may set `session.auth`."""
    with Peer(answering()) as proxy, closing(Fetcher(proxy.proxy(), Settings())) as fetcher:
        fetcher.session.auth = ("anna", "secret")
        fetcher.fetch(task(), soon())

    assert "Authorization: Basic YW5uYTpzZWNyZXQ=\r\n" in proxy.heads[0]
    assert "Content-Length" not in proxy.heads[0]


@pytest.mark.parametrize("url", ["ftp://site.test/", "http:///path", "http://u:p@site.test/", "nonsense"])
def test_a_url_that_cannot_be_requested_is_evidence_and_sends_nothing(url: str) -> None:
    with Peer(answering()) as proxy:
        found = evidence(proxy.proxy(), task(url))

    assert found[:2] == (Step.HEAD, Sign.BROKEN)
    assert proxy.connections == 0


def test_a_failure_before_the_connection_is_not_the_proxys_fault() -> None:
    """Otherwise it would retire the whole list without asking any proxy."""

    def no_token(request: requests.PreparedRequest) -> requests.PreparedRequest:
        raise OSError("no token")

    with Peer(answering()) as proxy, closing(Fetcher(proxy.proxy(), Settings())) as fetcher:
        fetcher.session.auth = no_token
        with pytest.raises(FetchFailed) as caught:
            fetcher.fetch(task(), soon())

    assert FAULTS[fault_of(caught.value.evidence)].charge is not Charge.PROXY
    assert proxy.connections == 0


def test_answers_without_a_body_are_complete() -> None:
    def reply(request: str) -> bytes:
        if request.startswith("HEAD"):
            return b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\nContent-Encoding: gzip\r\n\r\n"
        return b"HTTP/1.1 204 No Content\r\n\r\n" if "204" in request else b"HTTP/1.1 304 Same\r\n\r\n"

    with Peer(answering(reply)) as proxy, closing(Fetcher(proxy.proxy(), Settings())) as fetcher:
        pages = [
            fetcher.fetch(task(method="HEAD"), soon()),
            fetcher.fetch(task(PLAIN + "204"), soon()),
            fetcher.fetch(task(PLAIN), soon()),
        ]

    assert [(page.status, page.body) for page in pages] == [(200, b""), (204, b""), (304, b"")]
    assert proxy.connections == 1


# Connections and identity


def test_a_connection_is_used_again_after_a_complete_body() -> None:
    with Peer(answering()) as proxy, closing(Fetcher(proxy.proxy(), Settings())) as fetcher:
        for _ in range(3):
            fetcher.fetch(task(), soon())

    assert (proxy.connections, len(proxy.heads)) == (1, 3)


def test_hooks_and_fetches_share_one_connection() -> None:
    with Peer(answering()) as proxy, closing(Fetcher(proxy.proxy(), Settings())) as fetcher:
        fetcher.session.get(PLAIN)
        fetcher.fetch(task(), soon())

    assert proxy.connections == 1


def test_no_connection_is_used_again_after_a_failure_and_the_cookies_stay() -> None:
    """Rule: a connection may hold the rest of an answer, which would be taken for the next one."""

    def reply(request: str) -> bytes:
        body = b"x" * 2000 if "large" in request else b"fine"
        return answer(body, Set_Cookie="id=7")

    with Peer(answering(reply)) as proxy, closing(Fetcher(proxy.proxy(), Settings(max_body=1000))) as fetcher:
        fetcher.fetch(task(), soon())
        with pytest.raises(FetchFailed):
            fetcher.fetch(task(PLAIN + "large"), soon())
        page = fetcher.fetch(task(), soon())

    assert page.body == b"fine"
    assert proxy.connections == 2
    assert "Cookie: id=7\r\n" in proxy.heads[-1]


def test_cookies_go_only_where_they_came_from() -> None:
    with (
        Peer(answering(lambda request: answer(Set_Cookie="id=7; Path=/"))) as proxy,
        closing(Fetcher(proxy.proxy(), Settings())) as fetcher,
    ):
        for url in ("http://site.test/1", "http://site.test/2", "http://elsewhere.test/"):
            fetcher.fetch(task(url), soon())

    assert ["Cookie: id=7" in request for request in proxy.heads] == [False, True, False]


# Redirects


def redirecting(status: str, location: str, **headers: str) -> Callable[[str], bytes]:
    """Redirect the first page, answer all others."""

    def reply(request: str) -> bytes:
        if "films" in request.split("\r\n", maxsplit=1)[0]:
            return answer(b"moved", status, Location=location, **headers)
        return answer(b"there")

    return reply


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/there?a=%e4#part", "http://site.test/there?a=%e4"),
        ("there", "http://site.test/there"),
        ("//other.test/there", "http://other.test/there"),
        ("http://other.test:81/there", "http://other.test:81/there"),
        ("/thère", "http://site.test/th%C3%A8re"),
        ("/a b", "http://site.test/a%20b"),
    ],
)
def test_a_redirect_is_followed_through_the_same_proxy(location: str, url: str) -> None:
    raw = location.encode().decode("latin-1")
    with Peer(answering(redirecting("302 Found", raw))) as proxy:
        page = fetch(proxy.proxy())

    assert (page.url, page.body) == (url, b"there")
    assert proxy.heads[1].startswith(f"GET {url} HTTP/1.1\r\n")
    assert proxy.connections == 1


@pytest.mark.parametrize(
    ("status", "method", "kept"),
    [
        ("301 Moved", "POST", False),
        ("302 Found", "POST", False),
        ("303 See Other", "POST", False),
        ("303 See Other", "PUT", False),
        ("302 Found", "PUT", True),
        ("307 Temporary", "POST", True),
        ("308 Permanent", "POST", True),
    ],
)
def test_a_redirected_form_is_sent_again_only_where_browsers_do(status: str, method: str, kept: bool) -> None:
    with Peer(answering(redirecting(status, "/there"))) as proxy:
        fetch(proxy.proxy(), task(method=method, body=b"q=heat", content_type="text/plain"))

    second = proxy.heads[1]
    assert second.startswith(method if kept else "GET")
    assert ("q=heat" in second, "content-type" in second) == (kept, kept)


@pytest.mark.parametrize(
    ("location", "kept"),
    [("/there", True), ("http://other.test/", False), ("http://site.test:81/", False)],
)
def test_credentials_do_not_follow_a_redirect_to_another_host(location: str, kept: bool) -> None:
    with Peer(answering(redirecting("307 Temporary", location))) as proxy:
        fetch(proxy.proxy(), task(authorization="Bearer abc", cookie="id=7"))

    assert ("Bearer abc" in proxy.heads[1], "id=7" in proxy.heads[1]) == (kept, kept)


def test_a_cookie_set_by_a_redirect_is_sent_to_its_target() -> None:
    with Peer(answering(redirecting("302 Found", "/there", Set_Cookie="id=7"))) as proxy:
        fetch(proxy.proxy())

    assert "Cookie: id=7\r\n" in proxy.heads[1]


def test_a_flood_of_cookies_is_thrown_away() -> None:
    """Sent back, they would make every later request of this pin fail, and its worker's memory grow."""
    flood = {"Set_Cookie": f"big={'x' * 60_000}", "set_cookie": f"more={'y' * 60_000}"}
    with Peer(answering(redirecting("302 Found", "/there", **flood))) as proxy:
        fetch(proxy.proxy())

    assert "Cookie:" not in proxy.heads[1]


@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 999\r\nConnection: close\r\n\r\ncut",
        b"Content-Length: 99999999\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nno chunk\r\n",
        b"\r\nno length",
    ],
)
def test_a_redirect_does_not_depend_on_its_body(rest: bytes) -> None:
    """Rule: status and Location suffice (Fetch standard, HTTP fetch). The connection is lost then."""

    def script(line: Line) -> None:
        if "films" in line.head():
            line.send(b"HTTP/1.1 302 Found\r\nLocation: /there\r\n" + rest)
            if b"close" not in rest:
                line.wait()
        else:
            line.send(answer(b"there"))

    with Peer(script) as proxy:
        page = fetch(proxy.proxy())

    assert (page.url, page.body, proxy.connections) == ("http://site.test/there", b"there", 2)


def test_the_same_target_twice_is_one_and_two_targets_are_evidence() -> None:
    with Peer(answering(redirecting("302 Found", "/there", LOCATION="/there"))) as proxy:
        page = fetch(proxy.proxy())
    with Peer(answering(redirecting("302 Found", "/there", LOCATION="/elsewhere"))) as proxy:
        found = evidence(proxy.proxy())

    assert page.url == "http://site.test/there"
    assert found[:2] == (Step.PAGE, Sign.REDIRECTS)


def test_a_target_that_is_not_utf_8_is_escaped_as_it_is() -> None:
    with Peer(answering(redirecting("302 Found", "/th\xe8re"))) as proxy:
        assert fetch(proxy.proxy()).url == "http://site.test/th%E8re"


def test_redirects_in_a_circle_end_at_the_limit() -> None:
    with Peer(answering(answer(b"", "302 Found", Location="/films"))) as proxy:
        found = evidence(proxy.proxy(), settings=Settings(max_redirects=3))

    assert found == Evidence(Step.PAGE, Sign.REDIRECTS, "more than 3 redirects", 302)
    assert len(proxy.heads) == 4


@pytest.mark.parametrize("location", ["ftp://site.test/", "javascript:x", "http://[", "http://u:planted@a.test/"])
def test_a_redirect_to_something_else_than_a_page_is_evidence(location: str) -> None:
    with Peer(answering(redirecting("302 Found", location))) as proxy:
        found = evidence(proxy.proxy())

    assert found[:2] == (Step.PAGE, Sign.REDIRECTS)
    assert "planted" not in found.message


def test_a_redirect_without_a_target_is_an_answer() -> None:
    with Peer(answering(answer(b"choose", "302 Found"))) as proxy:
        page = fetch(proxy.proxy())

    assert (page.status, page.body) == (302, b"choose")


def test_a_json_page_comes_back_as_bytes() -> None:
    with Peer(answering(answer(json.dumps({"title": "Heat"}).encode()))) as proxy:
        page = fetch(proxy.proxy())

    assert json.loads(page.body) == {"title": "Heat"}


def test_its_repr_names_the_proxy_without_the_password() -> None:
    with (
        Peer(answering()) as proxy,
        closing(Fetcher(proxy.proxy("http", "anna", "planted"), Settings())) as fetcher,
    ):
        shown = f"{fetcher!r} {fetcher.session!r} {fetcher.session.pin!r}"

    assert f"<PinnedSession http://anna@{proxy.netloc}>" in shown
    assert "planted" not in shown
