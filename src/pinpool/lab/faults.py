"""
What goes wrong on purpose, decided without acting.

Some faults are the proxy's (`refused`, `blackhole`, `auth`, `drip`, `reset`, `flaky`). A ban is the site's: it refuses
the proxy's exit address, so `ban` and `softban` look the same through HTTP, CONNECT and SOCKS. Two more are lies:
`cached` gives one film's page for all films, and one list page for all lists; `sparse` leaves the directors out.
"""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Literal

from pinpool.lab.http import Answer, Delivery, Request, as_page

FAULTS = ("refused", "blackhole", "auth", "ban", "drip", "reset", "softban", "flaky", "cached", "sparse")

#: An HTTP status, or how the answer is sent.
SiteFault = int | Literal["drip", "cut", "reset", "silent"]

#: Where a selector finds the directors of a film, and what a `sparse` proxy puts there, in all encodings of the lab.
_HIDDEN = [
    tuple(f'class="{name} el-row"'.encode(codec) for name in ("directors", "shorthand"))
    for codec in ("ascii", "utf-16-le", "utf-16-be")
]

Flaw = Literal["reset", "502", "cut"]
FLAWS: tuple[Flaw, ...] = ("reset", "502", "cut")


def check_fault(name: str | None) -> None:
    """ValueError if it is not a fault of `FAULTS`, or None."""
    if name not in (None, *FAULTS):
        raise ValueError(f"unknown fault {name!r}: the lab has {', '.join(FAULTS)}")


def assign(names: Sequence[str], proxies: int, seed: int) -> dict[int, str]:
    """The fault of each faulty proxy (index), chosen by `seed`. ValueError for unknown or too many faults."""
    for name in names:
        check_fault(name)
    if len(names) > proxies:
        raise ValueError(f"{len(names)} faults need {len(names)} proxies, not {proxies}: add proxies or drop faults")
    return dict(zip(Random(f"faults {seed}").sample(range(proxies), len(names)), names, strict=True))


def as_asked(request: Request, path: str, fault: str | None) -> tuple[Request, str]:
    """The request and the path that a proxy with this fault asks the site for, in place of what the client wants."""
    if fault == "sparse":  # it could not change what is compressed
        return request._replace(headers={**request.headers, "accept-encoding": "identity"}), path
    if fault == "cached":
        return request, next((f"{kind}1" for kind in ("/page/", "/detail/") if path.startswith(kind)), path)
    return request, path


def draw_flaw(draw: float, rate: float) -> Flaw | None:
    """What a flaky proxy does for a `draw` from [0, 1): below `rate` one of the flaws, each equally often."""
    return FLAWS[int(draw / rate * len(FLAWS))] if draw < rate else None


def with_site_fault(answer: Answer, fault: SiteFault | None) -> Answer:
    """`answer` as a site with this fault gives it."""
    if fault is None:
        return answer
    if isinstance(fault, int):
        return as_page(fault, f"{fault}", "The practice site is out of order on purpose.")
    return replace(answer, delivery=Delivery(fault))


def with_proxy_fault(answer: Answer, fault: str, flaw: Flaw | None, *, banned: bool, tunnel: bool) -> Answer:
    """
    `answer` through a proxy with this fault. `banned` says that its fault is a ban, and that the ban has begun.

    In a `tunnel` a proxy cannot write an answer of its own; a flaky one resets instead of answering 502.
    """
    if fault == "sparse" and isinstance(answer.body, bytes):
        body = answer.body
        for shown, hidden in _HIDDEN:
            body = body.replace(shown, hidden)
        return replace(answer, body=body)
    if banned:
        return as_page(403, "403 Forbidden", "Your address has been blocked.")
    if fault == "softban":
        return as_page(200, "Access denied", "We have seen unusual traffic from your address.")
    if fault == "blackhole":
        return replace(answer, delivery=Delivery.SILENT)
    if fault == "drip":
        return replace(answer, delivery=Delivery.DRIP)
    if fault == "reset" or flaw == "reset" or (flaw == "502" and tunnel):
        return replace(answer, delivery=Delivery.RESET)
    if flaw == "502":
        return as_page(502, "502 Bad Gateway", "The proxy could not reach the site.")
    if flaw == "cut":
        # An answer without a body cannot be cut in it.
        return replace(answer, delivery=Delivery.CUT if answer.body else Delivery.RESET)
    return answer
