"""
A proxy, the lists that proxies are read from, and the table of their life.

Any part of a line that cannot be read may be the password. So no message repeats a piece of a line: it says
where, what is wrong, and what would be right.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from itertools import chain, product
from math import prod
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, unquote

from pinpool.errors import PinpoolError, ProxyListError
from pinpool.model import ProxyState

VARIABLE = "PINPOOL_PROXIES"
SCHEMES = ("http", "https", "socks4", "socks5", "socks5h")
#: Proxies in one list, before duplicates are dropped.
LARGEST_LIST = 100_000
#: Bytes of a list, and characters of one entry; whatever is longer is something else.
LARGEST_FILE, LONGEST_ENTRY = 50_000_000, 2_000
#: PySocks writes the length as UTF-8 text, so from 128 bytes on it sends nonsense.
LONGEST_SOCKS_SECRET = 127


@dataclass(frozen=True, slots=True, repr=False)
class Proxy:
    """
    One entry of a list: its five parts together, so two accounts on one host and port are two proxies.

    `username` and `password` are decoded, and empty where there are none. `host` is lower case, IPv6 without
    brackets. `twin` tells apart the labels of proxies that differ in the password alone; it is no part of the
    identity.
    """

    scheme: str
    host: str
    port: int
    username: str = ""
    password: str = ""
    twin: int = field(default=1, compare=False)

    @property
    def url(self) -> str:
        """What a connection needs, password included and percent-encoded. Never to be shown."""
        if not self.username:
            return f"{self.scheme}://{self._place}"
        # The colon stays when there is no password: without it, requests sends no user either.
        secret = f"{quote(self.username, safe='')}:{quote(self.password, safe='')}"
        return f"{self.scheme}://{secret}@{self._place}"

    @property
    def label(self) -> str:
        """
        The printable name, without the password: ``socks5h://alice@10.0.0.7:1080``.

        A user name that needs no password is an API key as a rule, so it is shown as ``***`` (but for socks4,
        whose user names are no secrets). Any printable character may be in it: a face escapes it like any
        other text.
        """
        return self._name if self.twin == 1 else f"{self._name} ({self.twin})"

    def fingerprint(self, salt: bytes) -> str:
        """
        Four hex digits over the five parts, which tell two passwords of one label apart from run to run.

        `salt` is at most 64 bytes, random, and kept with the run. Short on purpose: a changed password is
        noticed in 65,535 of 65,536 cases, while to somebody who has salt and fingerprint one in 65,536 of all
        guesses fits, which is hundreds in any large dictionary, so that no guess can be confirmed.
        """
        parts = (self.scheme, self.host, str(self.port), self.username, self.password)
        return hashlib.blake2b("\0".join(parts).encode(), digest_size=2, key=salt).hexdigest()

    def __str__(self) -> str:
        return self.label

    def __repr__(self) -> str:
        return f"<Proxy {self.label}>"

    @property
    def _place(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def _name(self) -> str:
        if not self.username:
            return f"{self.scheme}://{self._place}"
        user = self.username if self.password or self.scheme == "socks4" else "***"
        return f"{self.scheme}://{user}@{self._place}"


@dataclass(frozen=True, slots=True)
class ProxyList:
    """
    The proxies of a list, in its order, all different; `notes` are lines to show that stop nothing.

    `entries` are the same proxies as they stand in the list, ranges expanded, passwords included.
    """

    proxies: tuple[Proxy, ...]
    notes: tuple[str, ...] = ()
    entries: tuple[str, ...] = field(default=(), repr=False, compare=False)


def read(source: str | None, stdin: BinaryIO, environ: Mapping[str, str]) -> ProxyList:
    """
    Read a list from the file `source`, from `stdin` if it is ``-``, or if it is None from PINPOOL_PROXIES.

    That variable holds the path of a list if there is such a file, else the list itself: entries separated by
    white space or new lines, and then a line in a message is an entry. Raises ProxyListError with every
    fault.
    """
    if source == "-":
        return parse_bytes(stdin.read(LARGEST_FILE + 1), "stdin")
    if source is not None:
        return _read_file(source)
    value = environ.get(VARIABLE, "")
    if not value.strip():
        raise ProxyListError(
            f"no proxies given: name a list with -p FILE, pipe one to -p -, or set {VARIABLE}"
        )
    if _exists(value):
        return _read_file(value)
    entries = chain.from_iterable(_COMMENT.sub("", line).split() for line in _NEW_LINE.split(value))
    try:
        return parse("\n".join(entries), VARIABLE)
    except ProxyListError as error:
        hint = f"{VARIABLE}: no file has this name, so it was read as the list itself"
        raise ProxyListError((*error.problems, hint)) from None


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
    for number, line in enumerate(_NEW_LINE.split(text), 1):
        # A BOM stands at the start of any line where files were joined.
        entry = _COMMENT.sub("", line.lstrip("\ufeff")).strip(" \t")
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


_NEW_LINE = re.compile(r"\r\n|\r|\n")
_COMMENT = re.compile(r"(?:^|[ \t])#.*")
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


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # too long for a path, or a NUL: certainly a list
        return False


def is_file(path: str) -> bool:
    """True for a regular file, so not for a pipe, which can be read once only."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False


