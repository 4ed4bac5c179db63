"""
pinpool scrapes a paginated site through a fixed list of proxies. Each worker process pins one of them.

The public names, grouped: what a spider file needs, what runs a crawl, any function through pinned proxies, errors.
They are loaded on first use, because workers and ``pinpool --help`` need only a few of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pinpool.calls.pinned_pool import PinnedPool, proxy, session
    from pinpool.crawler.api import Run, crawl, resume
    from pinpool.errors import (
        CallFailed,
        JournalError,
        NoUsableProxy,
        PinpoolError,
        ProxyListError,
        SettingsError,
        SpiderError,
        StorageError,
        UsageError,
    )
    from pinpool.spider.node import Node
    from pinpool.spider.page import Page
    from pinpool.spider.spider import Spider
    from pinpool.tasks import request

__all__ = [
    # a spider file
    "Spider",
    "Page",
    "Node",
    "request",
    # a crawl
    "crawl",
    "resume",
    "Run",
    # any function
    "PinnedPool",
    "session",
    "proxy",
    # errors
    "PinpoolError",
    "UsageError",
    "SettingsError",
    "ProxyListError",
    "SpiderError",
    "JournalError",
    "StorageError",
    "NoUsableProxy",
    "CallFailed",
]

_HOMES = {
    "Spider": "spider.spider",
    "Page": "spider.page",
    "Node": "spider.node",
    "request": "tasks",
    "crawl": "crawler.api",
    "resume": "crawler.api",
    "Run": "crawler.api",
    "PinnedPool": "calls.pinned_pool",
    "session": "calls.pinned_pool",
    "proxy": "calls.pinned_pool",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"pinpool.{_HOMES.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
