"""
robots.txt, for a run that asks for it (RFC 9309): what a site forbids, and how slowly it wants to be read.

Each pin asks each origin itself. So a lying proxy's answer is dropped with that proxy.
"""

import re
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import urlsplit

from pinpool.errors import FetchFailed
from pinpool.fetch.diagnosis import retry_after
from pinpool.model import Evidence, Fetched, Sign, Step, Task
from pinpool.tasks import request

#: The reason why a page was not requested.
FORBIDDEN = "robots.txt forbids it"
#: Bytes that are read of the file, and seconds until it is fetched again (RFC 9309, 2.5 and 2.4).
MAX_BYTES = 500 * 1024
MAX_AGE = 86_400.0
#: Seconds. The upper bound of a Crawl-delay: no site may stop a run.
MAX_DELAY = 60.0

#: A byte order mark, or what is left of one.
_MARK = re.compile(rb"\xef(?:\xbb\xbf?)?")
#: An agent goes up to the first blank or star (Google's parser): ``User-agent: foobot 2.0``, ``User-agent: foobot*``.
_AGENT_END = re.compile(r"^([ \t]*user-?agent[ \t]*:[ \t]*[^\s*#]+)[^#\r\n]*", re.IGNORECASE | re.MULTILINE)

#: Agents times rules. Honest files have some ten thousand. Half a megabyte can have a hundred million, which takes
#: minutes to parse.
MAX_WORK = 10_000_000


class Rules:
    """What one robots.txt says. An empty `text` allows everything. `agent` is the User-Agent that is sent."""

    def __init__(self, text: str = "") -> None:
        # Only a run with `robots` pays for this import.
        from protego import Protego

        self._protego = Protego.parse(_AGENT_END.sub(r"\1", text))

    def allow(self, url: str, agent: str) -> bool:
        """Whether the URL may be requested."""
        return self._protego.can_fetch(url, agent)

    def delay(self, agent: str) -> float:
        """Least seconds between two requests (Crawl-delay), 0 without one, at most `MAX_DELAY`."""
        wanted = self._protego.crawl_delay(agent) or 0.0
        # `> 0` is false for nan.
        return min(wanted, MAX_DELAY) if wanted > 0 else 0.0


def origin_of(url: str) -> str:
    """Scheme, host and port: one robots.txt applies to these."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def ask_robots(fetch: Callable[[Task, float], Fetched], url: str, until: float) -> Rules:
    """
    What the site of `url` allows. `fetch` and `until` are those of a Fetcher.

    Endless redirects forbid nothing (RFC 9309, 2.3.1.2). Raises FetchFailed if there is no answer, or if the answer
    says "ask later": the page is then tried again as after any failed fetch.
    """
    try:
        return rules_in(fetch(request(f"{origin_of(url)}/robots.txt", stage="robots.txt"), until))
    except FetchFailed as failed:
        evidence = failed.evidence
    if evidence.sign is Sign.REDIRECTS:
        return Rules()
    raise FetchFailed(evidence._replace(message=f"robots.txt: {evidence.message}"))


def rules_in(fetched: Fetched) -> Rules:
    """
    The rules in an answer to the request for robots.txt.

    4xx forbids nothing, except 429, which means "ask later". On 5xx nothing may be requested (RFC 9309, 2.3.1.4).
    Raises FetchFailed for both, and for a file that would take minutes to parse.
    """
    status = fetched.status
    if status >= 500 or status == HTTPStatus.TOO_MANY_REQUESTS:
        sign = Sign.STATUS if status >= 500 else Sign.BAN
        message = f"answered with status {status}"
        raise FetchFailed(Evidence(Step.PAGE, sign, message, status, retry_after(fetched)))
    if not 200 <= status < 300:
        return Rules()
    body = fetched.body[:MAX_BYTES]
    if mark := _MARK.match(body):
        body = body[mark.end() :]
    text = body.decode("utf-8", "replace").replace("\0", "")
    if text.lower().count("agent:") * text.count("\n") > MAX_WORK:
        raise FetchFailed(Evidence(Step.PAGE, Sign.TOO_LARGE, "too many agents and rules to parse", status))
    return Rules(text)
