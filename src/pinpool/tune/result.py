"""
How many workers: a row of figures for each number of them, predicted or measured, which row to take, and the rows as a
table. Pure. A figure that is not known is None.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import hypot
from typing import Any, NamedTuple

from pinpool.stats.histogram import CONFIDENT
from pinpool.stats.recommendation import BUSY, NOISE, cores_text
from pinpool.text import counted, duration, percent_column, seconds_column
from pinpool.tune.steady_state import Trial

#: The share of crawls in which a list has to last. 0.99 would need hundreds of simulated crawls to show.
ENOUGH = 0.95
#: The share of the site rate from which on it is the limit: it is a ceiling that no run quite reaches.
AT_RATE = 0.9
#: What only the model knows of a row.
SURVIVAL = ("survival", "survival_from", "survival_to")


class Row(NamedTuple):
    """
    One number of workers. `seconds` is the time to finish, None if no crawl did. `of_ideal` compares with the same
    number of workers that never wait, fail or share the machine. Latencies are seconds. `fault_rate`, `cpu` (of all
    cores) and `parked` (of the workers' time, waiting for a proxy) are shares from 0 to 1. `survival` is the chance
    that the list lasts to the end, `survival_from` and `survival_to` its 95 % interval. `error` is the standard error
    of a measured speed, in pages a second.
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


class Recommendation(NamedTuple):
    """How many workers to take, 0 if nothing is known, and one sentence why."""

    workers: int
    why: str


@dataclass
class Result:
    """
    The rows by number of workers, for a list of `proxies` and a job of `pages`. `spares` is how many spare proxies the
    list needs to last. `notes` are for people.
    """

    proxies: int
    rows: list[Row] = field(default_factory=list)
    recommendation: Recommendation = field(default=Recommendation(0, "no trial was long enough to show anything"))
    pages: int | None = None
    spares: int | None = None
    notes: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """The document of `tune --json`."""
        figures = (row._asdict().items() for row in self.rows)
        return {
            "proxies": self.proxies,
            "pages": self.pages,
            "rows": [{name: round(x, 4) if isinstance(x, float) else x for name, x in row} for row in figures],
            "recommended": self.recommendation.workers or None,
            "why": self.recommendation.why,
            "spares_to_hold": self.spares,
        }


def recommend(rows: Sequence[Row], stopped: str = "", site_rate: float | None = None) -> Recommendation:
    """
    The smallest number of workers that is as fast as the fastest one with which the list lasts, within 3 % or the
    errors of measurement. If the list lasts with none, the number with the best product of chance and speed. `stopped`
    is the reason why no larger number was tried, empty if there is none. `site_rate` is the most requests a second that
    the settings allow. At least one row is needed.
    """
    lasting = [row for row in rows if row.survival is None or row.survival >= ENOUGH]
    if not lasting:
        best = max(rows, key=lambda row: ((row.survival or 0.0) * row.pages_per_second, row.pages_per_second))
        why = f"the list is likely to be used up: it lasts in {best.survival or 0.0:.0%} of such crawls"
        why += ", and no other number of workers gives a better chance for the time; more proxies would"
        return Recommendation(best.workers, "; ".join(filter(None, [why, stopped])))
    top = max(lasting, key=lambda row: row.pages_per_second)
    as_fast = [row for row in lasting if row.pages_per_second >= top.pages_per_second - noise(row, top)]
    chosen = min(as_fast, key=lambda row: row.workers)
    speed, requests = chosen.pages_per_second, top.pages_per_second / (1 - min(top.fault_rate or 0.0, 0.99))
    limit = _why_not_more(rows, chosen, top, stopped)
    if site_rate is not None and requests >= AT_RATE * site_rate:
        limit = f"--site-rate {site_rate:g} is the limit: only a higher one would be faster"
    why = f"{speed:{'.0f' if speed >= 100 else '.3g'}} pages/s; {limit}"
    if chosen.survival is not None and chosen.survival < 1.0:
        why += f"; the list lasts in {chosen.survival:.0%} of such crawls"
    return Recommendation(chosen.workers, why)


def noise(row: Row, than: Row, sure: float = 1.0) -> float:
    """How many pages a second faster a row may seem by chance: 3 %, or `sure` standard errors of both."""
    return max(NOISE * than.pages_per_second, sure * hypot(row.error or 0.0, than.error or 0.0))


def _why_not_more(rows: Sequence[Row], chosen: Row, top: Row, stopped: str) -> str:
    fastest = max(rows, key=lambda row: row.pages_per_second)
    more = [row for row in rows if row.workers > chosen.workers]
    if fastest.pages_per_second > top.pages_per_second:
        lasts = f"the list lasts in only {fastest.survival or 0.0:.0%} of such crawls"
        return f"{counted(fastest.workers, 'worker')} would be faster, but {lasts}"
    if stopped:
        return stopped
    if not more and chosen.spares:
        return "no larger number was tried"
    if more and chosen.cpu is not None and chosen.cpu >= BUSY:
        return f"{cores_text(chosen.cpu)}: more would not be faster"
    if not more or any((row.parked or 0.0) > NOISE for row in more):
        return "more workers would wait for proxies"
    return f"more workers gain less than {NOISE:.0%}"


def answer(result: Result) -> str:
    """What `pinpool tune` prints for people: the table, and which row to take."""
    listed = counted(result.proxies, "proxy", "proxies")
    lines = [listed if result.pages is None else f"{listed}, {counted(result.pages, 'page')}"]
    workers, why = result.recommendation
    if not result.rows:
        return "\n".join([*lines, why])
    lines += [table(result.rows, workers), f"take {counted(workers, 'worker')}: {why}"]
    spares = counted(result.spares or 0, "spare proxy", "spare proxies")
    lines += [f"for the list to last in 95 of 100 crawls, keep {spares}"] if result.spares else []
    return "\n".join(lines)


def table(rows: Sequence[Row], recommended: int) -> str:
    """One line for each row, the recommended one marked, without columns of which nothing is known."""
    top = max(row.pages_per_second for row in rows) or 1.0
    # A heading of blanks is that of a column that is aligned on the left.
    formats: Mapping[str, Callable[[Row], str]] = {
        "": lambda row: ">" if row.workers == recommended else "",
        "workers": lambda row: str(row.workers),
        "pages/s": lambda row: f"{row.pages_per_second:.1f}",
        "+-": lambda row: "" if row.error is None else f"{CONFIDENT * row.error:.1f}",
        " ": lambda row: "#" * max(1, round(12 * row.pages_per_second / top)),
        "ideal": lambda row: percent_column(row.of_ideal),
        "time": lambda row: "" if row.seconds is None else duration(row.seconds),
        "p50 s": lambda row: seconds_column(row.latency_p50, 3),
        "p95 s": lambda row: seconds_column(row.latency_p95, 3),
        "faults": lambda row: percent_column(row.fault_rate),
        "cpu": lambda row: percent_column(row.cpu),
        "MB": lambda row: "" if row.rss_mb is None else f"{row.rss_mb:.0f}",
        "spares": lambda row: str(row.spares),
        "parked": lambda row: percent_column(row.parked),
        "lasts": _chance,
    }
    columns = []
    for heading, text in formats.items():
        cells = [heading, *map(text, rows)]
        if any(cells[1:]):
            width, align = max(map(len, cells)), ">" if heading.strip() else "<"
            columns.append([f"{cell:{align}{width}}" for cell in cells])
    return "\n".join("  ".join(line).rstrip() for line in zip(*columns, strict=True))


def _chance(row: Row) -> str:
    if row.survival is None:
        return ""
    low, high = row.survival_from or 0.0, row.survival_to or 0.0
    return f"{row.survival:.0%}" + (f" ({100 * low:.0f}-{100 * high:.0f})" if high - low >= 0.01 else "")


def trial_line(trial: Trial, pages: int) -> str:
    """What a trial that has fetched so many pages has measured so far, in one line."""
    measured = trial.throughput()
    known = f", {measured.speed:.1f} pages/s (+-{CONFIDENT * measured.error:.1f})" if measured else ""
    return f"{counted(trial.workers, 'worker')}: {counted(pages, 'page')}{known}"
