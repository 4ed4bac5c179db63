"""
robots.txt, for a run that asks for it (RFC 9309): what a site forbids, and how slowly it wants to be read.

A pin asks each origin for itself, so that what a lying proxy says of a site goes with that proxy.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pinpool.model import Evidence, Fetched, Sign, Step, Task
from pinpool.tasks import request

if TYPE_CHECKING:
    from protego import Protego

#: The reason of a page that is left alone.
FORBIDDEN = "robots.txt forbids it"
#: Bytes that are read of it, and seconds for which it is believed: the figures of RFC 9309, 2.5 and 2.4.
MOST_BYTES = 500 * 1024
LONGEST_LIFE = 86_400.0
#: Seconds. A site that asks for a longer Crawl-delay gets this one: a run must not stand still on its word.
LONGEST_DELAY = 60.0

#: Agents times rules. Honest files have some ten thousand, half a megabyte can have a hundred million: minutes.
MOST_WORK = 10_000_000


class Rules:
    """What one robots.txt says; without a `text` all is allowed. `agent` is always the User-Agent that is sent."""

    def __init__(self, text: str = "") -> None:
        self._protego: Protego | None = None
        if text:
            # Only a run that wants robots.txt pays for this import.
            from protego import Protego

            self._protego = Protego.parse(text)

    def __repr__(self) -> str:
        return "<Rules>" if self._protego else "<Rules all is allowed>"

    def allow(self, url: str, agent: str) -> bool:
        """Whether the URL may be requested."""
        return self._protego is None or self._protego.can_fetch(url, agent)

    def delay(self, agent: str) -> float:
        """Least seconds between two requests (Crawl-delay), 0 if it does not say, never above `LONGEST_DELAY`."""
        wanted = self._protego.crawl_delay(agent) if self._protego else None
        # Written so that a nan is nothing.
        return min(wanted, LONGEST_DELAY) if wanted is not None and wanted > 0 else 0.0


def origin_of(url: str) -> str:
    """Scheme, host and port: where a robots.txt holds."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def robots_task(origin: str) -> Task:
    """The request for an origin's robots.txt; its stage is no spider's."""
    return request(f"{origin}/robots.txt", stage="robots.txt")


def judge_robots(fetched: Fetched) -> Rules | Evidence:
    """
    What the answer to `robots_task` means.

    4xx forbids nothing, but for 429, which says "ask later". On 5xx nothing may be requested (RFC 9309, 2.3.1.4):
    both are evidence, and the page is tried again as after any failed fetch.
    """
    status = fetched.status
    if 200 <= status < 300:
        text = fetched.body[:MOST_BYTES].decode("utf-8", "replace").replace("\0", "").removeprefix("\ufeff")
        agents = text.lower().count("agent:")
        if agents * text.count("\n") > MOST_WORK:
            told = "robots.txt: it names too many agents and rules to be read"
            return Evidence(Step.PAGE, Sign.TOO_LARGE, told, status)
        return Rules(text)
    if status < 500 and status != HTTPStatus.TOO_MANY_REQUESTS:
        return Rules()
    sign = Sign.STATUS if status >= 500 else Sign.BAN
    return Evidence(Step.PAGE, sign, f"robots.txt: answered with status {status}", status)


def unavailable(evidence: Evidence) -> Rules | Evidence:
    """A fetch of it that failed: one that redirects for ever forbids nothing (2.3.1.2), else the evidence stands."""
    if evidence.sign is Sign.REDIRECTS:
        return Rules()
    return evidence._replace(message=f"robots.txt: {evidence.message}")
