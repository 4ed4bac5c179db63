"""
A check of proxies before a crawl: one request through each, by the fetch layer of the workers.

A check waits and hardly computes, so each proxy has a thread of its own. The threads are daemons and not an
executor's, which would be waited for: a thread may be in a look-up of a name, and nothing can end that.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import count
from queue import Empty, SimpleQueue
from threading import Thread

from pinpool.check.result import Finding, exit_address
from pinpool.errors import FetchFailed
from pinpool.fetch.fetcher import Fetcher
from pinpool.fetch.sockets import tls_context
from pinpool.model import Evidence, Fetched, Sign, Step, Task
from pinpool.policy.faults import answer, fault_of, is_gone
from pinpool.proxies.proxy import Proxy
from pinpool.settings import Settings

#: Tells the address that it is asked from, as plain text, over https; open source, and free to ask without limit.
ECHO = "https://api.ipify.org/"
#: Proxies tried at once: with a socket each, and one more to look up a name, macOS's 256 open files suffice.
AT_ONCE = 100
#: Seconds without news after which a caller hears that there is none.
TICK = 0.5
#: Seconds beyond its time after which an attempt is not waited for any longer.
GRACE = 5.0


def settings_for(timeout: float) -> Settings:
    """The settings of a crawl, but for `timeout`: the seconds that one proxy has for everything."""
    connect = min(Settings().connect_timeout, timeout)
    return Settings(connect_timeout=connect, timeout=timeout, deadline=timeout)


def check(
    proxies: Iterable[Proxy], task: Task, settings: Settings, workers: int = AT_ONCE
) -> Iterator[Finding | None]:
    """
    Try each proxy once, `workers` of them at a time, and yield its finding as soon as there is one.

    Once only: a second try would hide what fails now and then. A proxy takes `settings.deadline` seconds at the
    most, and `GRACE` more if its name is looked up that long. None is yielded in between, every half second
    without news, so that a caller can show that it goes on. Whoever leaves early leaves threads that end by
    themselves.

    Raises SettingsError if the certificates of `settings` cannot be used.
    """
    tls_context(settings.ca_bundle)  # read here, once: the threads would all do it
    waiting, running = deque(proxies), dict[int, tuple[Proxy, float]]()
    ended: SimpleQueue[tuple[int, Finding]] = SimpleQueue()
    numbers = count()

    def attempt(number: int, proxy: Proxy) -> None:
        ended.put((number, _attempt(proxy, task, settings)))

    while waiting or running:
        while waiting and len(running) < workers:
            number, proxy = next(numbers), waiting.popleft()
            try:
                Thread(target=attempt, args=(number, proxy), daemon=True).start()
            except RuntimeError:
                short = "no more threads on this machine; fewer workers, or a higher limit"
                yield conclude(proxy, Evidence(Step.WORKER, Sign.RAISED, short), 0.0, settings)
            else:
                running[number] = proxy, time.monotonic()
        try:
            number, finding = ended.get(timeout=TICK)
        except Empty:
            yield None
        else:
            if running.pop(number, None):
                yield finding
        overdue = time.monotonic() - settings.deadline - GRACE
        for number, (proxy, start) in tuple(running.items()):
            if start > overdue:
                break  # they stand in the order in which they began
            del running[number]
            given_up = Evidence(Step.CONNECT, Sign.DEADLINE, "it does not come back, and is left alone")
            yield conclude(proxy, given_up, time.monotonic() - start, settings)


def conclude(proxy: Proxy, found: Fetched | Evidence, seconds: float, settings: Settings) -> Finding:
    """
    The finding in what came of a fetch. A proxy works if a complete answer with a status 2xx or 3xx came through
    it, the redirects followed. A 404, which ends a task of a crawl, proves nothing here: it may be the proxy's.
    """
    if isinstance(found, Fetched):
        wrong = _wrong(proxy, found, settings)
        if wrong is None:
            return Finding(proxy, None, "", seconds, found.status, exit_address(found.body))
        found = wrong
    limit = f" ({settings.deadline:g} s)" if found.sign is Sign.DEADLINE else ""
    return Finding(proxy, fault_of(found), found.message + limit, seconds, found.status)


def _wrong(proxy: Proxy, fetched: Fetched, settings: Settings) -> Evidence | None:
    status = fetched.status
    by_site = proxy.scheme.startswith("socks") or fetched.url.startswith("https:")
    wrong = answer(status, settings.ban_status, tunnelled=by_site)
    if wrong is None and is_gone(status):
        return Evidence(Step.PAGE, Sign.STATUS, f"answered with status {status}", status)
    if wrong is not None and wrong.sign is Sign.STATUS and 300 <= status < 400:
        return None  # leads nowhere, so there is nothing to follow
    return wrong


def _attempt(proxy: Proxy, task: Task, settings: Settings) -> Finding:
    found: Fetched | Evidence
    start = time.monotonic()
    try:
        with closing(Fetcher(proxy, settings)) as fetcher:
            start = time.monotonic()
            found = fetcher.fetch(task, start + settings.deadline)
    except FetchFailed as failed:
        found = failed.evidence
    except Exception as error:  # noqa: BLE001  a finding less would be waited for
        found = Evidence(Step.WORKER, Sign.RAISED, f"{type(error).__name__} in pinpool itself")
    return conclude(proxy, found, time.monotonic() - start, settings)
