"""The cookies of a pin: what a browser keeps, and where it sends that."""

from __future__ import annotations

from calendar import timegm

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from pinpool.fetch.cookies import MAX_AGE, CookieJar, cookie_date, is_public_suffix
from pinpool.fetch.session import PinnedSession
from pinpool.proxies.proxy import Proxy
from pinpool.settings import Settings

NOW = float(timegm((2026, 11, 27, 12, 0, 0)))
SITE = "http://www.site.example/shop/cart?x"


def sent(*lines: str, by: str = SITE, to: str = SITE, after: float = 0.0) -> str:
    """The Cookie header of a request to `to`, `after` seconds after `by` has set these cookies."""
    jar = CookieJar()
    for line in lines:
        jar.keep(line, by, NOW)
    return jar.header(to, NOW + after)


@pytest.mark.parametrize(
    ("line", "header"),
    [
        ("id=7", "id=7"),
        (" id = 7 ; Path=/", "id=7"),
        ("id=7; Domain=", "id=7"),
        ("id=7; Max-Age=3600.5", "id=7"),
        ('id=7; Max-Age="3600"', "id=7"),
        ("id=7; Max-Age=session; Max-Age=", "id=7"),
        ("id=7; Expires=soon; Nonsense; =; SameSite=Maybe", "id=7"),
        ("id=7; Path=shop", "id=7"),
        ("id=7; Path=/a; Path=/shop", "id=7"),
        ("id=a=b; HttpOnly", "id=a=b"),
        ('id="a b"', 'id="a b"'),
        (r'id="a\"b"', r'id="a\"b"'),
        ("id=caf\xe9", "id=caf\xe9"),
        ("nameless", "nameless"),
        ("id=7; Max-Age=0", ""),
        ("id=7; Max-Age=-1", ""),
        ("id=7; Max-Age=99; Max-Age=0", ""),
        ("id=7; Expires=Thu Jan 01 00:00:01 1970", ""),
        ("id=7; Expires=Thu, 01-Jan-1970 00:00:01 GMT; Max-Age=60", "id=7"),
        ("id=7; Path=/other", ""),
        ("id=7; Secure", ""),
        ("id=7; Domain=other.example", ""),
        ("id=7; Domain=shop.www.site.example", ""),
        ("id=7; Domain=example", ""),
        ("id=7\x01; Path=/", ""),
        (f"id={'x' * 5000}", ""),
        ("=; Path=/", ""),
        ("__Host-id=7; Path=/", ""),
        ("__secure-id=7", ""),
        ("=__Host-id=7", ""),
    ],
)
def test_a_cookie_is_kept_or_dropped_as_browsers_do(line: str, header: str) -> None:
    assert sent(line) == header


@pytest.mark.parametrize(
    ("line", "to", "goes"),
    [
        ("id=7", "http://site.example/shop/", False),
        ("id=7", "http://a.www.site.example/shop/", False),
        ("id=7", "https://www.site.example:8443/shop/", True),
        ("id=7", "http://www.site.example/", False),
        ("id=7", "http://www.site.example/shop", True),
        ("id=7", "http://www.site.example/shopping", False),
        ("id=7; Path=/", "http://www.site.example/", True),
        ("id=7; Path=/; Domain=.Site.Example", "http://site.example/", True),
        ("id=7; Path=/; Domain=site.example", "http://a.b.site.example/", True),
        ("id=7; Path=/; Domain=site.example", "http://mysite.example/", False),
    ],
)
def test_a_cookie_goes_where_its_domain_and_path_say(line: str, to: str, goes: bool) -> None:
    assert bool(sent(line, to=to)) == goes


def test_a_secure_cookie_goes_over_https_only_and_http_cannot_replace_it() -> None:
    secure = "https://www.site.example/"
    jar = CookieJar()
    jar.keep("__Host-id=7; Secure; Path=/", secure, NOW)
    jar.keep("__Host-id=8; Path=/", "http://www.site.example/", NOW)
    jar.keep("key=1; Secure; Domain=site.example; Path=/", secure, NOW)
    jar.keep("key=2; Path=/", "http://site.example/", NOW)

    assert jar.header(secure, NOW) == "__Host-id=7; key=1"
    assert jar.header("http://www.site.example/", NOW) == ""


def test_the_longer_path_comes_first_and_a_new_value_keeps_its_place() -> None:
    lines = ("a=1; Path=/", "b=1; Path=/", "c=1; Path=/shop", "a=2; Path=/")

    assert sent(*lines) == "c=1; a=2; b=1"


