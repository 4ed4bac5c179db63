"""
What a run's figures say: sentences, each with its evidence and the next step. Pure.

A recommendation appears only where somebody can act on it. A run without trouble has none.
"""

import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from statistics import median
from typing import Any, NamedTuple

from pinpool.journal.records import ProxyRow, read_settings
from pinpool.journal.yields import NOTHING
from pinpool.model import Fault, ProxyState
from pinpool.policy.faults import FAULTS
from pinpool.report.run_data import History, RunData
from pinpool.text import bare_url, byte_size, counted, first_few, one_line, percent, shown_path, tallied, utc_time

#: Below these limits a thing is chance, or not worth anybody's time.
FEW = 3  # attempts, workers
NOTABLE = 0.05  # share of all
LARGE = 0.2
CONCENTRATED_ON = 0.25  # of the tried proxies
CONCENTRATED = 0.8  # of all bans
SLOW = 3.0  # times the median of all proxies
ENOUGH_TO_TIME = 20  # pages
NAMED = 5  # proxies in one sentence

_SLOW_FAULTS = {fault for fault, rule in FAULTS.items() if rule.slow}
_SHORTENED: Mapping[str, str] = {Fault.CONNECT_TIMEOUT: "--connect-timeout", Fault.DEADLINE: "--deadline"}
_PAGE_FAULTS = {fault for fault, rule in FAULTS.items() if rule.of_page}
_BANS = (Fault.BANNED, Fault.EMPTY)


class Recommendation(NamedTuple):
    """
    `weight`, up to 100, puts them in order. `commands` are ready to type once the words in capitals are filled in.
    """

    weight: float
    title: str
    evidence: str
    commands: tuple[str, ...] = ()


def recommend(data: RunData) -> list[Recommendation]:
    """What to do next, the weightiest first."""
    found = [recommendation for rule in _RULES for recommendation in rule(data)]
    return sorted(found, key=lambda recommendation: -recommendation.weight)


def _unfinished(data: RunData) -> Iterator[Recommendation]:
    waiting, state = data.run.tasks["waiting"], data.run.state
    still_waiting = counted(waiting, "page still waits", "pages still wait")
    journal = _quoted(data.journal)
    if state == "starved":
        yield Recommendation(
            100,
            f"Nothing could be fetched any more; {still_waiting}",
            f"{one_line(data.starved) or 'No usable proxy was left'}. A resume with a list, the same or a better one,"
            " tries all its proxies again.",
            (f"pinpool resume {journal} -p PROXIES",),
        )
    elif state == "limited" and waiting:
        yield Recommendation(
            90,
            f"The run reached the wanted number of pages; {still_waiting}",
            "A resume without --limit asks for them.",
            (f"pinpool resume {journal}",),
        )
    elif state == "interrupted" and waiting:
        yield Recommendation(
            95,
            f"The run was interrupted; {still_waiting}",
            "Nothing is lost: a resume goes on where it stopped.",
            (f"pinpool resume {journal}",),
        )


def _nothing_in_hand(data: RunData) -> Iterator[Recommendation]:
    spider, resume = _quoted(data.run.spider_ref), f"pinpool resume {_quoted(data.journal)}"
    for stage in data.found.barren:
        if (sample := data.samples.get(stage.stage)) is not None:
            page = "--page " + _quoted(f"{data.journal}:{sample}")
        else:
            page = f"{_quoted(bare_url(stage.url))} {_through(data)}"
        yield Recommendation(
            99,
            f"Stage {one_line(stage.stage)} yielded nothing",
            f"{one_line(str(stage))}. {counted(stage.waiting, 'page of it waits', 'pages of it wait')}. See what the"
            " spider makes of one, mend it, and resume: that asks for all of them again.",
            (f"pinpool try {spider} {page} --stage {_quoted(stage.stage)}", resume),
        )
    for problem in data.found.problems()[len(data.found.barren) :]:
        yield Recommendation(99, "The run has no items", f"{problem}.", (f"pinpool try {spider} {_through(data)}",))


def _empty_fields(data: RunData) -> Iterator[Recommendation]:
    pages = {stage.stage: stage.url for stage in data.stages}
    for stage in data.fields:
        if stage.empty:
            names, are = first_few(stage.empty, NAMED), "is" if len(stage.empty) == 1 else "are"
            url = pages.get(stage.stage) or ""
            page = _quoted(url) if url and _is_whole(url) else "URL"
            yield Recommendation(
                75,
                f"{names} {are} empty in all items of stage {one_line(stage.stage)}",
                f"None of {counted(stage.items, 'item')} has a value there: see whether the selectors are right.",
                (f"pinpool try {_quoted(data.run.spider_ref)} {page} {_through(data)} --stage {_quoted(stage.stage)}",),
            )


