"""
From the evidence of a failed attempt to its fault, and what each fault means: one row a fault.

The further an exchange came, the more parties had a part in it. While we connect there is only the proxy. Once the
tunnel is open the site is a suspect too. When the whole answer is there the proxy has done its work.
"""

from collections.abc import Collection, Mapping
from enum import Enum
from http import HTTPStatus
from typing import NamedTuple

from pinpool.model import Charge, Evidence, Fault, Sign, Step


class SiteSign(Enum):
    """What a fault says of the site as a whole. The circuit breaker counts silence."""

    ANSWERED = "answered"  # something else than the page, but it came from the site
    SILENT = "silent"  # a site that is down may show itself so
    SILENT_IF_SERVED = "silent if the site has served a page before, else an answer"
    NOTHING = "nothing"  # the proxy or our worker failed by itself


class FaultRule(NamedTuple):
    """
    What one fault means, for everybody who asks. `words` is a sentence for people.

    `site` is for the circuit breaker. `asked`: the proxy was asked for the page. `of_page`: proxies that agree on it
    settle what the page is. `slow`: a time-out. `sampled`: the spider may have read the page, so that a page sample
    helps to mend it.
    """

    charge: Charge
    words: str
    site: SiteSign = SiteSign.SILENT
    asked: bool = True
    of_page: bool = False
    slow: bool = False
    sampled: bool = False

    @property
    def reports(self) -> bool:
        """True if the fault says something of the page or the site, and not only of the proxy or of our worker."""
        return self.charge not in (Charge.PROXY, Charge.WORKER)

    @property
    def loses_worker(self) -> bool:
        """True if the worker process was lost with the page, which may be why."""
        return self.charge is Charge.WORKER


_NOT_OF_SITE, _ANSWER = SiteSign.NOTHING, SiteSign.ANSWERED

#: The one table: a new fault is a member of `Fault` and a row here.
FAULTS: Mapping[Fault, FaultRule] = {
    # Not asked: else the last page of a run is given up for a list that has died. A connect time-out is not among
    # them: others settle what it was, also when a whole site is silent. Nor is a refused login: on plain http a
    # hostile page could answer 407, and it must not burn a whole list.
    Fault.REFUSED: FaultRule(Charge.PROXY, "The proxy refused the connection.", _NOT_OF_SITE, asked=False),
    Fault.UNREACHABLE: FaultRule(Charge.PROXY, "No way leads to the proxy.", asked=False),
    Fault.PROXY_AUTH: FaultRule(Charge.PROXY, "The proxy did not accept user and password.", _NOT_OF_SITE),
    Fault.TUNNEL: FaultRule(Charge.PROXY, "The proxy would not carry us to the site."),
    Fault.PROXY_TLS: FaultRule(Charge.PROXY, "TLS with the proxy itself failed.", _NOT_OF_SITE, asked=False),
    Fault.CONNECT_TIMEOUT: FaultRule(Charge.DOUBTFUL, "The proxy did not connect in time.", slow=True),
    Fault.TIMEOUT: FaultRule(Charge.OPEN, "Nothing came for longer than the time-out.", slow=True),
    Fault.DEADLINE: FaultRule(Charge.OPEN, "The page took longer than its deadline.", slow=True, sampled=True),
    Fault.RESET: FaultRule(Charge.OPEN, "The connection was closed before an answer came."),
    Fault.TRUNCATED: FaultRule(Charge.OPEN, "The answer was cut off or cannot be read."),
    Fault.BANNED: FaultRule(Charge.DOUBTFUL, "A ban status, a ban rule, or not what others show.", sampled=True),
    # If the site has never served a page, one without content may be all there is.
    Fault.EMPTY: FaultRule(
        Charge.DOUBTFUL, "Nothing to extract.", SiteSign.SILENT_IF_SERVED, of_page=True, sampled=True
    ),
    Fault.SLOW: FaultRule(Charge.DOUBTFUL, "Other proxies overtook it, three pages in a row.", _NOT_OF_SITE),
    Fault.DNS: FaultRule(Charge.SITE, "The site's host name does not resolve."),
    # Not the site's alone: a proxy that opens TLS to read along shows the same bad certificate. Were it charged to
    # the site, that proxy would spoil page after page; as an open question the others soon tell which it is.
    Fault.TLS: FaultRule(Charge.OPEN, "The certificate or handshake of the site is wrong."),
    Fault.SERVER_ERROR: FaultRule(Charge.SITE, "An error of the server, 5xx."),
    Fault.HTTP_ERROR: FaultRule(Charge.PAGE, "A status that is no page.", _ANSWER, of_page=True),
    Fault.TOO_LARGE: FaultRule(Charge.PAGE, "The answer is larger than the limit.", _ANSWER, of_page=True),
    Fault.REDIRECTS: FaultRule(Charge.PAGE, "The page redirects too often.", _ANSWER, of_page=True),
    Fault.EXTRACT: FaultRule(
        Charge.PAGE, "The spider's code raised, or did not finish.", _ANSWER, of_page=True, sampled=True
    ),
    Fault.CRASH: FaultRule(Charge.WORKER, "The worker process died or failed in our own code.", _NOT_OF_SITE),
    Fault.HANG: FaultRule(Charge.WORKER, "The worker passed the deadline and was killed.", _NOT_OF_SITE),
}

