"""Lists of proxies are read whatever they hold, and no password ever comes out again."""

from __future__ import annotations

import io
import string
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pinpool.errors import ProxyListError
from pinpool.proxies.parse import parse, parse_bytes
from pinpool.proxies.proxy import Proxy

NO_INPUT = io.BytesIO()
EXAMPLE = Path(__file__).parents[3] / "proxies.example.txt"


def only(line: str) -> Proxy:
    (proxy,) = parse(line, "list").proxies
    return proxy


def problems(text: str) -> list[str]:
    with pytest.raises(ProxyListError) as caught:
        parse(text, "list")
    return list(caught.value.problems)


# Forms


@pytest.mark.parametrize(
    ("line", "proxy"),
    [
        ("192.0.2.1:8080", Proxy("http", "192.0.2.1", 8080)),
        ("https://Proxy.Example.com:443/", Proxy("https", "proxy.example.com", 443)),
        ("SOCKS5H://alice:secret@192.0.2.1:1080", Proxy("socks5h", "192.0.2.1", 1080, "alice", "secret")),
        ("alice:secret@192.0.2.1:80", Proxy("http", "192.0.2.1", 80, "alice", "secret")),
        ("192.0.2.1:80:alice:secret", Proxy("http", "192.0.2.1", 80, "alice", "secret")),
        ("socks5://192.0.2.1:80:alice:secret", Proxy("socks5", "192.0.2.1", 80, "alice", "secret")),
        ("[2001:DB8:0::1]:80", Proxy("http", "2001:db8::1", 80)),
        ("[2001:db8::1]:80:alice:secret", Proxy("http", "2001:db8::1", 80, "alice", "secret")),
        ("http://alice:p#s@w:r/d@192.0.2.1:80", Proxy("http", "192.0.2.1", 80, "alice", "p#s@w:r/d")),
        ("http://alice:a%2540b@192.0.2.1:80", Proxy("http", "192.0.2.1", 80, "alice", "a%40b")),
        ("http://alice:100%@192.0.2.1:80", Proxy("http", "192.0.2.1", 80, "alice", "100%")),
        ("192.0.2.1:80:alice:a%40b", Proxy("http", "192.0.2.1", 80, "alice", "a%40b")),
        ("192.0.2.1:80:alice:p@ss/", Proxy("http", "192.0.2.1", 80, "alice", "p@ss/")),
        ("http://alice:80:x:y@192.0.2.1:80", Proxy("http", "192.0.2.1", 80, "alice", "80:x:y")),
        ("http://алиса:пароль@192.0.2.1:80", Proxy("http", "192.0.2.1", 80, "алиса", "пароль")),
        ("http://key@192.0.2.1:80", Proxy("http", "192.0.2.1", 80, "key")),
        ("http://key:@192.0.2.1:80", Proxy("http", "192.0.2.1", 80, "key")),
        (" 192.0.2.1:80\t# the fast one", Proxy("http", "192.0.2.1", 80)),
    ],
)
def test_every_form_of_a_line_is_understood(line: str, proxy: Proxy) -> None:
    assert only(line) == proxy


def test_comments_blank_lines_boms_and_any_line_ending_are_fine() -> None:
    text = "\ufeff# mine\r\n\r\n192.0.2.1:80\r192.0.2.2:80\n\ufeff192.0.2.3:80 # joined from another file"

    found = parse(text, "list")

    assert [proxy.host for proxy in found.proxies] == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
    assert found.notes == ()


texts = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=30)
ports = st.integers(1, 65535)
hosts = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
    st.from_regex(r"[a-z][a-z0-9-]{0,20}(\.[a-z]{1,10}){0,3}", fullmatch=True),
)
schemes = st.sampled_from(["http", "HTTPS", "socks4", "Socks5", "socks5h"])


def is_plain(text: str) -> bool:
    """Neither a comment nor a range nor percent-encoded."""
    return unquote(text) == text and " #" not in text and "{" not in text


@given(schemes, texts, texts, hosts, ports)
def test_a_url_comes_back_whole(scheme: str, user: str, password: str, host: str, port: int) -> None:
    secret = f"{quote(user, safe='')}:{quote(password, safe='')}"
    assume(max(len(user.encode()), len(password.encode())) < 128)

    proxy = only(f"{scheme}://{secret}@{host}:{port}")

    assert proxy == Proxy(scheme.lower(), host.strip("[]"), port, user, password)
    assert only(proxy.url) == proxy
    split = urlsplit(proxy.url)
    assert (split.hostname, split.port) == (proxy.host, port)
    assert (unquote(split.username or ""), unquote(split.password or "")) == (user, password)