def _damaged_journal(data: RunData) -> Iterator[Recommendation]:
    if data.damage:
        title, command = "The journal does not prove the run", f"pinpool verify {_quoted(data.journal)}"
        yield Recommendation(98, title, "; ".join(data.damage), (command,))


def _refused_logins(data: RunData) -> Iterator[Recommendation]:
    refused = [proxy.label for proxy, history in data.on_list if _refuses(history)]
    if refused:
        yield Recommendation(
            80,
            f"{counted(len(refused), 'proxy', 'proxies')} refused the login",
            f"Check user and password of {'this line' if len(refused) == 1 else 'these lines'} in the list:"
            f" {first_few(refused, NAMED)}.",
            (f"pinpool check {_list(data)}",),
        )


def _never_worked(data: RunData) -> Iterator[Recommendation]:
    blocked = _blocked(data)
    useless = [
        (proxy, history)
        for proxy, history in data.on_list
        if _is_useless(history) and not (proxy.label in blocked and set(history.faults) <= set(_BANS))
    ]
    if useless:
        faults = sum((history.faults for _, history in useless), Counter[str]())
        names = first_few([proxy.label for proxy, _ in useless], NAMED)
        lost = sum(history.wasted_seconds for _, history in useless) / max(data.totals.seconds, 1e-9)
        cost = f" They took {percent(lost)} of the workers' fetching time." if lost >= NOTABLE else ""
        yield Recommendation(
            50 + 30 * len(useless) / len(data.on_list),
            f"{counted(len(useless), 'proxy', 'proxies')} never served a page",
            f"{tallied(faults)}: {names}.{cost} Ask their provider, or take them off the list.",
            (f"pinpool check {_list(data)}",),
        )


def _stopped_working(data: RunData) -> Iterator[Recommendation]:
    blocked = _blocked(data)
    stopped = sorted(
        (history.failing_since or 0.0, proxy.label, tallied(history.last_faults))
        for proxy, history in data.on_list
        if _has_stopped(proxy, history) and not (proxy.label in blocked and set(history.last_faults) <= set(_BANS))
    )
    weight = 60 + 10 * len(stopped) / max(len(data.on_list), 1)
    check = (f"pinpool check {_list(data)}",)
    if len(stopped) <= 2:
        for since, label, faults in stopped:
            title = f"{one_line(label)} worked until {utc_time(since)} UTC and never after"
            yield Recommendation(weight, title, f"Since then: {faults}.", check)
    else:
        times = [f"{label} from {utc_time(since)} UTC on ({faults})" for since, label, faults in stopped]
        title = f"{counted(len(stopped), 'proxy', 'proxies')} worked at first and then no more"
        yield Recommendation(weight, title, f"{first_few(times, NAMED)}.", check)


def _refuses(history: History) -> bool:
    return bool(history.faults[Fault.PROXY_AUTH] and not history.ok)


def _is_useless(history: History) -> bool:
    # Charged failures only: a proxy that served nothing but a broken spider did nothing wrong.
    return bool(history.charged and not history.ok + history.gone and not history.faults[Fault.PROXY_AUTH])


def _has_stopped(proxy: ProxyRow, history: History) -> bool:
    failing = history.failing_since is not None and history.ok
    return bool(failing and (history.last_faults.total() >= FEW or proxy.state == ProxyState.RETIRED))


def _ban_counts(data: RunData) -> list[tuple[int, str]]:
    """(bans and empty pages, label) of each proxy, the most first."""
    counts = ((sum(figures.faults[fault] for fault in _BANS), proxy.label) for proxy, figures in data.shown)
    return sorted(counts, reverse=True)


def _blocked(data: RunData) -> list[str]:
    """The few proxies that nearly all bans come through; empty if there are none, or hardly any bans."""
    counts = _ban_counts(data)
    bans, tried = sum(count for count, _ in counts), len(data.totals.histories)
    worst = [(count, label) for count, label in counts[: max(1, int(tried * CONCENTRATED_ON))] if count]
    is_notable = bans >= FEW and bans >= 0.005 * data.totals.tried and tried >= 4
    return [label for _, label in worst] if is_notable and sum(n for n, _ in worst) >= CONCENTRATED * bans else []


