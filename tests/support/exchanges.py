"""Single exchanges through one proxy, and the evidence of those that fail."""

from __future__ import annotations

import time
from contextlib import closing

import pytest

from peers import PATIENCE
from pinpool.errors import FetchFailed
from pinpool.fetch.fetcher import Fetcher
from pinpool.model import Evidence, Fetched, Task
from pinpool.proxies.proxy import Proxy
from pinpool.settings import Settings

__all__ = ["IMPATIENT", "PASSWORD", "PLAIN", "SECURE", "USER", "evidence", "fetch", "soon", "task"]

PLAIN = "http://site.test/films?page=1"
SECURE = "https://site.test/"

#: No message may ever contain this password.
USER, PASSWORD = "anna", "planted"

#: Short time-outs, because tests wait for them.
IMPATIENT = Settings(connect_timeout=0.3, timeout=0.3)


def task(url: str = PLAIN, method: str = "GET", body: bytes | None = None, **headers: str) -> Task:
    """A task. Underscores in header names become hyphens."""
    given = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Task("index", url, b"k" * 16, method, body, given)


def soon() -> float:
    return time.monotonic() + PATIENCE


def fetch(proxy: Proxy, asked: Task | None = None, settings: Settings | None = None) -> Fetched:
    with closing(Fetcher(proxy, settings or Settings())) as fetcher:
        return fetcher.fetch(asked or task(), soon())


def evidence(
    proxy: Proxy, asked: Task | str = PLAIN, seconds: float = PATIENCE, settings: Settings = IMPATIENT
) -> Evidence:
    """The evidence of an exchange that must fail, without showing the password."""
    asked = task(asked) if isinstance(asked, str) else asked
    with closing(Fetcher(proxy, settings)) as fetcher, pytest.raises(FetchFailed) as caught:
        fetcher.fetch(asked, time.monotonic() + seconds)
    found = caught.value.evidence
    assert found.message
    assert PASSWORD not in repr(caught.value)
    return found