def _read_file(path: str) -> ProxyList:
    try:
        with Path(path).open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        # A proxy given in place of a file: to repeat it would show its password once more.
        if ":" in path or "@" in path:
            raise ProxyListError(
                "no such list of proxies; name a file, for a proxy on the command line would show in `ps`"
            ) from None
        reason = getattr(error, "strerror", None) or "no name of a file"
        raise ProxyListError(
            f"{path}: cannot read this list of proxies ({reason}); name another with -p"
        ) from None
    return parse_bytes(data, path)


def _decoded(data: bytes, source: str) -> str:
    if len(data) > LARGEST_FILE:
        raise ProxyListError(f"{source}: larger than {LARGEST_FILE:,} bytes; is this a list of proxies?")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
    raise ProxyListError(f"{source}:{line}: not UTF-8 from here on; save the list as UTF-8")


class Move(StrEnum):
    """What may happen to a proxy."""

    LEASED = "leased"  # a worker pins it
    RETURNED = "returned"  # the worker is done with it
    LOST = "lost"  # its worker is gone
    FAULTED = "faulted"  # taken out for its faults
    RESTED = "rested"  # its cooling is over
    EXHAUSTED = "exhausted"  # no use in trying it again
    WITHDRAWN = "withdrawn"  # no longer on the list
    JOINED = "joined"  # on the list, for the first time or again


# A pinned proxy that refuses our credentials is faulted and exhausted in one go. Only a cooling one can be
# exhausted, so that a worker has always let go of a proxy before it retires for its faults.
LIFE: Mapping[tuple[ProxyState, Move], ProxyState] = {
    (ProxyState.SPARE, Move.LEASED): ProxyState.PINNED,
    (ProxyState.PINNED, Move.RETURNED): ProxyState.SPARE,
    (ProxyState.PINNED, Move.LOST): ProxyState.SPARE,
    (ProxyState.PINNED, Move.FAULTED): ProxyState.COOLING,
    (ProxyState.COOLING, Move.RESTED): ProxyState.SPARE,
    (ProxyState.COOLING, Move.EXHAUSTED): ProxyState.RETIRED,
    **{(state, Move.WITHDRAWN): ProxyState.RETIRED for state in ProxyState},
    (ProxyState.RETIRED, Move.JOINED): ProxyState.SPARE,
}


class IllegalMove(PinpoolError):
    """A proxy in this state cannot make this move: a fault of pinpool itself."""

    def __init__(self, state: ProxyState, move: Move) -> None:
        super().__init__(state, move)
        self.state = state
        self.move = move

    def __str__(self) -> str:
        return f"a {self.state} proxy cannot be {self.move}; please report this"


def move(state: ProxyState, how: Move) -> ProxyState:
    """The state after a move. Raises IllegalMove for a pair that is not in `LIFE`."""
    try:
        return LIFE[state, how]
    except KeyError:
        raise IllegalMove(state, how) from None


def table() -> str:
    """`LIFE` as text, one line ``state → move → state`` each."""
    return "\n".join(f"{before:<8}→ {how:<10}→ {after}" for (before, how), after in LIFE.items())
