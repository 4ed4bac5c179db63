"""What can be put on the wire: URLs spelled as a browser sends them, and headers that cannot smuggle anything."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import AddressValueError, IPv6Address
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from pinpool.text import shown_url

MAX_URL = 65_536  # characters; servers refuse far shorter ones

_EDGES = "".join(map(chr, range(0x21)))  # C0 controls and the space: a browser strips them from both ends
_BREAKS = str.maketrans("", "", "\t\r\n")  # and these wherever they stand
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_FOREIGN = re.compile(r"[^\x00-\x7f]+")
_HOST = re.compile(r"(?=.{1,253}\.?\Z)(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?", re.ASCII)

# What the URL standard leaves alone in a path and in a query. The percent sign is one of them: quoting it again
# would ask for another page.
_PATH_SAFE = "!$%&'()*+,/:;=@[]|"
_QUERY_SAFE = _PATH_SAFE + "?^`{}\\"

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OURS = frozenset({"content-length", "transfer-encoding", "proxy-authorization"})


def clean_url(url: str, query_encoding: str = "utf-8") -> str:
    """
    The URL as it can be requested: http or https, ASCII, without a fragment.

    White space goes as in a browser, percent signs stay as they are, and only what cannot be sent is quoted. A
    browser spells a query in the encoding of the page that holds the link; `query_encoding` says which.

    Raises ValueError, with the URL and the reason, and never with a password.
    """
    if not isinstance(url, str):
        raise ValueError(f"a URL is text, not {type(url).__name__}")
    text = _tidy(url)
    if len(text) > MAX_URL:
        raise _fault(text, f"longer than {MAX_URL:,} characters")
    if _CONTROL.search(text):
        raise _fault(text, "it holds control characters")
    try:
        parts = urlsplit(_SURROGATE.sub("\ufffd", text))
        host, port = parts.hostname or "", parts.port
    except ValueError:
        # urllib's own reason may quote half a password, so it is not passed on.
        raise _fault(text, "host or port cannot be read") from None
    if parts.scheme not in ("http", "https"):
        raise _fault(text, "it must start with http:// or https://")
    if "@" in parts.netloc:
        raise _fault(text, "it holds a user name or password; send those in a header instead")
    if port == 0:
        raise _fault(text, "there is no port 0")
    authority = _host(host, text) + (f":{port}" if port is not None else "")
    path = quote(parts.path or "/", safe=_PATH_SAFE)
    # What the page's encoding lacks is sent as a reference, &#20140;, quoted whole so that it splits no field.
    query = _FOREIGN.sub(
        lambda run: quote(run[0].encode(query_encoding, "xmlcharrefreplace"), safe=""), parts.query
    )
    query = quote(query, safe=_QUERY_SAFE)
    return f"{parts.scheme}://{authority}{path}" + (f"?{query}" if query else "")


def join_url(base: str, href: str) -> str:
    """`href` as a browser resolves it against `base`; it may still be no URL that can be requested. ValueError."""
    return urljoin(base, _tidy(href))


def header_problems(headers: Mapping[Any, Any]) -> list[str]:
    """One line for each header that cannot be sent. Values may be secrets, so only names are quoted."""
    problems = []
    for name, value in headers.items():
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            problems.append(f"{name!r} is no header name")
        elif name.lower() in _OURS:
            problems.append(f"{name} is set by pinpool itself")
        elif not isinstance(value, str):
            problems.append(f"the value of {name} is {type(value).__name__}, not text")
        elif _CONTROL.search(value) or not _is_latin(value):
            problems.append(f"the value of {name} holds line breaks or characters beyond Latin-1")
    return problems


def _tidy(url: str) -> str:
    text = url.strip(_EDGES).translate(_BREAKS)
    if "\\" not in text:
        return text
    # Before the query a browser reads a backslash as a slash.
    head = re.split(r"[?#]", text, maxsplit=1)[0]
    return head.replace("\\", "/") + text[len(head) :]


def _host(host: str, url: str) -> str:
    if ":" in host:
        try:
            # A zone, as in fe80::1%eth0, means something to this machine only.
            return f"[{IPv6Address(host.replace('%', ' '))}]"
        except AddressValueError:
            raise _fault(url, "the host is no IPv6 address") from None
    if not host.isascii():
        import idna

        try:
            host = idna.encode(host, uts46=True).decode("ascii")
        except idna.IDNAError:
            raise _fault(url, "the host name cannot be encoded") from None
    if not _HOST.fullmatch(host):
        raise _fault(url, "the host name is missing or malformed")
    return host


def _is_latin(text: str) -> bool:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True


def _fault(url: str, reason: str) -> ValueError:
    return ValueError(f"{shown_url(url)} cannot be requested: {reason}")