def _bans(data: RunData) -> Iterator[Recommendation]:
    counts, blocked = _ban_counts(data), _blocked(data)
    bans, tried = sum(count for count, _ in counts), len(data.totals.histories)
    share = bans / max(data.totals.tried, 1)
    hit = sum(count > 0 for count, _ in counts)
    if bans < FEW or share < 0.005:
        return
    evidence = f"{bans:,} attempts ({percent(share)}) met a block page, or a page with nothing in it"
    banned = data.waste(*(fault for fault in _BANS if fault in data.totals.waste))
    if banned.bytes >= NOTABLE * data.totals.bytes > 0:
        evidence += f", for {byte_size(banned.bytes)} of {byte_size(data.totals.bytes)}"
    if blocked:
        names = first_few(blocked, NAMED)
        yield Recommendation(
            55 + 30 * share,
            f"The site blocks {len(blocked)} of {tried} proxies",
            f"{evidence}, nearly all through {names}. The cause lies there, not in the pace: ask their provider for"
            " others.",
        )
    elif hit >= 2 and data.waste(Fault.EMPTY).attempts > bans / 2:
        if data.found.barren:
            return  # a stage that yields nothing has its own entry
        yield Recommendation(
            60 + 30 * share,
            f"Pages came out empty through {hit} of {tried} proxies",
            f"{evidence}. Either the spider's selectors do not fit these pages, or the site sends block pages that look"
            " whole: look at one.",
            (
                f"pinpool failures {_quoted(data.journal)} --pages",
                f"pinpool try {_quoted(data.run.spider_ref)} {_through(data)}",
            ),
        )
    elif hit >= 2:
        slower = f"pinpool resume {_quoted(data.journal)} --pace 2"
        yield Recommendation(
            60 + 30 * share,
            f"The site blocks {hit} of {tried} proxies, on and off",
            f"{evidence}. That many point to a pace that is too fast: give each proxy more time, by --pace.",
            (slower,) if data.run.state != "complete" else (),
        )


def _waste(data: RunData) -> Iterator[Recommendation]:
    """What failed attempts cost, without those whose cause has an entry of its own."""
    told = [
        history
        for proxy, history in data.on_list
        if _refuses(history) or _is_useless(history) or _has_stopped(proxy, history)
    ]
    faults = dict(data.totals.waste)
    by_page = _PAGE_FAULTS & data.faults_of_failed.keys()
    for fault in [*by_page, *(_BANS if any(_bans(data)) else ()), *(NOTHING if data.found.barren else ())]:
        faults.pop(fault, None)
    size = sum(waste.bytes for waste in faults.values()) - sum(history.wasted_bytes for history in told)
    seconds = sum(waste.seconds for waste in faults.values()) - sum(history.wasted_seconds for history in told)
    of_bytes, of_time = size / max(data.totals.bytes, 1), seconds / max(data.totals.seconds, 1e-9)
    shares, evidence = [], []
    if of_bytes >= NOTABLE:
        shares.append(f"{percent(of_bytes)} of the bytes")
        evidence.append(f"{byte_size(size)} of {byte_size(data.totals.bytes)} went to attempts that failed.")
    if of_time >= LARGE:
        shares.append(f"{percent(of_time)} of the workers' fetching time")
        fault, worst = max(faults.items(), key=lambda entry: entry[1].seconds)
        # A page that drips is never silent for long: no time-out ends it.
        option = _SHORTENED.get(fault, "--timeout")
        on_what = "a page that only drips in" if fault == Fault.DEADLINE else "a proxy that does not answer"
        shorter = f" A shorter {option} gives up sooner on {on_what}." if fault in _SLOW_FAULTS else ""
        each = f"{counted(worst.attempts, 'attempt')} of {worst.seconds / worst.attempts:.1f} s each"
        evidence.append(f"Mostly {one_line(fault)}: {each}.{shorter}")
    if shares:
        weight = 30 + 40 * max(of_bytes, of_time)
        yield Recommendation(
            weight, f"{' and '.join(shares)} {'was' if of_bytes < NOTABLE else 'were'} for nothing", " ".join(evidence)
        )


