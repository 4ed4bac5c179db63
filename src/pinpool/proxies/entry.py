"""
One entry of a list of proxies, from text to a `Proxy`.

Any part of an entry that cannot be read may be the password. So no message repeats a piece of it: each says what is
wrong, and what to write.
"""

import re
from ipaddress import ip_address
from urllib.parse import unquote

from pinpool.proxies.proxy import SCHEMES, Proxy

#: PySocks writes the length of a secret as UTF-8 text, so from 128 bytes on it sends nonsense.
LONGEST_SOCKS_SECRET = 127

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)")
_HOST_PORT = re.compile(r"(\[[^\[\]@]*\]|[^:\[\]@]*):([^:\[\]@/]*)/*")
_COLONS = re.compile(r"(\[[^\[\]@]*\]|[^:\[\]@/]+):([0-9]+):([^:]*):(.*)")
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")
_FORMS = "write scheme://user:password@host:port, host:port, host:port:user:password or user:password@host:port"


class Unreadable(Exception):
    """What is wrong with an entry. The message has fixed words only, never a piece of the entry."""


def proxy_of(entry: str) -> Proxy:
    """The proxy of one entry without ranges, in any of the forms that `parse` names. Raises Unreadable."""
    if " " in entry or "\t" in entry:
        raise Unreadable(
            "white space inside; write one proxy per line, comments after ' #', a space in user:password@ as %20"
        )
    _check_printable(entry)
    scheme, rest, explicit = "http", entry, _SCHEME.fullmatch(entry)
    if explicit:
        scheme, rest = _scheme(explicit[1]), explicit[2]
    credentials, at, host_port = rest.rpartition("@")
    colons = _COLONS.fullmatch(rest)
    if colons and not (at and explicit):
        if at and _HOST_PORT.fullmatch(host_port):
            raise Unreadable(
                "can be read as host:port:user:password and as user:password@host:port; "
                "write scheme://user:password@host:port"
            )
        host, port, user, password = colons.groups()
        if not user or not password:
            raise Unreadable("user or password is empty; write host:port:user:password")
    else:
        user, _, password = credentials.partition(":")
        if at and not user:
            raise Unreadable("no user name before the @; write user:password@host:port, or host:port alone")
        if at and _looks_turned(credentials, host_port):
            raise Unreadable("host and login are the wrong way round; write user:password@host:port")
        host, port = _host_and_port(host_port, scheme)
        user, password = _unquoted(user), _unquoted(password)
    if scheme.startswith("socks") and max(len(user.encode()), len(password.encode())) > LONGEST_SOCKS_SECRET:
        raise Unreadable(f"user or password is longer than the {LONGEST_SOCKS_SECRET} bytes that SOCKS can send")
    return Proxy(scheme, _host(host), _port(port), user, password)


def _looks_turned(before: str, after: str) -> bool:
    """Whether host and port stand before the @, and behind it something else."""
    return _is_place(before) and not _is_place(after)


def _is_place(text: str) -> bool:
    found = _HOST_PORT.fullmatch(text)
    try:
        return found is not None and bool(_host(found[1])) and _port(found[2]) > 0
    except Unreadable:
        return False


def _scheme(text: str) -> str:
    scheme = text.lower()
    if scheme in SCHEMES:
        return scheme
    from difflib import get_close_matches  # only a bad list needs it

    close = get_close_matches(scheme, SCHEMES, n=1)
    hint = f"did you mean {close[0]}?" if close else f"use one of {', '.join(SCHEMES)}"
    raise Unreadable(f"unknown scheme; {hint}")


def _host_and_port(text: str, scheme: str) -> tuple[str, str]:
    """Both parts as they are written. Raises Unreadable, which names the mistake if it is a usual one."""
    if found := _HOST_PORT.fullmatch(text):
        return found[1], found[2]
    bare = text.rstrip("/")
    if 6 in (_ip_version(bare), _ip_version(bare.rpartition(":")[0])):
        raise Unreadable("an IPv6 address belongs in brackets; write [2001:db8::1]:port")
    if (bare.startswith("[") and bare.endswith("]")) or _HOST.fullmatch(bare.lower()):
        default = {"http": 80, "https": 443}.get(scheme, 1080)
        raise Unreadable(f"the port is missing, or this is not a proxy; {default} is not assumed, write host:port")
    if "/" in bare:
        raise Unreadable("there is text after the port; end the line there")
    raise Unreadable(f"this is not a proxy; {_FORMS}")


def _host(text: str) -> str:
    host = text.lower()
    if not host:
        raise Unreadable(f"the host is missing; {_FORMS}")
    if host.startswith("["):
        if _ip_version(host[1:-1]) != 6:
            raise Unreadable(
                "the brackets do not hold an IPv6 address; write one such as [2001:db8::1], without a zone"
            )
        return str(ip_address(host[1:-1]))
    if not host.isascii():
        raise Unreadable("the host is not ASCII; write its xn-- form")
    if "{" in host or "}" in host:
        raise Unreadable("a range that cannot be read; write it as {1..100}")
    if not _HOST.fullmatch(host):
        raise Unreadable("the host is neither a name nor an address; write one of them")
    if not host.strip("0123456789.") and _ip_version(host) != 4:
        raise Unreadable("the host is not an IPv4 address; write four numbers from 0 to 255")
    return host


def _port(text: str) -> int:
    # isdecimal alone would accept the digits of other scripts.
    if text.isascii() and text.isdecimal() and len(text) <= 5 and 1 <= int(text) <= 65535:
        return int(text)
    raise Unreadable("the port is not a number from 1 to 65535")


def _unquoted(text: str) -> str:
    try:
        plain = unquote(text, errors="strict")
    except UnicodeDecodeError:
        plain = ""
    if text and not plain:
        raise Unreadable("the percent signs in user or password do not make text; write a percent sign itself as %25")
    _check_printable(plain)
    return plain


def _check_printable(text: str) -> None:
    for character in text:
        if not character.isprintable():
            raise Unreadable(f"an invisible character (U+{ord(character):04X}); delete it")


def _ip_version(text: str) -> int:
    """4 or 6, or 0 if the text is not an address without a zone."""
    try:
        return 0 if "%" in text else ip_address(text).version
    except ValueError:
        return 0
