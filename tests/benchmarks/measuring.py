"""
How the benchmark measures: costs as ratios to a yardstick that is taken at the same moment on the same machine.

The yardstick of CPU time is a calibration loop of pure Python, bytes and lxml, so a ratio means much the same on a fast
and on a slow machine. That of memory is a bare Python process with the same libraries.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import NamedTuple

from lxml import etree

from pinpool.stats.capacity import kilobytes

#: A change of the ratio that is marked.
LIMIT = 0.15

_WORDS = [
    "lorem",
    "ipsum",
    "dolor",
    "sit",
    "amet",
    "consectetur",
    "adipiscing",
    "elit",
    "sed",
    "do",
    "eiusmod",
    "tempor",
]
_PAGE = (
    "<!doctype html><html><head><title>Calibration</title></head><body>"
    + "".join(
        f'<div class="comment" id="c{n}"><p class="author">{n}</p><p>{" ".join(_WORDS)} &amp; {n}</p></div>'
        for n in range(200)
    )
    + "</body></html>"
).encode()
_PARAGRAPHS = etree.XPath('//div[@class="comment"]/p/text()')
_BARE = "import lxml.etree, requests, sqlite3; print(flush=True); input()"


class Row(NamedTuple):
    """A line of the table. What is measured in seconds or bytes is shown times `scale`, with `unit` behind it."""

    name: str
    unit: str
    scale: float = 1e6


class Reading(NamedTuple):
    """One measurement, in seconds or bytes, and the yardstick beside it. `note` is what else was seen."""

    cost: float
    yardstick: float
    note: str = ""


class Result(NamedTuple):
    """The middle of a row's readings. `baseline` is the ratio that the repository keeps, None for a new row."""

    row: Row
    cost: float
    ratio: float
    baseline: float | None
    note: str = ""

    @property
    def change(self) -> float | None:
        """How much more it costs than the baseline says: 0.2 is 20 % more, -0.2 is 20 % less."""
        return self.ratio / self.baseline - 1 if self.baseline else None


def summed_up(row: Row, readings: Sequence[Reading], baseline: float | None) -> Result:
    """The medians of cost and ratio. The ratio is taken reading by reading: the speed of a machine changes."""
    ratio = median(reading.cost / reading.yardstick for reading in readings)
    middle = sorted(readings)[len(readings) // 2]
    return Result(row, median(reading.cost for reading in readings), ratio, baseline, middle.note)


def table(results: Iterable[Result]) -> str:
    """The results for people, a line each."""
    lines = [f"{'':34}{'cost':>18}{'ratio':>10}{'baseline':>10}{'change':>9}"]
    for result in results:
        cost = f"{result.cost * result.row.scale:,.1f} {result.row.unit:9}"
        known, change = result.baseline is not None, result.change or 0.0
        mark = "  !" if abs(change) > LIMIT else ""
        against = f"{result.baseline:10.4g}{change:+9.1%}" if known else f"{'-':>10}{'new':>9}"
        lines.append(f"{result.row.name:34}{cost:>18}{result.ratio:10.4g}{against}{mark:3}  {result.note}".rstrip())
    return "\n".join(lines)


def calibration() -> float:
    """CPU seconds of the calibration loop, about 10 ms: a third each for Python, bytes and lxml."""
    began = time.process_time()
    counts: dict[str, int] = {}
    for n in range(18_000):
        word = _WORDS[n % 11]
        counts[word] = counts.get(word, 0) + len(word) * (n & 7)
    text = _PAGE
    for _ in range(24):
        text = text.replace(b"</p>", b"</q>").replace(b"</q>", b"</p>")
        parts = text.split(b"<div")
        text = b"<div".join(parts)
        text.decode().casefold().find("nowhere")
    for _ in range(5):
        _PARAGRAPHS(etree.HTML(_PAGE))
    return time.process_time() - began


def calibrated() -> float:
    """The middle of three calibrations, for what is measured once."""
    return median(calibration() for _ in range(3))


def cpu_of(chunk: Callable[[], int], times: int) -> list[Reading]:
    """
    This process's CPU seconds, all its threads, for each of the things that `chunk` does. `chunk` returns their number
    and is called `times` times, and once before that.
    """
    chunk()
    readings, before = [], calibration()
    for _ in range(times):
        began = time.process_time()
        count = chunk()
        cost = (time.process_time() - began) / count
        after = calibration()
        readings.append(Reading(cost, (before + after) / 2))
        before = after
    return readings


def tree(root: int = 0) -> list[int]:
    """The process `root`, or this one, and all that descend from it."""
    found, new = [], [root or os.getpid()]
    while new:
        pid = new.pop()
        found.append(pid)
        with suppress(OSError):
            for path in Path(f"/proc/{pid}/task").glob("*/children"):
                new += map(int, path.read_text().split())
    return found


def cpu_of_tree() -> float:
    """CPU seconds of the living threads of `tree`. The usual counts are in steps of 10 ms, too coarse for a worker."""
    seconds = 0.0
    for pid in tree():
        with suppress(OSError):
            for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                seconds += int(path.read_text().split()[0]) / 1e9
    return seconds


def memory_of_tree(root: int = 0) -> int:
    """Bytes that `tree` uses; what processes share counts once (PSS)."""
    return sum(memory_of(pid) for pid in tree(root))


def memory_of(pid: int) -> int:
    return kilobytes(f"/proc/{pid}/smaps_rollup", "Pss:") * 1024


def bare_memory() -> int:
    """The yardstick of memory: bytes of a Python process that has imported lxml, requests and sqlite3."""
    with subprocess.Popen([sys.executable, "-c", _BARE], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as bare:
        assert bare.stdout is not None
        bare.stdout.readline()
        size = memory_of(bare.pid)
        bare.communicate(b"\n")
    return size


def ratios(results: Iterable[Result]) -> Mapping[str, float]:
    """What the repository keeps: each row's ratio, to four digits."""
    return {result.row.name: float(f"{result.ratio:.4g}") for result in results}
