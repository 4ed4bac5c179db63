"""
Turns an exception from the network into evidence, as exact as the exception and its step allow.

Messages contain our own words, numbers, and the fixed texts of OpenSSL and PySocks. They never repeat what a peer sent,
or the text of an exception that may contain a URL: either may contain a password. The one exception are the names in a
certificate that is not trusted: `without_secrets` is for them.
"""

import errno
import http.client
import os
import re
import socket
import ssl
import zlib
from collections.abc import Mapping
from email.message import Message
from http import HTTPStatus
from typing import TypeVar

import requests
import socks
from urllib3 import Retry
from urllib3.exceptions import InvalidHeader, LocationParseError

from pinpool.model import Evidence, Fetched, Sign, Step
from pinpool.proxies.proxy import Proxy
from pinpool.proxies.redaction import Redaction

_DOING = {
    Step.CONNECT: "connecting to the proxy",
    Step.PROXY: "logging in to the proxy",
    Step.TUNNEL: "asking the proxy for the site",
    Step.TLS: "starting TLS with the site",
    Step.HEAD: "waiting for the answer",
    Step.BODY: "reading the body",
}

# Our own machine lacks something: no proxy is to blame, whatever the step.
_LOCAL = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
_NO_ROUTE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN})

_TUNNEL_STATUS = re.compile(r"Tunnel connection failed: (\d{3})\b")
_SOCKS_CODE = re.compile(r"0x([0-9a-f]{2})")
_SOCKS5_SIGNS = {3: Sign.UNREACHABLE, 4: Sign.UNREACHABLE, 6: Sign.TIMEOUT}
_IDENTD = (0x5C, 0x5D)

_E = TypeVar("_E", bound=BaseException)


def evidence_of(error: BaseException) -> Evidence | None:
    """
    The evidence in an exception of a `PinnedSession`, or None if it did not come from the network.

    An HTTPError (of `raise_for_status`) has none: its status was a complete answer.
    """
    attached = getattr(error, "evidence", None)
    if isinstance(attached, Evidence):
        return attached
    # Without evidence attached it came from reading the body, which requests does after the adapter.
    kinds = (
        requests.exceptions.TooManyRedirects,
        requests.exceptions.ConnectionError,
        requests.exceptions.Timeout,
        requests.exceptions.ChunkedEncodingError,
        requests.exceptions.ContentDecodingError,
    )
    return diagnose(error, Step.BODY, late=False) if isinstance(error, kinds) else None


def attach(error: _E, evidence: Evidence) -> _E:
    """The same exception, with evidence for `evidence_of`."""
    error.evidence = evidence  # type: ignore[attr-defined]
    return error


def diagnose(error: BaseException, step: Step, *, late: bool) -> Evidence:
    """
    The evidence in an exception of requests, urllib3, PySocks, ssl, http.client or socket, raised at `step`.

    `late` says that the page's time is up: then a time-out is the deadline. Never raises.
    """
    cause = _root(error)
    doing = _DOING.get(step, "fetching")
    match cause:
        case requests.exceptions.TooManyRedirects():
            return Evidence(Step.PAGE, Sign.REDIRECTS, "too many redirects")
        case socks.SOCKS5AuthError():
            return Evidence(Step.PROXY, Sign.AUTH, "the proxy refused the login")
        case socks.SOCKS4Error() | socks.SOCKS5Error():
            return _socks_refusal(cause)
        case OSError() if step is Step.TUNNEL and (found := _TUNNEL_STATUS.match(str(cause))):
            status = int(found[1])
            what = f"the proxy refused the tunnel with status {status}"
            return login_refused(status) or Evidence(Step.TUNNEL, Sign.STATUS, what, status)
        case TimeoutError():
            sign = Sign.DEADLINE if late else Sign.TIMEOUT
            what = "the page's time was up" if late else "nothing came in time"
        case socket.gaierror() | UnicodeError() | LocationParseError() if step is Step.CONNECT:
            sign, what = Sign.UNREACHABLE, "its name does not resolve"
        case socket.gaierror():
            sign, what = Sign.NAME, "the site's name does not resolve"
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError() | ConnectionResetError() | BrokenPipeError():
            sign, what = Sign.RESET, "closed by the other side"
        case ssl.SSLError():
            return _tls(cause, step)
        case ConnectionRefusedError():
            sign, what = Sign.REFUSED, "connection refused"
        case http.client.IncompleteRead():
            sign, what = Sign.SHORT, "ended before its announced end"
        case zlib.error():
            sign, what = Sign.BROKEN, "cannot be decompressed"
        case socks.ProxyError() if "closed" in cause.msg:
            sign, what = Sign.RESET, "closed by the other side"
        case socks.ProxyError():
            sign, what = Sign.BROKEN, "the proxy does not speak this kind of SOCKS"
        case http.client.HTTPException():
            sign, what = Sign.BROKEN, f"not HTTP ({type(cause).__name__})"
        case OSError() if cause.errno in _LOCAL:
            what = f"{os.strerror(cause.errno or 0)} on this machine; use fewer workers, or raise the limit"
            return Evidence(Step.WORKER, Sign.RAISED, what)
        case OSError():
            no_route = step is Step.CONNECT or cause.errno in _NO_ROUTE
            sign = Sign.UNREACHABLE if no_route else Sign.RESET
            what = os.strerror(cause.errno) if cause.errno else type(cause).__name__
        case _:
            return Evidence(Step.HEAD, Sign.BROKEN, f"unexpected {type(cause).__name__} while {doing}")
    return Evidence(step, sign, f"{what} while {doing}")


