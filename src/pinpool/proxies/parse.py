"""
A proxy, the lists that proxies are read from, and the table of their life.

Any part of a line that cannot be read may be the password. So no message repeats a piece of a line: it says
where, what is wrong, and what would be right.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from itertools import chain, product
from math import prod
from urllib.parse import unquote

from pinpool.errors import ProxyListError
from pinpool.proxies.proxy import SCHEMES, Proxy, ProxyList

#: Proxies in one list, before duplicates are dropped.
LARGEST_LIST = 100_000
#: Bytes of a list, and characters of one entry; whatever is longer is something else.
LARGEST_FILE, LONGEST_ENTRY = 50_000_000, 2_000
#: PySocks writes the length as UTF-8 text, so from 128 bytes on it sends nonsense.
LONGEST_SOCKS_SECRET = 127


def parse(text: str, source: str) -> ProxyList:
    """
    Read a list, one entry a line; `source` names it in messages.

    An entry is ``scheme://user:password@host:port``, ``host:port``, ``host:port:user:password`` or
    ``user:password@host:port``. Percent-encoded characters before an ``@`` are decoded once; the form with
    colons alone is taken as it stands. ``{1..100}`` stands for each of these numbers, ``{01..10}`` pads them.

    Raises ProxyListError with every fault there is, each as ``source:line: what is wrong``.
    """
    first_seen: dict[Proxy, int] = {}
    entries: dict[Proxy, str] = {}
    problems: list[str] = []
    notes: dict[str, None] = {}  # a range repeats the note of its line; a dict keeps each once, in order
    made = 0
    for number, line in enumerate(NEW_LINE.split(text), 1):
        # A BOM stands at the start of any line where files were joined.
        entry = COMMENT.sub("", line.lstrip("\ufeff")).strip(" \t")
        if not entry:
            continue
        where = f"{source}:{number}:"
        try:
            expanded = _expand(entry)
        except _Unreadable as reason:
            problems.append(f"{where} {reason}")
            continue
        made += len(expanded)
        if made > LARGEST_LIST:
            problems.append(f"{where} the list grows beyond {LARGEST_LIST:,} proxies here; shorten it")
            break
        for one in expanded:
            try:
                proxy = _entry(one)
            except _Unreadable as reason:
                problems.append(f"{where} {reason}")
                break  # the other ends of a range would only say it again
            if proxy in first_seen:
                notes[f"{where} same as line {first_seen[proxy]}"] = None
            elif proxy.scheme == "socks4" and proxy.password:
                notes[f"{where} socks4 knows no passwords, so only the user name is sent"] = None
            first_seen.setdefault(proxy, number)
            # What an expanded range leaves may look like another range, which it is not.
            entries.setdefault(proxy, proxy.url if _RANGE.search(one) else one)
    if not made and not problems:
        problems.append(f"{source}: the list is empty; write one proxy a line, such as http://192.0.2.1:8080")
    if problems:
        raise ProxyListError(problems)
    return ProxyList(_told_apart(first_seen), tuple(notes), tuple(entries.values()))


def parse_bytes(data: bytes, source: str) -> ProxyList:
    """Read a list as it stands in a file; `source` names it in messages. Raises as `parse` does."""
    return parse(_decoded(data, source), source)


class _Unreadable(Exception):
    """What is wrong with one entry; made of fixed words only, never of the entry's."""


NEW_LINE = re.compile(r"\r\n|\r|\n")
COMMENT = re.compile(r"(?:^|[ \t])#.*")
_RANGE = re.compile(r"\{([0-9]{1,9})\.\.([0-9]{1,9})\}")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)")
_PLACE = re.compile(r"(\[[^\[\]@]*\]|[^:\[\]@]*):([^:\[\]@/]*)/*")
_COLONS = re.compile(r"(\[[^\[\]@]*\]|[^:\[\]@/]+):([0-9]+):([^:]*):(.*)")
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")
_FORMS = (
    "write scheme://user:password@host:port, host:port, host:port:user:password or user:password@host:port"
)


def _expand(entry: str) -> list[str]:
    if len(entry) > LONGEST_ENTRY:
        raise _Unreadable(f"longer than {LONGEST_ENTRY:,} characters; is this a list of proxies?")
    literals = _RANGE.split(entry)  # text, first, last, text, first, last, text
    texts, bounds = literals[::3], list(zip(literals[1::3], literals[2::3], strict=True))
    if any(int(last) < int(first) for first, last in bounds):
        raise _Unreadable("a range runs backwards; write the smaller number first, such as {1..100}")
    if prod(int(last) - int(first) + 1 for first, last in bounds) > LARGEST_LIST:
        raise _Unreadable(f"its ranges make more than {LARGEST_LIST:,} proxies; shorten them")
    choices = [_numbers(first, last) for first, last in bounds]
    return [texts[0] + "".join(chain(*zip(chosen, texts[1:], strict=True))) for chosen in product(*choices)]


def _numbers(first: str, last: str) -> list[str]:
    padded = any(bound[0] == "0" and len(bound) > 1 for bound in (first, last))
    width = max(len(first), len(last)) if padded else 0
    return [str(number).zfill(width) for number in range(int(first), int(last) + 1)]


