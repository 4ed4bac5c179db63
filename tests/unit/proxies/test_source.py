"""Where a list comes from: a file, stdin or the variable, and no error repeats a password."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from pinpool.errors import ProxyListError
from pinpool.proxies.proxy import Proxy
from pinpool.proxies.source import read

NO_INPUT = io.BytesIO()
EXAMPLE = Path(__file__).parents[3] / "proxies.example.txt"


def failed(source: str | None, stdin: bytes = b"", **environ: str) -> str:
    with pytest.raises(ProxyListError) as caught:
        read(source, io.BytesIO(stdin), environ)
    return str(caught.value)


def test_a_list_is_read_from_a_file_from_stdin_or_from_the_variable(tmp_path: Path) -> None:
    path = tmp_path / "proxies.txt"
    path.write_bytes(b"\xef\xbb\xbf192.0.2.1:80\r\n")
    expected = (Proxy("http", "192.0.2.1", 80),)

    assert read(str(path), NO_INPUT, {}).proxies == expected
    assert read("-", io.BytesIO(b"192.0.2.1:80"), {}).proxies == expected
    assert read(None, NO_INPUT, {"PINPOOL_PROXIES": str(path)}).proxies == expected
    assert read(None, NO_INPUT, {"PINPOOL_PROXIES": "192.0.2.1:80"}).proxies == expected
    assert read(str(path), NO_INPUT, {"PINPOOL_PROXIES": "192.0.2.2:80"}).proxies == expected


def test_the_variable_holds_many_entries_between_white_space() -> None:
    value = "192.0.2.1:80  192.0.2.2:80 # two\n# none\n192.0.2.3:80" + " 192.0.2.4:80" * 400

    found = read(None, NO_INPUT, {"PINPOOL_PROXIES": value})

    assert len(found.proxies) == 4


def test_a_variable_that_names_no_file_says_how_it_was_read() -> None:
    error = failed(None, PINPOOL_PROXIES="a:hunter2@h:80 proxis.txt")

    assert "PINPOOL_PROXIES:2: the port is missing" in error
    assert "no file has this name" in error
    assert "proxis" not in error
    assert "hunter2" not in error


def test_a_list_that_cannot_be_read_is_a_clean_error(tmp_path: Path) -> None:
    assert "no proxies given" in failed(None)
    assert "no proxies given" in failed(None, PINPOOL_PROXIES=" ")
    assert "missing.txt: cannot read" in failed(str(tmp_path / "missing.txt"))
    assert "Is a directory" in failed(str(tmp_path))
    assert "Is a directory" in failed(None, PINPOOL_PROXIES=str(tmp_path))
    assert "stdin: the list is empty" in failed("-")
    assert "stdin:2: not UTF-8 from here on" in failed("-", b"192.0.2.1:80\n\xff\xfeh")
    assert "not a file name" in failed("\0")


def test_a_proxy_given_in_place_of_a_file_is_not_repeated() -> None:
    for source in ("http://alice:hunter2@192.0.2.1:80", "192.0.2.1:80:alice:hunter2"):
        error = failed(source)

        assert "hunter2" not in error
        assert "would show in `ps`" in error


def test_an_endless_list_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pinpool.proxies.parse.LARGEST_FILE", 1_000)

    assert "larger than 1,000 bytes" in failed("-", b"#" * 1_001)
    assert "the list is empty" in failed("-", b"#" * 1_000)


def test_the_example_shows_every_scheme_and_reads_without_a_note() -> None:
    found = read(str(EXAMPLE), NO_INPUT, {})

    assert found.notes == ()
    assert {proxy.scheme for proxy in found.proxies} == {"http", "https", "socks4", "socks5", "socks5h"}
    for proxy in found.proxies:
        assert proxy.host.startswith(("192.0.2.", "2001:db8:")) or proxy.host.endswith("example.com")
