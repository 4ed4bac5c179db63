"""
What a run logs with the standard library, under the name ``pinpool``: attach a handler there to read it.

Each record has the attributes `worker` (pid), `proxy` (label), `task` (URL) and `attempt` (serial), or None. Messages
may quote a hostile page, so they are one line without anything that controls a terminal.
"""

import logging
from typing import Any

from pinpool.model import Event, EventKind, Fault, Outcome, TaskState
from pinpool.policy.reputation import Reputation
from pinpool.text import counted, one_line, shown_url

log = logging.getLogger("pinpool")
# Without a handler, logging would print warnings to stderr.
log.addHandler(logging.NullHandler())


#: Pages in a row without an item after which there is a hint, and then after twice as many.
BARREN = 3000


class RunLog:
    """Logs decisions. A disabled level costs one check."""

    def __init__(self, reputation: Reputation) -> None:
        self._reputation = reputation
        self._barren = 0
        self._hint_at = BARREN

    def page_done(self, url: str, outcome: Outcome, state: TaskState) -> None:
        if log.isEnabledFor(logging.DEBUG):
            found = f"{counted(len(outcome.items), 'item')}, {counted(len(outcome.tasks), 'link')}"
            self._log(logging.DEBUG, f"page {state}: {found} in {outcome.seconds:.2f} s", outcome, url)

    def yielded(self, url: str, outcome: Outcome) -> None:
        """A page has ended. Warns when thousands in a row yield no item: some sites have links without end."""
        self._barren = 0 if outcome.items else self._barren + 1
        if self._barren >= self._hint_at:
            self._hint_at = 2 * self._barren
            many = f"{self._barren:,} pages in a row have yielded no item, the last is {shown_url(url)}"
            self._log(logging.WARNING, f"{many}: if these links never end, follow fewer, or use --limit", outcome, url)

    def attempt_failed(self, url: str, outcome: Outcome, fault: Fault) -> None:
        if log.isEnabledFor(logging.INFO):
            message = one_line(outcome.evidence.message.partition("\n")[0]) if outcome.evidence else ""
            self._log(logging.INFO, f"attempt failed: {fault}: {message}", outcome, url)

    def overtaken(self, url: str, outcome: Outcome, fault: Fault | None) -> None:
        if log.isEnabledFor(logging.INFO):
            self._log(logging.INFO, f"overtaken{f', {fault}' if fault else ''}: {outcome.seconds:.2f} s", outcome, url)

    def given_up(self, url: str, outcome: Outcome, reason: str) -> None:
        self._log(logging.WARNING, f"given up: {shown_url(url)}: {one_line(reason)}", outcome, url)

    def cooled(self, proxy: int, why: str, seconds: float) -> None:
        log.info("proxy rests for %.0f s: %s", seconds, why, extra=self._context(proxy=proxy))

    def retired(self, proxy: int, reason: str) -> None:
        context = self._context(proxy=proxy)
        log.warning("proxy retired: %s: %s", context["proxy"], one_line(reason), extra=context)

    def event(self, event: Event) -> None:
        """Log a lost worker, a rebuilt pool, a silent site, or a proxy that moved."""
        context = self._context(worker=event.worker, proxy=event.proxy)
        if event.kind is EventKind.WORKER_LOST:
            log.warning("worker %s was lost while in %s", event.worker, event.detail, extra=context)
        elif event.kind is EventKind.REBUILT:
            log.warning("the pool was rebuilt: %s", one_line(event.detail), extra=context)
        elif event.kind is EventKind.PAUSED:
            log.warning("the run pauses: %s", one_line(event.detail), extra=context)
        elif event.kind in (EventKind.STAGE_STOPPED, EventKind.FOUND_OUT):
            log.warning("%s", one_line(event.detail), extra=context)
        elif event.kind is EventKind.CONTINUED:
            log.warning("the site answers again", extra=context)
        elif log.isEnabledFor(logging.DEBUG):
            log.debug("proxy %s", event.kind, extra=context)

    def _log(self, level: int, message: str, outcome: Outcome, url: str) -> None:
        context = self._context(outcome.worker or None, outcome.proxy, url, outcome.serial)
        log.log(level, "%s", message, extra=context)

    def _context(
        self,
        worker: int | None = None,
        proxy: int | None = None,
        task: str | None = None,
        attempt: int | None = None,
    ) -> dict[str, Any]:
        label = self._reputation[proxy].label if proxy is not None and proxy > 0 else None
        return {"worker": worker, "proxy": label, "task": task, "attempt": attempt}
