"""URLs as a browser sends them, and the check of headers."""

import re
from collections.abc import Mapping
from ipaddress import AddressValueError, IPv6Address
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from pinpool.text import shown_url

MAX_URL = 65_536  # characters; most servers refuse far shorter ones

_EDGES = "".join(map(chr, range(0x21)))  # a browser strips C0 controls and spaces from both ends
_BREAKS = str.maketrans("", "", "\t\r\n")  # and removes these everywhere
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_UNSENDABLE = re.compile(r"[\x00-\x1f\x7f]|[^\x00-\xff]")  # in a header
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_NON_ASCII = re.compile(r"[^\x00-\x7f]+")
_HOST = re.compile(r"(?=.{1,253}\.?\Z)(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?", re.ASCII)

# Not quoted in a path and in a query, by the URL standard. To quote the percent sign again would ask for another page.
_PATH_SAFE = "!$%&'()*+,/:;=@[]|"
_QUERY_SAFE = _PATH_SAFE + "?^`{}\\"

# Most links and seeds are as they should be: these take a tenth of the time. The others go the long way.
_AUTHORITY = r"https?://(?=[^/:]{1,253}[/:])(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}(?::[1-9][0-9]{0,3})?"
_CLEAN = re.compile(_AUTHORITY + r"/[A-Za-z0-9_.~!$%&'()*+,/:;=@|-]*(?:\?[A-Za-z0-9_.~!$%&'()*+,/:;=@|?^`{}-]+)?")
_PATH = re.compile(
    r"/(?![/.])(?:[A-Za-z0-9_~!$%&'()*+,:=@-]|\.(?=\w)|/(?![/.]))*(?:\?[A-Za-z0-9_.~!$%&'()*+,/:;=@?-]+)?"
)
_SITE = re.compile(f"({_AUTHORITY})/")
_FIELD = "[A-Za-z0-9_.~-]+=[A-Za-z0-9_.~-]*"
_CANONICAL = re.compile(rf"{_AUTHORITY}(?:/(?!\.)[A-Za-z0-9_.~-]*)+(?:\?({_FIELD}(?:&{_FIELD})*))?")

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SET_BY_PINPOOL = frozenset({"content-length", "transfer-encoding", "proxy-authorization"})


def clean_url(url: str, query_encoding: str = "utf-8") -> str:
    """
    The URL as it can be requested: http or https, ASCII, without a fragment.

    White space is removed as in a browser, percent signs stay, and only what cannot be sent is quoted. A browser
    encodes a query in the encoding of the page that holds the link; `query_encoding` names it.

    Raises ValueError with the URL and the reason, and never with a password.
    """
    if not isinstance(url, str):
        raise ValueError(f"a URL is text, not {type(url).__name__}")
    if len(url) <= MAX_URL and _CLEAN.fullmatch(url):
        return str(url)  # lxml's strings are of a class of their own, and keep their page alive
    text = _tidy(url)
    if len(text) > MAX_URL:
        raise _refused(text, f"it has more than {MAX_URL:,} characters")
    if _CONTROL.search(text):
        raise _refused(text, "it contains control characters")
    try:
        parts = urlsplit(_SURROGATE.sub("\ufffd", text))
        host, port = parts.hostname or "", parts.port
    except ValueError:
        # urllib's own reason may quote half a password.
        raise _refused(text, "its host or port is malformed") from None
    if parts.scheme not in ("http", "https"):
        raise _refused(text, "it must start with http:// or https://")
    if "@" in parts.netloc:
        raise _refused(text, "it contains a user name or password; send those in a header instead")
    if port == 0:
        raise _refused(text, "its port is 0")
    authority = _host(host, text) + (f":{port}" if port is not None else "")
    path = quote(parts.path or "/", safe=_PATH_SAFE)
    # What the encoding lacks is sent as a reference, &#20140;, and all of that is quoted: its & splits no field.
    query = _NON_ASCII.sub(lambda run: quote(run[0].encode(query_encoding, "xmlcharrefreplace"), safe=""), parts.query)
    query = quote(query, safe=_QUERY_SAFE)
    return f"{parts.scheme}://{authority}{path}" + (f"?{query}" if query else "")


def canonical_url(url: str) -> str:
    """
    A clean URL in the form that tells whether two mean the same page: with a sorted query, and ``?a=`` for ``?a``.

    Only for comparing: a server may treat these differently.
    """
    if plain := _CANONICAL.fullmatch(url):
        query = plain[1]
        if not query or "&" not in query:
            return url
        fields = sorted(field.split("=") for field in query.split("&"))
        return url[: plain.start(1)] + "&".join(map("=".join, fields))
    # Importing w3lib takes 40 ms, and `pinpool --help` does not need it.
    from w3lib.url import canonicalize_url

    return str(canonicalize_url(url))


def join_url(base: str, href: str) -> str:
    """`href` as a browser resolves it against `base`, not yet checked by `clean_url`. May raise ValueError."""
    # A path without dot segments, and without what urljoin takes apart.
    if _PATH.fullmatch(href) and (site := _SITE.match(base)):
        return site[1] + href
    return urljoin(base, _tidy(href))


def header_problems(headers: Mapping[Any, Any]) -> list[str]:
    """One line for each header that cannot be sent. Values may be secret, so only names are quoted."""
    problems = []
    for name, value in headers.items():
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            problems.append(f"{name!r} is not a header name")
        elif name.lower() in _SET_BY_PINPOOL:
            problems.append(f"{name} is set by pinpool itself")
        elif not isinstance(value, str):
            problems.append(f"the value of {name} is {type(value).__name__}, not text")
        elif _UNSENDABLE.search(value):
            problems.append(f"the value of {name} contains line breaks or characters beyond Latin-1")
    return problems


def _tidy(url: str) -> str:
    text = url.strip(_EDGES).translate(_BREAKS)
    if "\\" not in text:
        return text
    # A browser reads a backslash before the query as a slash.
    head = re.split(r"[?#]", text, maxsplit=1)[0]
    return head.replace("\\", "/") + text[len(head) :]


def _host(host: str, url: str) -> str:
    if ":" in host:
        try:
            # A zone, as in fe80::1%eth0, has a meaning on this machine only: it is refused.
            return f"[{IPv6Address(host.replace('%', ' '))}]"
        except AddressValueError:
            raise _refused(url, "its host is not an IPv6 address") from None
    if not host.isascii():
        import idna

        try:
            host = idna.encode(host, uts46=True).decode("ascii")
        except idna.IDNAError:
            raise _refused(url, "its host name cannot be encoded") from None
    if not _HOST.fullmatch(host):
        raise _refused(url, "its host name is missing or malformed")
    return host


def _refused(url: str, reason: str) -> ValueError:
    return ValueError(f"{shown_url(url)} cannot be requested: {reason}")
