"""A running crawl in words: one plain line, or the rows of the live view."""

from collections.abc import Sequence
from enum import Enum
from itertools import chain
from typing import NamedTuple

from pinpool.model import ProxyState
from pinpool.pool.engine import Census
from pinpool.stats.snapshot import Snapshot, Throughput
from pinpool.text import counted, duration, local_time, nonzero, one_line, percent

#: Smaller steps of the time left would pretend to be exact.
_ROUGH_SECONDS = 5
_REST = "all proxies rest"


class Tone(Enum):
    """What a part of a row is about, for its colour."""

    WAITING = "waiting"
    OUT = "out"


Part = tuple[str, Tone | None]


class Row(NamedTuple):
    """A row of the live view: its heading, and the parts of its text, each with its tone."""

    heading: str
    parts: Sequence[Part]

    @property
    def text(self) -> str:
        """The text without tones."""
        return "".join(text for text, _ in self.parts)


def status_line(snapshot: Snapshot, throughput: Throughput, epoch: float) -> str:
    """The crawl in one line."""
    census, finds_more = snapshot.census, snapshot.finds_more()
    if finds_more:
        parts = [f"{snapshot.ended} pages done, {snapshot.queued} queued"]
    else:
        parts = [f"{snapshot.ended}/{snapshot.known} pages"]
    waits, trouble = why_it_waits(snapshot, epoch), snapshot.trouble()
    if waits:  # near the front, as a narrow terminal cuts off the end
        parts.append(waits if snapshot.stopping else f"waits: {waits}")
    elif last := snapshot.last_pages():
        parts.append(one_line(last))
    fetching = nonzero(f"{census.running} fetching", {"waiting for a proxy": census.parked})
    speed = _speed(snapshot, throughput, finds_more=finds_more)
    parts += [counted(snapshot.items, "item"), *speed, fetching]
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


def status_rows(snapshot: Snapshot, throughput: Throughput, *, began: float, now: float, epoch: float) -> list[Row]:
    """
    About five rows, each about 75 columns wide.

    `began` and `now` are monotonic seconds, `epoch` is the same moment as `now`.
    """
    finds_more = snapshot.finds_more()
    speed = [*_speed(snapshot, throughput, finds_more=finds_more), f"running for {duration(now - began)}"]
    rows = [
        _pages(snapshot, finds_more=finds_more),
        Row("speed", [(", ".join(speed), None)]),
        _workers(snapshot.census),
        _proxies(snapshot.census),
    ]
    if waits := why_it_waits(snapshot, epoch):
        rows.append(Row("waits", [(waits, Tone.WAITING)]))
    elif last := one_line(snapshot.last_pages()):
        rows.append(Row("waits", [(f"for the {last}", Tone.WAITING)]))
    elif trouble := one_line(snapshot.trouble()):
        rows.append(Row("failing", [(trouble, Tone.WAITING)]))
    latest = sorted(snapshot.faults.items(), key=lambda entry: entry[1].at)[-4:]
    for number, (fault, seen) in enumerate(sorted(latest)):  # by name, so that the view does not jump
        ago, times = duration(now - seen.at), counted(seen.count, "time")
        text = f"{fault} {times}, {ago} ago: {one_line(seen.message)}"
        rows.append(Row("" if number else "faults", [(text, None)]))
    return [row._replace(heading=row.heading.ljust(9)) for row in rows]


def _pages(snapshot: Snapshot, *, finds_more: bool) -> Row:
    if finds_more:  # a share of those that are known by now would fall while the run goes on
        pages = [f"{snapshot.ended:,} done", f"{snapshot.queued:,} queued"]
    else:
        share = f" ({percent(snapshot.ended / snapshot.known)})" if snapshot.known else ""
        pages = [f"{snapshot.ended:,} of {snapshot.known:,}{share}"]
    pages.append(counted(snapshot.items, "item"))
    return _row("pages", *((text, None) for text in pages), *_some(snapshot.failed, "given up", Tone.OUT))


def _workers(census: Census) -> Row:
    return _row(
        "workers",
        (f"{census.running} fetching", None),
        *_some(census.pacing, "pacing"),
        *_some(census.parked, "waiting for a proxy", Tone.WAITING),
        *_some(census.idle, "idle"),
        *_some(census.losses, "lost", Tone.OUT),
    )


def _proxies(census: Census) -> Row:
    wakes = "" if census.wakes_in is None else f" (next wakes in {duration(census.wakes_in)})"
    return _row(
        "proxies",
        (f"{census.count(ProxyState.PINNED)} pinned", None),
        (f"{census.count(ProxyState.SPARE)} spare", None),
        *_some(census.count(ProxyState.COOLING), f"resting{wakes}", Tone.WAITING),
        *_some(census.count(ProxyState.RETIRED), "retired", Tone.OUT),
    )


def _some(count: int, what: str, tone: Tone | None = None) -> list[Part]:
    return [(f"{count:,} {what}", tone)] if count else []


def _row(heading: str, first: Part, *others: Part) -> Row:
    """A row of parts with commas in between."""
    return Row(heading, [first, *chain.from_iterable(((", ", None), part) for part in others)])


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


def _speed(snapshot: Snapshot, throughput: Throughput, *, finds_more: bool) -> list[str]:
    parts = [f"{throughput.per_second:.1f} pages/s"]
    if snapshot.items:
        parts.append(f"{throughput.items_per_second:.1f} items/s")
    if left := throughput.seconds_left(snapshot.known - snapshot.ended):
        rough = max(_ROUGH_SECONDS, _ROUGH_SECONDS * round(left / _ROUGH_SECONDS))
        parts.append(f"{'at least' if finds_more else 'about'} {duration(rough)} left")
    return parts
