"""
The proxy check: one request through each proxy, by the fetch layer of the workers.

A check waits and hardly computes, so each proxy has a thread. The threads are daemons and not an executor's: Python
waits for an executor's threads at its end, and nothing can end a thread that looks up a name.
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from queue import Empty, SimpleQueue
from threading import Thread

from pinpool.check.result import Finding, exit_address
from pinpool.errors import FetchFailed
from pinpool.fetch.fetcher import Fetcher
from pinpool.fetch.sockets import tls_context
from pinpool.model import Evidence, Fetched, Sign, Step, Task
from pinpool.policy.faults import answer, fault_of, is_gone
from pinpool.pool.clock import SYSTEM_CLOCK, Clock
from pinpool.proxies.proxy import Proxy
from pinpool.settings import Settings

#: Answers with the address of the client, as plain text, over https. Open source, and free without limit.
ECHO = "https://api.ipify.org/"
#: Proxies tried at once: with a socket each, and one more to look up a name, macOS's 256 open files suffice.
AT_ONCE = 100
#: Seconds after its deadline when an attempt is abandoned.
GRACE = 5.0


def settings_for(timeout: float) -> Settings:
    """The default settings, but with `timeout`: the seconds that one proxy has for everything."""
    connect = min(Settings().connect_timeout, timeout)
    return Settings(connect_timeout=connect, timeout=timeout, deadline=timeout)


def check(
    proxies: Iterable[Proxy], task: Task, settings: Settings, workers: int = AT_ONCE, clock: Clock = SYSTEM_CLOCK
) -> Iterator[Finding | None]:
    """
    Try these proxies, each one different, `workers` of them at a time. Yields each finding as soon as it is there.

    Each has one try: a second would hide what fails now and then. It takes `settings.deadline` seconds at most, and
    `GRACE` more if its name is looked up that long. Yields None after each half second without a finding, so that the
    caller can show progress. The caller may leave early: the threads end by themselves.

    Raises SettingsError if the certificates of `settings` cannot be used.
    """
    tls_context(settings.ca_bundle)  # read once here, or else by each thread
    waiting, running = deque(proxies), dict[Proxy, float]()  # running since then
    findings: SimpleQueue[Finding] = SimpleQueue()
    while waiting or running:
        while waiting and len(running) < workers:
            proxy = waiting.popleft()
            try:
                Thread(target=_attempt, args=(proxy, task, settings, findings), daemon=True).start()
            except RuntimeError:
                short = "no more threads on this machine; fewer workers, or a higher limit"
                yield conclude(proxy, Evidence(Step.WORKER, Sign.RAISED, short), 0.0, settings)
            else:
                running[proxy] = clock.monotonic()
        try:
            finding = findings.get(timeout=0.5)
        except Empty:
            yield None
        else:
            if running.pop(finding.proxy, None):
                yield finding
        overdue = clock.monotonic() - settings.deadline - GRACE
        for proxy, start in tuple(running.items()):
            if start > overdue:
                break  # they are in the order of their start
            del running[proxy]
            abandoned = Evidence(Step.CONNECT, Sign.DEADLINE, "its attempt does not end, and is abandoned")
            yield conclude(proxy, abandoned, clock.monotonic() - start, settings)


def conclude(proxy: Proxy, found: Fetched | Evidence, seconds: float, settings: Settings) -> Finding:
    """
    The finding from the result of a fetch. A proxy works if a complete answer with a status 2xx or 3xx came through it,
    redirects followed. A 404, which ends a task of a crawl, proves nothing here: the proxy may have made it up.
    """
    if isinstance(found, Fetched):
        by_site = proxy.scheme.startswith("socks") or found.url.startswith("https:")
        evidence = answer(found.status, settings.ban_status, tunnelled=by_site)
        if evidence is None and is_gone(found.status):
            message = f"answered with status {found.status}"
            evidence = Evidence(Step.PAGE, Sign.STATUS, message, found.status)
        # A status 3xx is a redirect to nowhere, so there is nothing to follow.
        elif evidence is None or (evidence.sign is Sign.STATUS and 300 <= found.status < 400):
            return Finding(proxy, None, "", seconds, found.status, exit_address(found.body))
        found = evidence
    limit = f" ({settings.deadline:g} s)" if found.sign is Sign.DEADLINE else ""
    return Finding(proxy, fault_of(found), found.message + limit, seconds, found.status)


def _attempt(proxy: Proxy, task: Task, settings: Settings, findings: SimpleQueue[Finding]) -> None:
    found: Fetched | Evidence
    start = time.monotonic()
    try:
        with closing(Fetcher(proxy, settings)) as fetcher:
            start = time.monotonic()
            found = fetcher.fetch(task, start + settings.deadline)
    except FetchFailed as failed:
        found = failed.evidence
    except Exception as error:  # noqa: BLE001  the caller would wait for the missing finding
        found = Evidence(Step.WORKER, Sign.RAISED, f"{type(error).__name__} in pinpool itself")
    findings.put(conclude(proxy, found, time.monotonic() - start, settings))