def test_a_cookie_is_removed_by_one_that_has_expired() -> None:
    assert sent("id=7; Path=/", "id=; Path=/; Max-Age=0") == ""


def test_a_cookie_ends_when_it_says_and_after_400_days_at_the_latest() -> None:
    assert sent("id=7; Max-Age=60", after=59) == "id=7"
    assert sent("id=7; Max-Age=60", after=61) == ""
    assert sent("id=7; Max-Age=99999999999999999999", after=MAX_AGE + 1) == ""
    assert sent("id=7; Expires=Fri, 31 Dec 9999 23:59:59 GMT", after=MAX_AGE + 1) == ""
    assert sent("id=7", after=MAX_AGE + 1) == "id=7"


@pytest.mark.parametrize(
    ("by", "line", "to"),
    [
        ("http://192.0.2.1/", "id=7; Domain=192.0.2.1", "http://192.0.2.1/"),
        ("http://github.io/", "id=7; Domain=github.io", "http://github.io/"),
        ("http://localhost/", "id=7; Domain=localhost", "http://localhost/"),
    ],
)
def test_an_address_and_a_public_suffix_get_a_cookie_for_themselves_only(by: str, line: str, to: str) -> None:
    assert sent(line, by=by, to=to) == "id=7"
    assert sent(line, by=by, to=to.replace("://", "://a.")) == ""


@pytest.mark.parametrize("suffix", ["com", "co.uk", "github.io", "xn--55qx5d.cn", "anything.ck", "unknown"])
def test_no_site_sets_a_cookie_for_all_sites_below_a_public_suffix(suffix: str) -> None:
    assert is_public_suffix(suffix)
    assert sent(f"id=7; Domain={suffix}", by=f"http://a.{suffix}/", to=f"http://a.{suffix}/") == ""


@pytest.mark.parametrize("domain", ["site.com", "www.ck", "site.co.uk", "me.github.io", "site.unknown"])
def test_below_a_public_suffix_names_have_owners(domain: str) -> None:
    assert not is_public_suffix(domain)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Mon, 10-Dec-2007 17:02:24 GMT", (2007, 12, 10, 17, 2, 24)),
        ("Wed, 09 Dec 2009 16:27:23 GMT", (2009, 12, 9, 16, 27, 23)),
        ("Thu Jan 01 00:00:01 1970", (1970, 1, 1, 0, 0, 1)),
        ("2012 7:8:9 3 feBruary", (2012, 2, 3, 7, 8, 9)),
        ("Mon, 10-Dec-07 17:02:24", (2007, 12, 10, 17, 2, 24)),
        ("Mon, 10-Dec-70 17:02:24", (1970, 12, 10, 17, 2, 24)),
    ],
)
def test_a_date_is_read_in_any_order(text: str, moment: tuple[int, ...]) -> None:
    assert cookie_date(text) == timegm(moment)


@pytest.mark.parametrize(
    "text", ["", "soon", "1 Jan 2030", "31 Feb 2030 0:0:0", "1 Jan 1600 0:0:0", "1 Jan 2030 24:0:0"]
)
def test_what_is_not_a_date_is_not_guessed(text: str) -> None:
    assert cookie_date(text) is None


@given(st.text(), st.sampled_from(["http://a.example/x", "https://192.0.2.1", "http://[::1]/"]))
def test_no_header_breaks_the_jar(line: str, url: str) -> None:
    jar = CookieJar()
    jar.keep(line, url, NOW)
    jar.keep(f"a=1; Expires={line}; Max-Age={line}; Domain={line}; Path={line}", url, NOW)

    assert isinstance(jar.header(url, NOW), str)


def test_a_session_sends_by_the_same_rules_and_its_own_cookies_everywhere() -> None:
    session = PinnedSession(Proxy("http", "192.0.2.9", 8080), Settings())
    session.cookies.keep(r'site="\"1"; Path=/', "http://site.example/", NOW)
    session.cookies.set("mine", "2")

    def header(url: str, **more: object) -> str | None:
        return session.prepare_request(requests.Request("GET", url, **more)).headers.get("Cookie")

    assert header("http://site.example/") == r'site="\"1"; mine=2'
    assert header("http://a.site.example/") == "mine=2"
    assert header("http://a.site.example/", cookies={"once": "3"}) == "mine=2; once=3"
    assert header("http://site.example/", headers={"cookie": "own=4"}) == "own=4"
    assert "once" not in session.cookies
