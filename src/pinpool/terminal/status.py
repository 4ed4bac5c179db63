"""A running crawl in words: one plain line, or the rows of the live view."""

from pinpool.model import ProxyState
from pinpool.stats.snapshot import Snapshot, Throughput
from pinpool.text import counted, duration, local_time, nonzero, one_line, percent

#: Smaller steps of the time left would pretend to be exact.
_ROUGH_SECONDS = 5
_REST = "all proxies rest"


def status_line(snapshot: Snapshot, throughput: Throughput, epoch: float) -> str:
    """The crawl in one line."""
    census = snapshot.census
    parts = [f"{snapshot.ended}/{snapshot.known} pages"]
    waits, trouble = why_it_waits(snapshot, epoch), snapshot.trouble()
    if waits:  # near the front, as a narrow terminal cuts off the end
        parts.append(waits if snapshot.stopping else f"waits: {waits}")
    elif last := snapshot.last_pages():
        parts.append(one_line(last))
    fetching = nonzero(f"{census.running} fetching", {"waiting for a proxy": census.parked})
    parts += [counted(snapshot.items, "item"), *_speed(snapshot, throughput), fetching]
    resting, retired = census.count(ProxyState.COOLING), census.count(ProxyState.RETIRED)
    if resting or retired:
        usable = counted(census.usable, "proxy", "proxies")
        parts.append(f"{usable} usable, {resting} resting, {retired} out")
    if snapshot.failed:
        parts.append(f"{snapshot.failed} failed")
    if trouble and not waits:
        parts.append(one_line(trouble))
    elif snapshot.last_fault and not waits:
        parts.append(f"last fault {one_line(snapshot.last_fault)}")
    return ", ".join(parts)


def status_rows(
    snapshot: Snapshot, throughput: Throughput, *, began: float, now: float, epoch: float
) -> list[tuple[str, str]]:
    """
    (heading, text) of about five rows, each about 75 columns wide.

    `began` and `now` are monotonic seconds, `epoch` is the same moment as `now`.
    """
    census = snapshot.census
    share = f" ({percent(snapshot.ended / snapshot.known)})" if snapshot.known else ""
    pages = f"{snapshot.ended:,} of {snapshot.known:,} known{share}, {counted(snapshot.items, 'item')}"
    speed = [*_speed(snapshot, throughput), f"running for {duration(now - began)}"]
    waiting = {"pacing": census.pacing, "waiting for a proxy": census.parked}
    workers = {**waiting, "idle": census.idle, "lost": census.losses}
    able = f"{census.count(ProxyState.PINNED)} pinned, {census.count(ProxyState.SPARE)} spare"
    wakes = "" if census.wakes_in is None else f" (next wakes in {duration(census.wakes_in)})"
    resting, retired = census.count(ProxyState.COOLING), census.count(ProxyState.RETIRED)
    rows = [
        ("pages", nonzero(pages, {"given up": snapshot.failed})),
        ("speed", ", ".join(speed)),
        ("workers", nonzero(f"{census.running} fetching", workers)),
        ("proxies", nonzero(able, {f"resting{wakes}": resting, "retired": retired})),
    ]
    if waits := why_it_waits(snapshot, epoch):
        rows.append(("waits", waits))
    elif last := snapshot.last_pages():
        rows.append(("waits", f"for the {one_line(last)}"))
    elif trouble := snapshot.trouble():
        rows.append(("failing", one_line(trouble)))
    latest = sorted(snapshot.faults.items(), key=lambda entry: entry[1].at)[-4:]
    for number, (fault, seen) in enumerate(sorted(latest)):  # by name, so that the view does not jump
        ago, times = duration(now - seen.at), counted(seen.count, "time")
        rows.append(("" if number else "faults", f"{fault} {times}, {ago} ago: {one_line(seen.message)}"))
    return [(heading.ljust(9), text) for heading, text in rows]


def why_it_waits(snapshot: Snapshot, epoch: float) -> str:
    """Why nothing is sent out, and until when; empty if something is."""
    if snapshot.stopping:
        pages = counted(snapshot.in_flight, "page in flight is", "pages in flight are")
        return f"stopping; {pages} finished first"
    if snapshot.waiting:
        return one_line(snapshot.waiting)
    census = snapshot.census
    if not census.usable and census.wakes_in is not None:
        return f"{one_line(snapshot.trouble() or _REST)}, next try {local_time(epoch + census.wakes_in)}"
    return ""


def _speed(snapshot: Snapshot, throughput: Throughput) -> list[str]:
    parts = [f"{throughput.per_second:.1f} pages/s"]
    if left := throughput.seconds_left(snapshot.known - snapshot.ended):
        rough = max(_ROUGH_SECONDS, _ROUGH_SECONDS * round(left / _ROUGH_SECONDS))
        parts.append(f"at least {duration(rough)} left")
    return parts