def _entry(entry: str) -> Proxy:
    if " " in entry or "\t" in entry:
        raise _Unreadable(
            "white space inside; write one proxy a line, remarks after ' #', a space in user:password@ as %20"
        )
    _check_printable(entry)
    scheme, rest, explicit = "http", entry, _SCHEME.fullmatch(entry)
    if explicit:
        scheme, rest = _scheme(explicit[1]), explicit[2]
    credentials, at, place = rest.rpartition("@")
    colons = _COLONS.fullmatch(rest)
    if at and (explicit or not colons):
        user, _, password = credentials.partition(":")
        if not user:
            raise _Unreadable("no user name before the @; write user:password@host:port, or host:port alone")
        host, port = _place(place, scheme)
        return _proxy(scheme, host, port, _unquoted(user), _unquoted(password))
    if colons:
        if at and _PLACE.fullmatch(place):
            raise _Unreadable(
                "can be read as host:port:user:password and as user:password@host:port; "
                "write scheme://user:password@host:port"
            )
        host, port, user, password = colons.groups()
        if not user or not password:
            raise _Unreadable("user or password is empty; write host:port:user:password")
        return _proxy(scheme, host, port, user, password)
    host, port = _place(rest, scheme)
    return _proxy(scheme, host, port)


def _proxy(scheme: str, host: str, port: str, user: str = "", password: str = "") -> Proxy:
    if scheme.startswith("socks") and max(len(user.encode()), len(password.encode())) > LONGEST_SOCKS_SECRET:
        raise _Unreadable(
            f"user or password is longer than the {LONGEST_SOCKS_SECRET} bytes that can be sent by SOCKS"
        )
    return Proxy(scheme, _host(host), _port(port), user, password)


def _scheme(text: str) -> str:
    scheme = text.lower()
    if scheme in SCHEMES:
        return scheme
    from difflib import get_close_matches  # only a bad list needs it

    close = get_close_matches(scheme, SCHEMES, n=1)
    hint = f"did you mean {close[0]}?" if close else f"use one of {', '.join(SCHEMES)}"
    raise _Unreadable(f"unknown scheme; {hint}")


def _place(text: str, scheme: str) -> tuple[str, str]:
    """Split host and port, or say which of the usual mistakes this is."""
    if found := _PLACE.fullmatch(text):
        return found[1], found[2]
    bare = text.rstrip("/")
    if _is_ipv6(bare) or _is_ipv6(bare.rpartition(":")[0]):
        raise _Unreadable("an IPv6 address stands in brackets; write [2001:db8::1]:port")
    if (bare.startswith("[") and bare.endswith("]")) or _HOST.fullmatch(bare.lower()):
        default = {"http": 80, "https": 443}.get(scheme, 1080)
        raise _Unreadable(
            f"the port is missing, or this is no proxy; {default} is not assumed, write host:port"
        )
    if "/" in bare:
        raise _Unreadable("something follows the port; end the line there")
    raise _Unreadable(f"no proxy that can be read; {_FORMS}")


def _host(text: str) -> str:
    host = text.lower()
    if not host:
        raise _Unreadable(f"the host is missing; {_FORMS}")
    if host.startswith("["):
        if not _is_ipv6(host[1:-1]):
            raise _Unreadable(
                "no IPv6 address in the brackets; write one such as [2001:db8::1], without a zone"
            )
        return str(IPv6Address(host[1:-1]))
    if not host.isascii():
        raise _Unreadable("the host is not ASCII; write its xn-- form")
    if "{" in host or "}" in host:
        raise _Unreadable("a range that cannot be read; write it as {1..100}")
    if not _HOST.fullmatch(host):
        raise _Unreadable("the host is neither a name nor an address")
    if not host.strip("0123456789.") and not _is_ipv4(host):
        raise _Unreadable("the host is no IPv4 address; it has four numbers from 0 to 255")
    return host


def _port(text: str) -> int:
    # isdecimal alone would let through the digits of other scripts.
    if text.isascii() and text.isdecimal() and len(text) <= 5 and 1 <= int(text) <= 65535:
        return int(text)
    raise _Unreadable("the port is no number from 1 to 65535")


def _unquoted(text: str) -> str:
    try:
        plain = unquote(text, errors="strict")
    except UnicodeDecodeError:
        plain = ""
    if text and not plain:
        raise _Unreadable(
            "the percent signs in user or password make no text; write a percent sign itself as %25"
        )
    _check_printable(plain)
    return plain


def _check_printable(text: str) -> None:
    for character in text:
        if not character.isprintable():
            raise _Unreadable(f"an invisible character (U+{ord(character):04X}); delete it")


def _is_ipv4(text: str) -> bool:
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True


def _is_ipv6(text: str) -> bool:
    try:
        return IPv6Address(text).scope_id is None
    except ValueError:
        return False


def _told_apart(proxies: Mapping[Proxy, int]) -> tuple[Proxy, ...]:
    seen: Counter[str] = Counter()
    distinct = []
    for proxy in proxies:
        seen[proxy.label] += 1
        distinct.append(replace(proxy, twin=seen[proxy.label]))
    return tuple(distinct)


def _decoded(data: bytes, source: str) -> str:
    if len(data) > LARGEST_FILE:
        raise ProxyListError(f"{source}: larger than {LARGEST_FILE:,} bytes; is this a list of proxies?")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
    raise ProxyListError(f"{source}:{line}: not UTF-8 from here on; save the list as UTF-8")
