"""
A run as one HTML page that needs no network and no other file.

All text from sites, lists and journals is hostile. Jinja2 escapes it, characters that hide or reorder text are
replaced, and the page's own policy allows only the script and the style whose digests it names.
"""

import json
import re
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import sha256
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinpool.errors import SettingsError
from pinpool.files import refusal, replacing, storing
from pinpool.journal.records import ProxyRow
from pinpool.report.axes import SHORT, time_marks
from pinpool.report.charts import (
    GROUPS,
    Scale,
    group_of,
    histogram_path,
    shade,
    share_paths,
    strip_paths,
    timeline,
)
from pinpool.report.cost import Price
from pinpool.report.harvest import StageHarvest
from pinpool.report.recommendations import recommend
from pinpool.report.run_data import History, RunData
from pinpool.report.timeline import BY_TROUBLE, Strip, TimeAxis
from pinpool.text import bare_url, byte_size, counted, cut, fine_duration, one_line, percent, shown_path, utc_time

if TYPE_CHECKING:
    from markupsafe import Markup

#: A file with this mark near its beginning is an earlier report, and may be overwritten.
GENERATOR = "pinpool report"
MARK = f'<meta name="generator" content="{GENERATOR}'
PROXIES = 500  # rows; a browser still sorts them at once, and the page stays below a megabyte
PAUSES = 5  # that are told in words
SAMPLE_FIELDS, SAMPLE_CHARACTERS = 8, 120
#: A line of an address may break behind these, so that it never breaks within a number, nor within 10.0.0.7.
_BREAKS = re.compile(r"(?<=[@?&=-])|(?<=\.)(?!\d)|(?<=:)(?!/)|(?<=/)(?!/)")
#: A label at a gap between two starts takes so much of a phone's chart, in percent.
PAUSE_ROOM = 30.0


def render(data: RunData, now: float, price: Price | None = None) -> str:
    """The report as HTML text. `now` is when `data` was read, in epoch seconds."""
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
    jinja.filters.update(
        clip=one_line,
        url=lambda url: address(bare_url(url)),
        address=address,
        moment=utc_time,
        size=byte_size,
        percent=percent,
        duration=fine_duration,
        count="{:,}".format,
        counted=counted,
        money=money,
        digest=lambda text: "sha256-" + b64encode(sha256(text.encode()).digest()).decode(),
    )
    folder = files("pinpool.report").joinpath("templates")
    return jinja.get_template("report.html").render(
        _view(data, price),
        now=now,
        generator=f"{GENERATOR} {version('pinpool')}",
        style=Markup(folder.joinpath("report.css").read_text("utf-8")),
        script=Markup(folder.joinpath("report.js").read_text("utf-8")),
    )


def address(label: str) -> "Markup":
    """The address of a proxy or page, with elements that say where its line may break."""
    from markupsafe import Markup

    return Markup("<wbr>").join(_BREAKS.split(one_line(label)))


def money(amount: float) -> str:
    """An amount, with more places if it is small: ``12.50``, ``0.0030``."""
    if 0 < amount < 1e-4:
        return "under 0.0001"
    return f"{amount:#.2g}" if 0 < amount < 1 else f"{amount:,.2f}"


def check_page(target: Path, journal: Path) -> None:
    """
    Raise SettingsError if a report must not be written to `target`: it is the journal, holds anything but an earlier
    report, or cannot be written.
    """
    if problem := refusal(target, MARK.encode(), within=2000, used={"the journal": journal}):
        raise SettingsError(f"output {shown_path(target)}: {problem}")


def write_page(html: str, target: Path) -> int:
    """
    Replace `target` by the report; returns its size in bytes. Readers find the old or the new one whole.

    Raises StorageError if it cannot be written.
    """
    data = html.encode()
    with (
        storing(f"output {shown_path(target)}", "make room, or name another file"),
        replacing(target, durable=False) as part,
    ):
        part.write_bytes(data)
    return len(data)


def _visible(value: object) -> object:
    """Jinja calls this for every value before it escapes it. Replaces letters that hide or reorder text."""
    if not isinstance(value, str) or hasattr(value, "__html__") or value.isprintable():
        return value
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in value)


def _view(data: RunData, price: Price | None) -> dict[str, Any]:
    totals, axis = data.totals, data.totals.axis
    proxies = sorted(data.shown, key=lambda pair: (_rank(pair[0]), -pair[1].failed, pair[0].label))
    scale = Scale.over(figures.latencies for _, figures in proxies)
    return {
        "data": data,
        "run": data.run,
        "journal": Path(data.journal).name,
        "states": Counter(proxy.state for proxy, _ in proxies),
        "rate": data.run.pages / data.run.seconds if data.run.seconds else None,
        "item_rate": data.run.items / data.run.seconds if data.run.seconds else None,
        "known": sum(data.run.tasks.values()),
        "failed_attempts": data.waste().attempts,
        "good": 1 - data.waste().attempts / totals.tried if totals.tried else None,
        "recommendations": recommend(data),
        "timeline": timeline(axis, totals.slices, [_tick(axis, number / axis.slices) for number in range(axis.slices)]),
        "time_marks": time_marks(axis),
        "whole_time": (_tick(axis, 0.0), _tick(axis, 1.0)),
        "pauses": _pauses(axis),
        "told_pauses": axis.pauses[:PAUSES],
        "silences": [
            (_across(axis, start), max(0.2, _across(axis, stop) - _across(axis, start)))
            for start, stop in data.silences
        ],
        "slices": axis.slices,
        "scale": scale,
        "rows": [_row(data, proxy, figures, scale) for proxy, figures in proxies[:PROXIES]],
        "hidden": max(0, len(proxies) - PROXIES),
        "heat": _heat(data, proxies),
        "harvest": [_harvest(stage) for stage in data.harvest],
        "cost": _cost(data, proxies, price) if price else None,
    }


