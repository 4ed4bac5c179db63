"""What a proxy check shows: an exit address from anything that a service or an enemy sends, and the figures."""

from __future__ import annotations

import json

import pytest

from pinpool.check.result import Finding, document, exit_address, tally, text
from pinpool.model import Fault
from pinpool.proxies.proxy import Proxy

GOOD, BAD, ODD = (Proxy("http", f"10.0.0.{n}", 8080, "anna", "planted") for n in (1, 2, 3))


def works(proxy: Proxy, address: str | None = None) -> Finding:
    return Finding(proxy, None, "", 0.25, 200, address)


def fails(proxy: Proxy) -> Finding:
    return Finding(proxy, Fault.REFUSED, "connection refused", 0.0)


@pytest.mark.parametrize(
    ("body", "address"),
    [
        (b"203.0.113.9\n", "203.0.113.9"),
        (b'{"ip": "203.0.113.9"}', "203.0.113.9"),
        (b'{"origin": "192.168.0.7, 203.0.113.9"}', "203.0.113.9"),
        (b'{"status": "success", "query": "203.0.113.9"}', "203.0.113.9"),
        (b'{"ip": null, "address": "203.0.113.9"}', "203.0.113.9"),
        (b'"203.0.113.9"', "203.0.113.9"),
        (b"h=site.example\nip=203.0.113.9\nts=1\n", "203.0.113.9"),
        (b"2001:DB8:0::1", "2001:db8::1"),
        (b"::ffff:203.0.113.9", "203.0.113.9"),
    ],
)
def test_an_exit_is_found_in_the_answers_of_the_usual_services(body: bytes, address: str) -> None:
    assert exit_address(body) == address


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<p>your address is 203.0.113.9</p>",
        b"\x1b[2J203.0.113.9",
        b"fe80::1%\x1b[2J",
        b'{"ip": "fe80::1%\\u001b[2J"}',
        b'{"ip": 3405803785}',
        b'{"ip": ["203.0.113.9"]}',
        b'{"ip": "203.0.113.9"',
        b'{"ip":' * 30_000,
        b'{"a":' * 10_000,
        b'["203.0.113.9"]',
        b"999.0.0.1",
        b"\xff\xfe\x00",
        b"203.0.113.9" + b" " * 5_000_000,
    ],
)
def test_an_answer_without_an_address_gives_none_and_does_no_harm(body: bytes) -> None:
    assert exit_address(body) is None


def test_the_document_counts_and_names_entries_with_one_exit() -> None:
    found = [works(GOOD, "203.0.113.9"), fails(BAD), works(ODD, "203.0.113.9")]

    shown = document("http://site.test/", found, listed=5)

    assert json.loads(json.dumps(shown)) == shown
    assert (shown["working"], shown["failed"], shown["unchecked"]) == (2, 1, 2)
    assert shown["proxies"][1] == {
        "proxy": "http://anna@10.0.0.2:8080",
        "ok": False,
        "fault": "refused",
        "message": "connection refused",
        "seconds": 0.0,
        "status": None,
        "exit": None,
    }
    assert (shown["proxies"][0]["ok"], shown["proxies"][0]["message"]) == (True, None)
    assert shown["shared_exits"] == [{"exit": "203.0.113.9", "proxies": [GOOD.label, ODD.label]}]
    assert "planted" not in json.dumps(shown)


def test_in_the_table_failed_proxies_come_first_and_columns_are_aligned() -> None:
    lines = text([works(GOOD, "203.0.113.9"), fails(BAD), works(ODD, "203.0.113.9")], 3).splitlines()

    assert lines == [
        "proxy                      result   seconds  exit         why",
        "http://anna@10.0.0.2:8080  refused     0.00               connection refused",
        "http://anna@10.0.0.1:8080  works       0.25  203.0.113.9",
        "http://anna@10.0.0.3:8080  works       0.25  203.0.113.9",
        "2 of 3 work; refused 1",
        f"2 entries with one exit, 203.0.113.9: {GOOD.label}, {ODD.label}",
    ]


def test_an_exit_of_very_many_entries_names_only_some() -> None:
    proxies = [Proxy("http", "gate.test", 80, f"user{n}", "planted") for n in range(40)]

    last = text([works(proxy, "203.0.113.9") for proxy in proxies], 40).splitlines()[-1]

    assert last.startswith("40 entries with one exit, 203.0.113.9: http://user0@gate.test:80, ")
    assert last.endswith(" and 35 more")


def test_the_text_says_when_exits_are_unknown_and_when_no_proxy_works() -> None:
    assert "exits unknown" in text([works(GOOD)], 1)
    assert "exits unknown" not in text([works(GOOD, "203.0.113.9"), works(ODD)], 2)
    assert "none works: " in text([fails(GOOD)], 1)
    assert "exits unknown" not in text([fails(GOOD)], 1)


def test_unchecked_proxies_are_counted_and_without_findings_there_is_no_table() -> None:
    assert tally([works(GOOD), fails(BAD)], 9) == "1 of 2 work; refused 1; 7 not checked"
    assert text([], 9) == "0 of 0 work; 9 not checked"
