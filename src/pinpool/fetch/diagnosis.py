"""
What an exception from the network says: the evidence, as exact as the exception and the step it came at
allow.

Messages are made of our own words, numbers, and the fixed texts of OpenSSL and PySocks. What a peer sent is
never repeated, nor the text of an exception that may hold a URL: either may hold a password.
"""

from __future__ import annotations

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
from urllib3.exceptions import LocationParseError

from pinpool.model import Evidence, Sign, Step

_DOING = {
    Step.CONNECT: "connecting to the proxy",
    Step.PROXY: "introducing ourselves to the proxy",
    Step.TUNNEL: "asking the proxy for the site",
    Step.TLS: "starting TLS with the site",
    Step.HEAD: "waiting for the answer",
    Step.BODY: "reading the body",
}

# Our own machine is short of something: no proxy is to blame, whatever the step.
_LOCAL = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
_NO_WAY = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN})

_TUNNEL_STATUS = re.compile(r"Tunnel connection failed: (\d{3})\b")
_SOCKS_CODE = re.compile(r"0x([0-9a-f]{2})")
_SOCKS5_SIGNS = {3: Sign.UNREACHABLE, 4: Sign.UNREACHABLE, 6: Sign.TIMEOUT}
_IDENTD = (0x5C, 0x5D)

_E = TypeVar("_E", bound=BaseException)


def evidence_of(error: BaseException) -> Evidence | None:
    """
    What an exception that came out of a `PinnedSession` says, or None if the network had no part in it.

    An HTTPError (by `raise_for_status`) has none: that status was a complete answer.
    """
    known = getattr(error, "evidence", None)
    if isinstance(known, Evidence):
        return known
    if isinstance(error, requests.exceptions.TooManyRedirects):
        return Evidence(Step.PAGE, Sign.REDIRECTS, "too many redirects")
    # Without evidence of its own it came from reading the body, which requests does after the adapter is
    # done.
    kinds = (
        requests.exceptions.ConnectionError,
        requests.exceptions.Timeout,
        requests.exceptions.ChunkedEncodingError,
        requests.exceptions.ContentDecodingError,
    )
    return diagnose(error, Step.BODY, late=False) if isinstance(error, kinds) else None


def attach(error: _E, evidence: Evidence) -> _E:
    """The same exception, with what `evidence_of` will say of it."""
    error.evidence = evidence  # type: ignore[attr-defined]
    return error


def diagnose(error: BaseException, step: Step, *, late: bool) -> Evidence:
    """
    The evidence in an exception of requests, urllib3, PySocks, ssl, http.client or socket that came at
    `step`.

    `late` says that the page's time is up: then a time-out is the deadline. Never raises.
    """
    cause = _root(error)
    if (refusal := _refusal(cause, step)) is not None:
        return refusal
    match cause:
        case TimeoutError():
            sign, what = (
                (Sign.DEADLINE, "the page's time was up") if late else (Sign.TIMEOUT, "nothing came in time")
            )
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
            text = f"{os.strerror(cause.errno or 0)} on this machine; fewer workers, or a higher limit"
            return Evidence(Step.WORKER, Sign.RAISED, text)
        case OSError():
            no_way = step is Step.CONNECT or cause.errno in _NO_WAY
            sign = Sign.UNREACHABLE if no_way else Sign.RESET
            what = os.strerror(cause.errno) if cause.errno else type(cause).__name__
        case _:
            return Evidence(Step.HEAD, Sign.BROKEN, f"unforeseen {type(cause).__name__} while {_doing(step)}")
    return Evidence(step, sign, f"{what} while {_doing(step)}")


def login_refused(status: int, headers: Mapping[str, str]) -> Evidence | None:
    """
    Evidence, if an answer to a plain request says that the proxy does not know our login.

    That is a 407. But tinyproxy says 401 to a wrong password, and signs it; a site's 401 is an answer like any other.
    """
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return _login_refused(status)
    if status == HTTPStatus.UNAUTHORIZED and headers.get("server", "").lower().startswith("tinyproxy"):
        return _login_refused(status)
    return None


def site_unknown(headers: Mapping[str, str] | Message) -> bool:
    """
    Whether a proxy says that the site's name does not resolve. Squid up to 4 marks that; 5.7 and all others tested
    here answer as for any site that they cannot reach.
    """
    return (headers.get("x-squid-error") or "").startswith("ERR_DNS_FAIL")


def _login_refused(status: int) -> Evidence:
    return Evidence(Step.PROXY, Sign.AUTH, f"the proxy asks for other credentials ({status})", status)


def _doing(step: Step) -> str:
    return _DOING.get(step, "fetching")


def _root(error: BaseException) -> BaseException:
    """The exception that the libraries have wrapped, each in its own way: urllib3, requests, PySocks, Python."""
    for _ in range(10):
        inner = [
            *error.args,
            getattr(error, "reason", None),
            getattr(error, "socket_err", None),
            error.__cause__,
        ]
        wrapped = next((one for one in inner if isinstance(one, BaseException)), None)
        if wrapped is None:
            break
        error = wrapped
    return error


def _refusal(cause: BaseException, step: Step) -> Evidence | None:
    """Evidence, if the proxy has said in so many words that it will not do it."""
    match cause:
        case socks.SOCKS5AuthError():
            return Evidence(Step.PROXY, Sign.AUTH, "the proxy refused the login")
        case socks.SOCKS4Error() | socks.SOCKS5Error():
            found = _SOCKS_CODE.match(cause.msg)
            code = int(found[1], 16) if found else 0
            if isinstance(cause, socks.SOCKS4Error) and code in _IDENTD:
                return Evidence(Step.PROXY, Sign.AUTH, f"the proxy refused the user: {cause.msg}")
            sign = _SOCKS5_SIGNS.get(code, Sign.REFUSED)
            return Evidence(Step.TUNNEL, sign, f"the proxy refused the way to the site: {cause.msg}")
        case OSError() if step is Step.TUNNEL and (found := _TUNNEL_STATUS.match(str(cause))):
            status = int(found[1])
            # Nobody but the proxy answers a CONNECT, so its 401 is about our login as well.
            if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED):
                return _login_refused(status)
            return Evidence(
                Step.TUNNEL, Sign.STATUS, f"the proxy refused the tunnel with status {status}", status
            )
    return None


def _tls(error: ssl.SSLError, step: Step) -> Evidence:
    reason = (
        getattr(error, "verify_message", "") or (error.reason or "handshake failed").replace("_", " ").lower()
    )
    if step in (Step.CONNECT, Step.PROXY, Step.TUNNEL):
        return Evidence(Step.PROXY, Sign.TLS, f"TLS with the proxy: {reason}")
    # TLS 1.3 tells some refusals only with the first answer, so the step may be HEAD or BODY.
    return Evidence(Step.TLS, Sign.TLS, f"TLS with the site: {reason}")