def without_secrets(evidence: Evidence, proxy: Proxy) -> Evidence:
    """The evidence without the password of the proxy, which knows it and may show it in a certificate."""
    if evidence.sign is not Sign.TLS:
        return evidence
    return evidence._replace(message=Redaction([proxy])(evidence.message))


def login_refused(status: int, headers: Mapping[str, str] | None = None) -> Evidence | None:
    """
    Evidence, if an answer says that the proxy refuses our login. `headers` are None for the answer to a CONNECT.

    That is a 407. Tinyproxy answers 401 to a wrong password, and names itself. Only the proxy answers a CONNECT, so
    any 401 to it is about our login too. Any other 401 is the site's answer.
    """
    by_proxy = headers is None or headers.get("server", "").lower().startswith("tinyproxy")
    if status != HTTPStatus.PROXY_AUTHENTICATION_REQUIRED and not (by_proxy and status == HTTPStatus.UNAUTHORIZED):
        return None
    return Evidence(Step.PROXY, Sign.AUTH, f"the proxy refused the login ({status})", status)


def site_unknown(headers: Mapping[str, str] | Message) -> bool:
    """
    Whether a proxy says that the site's name does not resolve.

    Squid up to 4 has a header for it. Squid 5.7 and all others tested here answer as for any site they cannot reach.
    """
    return (headers.get("x-squid-error") or "").startswith("ERR_DNS_FAIL")


def retry_after(fetched: Fetched) -> float | None:
    """The seconds that the answer asks to wait, as a number or a date; None if it does not, or makes no sense."""
    text = fetched.headers.get("retry-after")
    if not text:
        return None
    try:
        return Retry().parse_retry_after(text)
    except (InvalidHeader, ValueError, OverflowError):  # 5,000 digits, or a year that no calendar has
        return None


def _root(error: BaseException) -> BaseException:
    """The innermost exception. urllib3, requests, PySocks and Python each wrap one in their own way."""
    for _ in range(10):
        inner = [
            *error.args,
            getattr(error, "reason", None),
            getattr(error, "socket_err", None),
            error.__cause__,
        ]
        wrapped = next((part for part in inner if isinstance(part, BaseException)), None)
        if wrapped is None:
            break
        error = wrapped
    return error


def _socks_refusal(error: socks.ProxyError) -> Evidence:
    found = _SOCKS_CODE.match(error.msg)
    code = int(found[1], 16) if found else 0
    if isinstance(error, socks.SOCKS4Error) and code in _IDENTD:
        return Evidence(Step.PROXY, Sign.AUTH, f"the proxy refused the user: {error.msg}")
    sign = _SOCKS5_SIGNS.get(code, Sign.REFUSED)
    return Evidence(Step.TUNNEL, sign, f"the proxy refused to connect to the site: {error.msg}")


def _tls(error: ssl.SSLError, step: Step) -> Evidence:
    reason = getattr(error, "verify_message", "")
    reason = reason or (error.reason or "handshake failed").replace("_", " ").lower()
    if seen := getattr(error, "seen", ""):
        reason = f"{reason}; {seen}"
    if step in (Step.CONNECT, Step.PROXY, Step.TUNNEL):
        return Evidence(Step.PROXY, Sign.TLS, f"TLS with the proxy: {reason}")
    # TLS 1.3 reports some refusals only with the first answer, so the step may be HEAD or BODY.
    return Evidence(Step.TLS, Sign.TLS, f"TLS with the site: {reason}")