def _tick(axis: TimeAxis, share: float) -> str:
    """The time of day; in a long run the day too."""
    # In a short run several ticks would show the same time of day: they show the time since its start.
    if axis.seconds < SHORT:
        return fine_duration(share * axis.seconds)
    moment = utc_time(axis.moment(share))
    return moment if axis.end - axis.begin > 86_400 else moment.split()[1]


def _pauses(axis: TimeAxis) -> list[tuple[float, float, str]]:
    """(percent of the axis, seconds, side of its label, empty if it has no room) of each gap between two starts."""
    marks, taken = [], 0.0
    for start, stop in axis.pauses:
        place = round(100 * axis.elapsed(start) / axis.seconds, 2)
        side = "start" if place + PAUSE_ROOM <= 100 else "end"
        left = place if side == "start" else place - PAUSE_ROOM
        if left < taken:
            side = ""
        else:
            taken = left + PAUSE_ROOM
        marks.append((place, stop - start, side))
    return marks


def _across(axis: TimeAxis, at: float) -> float:
    return axis.slices * axis.elapsed(at) / axis.seconds


def _rank(proxy: ProxyRow) -> int:
    """0 for the most troubled state."""
    return len(BY_TROUBLE) - 1 - BY_TROUBLE.index(proxy.state)


def _row(data: RunData, proxy: ProxyRow, figures: History, scale: Scale) -> dict[str, Any]:
    strip = data.strips.get(proxy.id, Strip((), {}))
    times = [f"{state} {fine_duration(strip.seconds[state])}" for state in BY_TROUBLE if strip.seconds.get(state)]
    return {
        "proxy": proxy,
        "rank": _rank(proxy),
        "figures": figures,
        "p50": figures.latencies.percentile(0.5),
        "p95": figures.latencies.percentile(0.95),
        "strip": strip_paths(strip),
        "times": ", ".join(times) or "never pinned",
        "histogram": histogram_path(figures.latencies, scale) if figures.latencies.total else "",
    }


def _harvest(stage: StageHarvest) -> dict[str, Any]:
    names, left_out = list(stage.fields.filled)[:SAMPLE_FIELDS], len(stage.fields.filled) - SAMPLE_FIELDS
    return {
        "stage": stage.fields.stage,
        "fields": stage.fields,
        "shown": [(name, share, share_paths(stage.shares(name))) for name, share in stage.fields.shown],
        "names": names,
        "more": max(0, left_out),
        "samples": [[_sample(item.get(name)) for name in names] for item in stage.samples()],
    }


def _sample(value: Any) -> "str | Markup":
    """The value of a field, in a few words."""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        value = ", ".join(value)
    if not isinstance(value, str):
        value = "" if value is None else json.dumps(value, ensure_ascii=False)
    if value.startswith(("http:", "https:")):
        return address(cut(bare_url(value), SAMPLE_CHARACTERS))
    return cut(one_line(value), SAMPLE_CHARACTERS)


def _heat(data: RunData, proxies: Sequence[tuple[ProxyRow, History]]) -> dict[str, Any]:
    groups, failed = list(GROUPS), {fault: waste.attempts for fault, waste in data.totals.waste.items()}
    faults = sorted(failed, key=lambda fault: (groups.index(group_of(fault)), -failed[fault]))
    faults_of = [(proxy.label, figures.faults) for proxy, figures in proxies if figures.faults]
    troubled = sorted(faults_of, key=lambda row: -row[1].total())
    highest = max((max(counts.values()) for _, counts in troubled), default=1)
    return {
        "faults": faults,
        "lines": [
            (label, [(counts[fault], shade(counts[fault], highest)) for fault in faults])
            for label, counts in troubled[:PROXIES]
        ],
        "untroubled": len(proxies) - len(troubled),
        "hidden": max(0, len(troubled) - PROXIES),
    }


def _cost(data: RunData, proxies: Iterable[tuple[ProxyRow, History]], price: Price) -> dict[str, Any]:
    lines, total, pages = [], 0.0, 0
    for proxy, figures in proxies:
        cost = price.cost(data.run.seconds, figures.bytes)
        each = 1000 * cost / figures.ok if figures.ok else None
        lines.append((proxy.label, figures.ok, cost, each, figures.wasted_bytes))
        total, pages = total + cost, pages + figures.ok
    lines.sort(key=lambda line: (line[3] is not None, -(line[3] or 0.0), -line[2]))
    wasted = data.waste().bytes
    return {
        "price": price,
        "lines": lines[:PROXIES],
        "hidden": max(0, len(lines) - PROXIES),
        "total": total,
        "each": 1000 * total / pages if pages else None,
        "fruitless": sum(cost for _, ok, cost, _, _ in lines if not ok),
        "wasted": price.cost(0.0, wasted) if price.per_gigabyte else None,
        "wasted_bytes": wasted,
    }
