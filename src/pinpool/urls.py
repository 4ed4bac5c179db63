"""URLs as a browser sends them, by the URL standard of the WHATWG, and the check of headers."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from pinpool.text import shown_url

MAX_URL = 65_536  # characters; most servers refuse far shorter ones

_UNSENDABLE = re.compile(r"[\x00-\x1f\x7f]|[^\x00-\xff]")  # in a header
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_NON_ASCII = re.compile(r"[^\x00-\x7f]+")
#: What DNS can ask for. The standard leaves that to the resolver; here it is a proxy, which would be blamed.
_HOST = re.compile(r"(?=.{1,253}\.?\Z)(?:[^.]{1,63}\.)*[^.]{1,63}\.?")
#: A URL as the standard writes it. The fields: host, port, path with query.
_WRITTEN = re.compile(r"(https?://)([^/?#@:\[]+|\[[0-9a-f:.]+\])(:[0-9]+)?(/[^#]*)(?:#.*)?")
#: Most links and seeds are written so already: these take a quarter of the time. All others go the long way.
_PLAIN = re.compile(
    r"https?://(?=[^/:]{1,253}[/:])(?:(?!xn--)[a-z0-9_-]{1,63}\.)*(?!xn--)[a-z][a-z0-9_-]{0,62}"
    r"(?::(?!80/|443/)[1-9][0-9]{0,3})?(?:/(?!\.|%2[eE])[A-Za-z0-9_.~!$%&'()*+,:;=@|-]*)+"
    r"(?:\?[A-Za-z0-9_.~!$%&()*+,/:;=@|?^`{}-]+)?",
    re.ASCII,
)
_FIELD = "[A-Za-z0-9_.~-]+=[A-Za-z0-9_.~-]*"
_CANONICAL = re.compile(rf"https?://[^/?#]+(?:/[A-Za-z0-9_.~-]*)+(?:\?({_FIELD}(?:&{_FIELD})*))?")

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SET_BY_PINPOOL = frozenset({"content-length", "transfer-encoding", "proxy-authorization"})


def clean_url(url: str, query_encoding: str = "utf-8") -> str:
    """
    The URL as a browser requests it: http or https, ASCII, without a fragment. Cleaning it again changes nothing.

    A browser encodes a query in the encoding of the page that holds the link; `query_encoding` names it.

    Raises ValueError with the URL and the reason, and never with a password. Refused are also URLs with a login, which
    belongs in a header, with port 0, and with a host name that is longer than DNS has room for.
    """
    if not isinstance(url, str):
        raise ValueError(f"a URL is text, not {type(url).__name__}")
    if len(url) <= MAX_URL and _PLAIN.fullmatch(url):
        return str(url)  # lxml's strings are of a class of their own, and keep their page alive
    return _parsed(url, None, query_encoding)


def resolve_url(base: str, href: str, query_encoding: str = "utf-8") -> str:
    """The clean URL to which `href` leads on a page whose clean URL is `base`. Raises ValueError as `clean_url`."""
    return _parsed(href, base, query_encoding)


def _parsed(url: str, base: str | None, query_encoding: str) -> str:
    # Importing it takes 16 ms, and `pinpool --help` does not need it.
    from ada_url import join_url, normalize_url

    if len(url) > MAX_URL:
        raise _refused(url, f"it has more than {MAX_URL:,} characters")
    text = url if url.isascii() else _with_query_in(query_encoding, _SURROGATE.sub("\ufffd", url))
    try:
        whole = normalize_url(text) if base is None else join_url(base, text)
    except ValueError:
        raise _refused(url, _why_no_url(url)) from None
    written = _WRITTEN.fullmatch(whole)
    if written is None:
        raise _refused(url, _why_not_sent(whole))
    scheme, host, port, rest = written.groups()
    if port == ":0":
        raise _refused(url, "its port is 0")
    if host[0] != "[" and not _HOST.fullmatch(host):
        raise _refused(url, "its host name is missing or malformed")
    if len(whole) > MAX_URL:
        raise _refused(url, f"it has more than {MAX_URL:,} characters")
    return f"{scheme}{host}{port or ''}{rest}"


def _with_query_in(encoding: str, url: str) -> str:
    """The URL with the query in this encoding. The URL standard has UTF-8 for all the rest."""
    before, mark, query = url.partition("?")
    if not mark or "#" in before or encoding == "utf-8":
        return url
    query, hash_, fragment = query.partition("#")
    # What the encoding lacks is sent as a reference, &#20140;, and all of that is quoted: its & splits no field.
    query = _NON_ASCII.sub(lambda run: quote(run[0].encode(encoding, "xmlcharrefreplace"), safe=""), query)
    return f"{before}?{query}{hash_}{fragment}"


_NOT_HTTP = "it must start with http:// or https://"
_SCHEME = re.compile(r"[\x00-\x20]*https?:", re.IGNORECASE)
_BAD_PORT = re.compile(r":[^/\\?#@\]]*(?:[/\\?#]|\Z)")


def _why_no_url(url: str) -> str:
    """What is wrong with a URL that the standard refuses, for people."""
    if not (scheme := _SCHEME.match(url)):
        return _NOT_HTTP
    authority = re.split(r"[/\\?#]", url[scheme.end() :].lstrip("/\\"), maxsplit=1)[0].rpartition("@")[2]
    if authority.startswith("["):
        return "its host is not an IPv6 address" if "]" in authority else "its host or port is malformed"
    if _BAD_PORT.search(authority):
        return "its host or port is malformed"
    return "its host name is missing or malformed"


def _why_not_sent(url: str) -> str:
    """Why a URL as the standard writes it is not for us."""
    if not url.startswith(("http://", "https://")):
        return _NOT_HTTP
    return "it contains a user name or password; send those in a header instead"


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


def _refused(url: str, reason: str) -> ValueError:
    return ValueError(f"{shown_url(url)} cannot be requested: {reason}")
