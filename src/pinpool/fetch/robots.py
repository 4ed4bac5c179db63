"""
robots.txt, for a run that asks for it (RFC 9309): what a site forbids, and how slowly it wants to be read.

Each pin asks each origin itself. So a lying proxy's answer is dropped with that proxy.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pinpool.model import Evidence, Fetched, Sign, Step, Task
from pinpool.tasks import request

if TYPE_CHECKING:
    from protego import Protego

#: The reason why a page was not requested.
FORBIDDEN = "robots.txt forbids it"
#: Bytes that are read of the file, and seconds until it is fetched again (RFC 9309, 2.5 and 2.4).
MAX_BYTES = 500 * 1024
MAX_AGE = 86_400.0
#: Seconds. The upper bound of a Crawl-delay: no site may stop a run.
MAX_DELAY = 60.0

#: Agents times rules. Honest files have some ten thousand. Half a megabyte can have a hundred million, which takes
#: minutes to parse.
MAX_WORK = 10_000_000


class Rules:
    """What one robots.txt says. An empty `text` allows everything. `agent` is the User-Agent that is sent."""

    def __init__(self, text: str = "") -> None:
        self._protego: Protego | None = None
        if text:
            # Only a run with `robots` pays for this import.
            from protego import Protego

            self._protego = Protego.parse(text)

    def __repr__(self) -> str:
        return "<Rules>" if self._protego else "<Rules all is allowed>"

    def allow(self, url: str, agent: str) -> bool:
        """Whether the URL may be requested."""
        return self._protego is None or self._protego.can_fetch(url, agent)

    def delay(self, agent: str) -> float:
        """Least seconds between two requests (Crawl-delay), 0 without one, at most `MAX_DELAY`."""
        wanted = self._protego.crawl_delay(agent) if self._protego else None
        # `> 0` is false for nan.
        return min(wanted, MAX_DELAY) if wanted is not None and wanted > 0 else 0.0


def origin_of(url: str) -> str:
    """Scheme, host and port: one robots.txt applies to these."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def robots_task(origin: str) -> Task:
    """The request for an origin's robots.txt. Its stage is not a stage of the spider."""
    return request(f"{origin}/robots.txt", stage="robots.txt")


def judge_robots(fetched: Fetched) -> Rules | Evidence:
    """
    What the answer to `robots_task` means.

    4xx forbids nothing, except 429, which means "ask later". On 5xx nothing may be requested (RFC 9309, 2.3.1.4).
    Both are evidence, and the page is tried again as after any failed fetch.
    """
    status = fetched.status
    if 200 <= status < 300:
        text = fetched.body[:MAX_BYTES].decode("utf-8", "replace").replace("\0", "").removeprefix("\ufeff")
        agents = text.lower().count("agent:")
        if agents * text.count("\n") > MAX_WORK:
            message = "robots.txt: too many agents and rules to parse"
            return Evidence(Step.PAGE, Sign.TOO_LARGE, message, status)
        return Rules(text)
    if status < 500 and status != HTTPStatus.TOO_MANY_REQUESTS:
        return Rules()
    sign = Sign.STATUS if status >= 500 else Sign.BAN
    return Evidence(Step.PAGE, sign, f"robots.txt: answered with status {status}", status)


def unavailable(evidence: Evidence) -> Rules | Evidence:
    """What a failed fetch of robots.txt means. Endless redirects forbid nothing (RFC 9309, 2.3.1.2)."""
    if evidence.sign is Sign.REDIRECTS:
        return Rules()
    return evidence._replace(message=f"robots.txt: {evidence.message}")