def _given_up(data: RunData) -> Iterator[Recommendation]:
    failed = data.run.tasks["failed"]
    if failed <= sum(stage.settled for stage in data.found.barren):
        return  # a stage that yields nothing has its own entry
    journal = _quoted(data.journal)
    look, look_why = _page_given_up(data)
    yield Recommendation(
        90 if failed / max(data.run.pages + failed, 1) >= NOTABLE else 70,
        f"{counted(failed, 'page was', 'pages were')} given up",
        f"By the last fault: {tallied(data.faults_of_failed)}.{look_why} Look at their history, solve the cause, put"
        " them back.",
        (f"pinpool failures {journal}", *look, f"pinpool retry {journal} && pinpool resume {journal}"),
    )


def _page_given_up(data: RunData) -> tuple[tuple[str, ...], str]:
    """The command that shows what the spider makes of such a page, if it may be to blame, and why to look."""
    first: dict[str, Any] = data.given_up[0] if data.given_up else {"attempts": ()}
    fault = first["attempts"][-1]["fault"] if first["attempts"] else None
    if fault not in _PAGE_FAULTS:
        return (), ""
    if first["page"] is not None:
        page = "--page " + _quoted(f"{data.journal}:{first['page']}")
    elif _is_whole(first["url"]):
        page = f"{_quoted(first['url'])} {_through(data)}"
    else:
        return (), ""
    why = f" {fault} points to the page or the spider, not to the proxies: see what the spider makes of one."
    return (f"pinpool try {_quoted(data.run.spider_ref)} {page}",), why


def _silent_site(data: RunData) -> Iterator[Recommendation]:
    if data.silences:
        total = sum(stop - start for start, stop in data.silences)
        times = [f"{utc_time(start)} UTC to {utc_time(stop)} UTC" for start, stop in data.silences]
        yield Recommendation(
            58,
            f"The whole site was silent for {total:,.0f} s",
            f"All proxies failed at once, and none was charged for it: {first_few(times, NAMED)}.",
        )


def _lost_workers(data: RunData) -> Iterator[Recommendation]:
    if data.run.worker_losses >= FEW:
        title = f"{counted(data.run.worker_losses, 'worker')} died or hung, and were replaced"
        lost_pages = tallied({fault: data.waste(fault).attempts for fault in (Fault.CRASH, Fault.HANG)})
        evidence = f"Pages were fetched again: {lost_pages}." if lost_pages else "No page was lost by that."
        yield Recommendation(45, title, evidence)


def _slow(data: RunData) -> Iterator[Recommendation]:
    medians = {
        proxy.label: figures.latencies.percentile(0.5) or 0.0
        for proxy, figures in data.shown
        if figures.ok >= ENOUGH_TO_TIME
    }
    usual = median(medians.values()) if medians else 0.0
    slow = sorted(
        (label for label, p50 in medians.items() if p50 >= SLOW * usual),
        key=medians.__getitem__,
        reverse=True,
    )
    if len(medians) >= 4 and 0 < len(slow) <= len(medians) * CONCENTRATED_ON:
        yield Recommendation(
            25 + 20 * len(slow) / len(medians),
            f"{counted(len(slow), 'proxy is', 'proxies are')} far slower than the others",
            f"Half of all proxies answer within {usual:.2f} s, {slow[0]} takes {medians[slow[0]]:.2f} s"
            + (f"; also {first_few(slow[1:], NAMED)}." if slow[1:] else "."),
        )


_RULES: tuple[Callable[[RunData], Iterator[Recommendation]], ...] = (
    _unfinished,
    _nothing_in_hand,
    _empty_fields,
    _damaged_journal,
    _refused_logins,
    _never_worked,
    _stopped_working,
    _bans,
    _waste,
    _given_up,
    _silent_site,
    _lost_workers,
    _slow,
)


def _quoted(text: str) -> str:
    # Users paste this into a shell, and it comes from a journal.
    return shlex.quote(one_line(text))


def _through(data: RunData) -> str:
    """For a page that is asked for again: the spider's arguments by name, whose values may be secret, and -p."""
    names = dict(read_settings(data.run.settings).arguments)
    return "".join(f"-a {name}=VALUE " for name in names) + f"-p {_list(data)}"


def _list(data: RunData) -> str:
    """The list of proxies as a command takes it; a word in capitals if it was no file."""
    path = data.run.proxies
    return _quoted(path) if path and shown_path(path) == path == one_line(path) else "PROXIES"


def _is_whole(url: str) -> bool:
    """False for a URL that is cut, or stripped of a login: it would ask for another page."""
    return bare_url(url) == url
