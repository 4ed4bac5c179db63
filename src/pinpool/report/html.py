"""
An account as one HTML page that needs nothing else: no network, no file beside it.

Whatever a site, a list or a journal says is hostile: Jinja2 escapes every word of it, characters that reorder or hide
text are replaced, and the page's own policy lets no script and no style run but the two whose digests it names.
"""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from pinpool.errors import SettingsError
from pinpool.files import refusal, replacing, storing
from pinpool.journal.records import ProxyRow
from pinpool.model import ProxyState
from pinpool.report.charts import GROUPS, Scale, group_of, histogram_path, shade, strip_paths, timeline
from pinpool.report.cost import Price
from pinpool.report.recommendations import conclusions
from pinpool.report.run_data import RunData
from pinpool.report.timeline import Clock
from pinpool.text import bare_url, byte_size, fine_duration, one_line, percent, shown_path, utc_time

#: A file that begins so is a report of ours, and may be overwritten.
GENERATOR = "pinpool report"
MARK = f'<meta name="generator" content="{GENERATOR}'
MARK_WITHIN = 2000  # bytes from the beginning
PROXIES = 500  # rows that a browser still sorts at once, and that stay below a megabyte
TICKS = 5
SHORT = 120.0  # seconds; in a shorter run, times of day would not tell ticks apart

_TROUBLE = {ProxyState.RETIRED: 0, ProxyState.COOLING: 1, ProxyState.PINNED: 2, ProxyState.SPARE: 3}


