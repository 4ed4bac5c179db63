"""
From the evidence of a failed attempt to its fault, and from the fault to whoever is charged with it.

The further an exchange had come, the more parties had a hand in it: while we connect there is only the proxy,
once the tunnel stands the site is a suspect too, and when the whole answer is there the proxy has done its
work.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from http import HTTPStatus

from pinpool.model import Charge, Evidence, Fault, Sign, Step

CHARGES: Mapping[Fault, Charge] = {
    Fault.REFUSED: Charge.PROXY,
    Fault.UNREACHABLE: Charge.PROXY,
    Fault.PROXY_AUTH: Charge.PROXY,
    Fault.TUNNEL: Charge.PROXY,
    Fault.PROXY_TLS: Charge.PROXY,
    Fault.CONNECT_TIMEOUT: Charge.DOUBTFUL,
    Fault.BANNED: Charge.DOUBTFUL,
    Fault.EMPTY: Charge.DOUBTFUL,
    Fault.TIMEOUT: Charge.OPEN,
    Fault.DEADLINE: Charge.OPEN,
    Fault.RESET: Charge.OPEN,
    Fault.TRUNCATED: Charge.OPEN,
    # Not the site's alone: a proxy that opens TLS to read along shows the same bad certificate. Were it
    # charged to the site, that proxy would spoil page after page; as an open question the others soon tell
    # which it is.
    Fault.TLS: Charge.OPEN,
    Fault.SERVER_ERROR: Charge.SITE,
    Fault.DNS: Charge.SITE,
    Fault.HTTP_ERROR: Charge.PAGE,
    Fault.TOO_LARGE: Charge.PAGE,
    Fault.REDIRECTS: Charge.PAGE,
    Fault.EXTRACT: Charge.PAGE,
    Fault.CRASH: Charge.WORKER,
    Fault.HANG: Charge.WORKER,
}

DESCRIPTIONS: Mapping[Fault, str] = {
    Fault.REFUSED: "The proxy refused the connection, or closed it before any greeting: the proxy.",
    Fault.UNREACHABLE: "No way leads to the proxy, or its name does not resolve: the proxy, or our network.",
    Fault.PROXY_AUTH: "The proxy did not accept the user or the password: the line in the list of proxies.",
    Fault.TUNNEL: "The proxy would not carry us to the site: most likely the proxy.",
    Fault.PROXY_TLS: "TLS with the proxy itself failed: the proxy, or its scheme should be http.",
    Fault.CONNECT_TIMEOUT: "The proxy did not take the connection in time: the proxy, dead or overloaded.",
    Fault.TIMEOUT: "Nothing came for longer than the time-out: the proxy or the site, others will tell.",
    Fault.DEADLINE: "The whole page took longer than its deadline: the proxy or the site, others will tell.",
    Fault.RESET: "The connection was closed before an answer came: the proxy or the site, others will tell.",
    Fault.TRUNCATED: "The answer was cut off or cannot be read: the proxy or the site, others will tell.",
    Fault.BANNED: "The site turned us away (a ban status, or the spider's ban rule): most likely the proxy.",
    Fault.EMPTY: "The page held nothing where something was expected: a hidden ban, or a page that is empty.",
    Fault.DNS: "The site's host name does not resolve: most likely the URL or the site.",
    Fault.TLS: "The site's certificate or handshake is wrong: the site, or a proxy that reads along.",
    Fault.SERVER_ERROR: "The answer was an error of the server, 5xx: most likely the site, for a while.",
    Fault.HTTP_ERROR: "The answer had a status that is no page: most likely the page.",
    Fault.TOO_LARGE: "The answer is larger than the limit: the page, or raise max_body.",
    Fault.REDIRECTS: "The page redirects in circles or too often: most likely the page.",
    Fault.EXTRACT: "The spider's code raised, or did not finish: the spider, or a page of another shape.",
    Fault.CRASH: "The worker process died or failed in our own code: the page, or too little memory.",
    Fault.HANG: "The worker did not come back after the deadline and was killed: most likely the page.",
}

# Looked up first: what a sign means at one step alone.
_AT: Mapping[tuple[Step, Sign], Fault] = {
    (Step.CONNECT, Sign.REFUSED): Fault.REFUSED,
    (Step.CONNECT, Sign.RESET): Fault.REFUSED,
    (Step.CONNECT, Sign.TIMEOUT): Fault.CONNECT_TIMEOUT,
    (Step.CONNECT, Sign.TLS): Fault.PROXY_TLS,
    (Step.PROXY, Sign.UNREACHABLE): Fault.UNREACHABLE,
    (Step.PROXY, Sign.NAME): Fault.UNREACHABLE,
    (Step.PROXY, Sign.TIMEOUT): Fault.CONNECT_TIMEOUT,
    (Step.PROXY, Sign.TLS): Fault.PROXY_TLS,
    (Step.TUNNEL, Sign.TIMEOUT): Fault.TIMEOUT,
    (Step.TUNNEL, Sign.RESET): Fault.RESET,
    (Step.TUNNEL, Sign.NAME): Fault.DNS,
    (Step.TLS, Sign.TIMEOUT): Fault.TIMEOUT,
    (Step.TLS, Sign.RESET): Fault.RESET,
    (Step.HEAD, Sign.TIMEOUT): Fault.TIMEOUT,
    (Step.HEAD, Sign.NAME): Fault.DNS,
    (Step.HEAD, Sign.TLS): Fault.TLS,
    (Step.HEAD, Sign.SHORT): Fault.TRUNCATED,
    (Step.HEAD, Sign.BROKEN): Fault.TRUNCATED,
    (Step.BODY, Sign.TIMEOUT): Fault.TIMEOUT,
    (Step.BODY, Sign.RESET): Fault.RESET,
    (Step.PAGE, Sign.SHORT): Fault.TRUNCATED,
    (Step.PAGE, Sign.BROKEN): Fault.TRUNCATED,
    # A ban rule is the spider's code as much as an extractor is.
    (Step.PAGE, Sign.RAISED): Fault.EXTRACT,
    # The page had been fetched in time: no proxy is to be suspected of what the spider does with it.
    (Step.EXTRACT, Sign.DEADLINE): Fault.EXTRACT,
    (Step.EXTRACT, Sign.TIMEOUT): Fault.EXTRACT,
    # Credentials that spider code speaks of are the site's; as the proxy's they would retire it.
    (Step.EXTRACT, Sign.AUTH): Fault.EXTRACT,
    (Step.WORKER, Sign.AUTH): Fault.CRASH,
    (Step.WORKER, Sign.DEADLINE): Fault.HANG,
    (Step.WORKER, Sign.TIMEOUT): Fault.HANG,
}

# Looked up next: what a sign means wherever it is seen.
_ANYWHERE: Mapping[Sign, Fault] = {
    Sign.AUTH: Fault.PROXY_AUTH,
    Sign.DEADLINE: Fault.DEADLINE,
    Sign.CRASH: Fault.CRASH,
    Sign.HANG: Fault.HANG,
}

# And these too, once something that may be the site has answered.
_ANSWERED: Mapping[Sign, Fault] = {
    Sign.BAN: Fault.BANNED,
    Sign.EMPTY: Fault.EMPTY,
    Sign.TOO_LARGE: Fault.TOO_LARGE,
    Sign.REDIRECTS: Fault.REDIRECTS,
}
_ANSWERING = frozenset({Step.HEAD, Step.BODY, Step.PAGE, Step.EXTRACT})

# The rest: nearly always something nobody has met yet, charged to whoever is the main suspect at that step.
_DEFAULTS: Mapping[Step, Fault] = {
    Step.CONNECT: Fault.UNREACHABLE,
    Step.PROXY: Fault.REFUSED,
    Step.TUNNEL: Fault.TUNNEL,
    Step.TLS: Fault.TLS,
    Step.HEAD: Fault.RESET,
    Step.BODY: Fault.TRUNCATED,
    Step.PAGE: Fault.HTTP_ERROR,
    Step.EXTRACT: Fault.EXTRACT,
    Step.WORKER: Fault.CRASH,
}


def judge(evidence: Evidence) -> Fault:
    """The fault that the evidence shows. Every pair of step and sign has one, so this never raises."""
    step, sign = evidence.step, evidence.sign
    if (fault := _AT.get((step, sign))) is not None:
        return fault
    if (step, sign, evidence.status) == (Step.TUNNEL, Sign.STATUS, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED):
        return Fault.PROXY_AUTH
    if step in _ANSWERING:
        if sign is Sign.STATUS:
            return Fault.SERVER_ERROR if (evidence.status or 0) >= 500 else Fault.HTTP_ERROR
        if (fault := _ANSWERED.get(sign)) is not None:
            return fault
    if sign is Sign.RAISED and step is not Step.EXTRACT:
        return Fault.CRASH  # not the spider's code, so ours
    return _ANYWHERE.get(sign, _DEFAULTS[step])


def is_gone(status: int) -> bool:
    """Whether the site says that the page does not exist: an answer, not a failure."""
    return status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)


def answer(status: int, ban_status: Collection[int], *, tunnelled: bool = False) -> Evidence | None:
    """
    What is wrong with a complete answer of this status, or None: then it is a page, or gone.

    `ban_status` goes first, so a spider can call even 200 or 404 a ban. `tunnelled` says that the answer came
    through a tunnel, hence from the site: its 407 is just an odd status there. Believed, it would retire the
    proxy.
    """
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED and not tunnelled:
        return Evidence(Step.PROXY, Sign.AUTH, "the proxy asks for other credentials (407)", status)
    if status in ban_status:
        return Evidence(Step.PAGE, Sign.BAN, f"turned away with status {_named(status)}", status)
    if 200 <= status < 300 or is_gone(status):
        return None
    return Evidence(Step.PAGE, Sign.STATUS, f"answered with status {_named(status)}", status)


def _named(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
