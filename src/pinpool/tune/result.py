"""
How many workers: a row of figures for each number of them, and which row to take. Pure.

Modelled figures (`tune --from`) and measured ones come in the same rows, so that one table, one document and one advice
serve both. What a way of finding out cannot know is None.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot
from typing import Any, NamedTuple

#: Two speeds this close are the same: what runs of one kind differ by.
NOISE = 0.03
#: A list lasts if it does in so many of 100 crawls. 0.99 would need hundreds of them to tell.
ENOUGH = 0.95
#: From here on the machine is the limit; the rest is lost in switching.
BUSY = 0.85


class Row(NamedTuple):
    """
    One number of workers. `seconds` is the time to finish, None if no crawl did. `of_ideal` compares with as many
    workers that never wait, fail or share the machine. Latencies are seconds; `fault_rate`, `cpu` (of all cores) and
    `parked` (of the workers' time, waiting for a proxy) are shares from 0 to 1. `survival` is the chance that the
    list lasts to the end, `survival_from` and `survival_to` its 95 % interval. `error` is the standard error of a
    measured speed, in pages a second.
    """

    workers: int
    pages_per_second: float
    of_ideal: float | None = None
    seconds: float | None = None
    latency_p50: float | None = None
    latency_p95: float | None = None
    fault_rate: float | None = None
    cpu: float | None = None
    rss_mb: float | None = None
    spares: int = 0
    parked: float | None = None
    survival: float | None = None
    survival_from: float | None = None
    survival_to: float | None = None
    error: float | None = None


class Advice(NamedTuple):
    """What to take, and one sentence why."""

    workers: int
    why: str


def advise(rows: Sequence[Row], held: str = "") -> Advice:
    """
    The smallest number of workers within 3 %, or the errors of measurement, of the fastest with which the list lasts.
    If it lasts with none, the number with the best ratio of chance to time. `held` says why nothing larger was looked
    at, if there was a reason. At least one row is needed.
    """
    lasting = [row for row in rows if row.survival is None or row.survival >= ENOUGH]
    if not lasting:
        best = max(rows, key=lambda row: ((row.survival or 0.0) * row.pages_per_second, row.pages_per_second))
        return Advice(
            best.workers,
            f"the list is likely to be used up: it lasts in {best.survival or 0.0:.0%} of such crawls, "
            "and no other number of workers gives a better chance for the time; more proxies would"
            + (f"; {held}" if held else ""),
        )
    top = max(lasting, key=lambda row: row.pages_per_second)
    chosen = min((row for row in lasting if _is_as_fast(row, top)), key=lambda row: row.workers)
    return Advice(chosen.workers, _reason(rows, lasting, chosen, top.pages_per_second, held))


def _is_as_fast(row: Row, top: Row) -> bool:
    doubt = hypot(row.error or 0.0, top.error or 0.0)
    return row.pages_per_second >= top.pages_per_second - max(NOISE * top.pages_per_second, doubt)


def _reason(rows: Sequence[Row], lasting: Sequence[Row], chosen: Row, top: float, held: str) -> str:
    more = [row for row in rows if row.workers > chosen.workers]
    text = f"{_speed(chosen.pages_per_second)} pages/s"
    fragile = [row for row in rows if row not in lasting and row.pages_per_second > top]
    if fragile:
        fastest = max(fragile, key=lambda row: row.pages_per_second)
        text += (
            f"; {fastest.workers} workers would be faster, but the list lasts in only "
            f"{fastest.survival or 0.0:.0%} of such crawls"
        )
    elif held:
        text += f"; {held}"
    elif not more:
        text += (
            "; more workers would wait for proxies"
            if not chosen.spares
            else "; no larger number was looked at"
        )
    elif chosen.cpu is not None and chosen.cpu >= BUSY:
        text += "; more workers only share the machine, whose cores are busy"
    elif any((row.parked or 0.0) > NOISE for row in more):
        text += "; more workers would wait for proxies"
    else:
        text += f"; more workers gain less than {NOISE:.0%}"
    if chosen.survival is not None and chosen.survival < 1.0:
        text += f"; the list lasts in {chosen.survival:.0%} of such crawls"
    return text


def with_survival(row: Row, told: Row) -> Row:
    """A row with the chance of another that the list lasts: a measured one with that which the model tells."""
    return row._replace(
        survival=told.survival, survival_from=told.survival_from, survival_to=told.survival_to
    )


def tune_document(
    rows: Sequence[Row],
    *,
    proxies: int,
    pages: int | None = None,
    spares_to_hold: int | None = None,
    advice: Advice | None = None,
) -> dict[str, Any]:
    """The document of `tune --json`; `advice` is what `advise` says of the rows, if nothing else is given."""
    advice = advice or advise(rows)
    return {
        "proxies": proxies,
        "pages": pages,
        "rows": [{name: _rounded(value) for name, value in row._asdict().items()} for row in rows],
        "recommended": advice.workers or None,
        "why": advice.why,
        "spares_to_hold": spares_to_hold,
    }


def _rounded(value: float | None) -> float | None:
    return round(value, 4) if isinstance(value, float) else value


def _speed(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