@given(texts.filter(lambda user: ":" not in user), texts, hosts, ports)
def test_raw_passwords_come_back_whole_from_both_forms(user: str, password: str, host: str, port: int) -> None:
    assume(is_plain(user) and is_plain(password) and not user.startswith("#"))
    expected = Proxy("http", host.strip("[]"), port, user, password)

    assert only(f"http://{user}:{password}@{host}:{port}") == expected
    assume("@" not in user + password)
    assert only(f"{host}:{port}:{user}:{password}") == expected
    assume(not password[0].isdecimal())
    assert only(f"{user}:{password}@{host}:{port}") == expected


@given(hosts, ports)
def test_a_bare_address_comes_back_whole(host: str, port: int) -> None:
    proxy = only(f"{host}:{port}")

    assert proxy == Proxy("http", host.strip("[]"), port)
    assert proxy.url == proxy.label == f"http://{host}:{port}"


# Ranges


def test_a_range_stands_for_each_number_and_is_padded_like_its_bounds() -> None:
    found = parse("http://s-{08..10}:pw@192.0.2.{1..2}:80", "list")

    assert [(proxy.username, proxy.host) for proxy in found.proxies] == [
        (user, host) for user in ("s-08", "s-09", "s-10") for host in ("192.0.2.1", "192.0.2.2")
    ]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5)), min_size=1, max_size=4))
def test_ranges_make_the_product(ranges: list[tuple[int, int]]) -> None:
    user = "-".join(f"{{{first}..{first + more}}}" for first, more in ranges)
    expected = 1
    for _, more in ranges:
        expected *= more + 1

    found = parse(f"http://{user}:pw@192.0.2.1:80", "list")

    assert len({proxy.username for proxy in found.proxies}) == len(found.proxies) == expected


@pytest.mark.parametrize(
    "line",
    [
        "192.0.2.1:{1..999999999}",
        "h-{1..1000}-{1..1000}:80",
        "h-" + "{1..9}" * 300 + ":80",
        "h-{1..60000}:80\ng-{1..60000}:80",
    ],
)
def test_ranges_cannot_fill_the_memory(line: str) -> None:
    (problem,) = problems(line)

    assert "than 100,000 proxies" in problem or "beyond 100,000 proxies" in problem


def test_a_range_with_one_bad_end_is_one_problem() -> None:
    assert problems("192.0.2.{250..300}:80") == [
        "list:1: the host is not an IPv4 address; write four numbers from 0 to 255"
    ]


# Faults of a list


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("sock5://192.0.2.1:1080", "unknown scheme; did you mean socks5"),
        ("gopher://192.0.2.1:70", "unknown scheme; use one of http, https"),
        ("192.0.2.1:8080@alice:s3cret", "host and login are the wrong way round; write user:password@host:port"),
        ("socks5://[2001:db8::1]:1080@alice:8o", "host and login are the wrong way round"),
        ("192.0.2.1", "the port is missing, or this is not a proxy; 80 is not assumed"),
        ("socks5://192.0.2.1", "1080 is not assumed"),
        ("https://u:p@[2001:db8::1]", "443 is not assumed"),
        ("192.0.2.1:0", "from 1 to 65535"),
        ("192.0.2.1:65536", "from 1 to 65535"),
        ("192.0.2.1:٣٣", "from 1 to 65535"),
        ("192.0.2.1:", "from 1 to 65535"),
        ("192.0.2.256:80", "not an IPv4 address"),
        ("1234:80", "not an IPv4 address"),
        ("2001:db8::1:80", "in brackets"),
        ("[2001:db8::zz]:80", "do not hold an IPv6 address"),
        ("[fe80::1%eth0]:80", "without a zone"),
        (":80", "the host is missing"),
        ("pröxy.example:80", "xn--"),
        ("-_!.example:80", "neither a name nor an address"),
        ("192.0.2.1:80/path", "there is text after the port"),
        ("192.0.2.1:80:alice", "this is not a proxy; write scheme://"),
        ("192.0.2.1:80:alice:", "user or password is empty"),
        (":pw@192.0.2.1:80", "no user name"),
        ("@192.0.2.1:80", "no user name"),
        ("192.0.2.1:80:alice:p@x:99", "can be read as host:port:user:password and as"),
        ("u:%ff@192.0.2.1:80", "%25"),
        ("u:a%00b@192.0.2.1:80", "U+0000"),
        ("u:a%0d%0ab@192.0.2.1:80", "U+000D"),
        ("192.0.2.1:80\x00", "U+0000"),
        ("192.0.2.1\u200b:80", "U+200B"),
        ("\udc80:80", "U+DC80"),
        ("Free proxies of Monday 12:30", "white space inside"),
        ("192.0.2.{9..1}:80", "backwards"),
        ("192.0.2.{1..x}:80", "a range that cannot be read"),
        ("socks5://u:" + "x" * 128 + "@192.0.2.1:80", "127 bytes"),
        ("x" * 2001, "longer than 2,000 characters"),
    ],
)
def test_a_bad_line_is_named_with_what_would_be_right(line: str, words: str) -> None:
    (problem,) = problems(f"# a comment\n{line}\n192.0.2.9:80")

    assert problem.startswith("list:2: ")
    assert words in problem


