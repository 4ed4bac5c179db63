"""
The cookies of a pin, as browsers keep them (RFC 6265bis). The jar of the standard library drops a cookie for an
attribute that makes no sense, which browsers only skip.
"""

from __future__ import annotations

import http.cookiejar
import mmap
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from http.cookiejar import Cookie
from ipaddress import ip_address
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from requests.cookies import RequestsCookieJar

#: Section 5.5: characters of name and value, and of an attribute's value.
MAX_PAIR, MAX_ATTRIBUTE = 4096, 1024
#: Section 5.5: no cookie lives longer, in seconds.
MAX_AGE = 400 * 86_400

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_SECONDS = re.compile(r"-?[0-9]+", re.ASCII)
_DELIMITERS = re.compile(r"[\x09\x20-\x2f\x3b-\x40\x5b-\x60\x7b-\x7e]+")
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?![0-9])", re.ASCII)
_DAY = re.compile(r"([0-9]{1,2})(?![0-9])", re.ASCII)
_YEAR = re.compile(r"([0-9]{2,4})(?![0-9])", re.ASCII)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


class CookieJar(RequestsCookieJar):
    """
    The jar of a `requests.Session`, with the browser's rules for what is kept and what is sent.

    A cookie that user code sets without a domain goes to every site, as in requests.
    """

    def extract_cookies(self, response: Any, request: Any) -> None:
        """Keep what the answer sets. `response` and `request` are as `http.cookiejar` wants them."""
        now = time.time()
        for line in response.info().get_all("Set-Cookie", ()):
            self.keep(line, request.get_full_url(), now)

    def add_cookie_header(self, request: Any) -> None:
        """Add the header to a request, unless it has one."""
        if not request.has_header("Cookie") and (header := self.header(request.get_full_url(), time.time())):
            request.add_unredirected_header("Cookie", header)

    def set_cookie(self, cookie: Cookie, *_: Any, **__: Any) -> None:
        """Keep a cookie as it is. Requests would take backslashes and quotes out of its value."""
        http.cookiejar.CookieJar.set_cookie(self, cookie)

    def copy(self) -> CookieJar:
        made = CookieJar(cast(Any, self)._policy)
        made.update(self)
        return made

    def keep(self, line: str, url: str, now: float) -> None:
        """Keep the cookie of one Set-Cookie header, or remove one. `now` is epoch seconds."""
        parts = urlsplit(url)
        host, is_secure = parts.hostname or "", parts.scheme == "https"
        cookie = parsed(line, host, parts.path, now)
        if cookie is None or not _may_be_set(cookie, is_secure=is_secure):
            return
        if not is_secure and any(_covers(old, cookie) for old in self):
            return
        if cookie.is_expired(now):  # type: ignore[arg-type]
            cast(Any, self)._cookies.get(cookie.domain, {}).get(cookie.path, {}).pop(cookie.name, None)
        else:
            self.set_cookie(cookie)

    def header(self, url: str, now: float) -> str:
        """The Cookie header for a request, empty if there is none. `now` is epoch seconds."""
        parts = urlsplit(url)
        host, path, is_secure = parts.hostname or "", parts.path or "/", parts.scheme == "https"
        fitting = [
            cookie
            for cookie in self
            if _belongs_to(cookie, host)
            and matches_path(path, cookie.path)
            and (is_secure or not cookie.secure)
            and not cookie.is_expired(now)  # type: ignore[arg-type]
        ]
        # Where paths are equally long, the older first: a dict keeps that order, also if the value changes.
        fitting.sort(key=lambda cookie: -len(cookie.path))
        return "; ".join(f"{cookie.name}={cookie.value}" if cookie.name else cookie.value or "" for cookie in fitting)


def parsed(line: str, host: str, path: str, now: float) -> Cookie | None:
    """
    The cookie of a Set-Cookie header that `host` sends with the page at `path`. None if there is none in it, or if
    that host may not set it.
    """
    if _CONTROL.search(line):
        return None
    pair, *rest = line.split(";")
    name, equals, value = pair.partition("=")
    if not equals:
        name, value = "", name
    name, value = name.strip(" \t"), value.strip(" \t")
    if not (name or value) or len(name) + len(value) > MAX_PAIR:
        return None
    attributes = dict(_attributes(rest))
    expires = _expiry(attributes, now)
    domain = attributes.get("domain", "").removeprefix(".").lower()
    if not domain.isascii() or (domain and not matches_domain(host, domain)):
        return None
    if domain and domain != host and is_public_suffix(domain):
        return None
    if domain == host and (_is_address(host) or is_public_suffix(host)):
        domain = ""
    own_path = attributes.get("path", "")
    return Cookie(
        version=0,
        name=name,
        value=value,
        port=None,
        port_specified=False,
        domain=f".{domain}" if domain else host,
        domain_specified=bool(domain),
        domain_initial_dot=bool(domain),
        path=own_path if own_path.startswith("/") else default_path(path),
        path_specified=own_path.startswith("/"),
        secure="secure" in attributes,
        expires=expires,
        discard=expires is None,
        comment=None,
        comment_url=None,
        rest={"HttpOnly": ""} if "httponly" in attributes else {},
    )


