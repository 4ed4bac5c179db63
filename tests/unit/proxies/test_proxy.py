from __future__ import annotations

import pickle

from pinpool.proxies.parse import parse
from pinpool.proxies.proxy import Proxy, with_distinct_labels


def test_a_proxy_shows_its_label_only() -> None:
    proxy = Proxy("socks5h", "10.0.0.7", 1080, "alice", "hunter2")

    assert proxy.label == str(proxy) == "socks5h://alice@10.0.0.7:1080"
    assert repr(proxy) == "<Proxy socks5h://alice@10.0.0.7:1080>"
    assert Proxy("http", "2001:db8::1", 80, "bob", "x").label == "http://bob@[2001:db8::1]:80"


def test_a_user_name_without_a_password_is_taken_for_an_api_key() -> None:
    proxy = Proxy("http", "192.0.2.1", 80, "api-key")

    assert proxy.label == "http://***@192.0.2.1:80"
    assert proxy.url == "http://api-key:@192.0.2.1:80"
    assert Proxy("socks4", "192.0.2.1", 80, "bob").label == "socks4://bob@192.0.2.1:80"


def test_a_proxy_travels_to_its_worker() -> None:
    proxy = Proxy("http", "h", 80, "a", "secret", twin=2)

    back = pickle.loads(pickle.dumps(proxy))

    assert back == proxy
    assert (back.label, back.url) == (proxy.label, proxy.url)


def test_a_fingerprint_tells_passwords_apart_but_says_little() -> None:
    one, other = Proxy("http", "h", 80, "a", "1"), Proxy("http", "h", 80, "a", "2", twin=2)

    assert one.fingerprint(b"salt") == Proxy("http", "h", 80, "a", "1", twin=3).fingerprint(b"salt")
    assert one.fingerprint(b"salt") != other.fingerprint(b"salt")
    assert one.fingerprint(b"salt") != one.fingerprint(b"pepper")
    assert len(one.fingerprint(b"salt")) == 4


def test_a_label_that_is_taken_gets_the_next_number_that_is_free() -> None:
    present = parse("a:1@h:80\na:2@h:80\na:3@h:80", "list").proxies
    joined = parse("a:4@h:80\nb:1@h:80\na:5@h:80", "list").proxies

    named = with_distinct_labels(joined, {present[0].label, present[2].label})

    assert [proxy.label for proxy in named] == ["http://a@h:80 (2)", "http://b@h:80", "http://a@h:80 (4)"]
