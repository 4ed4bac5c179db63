"""
What a run's figures say, in sentences, each with its evidence and the next step: from an account to conclusions. Pure.

A conclusion is made only where somebody could act on it; a run without trouble has none.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterator
from statistics import median
from typing import NamedTuple

from pinpool.model import Fault, ProxyState
from pinpool.policy.faults import FAULTS
from pinpool.report.run_data import GivenUp, RunData
from pinpool.text import bare_url, byte_size, counted, first_few, one_line, percent, tallied, utc_time

#: Below these a thing is chance, or not worth anybody's time. Attempts, and shares of 1.
FEW = 3
NOTABLE_SHARE = 0.05
LARGE_SHARE = 0.2
CONCENTRATED_ON = 0.25  # of the proxies that were tried
CONCENTRATED = 0.8  # of all bans
SLOW = 3.0  # times the median of all proxies
ENOUGH_TO_TIME = 20
NAMED = 5  # proxies in one sentence

_SILENT = frozenset(fault.value for fault, rule in FAULTS.items() if rule.slow)
_PAGE_FAULTS = frozenset(fault.value for fault, rule in FAULTS.items() if rule.of_page)
_BANS = (Fault.BANNED.value, Fault.EMPTY.value)


class Recommendation(NamedTuple):
    """`weight`, up to 100, orders them; `commands` can be typed as they stand, once words in capitals are filled in."""

    weight: float
    title: str
    evidence: str
    commands: tuple[str, ...] = ()


def conclusions(account: RunData) -> list[Recommendation]:
    """What to do next, the weightiest first."""
    found = [conclusion for look in _LOOKS for conclusion in look(account)]
    return sorted(found, key=lambda conclusion: -conclusion.weight)


def _unfinished(account: RunData) -> Iterator[Recommendation]:
    waiting, state = account.run.tasks["waiting"], account.run.state
    still_waiting = counted(waiting, "page still waits", "pages still wait")
    journal = _quoted(account.journal)
    if state == "starved":
        yield Recommendation(
            100,
            f"No usable proxy was left; {still_waiting}",
            "Every proxy of the list is retired. A resume with a list, the same or a better one, tries them once more.",
            (f"pinpool resume {journal} -p PROXIES",),
        )
    elif state == "interrupted" and waiting:
        yield Recommendation(
            95,
            f"The run was interrupted; {still_waiting}",
            "Nothing is lost: a resume goes on where it stopped.",
            (f"pinpool resume {journal}",),
        )


def _doubtful_journal(account: RunData) -> Iterator[Recommendation]:
    if account.damage:
        told = "; ".join(account.damage)
        yield Recommendation(
            98, "The journal does not prove the run", told, (f"pinpool verify {_quoted(account.journal)}",)
        )


def _refused_logins(account: RunData) -> Iterator[Recommendation]:
    refused = [
        proxy.label
        for proxy in account.present
        if account.figures(proxy.id).faults[Fault.PROXY_AUTH] and not account.figures(proxy.id).ok
    ]
    if refused:
        yield Recommendation(
            80,
            f"{counted(len(refused), 'proxy', 'proxies')} refused the login",
            f"Check user and password of {'this line' if len(refused) == 1 else 'these lines'} in the list:"
            f" {first_few(refused, NAMED)}.",
            ("pinpool check PROXIES",),
        )


def _never_worked(account: RunData) -> Iterator[Recommendation]:
    faults: Counter[str] = Counter()
    labels = []
    for proxy in account.present:
        figures = account.figures(proxy.id)
        # What is held against it: a proxy through which nothing but a broken spider ran has done nothing wrong.
        if figures.charged and not figures.ok + figures.gone and not figures.faults[Fault.PROXY_AUTH]:
            labels.append(proxy.label)
            faults += figures.faults
    if labels:
        share = len(labels) / len(account.present)
        yield Recommendation(
            50 + 30 * share,
            f"{counted(len(labels), 'proxy', 'proxies')} never served a page",
            f"{tallied(faults)}: {first_few(labels, NAMED)}. Ask their provider, or take them off the list.",
            ("pinpool check PROXIES",),
        )


def _failed_from_then_on(account: RunData) -> Iterator[Recommendation]:
    gone: list[tuple[float, str, Counter[str]]] = []
    for proxy in account.present:
        ledger = account.totals.ledgers.get(proxy.id)
        if not ledger or ledger.since is None or not ledger.figures.ok:
            continue
        if ledger.tail.total() >= FEW or proxy.state == ProxyState.RETIRED:
            gone.append((ledger.since, proxy.label, ledger.tail))
    weight = 60 + 10 * len(gone) / max(len(account.present), 1)
    if len(gone) <= 2:
        for since, label, tail in sorted(gone):
            yield Recommendation(
                weight,
                f"{one_line(label)} worked until {utc_time(since)} UTC and never after",
                f"Since then: {tallied(tail)}.",
            )
        return
    told = [f"{label} from {utc_time(since)} UTC on ({tallied(tail)})" for since, label, tail in sorted(gone)]
    yield Recommendation(
        weight,
        f"{counted(len(gone), 'proxy', 'proxies')} worked at first and then no more",
        f"{first_few(told, NAMED)}.",
    )


def _bans(account: RunData) -> Iterator[Recommendation]:
    counts = sorted(
        (
            (sum(account.figures(proxy.id).faults[fault] for fault in _BANS), proxy.label)
            for proxy in account.listed
        ),
        reverse=True,
    )
    bans, tried = sum(count for count, _ in counts), len(account.totals.ledgers)
    share = bans / max(account.totals.attempts, 1)
    hit = [label for count, label in counts if count]
    if bans < FEW or share < 0.005:
        return
    few = max(1, int(tried * CONCENTRATED_ON))
    evidence = f"{bans:,} attempts ({percent(share)}) met a block page, or a page with nothing in it"
    if tried >= 4 and sum(count for count, _ in counts[:few]) >= CONCENTRATED * bans:
        chief = [label for count, label in counts[:few] if count]
        yield Recommendation(
            55 + 30 * share,
            f"The site blocks {len(chief)} of {tried} proxies",
            f"{evidence}, nearly all through {first_few(chief, NAMED)}. The cause lies there, not in the pace.",
        )
    elif len(hit) >= 2 and account.waste(Fault.EMPTY).attempts > bans / 2:
        yield Recommendation(
            60 + 30 * share,
            f"Pages came out empty through {len(hit)} of {tried} proxies",
            f"{evidence}. Either the spider's selectors do not fit these pages, or the site sends block pages that look"
            " whole: look at one.",
            (
                f"pinpool failures {_quoted(account.journal)} --pages",
                f"pinpool try {_quoted(account.run.spider_ref)} -p PROXIES",
            ),
        )
    elif len(hit) >= 2:
        yield Recommendation(
            60 + 30 * share,
            f"The site blocks {len(hit)} of {tried} proxies, on and off",
            f"{evidence}. So many at once speak for a pace that is too fast: give each proxy more time by --pace.",
            (f"pinpool resume {_quoted(account.journal)} --pace 2",)
            if account.run.state != "complete"
            else (),
        )


def _waste(account: RunData) -> Iterator[Recommendation]:
    total, banned = account.waste(), account.waste(*_BANS)
    size, seconds = account.totals.bytes, account.totals.seconds
    if size and total.bytes / size >= NOTABLE_SHARE:
        told = f", {byte_size(banned.bytes)} of them to block pages and empty ones" if banned.bytes else ""
        yield Recommendation(
            30 + 40 * total.bytes / size,
            f"{percent(total.bytes / size)} of the bytes were for nothing",
            f"{byte_size(total.bytes)} of {byte_size(size)} went to attempts that failed{told}.",
        )
    if seconds and total.seconds / seconds >= LARGE_SHARE:
        fault, worst = max(account.totals.waste.items(), key=lambda entry: entry[1].seconds)
        each, advice = worst.seconds / worst.attempts, ""
        if fault in _SILENT:
            option = "--connect-timeout" if fault == Fault.CONNECT_TIMEOUT else "--timeout"
            advice = f" A shorter {option} gives up sooner on a proxy that says nothing."
        yield Recommendation(
            30 + 40 * total.seconds / seconds,
            f"{percent(total.seconds / seconds)} of the workers' fetching time was for nothing",
            f"Chiefly {one_line(fault)}: {worst.attempts:,} attempts of {each:.1f} s each.{advice}",
        )


def _given_up(account: RunData) -> Iterator[Recommendation]:
    failed = account.run.tasks["failed"]
    if not failed:
        return
    journal = _quoted(account.journal)
    faults = Counter(account.faults_of_failed)
    first = account.given_up[0] if account.given_up else None
    yield Recommendation(
        90 if failed / max(account.run.pages + failed, 1) >= NOTABLE_SHARE else 70,
        f"{counted(failed, 'page was', 'pages were')} given up",
        f"By the last fault: {tallied(faults)}. Look at their history; once the cause is mended, put them back.",
        (f"pinpool failures {journal}", f"pinpool retry {journal} && pinpool resume {journal}"),
    )
    if first and first.fault in _PAGE_FAULTS and (page := _way_to(first, account)):
        yield Recommendation(
            69,
            "See what the spider makes of a page that was given up",
            f"{first.fault} speaks for the page or the spider, not for the proxies.",
            (f"pinpool try {_quoted(account.run.spider_ref)} {page}",),
        )


def _way_to(task: GivenUp, account: RunData) -> str:
    """How `pinpool try` gets at its page, from the journal or anew; empty if no words would do."""
    if account.page is not None:
        return f"--page {_quoted(f'{account.journal}:{account.page}')}"
    # One that is cut, or stripped of a login, would ask for another page.
    return f"{_quoted(task.url)} -p PROXIES" if bare_url(task.url) == task.url else ""


def _silent_site(account: RunData) -> Iterator[Recommendation]:
    if account.silences:
        total = sum(stop - start for start, stop in account.silences)
        times = [f"{utc_time(start)} UTC to {utc_time(stop)} UTC" for start, stop in account.silences]
        yield Recommendation(
            58,
            f"The whole site was silent for {total:,.0f} s",
            f"Every proxy failed at once, and none was charged for it: {first_few(times, NAMED)}.",
        )


def _lost_workers(account: RunData) -> Iterator[Recommendation]:
    losses = account.run.worker_losses
    if losses >= FEW:
        waste = account.waste(Fault.CRASH, Fault.HANG)
        told = tallied(Counter({fault: account.waste(fault).attempts for fault in (Fault.CRASH, Fault.HANG)}))
        evidence = f"Pages were fetched again: {told}." if waste.attempts else "No page was lost by that."
        yield Recommendation(45, f"{counted(losses, 'worker')} died or hung, and were replaced", evidence)


def _slow(account: RunData) -> Iterator[Recommendation]:
    times = {}
    for proxy in account.listed:
        figures = account.figures(proxy.id)
        middle = figures.latencies.percentile(0.5)
        if middle is not None and figures.ok >= ENOUGH_TO_TIME:
            times[proxy.label] = middle
    if len(times) < 4:
        return
    usual = median(times.values())
    slow = sorted(
        (label for label, time in times.items() if time >= SLOW * usual), key=lambda label: -times[label]
    )
    if slow and len(slow) <= len(times) * CONCENTRATED_ON:
        yield Recommendation(
            25 + 20 * len(slow) / len(times),
            f"{counted(len(slow), 'proxy is', 'proxies are')} far slower than the others",
            f"Half of all proxies answer within {usual:.2f} s, {slow[0]} takes {times[slow[0]]:.2f} s"
            + (f"; also {first_few(slow[1:], NAMED)}." if slow[1:] else "."),
        )


_LOOKS: tuple[Callable[[RunData], Iterator[Recommendation]], ...] = (
    _unfinished,
    _doubtful_journal,
    _refused_logins,
    _never_worked,
    _failed_from_then_on,
    _bans,
    _waste,
    _given_up,
    _silent_site,
    _lost_workers,
    _slow,
)


def _quoted(text: str) -> str:
    # What a journal says is pasted into a shell only after this.
    return shlex.quote(one_line(text))