def test_all_bad_lines_are_reported_at_once() -> None:
    found = problems("one\n192.0.2.1:80\ntwo:\r\nh{9..1}:80\nfour:99999\n")

    assert [problem.split()[0] for problem in found] == ["list:1:", "list:3:", "list:4:", "list:5:"]


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "\ufeff"])
def test_an_empty_list_says_how_to_fill_it(text: str) -> None:
    (problem,) = problems(text)

    assert "list: the list is empty" in problem


@given(st.text())
@example("{1..2}@{")
@example("http://[::1]@[:80")
def test_no_text_makes_the_parser_raise_anything_else(text: str) -> None:
    try:
        found = parse(text, "list")
    except ProxyListError as error:
        assert error.problems
    else:
        assert found.proxies


@given(st.text(alphabet=string.digits + "ahst:/@[]{}.%#\\ \n-"))
def test_whatever_is_read_can_be_read_again_from_its_url(text: str) -> None:
    try:
        found = parse(text, "list")
    except ProxyListError:
        return

    assert [only(proxy.url) for proxy in found.proxies] == list(found.proxies)


# No password comes out


@pytest.mark.parametrize(
    "line",
    [
        "http://alice:SECRET@192.0.2.1:80",
        "htp://alice:SECRET@192.0.2.1:80",
        "socks5://alice:SECRET@192.0.2.1",
        "alice:SECRET@192.0.2.999:80",
        "alice:SECRET@:80",
        "192.0.2.1:80:alice:SECRET",
        "192.0.2.1:0:alice:SECRET",
        "192.0.2.1:alice:SECRET:80",
        "192.0.2.1:SECRET",
        "192.0.2.1:80 alice SECRET",
        "http://alice:SECRET",
        "SECRET://192.0.2.1:80",
        "SECRET:80",
        "[SECRET]:80",
        "alice@SECRET:80",
        "192.0.2.1:80/SECRET",
        "SECRET",
        "alice:SECRET@192.0.2.1:80\x00",
        "alice:%ff%00SECRET@192.0.2.1:80",
        "alice:SECRET@192.0.2.{9..1}:80",
    ],
)
@given(st.text("QXZ79é%#@:/{}[].!", min_size=4, max_size=12))
@example("QXZ7")
@example("QXZ!")
@example("QX:Z79")
def test_no_piece_of_a_password_is_ever_shown(line: str, secret: str) -> None:
    text = line.replace("SECRET", secret)
    try:
        found = parse(f"{text}\n{text}\n", "list")
    except ProxyListError as error:
        shown = f"{error} {error!r}"
    else:
        # A "password" with the right punctuation in the wrong place is a host or a user, and these are shown.
        assume(all(secret in proxy.password for proxy in found.proxies))
        shown = f"{found} {[proxy.label for proxy in found.proxies]} {found.notes}"

    pieces = {secret[i : i + 4].lower() for i in range(len(secret) - 3)}
    assert not [piece for piece in pieces if piece in shown.lower()]


@pytest.mark.parametrize("data", [b"alice:%ffSECRET@192.0.2.1:80", b"alice:\xffSECRET@192.0.2.1:80"])
def test_an_error_keeps_no_line_in_its_context(data: bytes) -> None:
    with pytest.raises(ProxyListError) as caught:
        parse_bytes(data, "list")

    assert caught.value.__context__ is None


# Identity


def test_a_line_that_comes_twice_is_named_and_used_once() -> None:
    found = parse("192.0.2.1:80\n\nHTTP://192.0.2.1:80/\n192.0.2.{1..3}:80", "proxies.txt")

    assert [proxy.host for proxy in found.proxies] == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
    assert found.notes == ("proxies.txt:3: same as line 1", "proxies.txt:4: same as line 1")


def test_two_accounts_on_one_host_are_two_proxies_with_labels_of_their_own() -> None:
    found = parse("a:1@h:80\na:2@h:80\nb:1@h:80\na:3@h:80\nsocks5://a:1@h:80", "list")

    assert [proxy.label for proxy in found.proxies] == [
        "http://a@h:80",
        "http://a@h:80 (2)",
        "http://b@h:80",
        "http://a@h:80 (3)",
        "socks5://a@h:80",
    ]


def test_a_proxy_is_the_same_wherever_it_stands_on_a_later_list() -> None:
    first = parse("a:1@h:80\na:2@h:80", "list").proxies
    reloaded = parse("a:2@h:80", "list").proxies

    assert reloaded[0] == first[1] != first[0]
    assert set(reloaded) < set(first)


def test_a_socks4_password_is_pointed_out_as_useless() -> None:
    found = parse("socks4://bob:pw@192.0.2.1:80", "list")

    assert found.notes == ("list:1: socks4 has no passwords, so only the user name is sent",)