def _attributes(parts: list[str]) -> Iterator[tuple[str, str]]:
    """Names in lower case, with values: those that make sense. The last of a name counts."""
    for part in parts:
        name, _, value = part.partition("=")
        name, value = name.strip(" \t").lower(), value.strip(" \t")
        if name == "max-age" and not _SECONDS.fullmatch(value):
            continue
        if name == "expires" and cookie_date(value) is None:
            continue
        if len(value) <= MAX_ATTRIBUTE:
            yield name, value


def _expiry(attributes: dict[str, str], now: float) -> int | None:
    """When it expires, in epoch seconds; None at the end of the session. Max-Age comes before Expires."""
    if (age := attributes.get("max-age")) is not None:
        return int(now) + min(int(age[:12]), MAX_AGE) if int(age[:12]) > 0 else 0
    if (date := attributes.get("expires")) is not None:
        return min(cookie_date(date) or 0, int(now) + MAX_AGE)
    return None


def cookie_date(text: str) -> int | None:
    """A date as browsers read it (5.1.1), in epoch seconds: its parts in any order. None if it is not one."""
    clock = day = month = year = None
    for token in _DELIMITERS.split(text):
        if clock is None and (found := _TIME.match(token)):
            clock = int(found[1]), int(found[2]), int(found[3])
        elif day is None and (found := _DAY.match(token)):
            day = int(found[1])
        elif month is None and token[:3].lower() in _MONTHS:
            month = _MONTHS.index(token[:3].lower()) + 1
        elif year is None and (found := _YEAR.match(token)):
            year = int(found[1])
    if clock is None or day is None or month is None or year is None:
        return None
    year += 1900 if 70 <= year <= 99 else 2000 if year <= 69 else 0
    try:
        moment = datetime(year, month, day, *clock, tzinfo=UTC)
    except ValueError:
        return None
    return int(moment.timestamp()) if year > 1600 else None


def default_path(path: str) -> str:
    """The path of a cookie that has none (5.1.4): that of the page, up to its last slash."""
    return path[: path.rfind("/")] or "/" if path.startswith("/") else "/"


def matches_path(path: str, cookie_path: str) -> bool:
    """Whether a page at `path` gets a cookie of `cookie_path` (5.1.4)."""
    if not path.startswith(cookie_path):
        return False
    return len(path) == len(cookie_path) or cookie_path.endswith("/") or path[len(cookie_path)] == "/"


def matches_domain(host: str, domain: str) -> bool:
    """Whether a host gets a cookie of `domain` (5.1.3)."""
    return host == domain or (host.endswith(f".{domain}") and not _is_address(host))


def is_public_suffix(domain: str) -> bool:
    """Whether anybody may own a name right below it (publicsuffix.org): a cookie for all of these is an attack."""
    if "." not in domain:
        return True
    try:
        spelled = domain.encode("ascii").decode("idna")
    except UnicodeError:
        spelled = domain
    parent = spelled.partition(".")[2]
    return not _is_rule(f"!{spelled}") and (_is_rule(spelled) or _is_rule(f"*.{parent}"))


def _is_rule(rule: str) -> bool:
    return _suffixes().find(f"\n{rule}\n".encode()) >= 0


@cache
def _suffixes() -> mmap.mmap:
    # All workers share the file. A parser would take 40 ms and 3 MB in each of them.
    from publicsuffixlist import PSLFILE

    with Path(PSLFILE).open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _may_be_set(cookie: Cookie, *, is_secure: bool) -> bool:
    """The rules for secure cookies and for names with a prefix (5.7)."""
    if cookie.secure and not is_secure:
        return False
    name, value = cookie.name.lower(), (cookie.value or "").lower()
    if not name and value.startswith(("__secure-", "__host-")):
        return False
    if name.startswith("__host-"):
        return cookie.secure and not cookie.domain_specified and cookie.path_specified and cookie.path == "/"
    return cookie.secure or not name.startswith("__secure-")


def _covers(old: Cookie, cookie: Cookie) -> bool:
    """Whether a secure cookie is in the way of one that came over http."""
    if not old.secure or old.name != cookie.name:
        return False
    one, other = old.domain.removeprefix("."), cookie.domain.removeprefix(".")
    return (matches_domain(one, other) or matches_domain(other, one)) and matches_path(cookie.path, old.path)


def _belongs_to(cookie: Cookie, host: str) -> bool:
    if cookie.domain_specified:
        return matches_domain(host, cookie.domain.removeprefix("."))
    return cookie.domain in ("", host)