#: The page came. Whether it is what the spider expects is another question.
DELIVERED = frozenset({Fault.EMPTY, Fault.EXTRACT, Fault.TOO_LARGE})

# Looked up first: what a sign means at this step only.
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
    # The page had been fetched in time: no proxy is suspected for what the spider does with it.
    (Step.EXTRACT, Sign.DEADLINE): Fault.EXTRACT,
    (Step.EXTRACT, Sign.TIMEOUT): Fault.EXTRACT,
    # Credentials that spider code mentions are the site's. As the proxy's they would retire the proxy.
    (Step.EXTRACT, Sign.AUTH): Fault.EXTRACT,
    (Step.WORKER, Sign.AUTH): Fault.CRASH,
    (Step.WORKER, Sign.DEADLINE): Fault.HANG,
    (Step.WORKER, Sign.TIMEOUT): Fault.HANG,
}

# Looked up next: what a sign means at any step.
_ANYWHERE: Mapping[Sign, Fault] = {
    Sign.AUTH: Fault.PROXY_AUTH,
    Sign.DEADLINE: Fault.DEADLINE,
    Sign.CRASH: Fault.CRASH,
    Sign.HANG: Fault.HANG,
}

# These too, once something that may be the site has answered.
_ANSWERED: Mapping[Sign, Fault] = {
    Sign.BAN: Fault.BANNED,
    Sign.EMPTY: Fault.EMPTY,
    Sign.TOO_LARGE: Fault.TOO_LARGE,
    Sign.REDIRECTS: Fault.REDIRECTS,
}
_ANSWERING = frozenset({Step.HEAD, Step.BODY, Step.PAGE, Step.EXTRACT})

# The rest is rare or new. It gets the fault of the main suspect at that step.
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


def fault_of(evidence: Evidence) -> Fault:
    """The fault that the evidence shows. Never raises: every pair of step and sign has a fault."""
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
        return Fault.CRASH  # our code, as it is not the spider's
    return _ANYWHERE.get(sign, _DEFAULTS[step])


def is_gone(status: int) -> bool:
    """True if the site says that the page does not exist: an answer, not a failure."""
    return status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)


def answer(status: int, ban_status: Collection[int], *, tunnelled: bool = False) -> Evidence | None:
    """
    What is wrong with a complete answer of this status; None if it is a page, or gone.

    `ban_status` goes first, so a spider can call even 200 or 404 a ban. `tunnelled`: the answer came through a tunnel,
    so from the site. A 407 is only an odd status there; taken for the proxy's it would retire the proxy.
    """
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED and not tunnelled:
        return Evidence(Step.PROXY, Sign.AUTH, "the proxy refused the login (407)", status)
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