def render(account: RunData, now: float, price: Price | None = None) -> str:
    """The report as HTML text; `now`, epoch seconds, is the moment at which the account was taken."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    jinja = Environment(
        loader=PackageLoader("pinpool.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    filters: dict[str, Callable[..., object]] = {
        "clip": one_line,
        "url": lambda url: one_line(bare_url(url)),
        "moment": utc_time,
        "size": byte_size,
        "percent": percent,
        "duration": fine_duration,
        "count": "{:,}".format,
        "money": money,
    }
    jinja.filters |= filters
    style, script = (_part(name) for name in ("report.css", "report.js"))
    return jinja.get_template("report.html").render(
        _view(account, price),
        now=now,
        generator=f"{GENERATOR} {version('pinpool')}",
        style=Markup(style),
        script=Markup(script),
        style_digest=_digest(style),
        script_digest=_digest(script),
    )


def money(amount: float) -> str:
    """An amount with as many places as it takes to see it: ``12.50``, ``0.0030``."""
    if 0 < amount < 1e-4:
        return "under 0.0001"
    return f"{amount:#.2g}" if 0 < amount < 1 else f"{amount:,.2f}"


def check_page(target: Path, journal: Path) -> None:
    """
    Raise SettingsError if a report must not be written to `target`: it is the journal, or holds anything but an
    earlier report, or cannot be written.
    """
    real, book = target.resolve(), journal.resolve()
    if real.parent == book.parent and real.name.startswith((f"{book.name}-", f".{book.name}.")):
        problem: str | None = "is one of the journal's side files: name another file"
    else:
        problem = refusal(target, MARK.encode(), within=MARK_WITHIN, used={"the journal": journal})
    if problem:
        raise SettingsError(f"output {shown_path(target)}: {problem}")


def write_page(html: str, target: Path) -> int:
    """
    Write the report in place of what `target` holds, and return its bytes. Readers find the old or the new one whole.

    Raises StorageError if it cannot be written.
    """
    data = html.encode()
    with (
        storing(f"output {shown_path(target)}", "make room, or name another file"),
        replacing(target, durable=False) as part,
    ):
        part.write_bytes(data)
    return len(data)


def _part(name: str) -> str:
    return files("pinpool.report").joinpath("templates", name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "sha256-" + b64encode(sha256(text.encode()).digest()).decode()


def _visible(value: object) -> object:
    """Jinja calls this for every value before it escapes it: nothing invisible, and nothing that turns text around."""
    if not isinstance(value, str) or hasattr(value, "__html__") or value.isprintable():
        return value
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in value)


# ------------------------------------------------------------------------------------- what the template shows


def _view(account: RunData, price: Price | None) -> dict[str, Any]:
    totals, clock = account.totals, account.totals.clock
    when = [_tick(clock, number / clock.slices) for number in range(clock.slices)]
    labels = {proxy.id: proxy.label for proxy in account.proxies}
    rows = sorted(account.listed, key=lambda proxy: _by_trouble(account, proxy))
    scale = Scale.over(account.figures(proxy.id).latencies for proxy in rows)
    ticks = [_tick(clock, n / (TICKS - 1)) for n in range(TICKS)]
    failed = Counter({fault: waste.attempts for fault, waste in totals.waste.items()})
    return {
        "account": account,
        "run": account.run,
        "journal": Path(account.journal).name,
        "states": Counter(proxy.state for proxy in rows),
        "rate": account.run.pages / account.run.seconds if account.run.seconds else None,
        "good": (totals.attempts - account.waste().attempts) / totals.attempts if totals.attempts else None,
        "conclusions": conclusions(account),
        "timeline": timeline(clock, totals.slices, when),
        "ticks": ticks,
        "pauses": [(_across(clock, start), start, stop) for start, stop in clock.pauses],
        "silences": [
            (_across(clock, start), max(0.2, _across(clock, stop) - _across(clock, start)))
            for start, stop in account.silences
        ],
        "slices": clock.slices,
        "scale": scale,
        "rows": [_row(account, proxy, scale) for proxy in rows[:PROXIES]],
        "hidden": max(0, len(rows) - PROXIES),
        "heat": _heat(account, rows, failed),
        "slow": [
            (page, *account.urls.get(page.task, ("", "")), labels.get(page.proxy, ""))
            for page in totals.slowest
        ],
        "cost": _cost(account, rows, price) if price else None,
    }


def _tick(clock: Clock, share: float) -> str:
    """Time of day; in a short run how long it had taken, in a long one the day too."""
    if clock.seconds < SHORT:
        return fine_duration(share * clock.seconds)
    day, time = utc_time(clock.moment(share)).split()
    return f"{day} {time}" if clock.end - clock.begin > 86_400 else time


def _across(clock: Clock, at: float) -> float:
    return clock.slices * clock.elapsed(at) / clock.seconds


def _by_trouble(account: RunData, proxy: ProxyRow) -> tuple[int, int, str]:
    return _TROUBLE[ProxyState(proxy.state)], -account.figures(proxy.id).failed, proxy.label


def _row(account: RunData, proxy: ProxyRow, scale: Scale) -> dict[str, Any]:
    figures, strip = account.figures(proxy.id), account.strips.get(proxy.id)
    held = strip.seconds if strip else {}
    told = [f"{state} {fine_duration(held[state])}" for state in reversed(_TROUBLE) if held.get(state)]
    return {
        "label": proxy.label,
        "state": proxy.state,
        "rank": _TROUBLE[ProxyState(proxy.state)],
        "reason": proxy.reason,
        "figures": figures,
        "waste": figures.wasted_bytes,
        "p50": figures.latencies.percentile(0.5),
        "p95": figures.latencies.percentile(0.95),
        "pins": account.pins.get(proxy.id, 0),
        "strip": strip_paths(strip) if strip else {},
        "held": ", ".join(told) or "never pinned",
        "histogram": histogram_path(figures.latencies, scale) if figures.latencies.total else "",
    }


def _heat(account: RunData, rows: Iterable[ProxyRow], failed: Mapping[str, int]) -> dict[str, Any]:
    groups = list(GROUPS)
    faults = sorted(failed, key=lambda fault: (groups.index(group_of(fault)), -failed[fault]))
    troubled = [proxy for proxy in rows if account.figures(proxy.id).failed]
    troubled.sort(key=lambda proxy: -account.figures(proxy.id).failed)
    highest = max((max(account.figures(proxy.id).faults.values()) for proxy in troubled), default=1)
    lines = []
    for proxy in troubled[:PROXIES]:
        counts = account.figures(proxy.id).faults
        lines.append((proxy.label, [(counts[fault], shade(counts[fault], highest)) for fault in faults]))
    return {
        "faults": faults,
        "lines": lines,
        "untroubled": len(account.listed) - len(troubled),
        "hidden": len(troubled) - len(lines),
    }


def _cost(account: RunData, rows: Iterable[ProxyRow], price: Price) -> dict[str, Any]:
    seconds, lines, total, pages = account.run.seconds, [], 0.0, 0
    for proxy in rows:
        figures = account.figures(proxy.id)
        cost = price.cost(seconds, figures.bytes)
        each = 1000 * cost / figures.ok if figures.ok else None
        lines.append((proxy.label, figures.ok, cost, each, figures.wasted_bytes))
        total, pages = total + cost, pages + figures.ok
    lines.sort(key=lambda line: (line[3] is not None, -(line[3] or 0.0), -line[2]))
    fruitless = sum(cost for _, ok, cost, _, _ in lines if not ok)
    wasted = account.waste().bytes
    return {
        "price": price,
        "lines": lines[:PROXIES],
        "hidden": max(0, len(lines) - PROXIES),
        "total": total,
        "each": 1000 * total / pages if pages else None,
        "fruitless": fruitless,
        "wasted": price.cost(0.0, wasted) if price.per_gigabyte else None,
        "wasted_bytes": wasted,
    }
