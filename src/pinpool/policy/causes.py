"""Why no proxy fetches a page, in words: the cause, and what a person can do about it."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple

from pinpool.model import Fault, Step
from pinpool.policy.faults import FAULTS
from pinpool.policy.proxy_reports import ProxyReports, Report
from pinpool.text import counted, one_line

_CHECK = "`pinpool check LIST` tries them one by one"
_BROWSER = "look at the page in a browser"


class Cause(NamedTuple):
    """What is wrong, and the remedy: two sentences without a full stop."""

    what: str
    remedy: str


def never_answered(reports: ProxyReports, unasked: int) -> Cause:
    """
    Why nothing was ever fetched. `unasked` proxies of the list were not asked any more. There is at least one report.
    """
    asked = len(reports.by_proxy)
    who = f"{counted(asked, 'proxy', 'proxies')}" if asked == 1 else f"all {counted(asked, 'proxy', 'proxies')}"
    if unasked:
        who = f"all {asked} proxies that were asked, of {asked + unasked:,},"
    kinds = reports.kinds()
    if len(kinds) == 1:
        what, remedy = _same(next(iter(reports.by_proxy.values())), alone=asked == 1)
        return Cause(f"no page was ever fetched: {who} {what}", remedy)
    named = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    # Where one kind is that of most proxies, its remedy is the first one.
    kind, count = kinds.most_common(1)[0]
    one = next(report for report in reports.by_proxy.values() if report.kind == kind)
    remedy = _CHECK
    if count > asked / 2:
        what, more = _same(one, alone=False)
        remedy = f"most {what}: {more}" if one.of_proxy else f"most {what}: {more}; {_CHECK}"
    return Cause(f"no page was ever fetched: {who} failed: {named}", remedy)


def _same(report: Report, *, alone: bool) -> Cause:
    """What one proxy, or all of them, did: a verb first."""
    message = one_line(report.message)
    if report.fault in (Fault.BANNED, Fault.HTTP_ERROR, Fault.SERVER_ERROR) and report.status:
        return _status(report, report.status, message, alone=alone)
    end = "s" if alone else ""
    match report.fault:
        case Fault.TLS if "certificate" in message or "host" in message.lower():
            return Cause(
                f"met{end and ''} a certificate that is not trusted ({message.partition(': ')[2] or message})",
                "if the authority that issued it is to be trusted, name its PEM file: -s ca_bundle=FILE; "
                "otherwise somebody on the way opens TLS",
            )
        case Fault.TLS:
            return Cause(f"failed at the TLS handshake with the site ({message})", f"is it an https site? {_BROWSER}")
        case Fault.DNS:
            return Cause("found no such host: the site's name does not resolve", "correct the host in the seeds")
        case Fault.REFUSED if report.step is Step.CONNECT:
            return Cause(
                f"refuse{end} the connection",
                f"compare host and port with your provider's; is this network let in? {_CHECK}",
            )
        case Fault.UNREACHABLE:
            return Cause(f"cannot be reached ({message})", f"does this machine have a network? {_CHECK}")
        case Fault.CONNECT_TIMEOUT:
            return Cause(
                "did not connect in time",
                f"a firewall on the way, or the list is dead: {_CHECK}; -s connect_timeout=S waits longer",
            )
        case Fault.PROXY_AUTH:
            return Cause(f"refuse{end} the login", f"correct user and password in the list; {_CHECK}")
        case Fault.PROXY_TLS:
            return Cause(
                f"failed at TLS with the proxy itself ({message})",
                "a proxy with a plain port is written http://, one whose authority you know needs -s ca_bundle=FILE",
            )
        case Fault.TUNNEL:
            return Cause(
                f"would not open a tunnel to the site ({message})",
                f"does the site exist, and does your provider allow its port? {_CHECK}",
            )
        case Fault.TIMEOUT if report.step is Step.TLS:
            return Cause(
                "reached the site, but the TLS handshake stalls", f"is it an https site on that port? {_BROWSER}"
            )
        case Fault.TIMEOUT:
            return Cause("got no answer in time", f"{_BROWSER}; --timeout waits longer, --pace asks less often")
        case Fault.DEADLINE:
            return Cause("did not get a whole page in time", "--deadline gives a page more time")
        case Fault.REDIRECTS:
            return Cause(
                f"got redirect after redirect ({message})", f"a login or a cookie is missing, perhaps: {_BROWSER}"
            )
        case Fault.BANNED:
            return Cause(
                f"got the same block page ({message})", "if it is none, mend the ban rule: `pinpool try` shows the page"
            )
    words = FAULTS[report.fault].words.rstrip(".")
    return Cause(
        f"failed: {words[0].lower()}{words[1:]}" + (f" ({message})" if message else ""), f"{_BROWSER}; {_CHECK}"
    )


_STATUS: Mapping[int, tuple[str, str]] = {
    HTTPStatus.UNAUTHORIZED: (
        "the site asks for a login",
        "log in with on_pin, or send it with headers; a proxy may ask so too: `pinpool check LIST --url URL`",
    ),
    HTTPStatus.PAYMENT_REQUIRED: (
        "somebody wants to be paid",
        "mostly the proxy provider: is your traffic used up?",
    ),
    HTTPStatus.FORBIDDEN: (
        "the site turns them away",
        "try headers as a browser sends them, a slower --pace, or proxies of another kind",
    ),
    HTTPStatus.TOO_MANY_REQUESTS: (
        "that is too fast, the site says",
        "wait, then resume with a slower --pace, or --site-rate",
    ),
}


def _status(report: Report, status: int, message: str, *, alone: bool) -> Cause:
    ban = " by the ban rule" if report.fault is Fault.BANNED and status < 400 else ""
    got = f"got{ban} {_phrase(status)}"
    if ban:
        return Cause(
            f"got the same block page ({message})", "if it is none, mend the ban rule: `pinpool try` shows the page"
        )
    if (known := _STATUS.get(status)) is not None:
        what, remedy = known
        if alone:
            what = what.replace("them", "it")
        return Cause(f"{got}: {what}", remedy)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Cause(f"{got}: the site or the way to it is down", f"{_BROWSER}; resume when it works")
    return Cause(got, f"is the seed right? {_BROWSER}")


def _phrase(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"status {status}"
