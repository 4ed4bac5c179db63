"""What a run waits for, and when waiting is of no use."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from pinpool.crawler.scheduler import Entry, Frontier
from pinpool.crawler.site_probe import SiteProbe
from pinpool.model import ProxyState
from pinpool.policy.causes import never_answered
from pinpool.policy.proxy_reports import ProxyReports, Survey, is_hopeless
from pinpool.policy.reputation import Reputation
from pinpool.pool.attempts import Attempts
from pinpool.pool.clock import Clock
from pinpool.pool.engine import Census
from pinpool.text import bare_url, cut_middle, duration, local_time

#: The end of a run: with so few pages left it is said which they are, unless they come at once.
FEW_LEFT, NOTICED_SECONDS = 3, 2.0


@dataclass(eq=False, repr=False)
class Outlook:
    """Judges what the proxies report. `patience` is the setting `site_patience`."""

    reports: ProxyReports
    site_probe: SiteProbe
    reputation: Reputation
    patience: float
    clock: Clock

    def gave_up(self, census: Census) -> str:
        """Why waiting any longer is of no use, and what to do about it, in lines; empty as long as it is."""
        self.reports.listed = len(census.states)
        if not self.reports.answered and (why := self._hopeless(census)):
            return why
        if not census.alive:
            text = self.trouble()
            return f"no usable proxy is left: {text}" if text else "no usable proxy is left"
        silent = self.site_probe.silent_seconds()
        if self.reports.answered and silent > self.patience:
            lasted = f"no page for {duration(silent)}, as long as site_patience allows: {self.trouble()}"
            return f"{lasted}\ntry later, or with other proxies"
        return ""

    def trouble(self) -> str:
        """Which proxies of the list fail now, and how: ``9 of 10 proxies failed (banned 403)``; empty if none does."""
        self._forget_withdrawn()
        return self.reports.text()

    def last_pages(self, attempts: Attempts[Entry], frontier: Frontier, left: int, deadline: float) -> str:
        """
        ``last page: /detail/7 through user5@192.0.2.7:8080, 24 s, limit 45 s``, if the end of the run waits for it, or
        when the pages that are left are tried again, if all of them wait for that.

        `left` tasks have not ended.
        """
        now, held = self.clock.monotonic(), attempts.held()
        if left <= 0:
            return ""
        which = "last page" if left == 1 else f"last {left:,} pages, the oldest"
        if held:
            if left > FEW_LEFT:
                return ""
            entry, line = held[0]
            seconds, proxy = now - line.since, self.reputation[line.proxy].label if line.proxy > 0 else "?"
            if seconds < NOTICED_SECONDS:
                return ""
            through = f"through {proxy.partition('://')[2] or proxy}"
            return f"{which}: {_path(entry)} {through}, {duration(seconds)}, limit {duration(deadline)}"
        ready = frontier.next_ready()
        if attempts or frontier.ready or ready is None or ready - now < NOTICED_SECONDS:
            return ""
        again = f"tried again at {local_time(self.clock.epoch() + ready - now)}"
        if left <= FEW_LEFT:
            return f"{which}: {again}"
        why = self.trouble()
        return f"{left:,} pages that failed, of which the first is {again}" + (f": {why}" if why else "")

    def _forget_withdrawn(self) -> None:
        for proxy in [proxy for proxy in self.reports.by_proxy if self.reputation[proxy].withdrawn]:
            self.reports.forget(proxy)

    def _hopeless(self, census: Census) -> str:
        reports, now = self.reports, self.clock.monotonic()
        self._forget_withdrawn()
        if not reports.by_proxy:
            return ""
        unasked = {
            proxy
            for proxy, state in census.states.items()
            if state in (ProxyState.PINNED, ProxyState.SPARE) and proxy not in reports.by_proxy
        }
        pending = sum(line.proxy in unasked for line in census.held.values())
        again_in = 0.0
        if not census.held:
            pause_ends = self.site_probe.pause_ends()
            if not census.usable:
                again_in = census.wakes_in if census.wakes_in is not None else float("inf")
            elif pause_ends is not None:
                again_in = max(0.0, pause_ends - now)
        survey = Survey(len(unasked), pending, again_in)
        elapsed, latest = now - reports.began, reports.latest - reports.began
        if not is_hopeless(reports.by_proxy, survey, elapsed=elapsed, latest=latest):
            return ""
        return "\n".join(never_answered(reports, len(unasked)))


def _path(entry: Entry) -> str:
    """The URL of a task without scheme, host and login, and not too long."""
    parts = urlsplit(bare_url(entry.task.url))
    return cut_middle(f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}", 40)
