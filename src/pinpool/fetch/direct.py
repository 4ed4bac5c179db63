"""One exchange without a proxy, from this machine's own address: for `pinpool try --direct`, and nothing else."""

import time

import requests
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import HTTPError

from pinpool.errors import FetchFailed
from pinpool.fetch.content_coding import decoded, too_large
from pinpool.fetch.diagnosis import diagnose
from pinpool.fetch.session import DEFAULT_HEADERS, first_profile
from pinpool.fetch.wire import CHUNK
from pinpool.model import Fetched, Step, Task
from pinpool.settings import Settings


class DirectFetcher:
    """Does what a `Fetcher` does, without a proxy. The user has to ask for it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = settings.ca_bundle or True
        self.session.max_redirects = settings.max_redirects
        self.session.headers = CaseInsensitiveDict(DEFAULT_HEADERS)
        self.session.headers.update(settings.headers)
        self.session.headers.update(first_profile(settings))

    def close(self) -> None:
        """Close every connection."""
        self.session.close()

    def fetch(self, task: Task, until: float) -> Fetched:
        """
        The complete answer to `task`. The caller's alarm has to end it at `until` (`time.monotonic()`): a slow answer
        is not cut short here.

        Raises FetchFailed.
        """
        settings, step, body, start = self._settings, Step.HEAD, bytearray(), time.monotonic()
        try:
            with self.session.request(
                task.method,
                task.url.partition("#")[0],
                data=task.body,
                headers=dict(task.headers),
                timeout=(settings.connect_timeout, settings.timeout),
                stream=True,
            ) as answer:
                step = Step.BODY
                # Not by iter_content: urllib3 forgives less than a crawl does.
                for chunk in answer.raw.stream(CHUNK, decode_content=False):
                    body += chunk
                    if len(body) > settings.max_body:
                        raise too_large(settings.max_body, answer.status_code)
        except (requests.RequestException, HTTPError, OSError) as error:
            raise FetchFailed(diagnose(error, step, late=False)) from None
        headers = {name.lower(): value for name, value in answer.headers.items()}
        content, note, seconds = bytes(body), "", time.monotonic() - start
        if content and (coding := headers.get("content-encoding")):
            complete = "content-length" in headers or "transfer-encoding" in headers
            content, note = decoded(content, coding, settings.max_body, complete=complete)
        return Fetched(answer.url, answer.status_code, headers, content, seconds, len(body), note)
