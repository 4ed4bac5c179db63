"""
One crawl after another, carried by each engine: pages a second, CPU and memory. The manual's table of engines.

    python tests/benchmarks/each_engine.py [--workers 4,20] [--lists 91] [--latency 0,0.2] [--engines NAME,…]

The site and its proxies, one for each worker, run in this process, whose CPU time is not counted. Pages a second are
counted from the first attempt to the last page, so that starts and ends are left out; "ready" is what comes before.
CPU time and memory are those of the command and all its processes, start and end included, looked at now and then.
The engine inline gets a tenth of the pages where each takes time. Run it on a quiet machine, and compare within one run
only.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import product
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

from measuring import memory_of_tree, tree

from crawling import Job, Start
from pinpool.lab import Lab
from pinpool.pool.registry import ENGINES

LOOK_SECONDS = 0.25
PATIENCE = 600.0
#: Workers that share a process where an engine is asked for threads.
THREADS = 10


class Shape(NamedTuple):
    """What carries the workers."""

    name: str
    engine: str
    threads: int = 1

    @property
    def options(self) -> tuple[str, ...]:
        """Those of the command."""
        threads = ("--threads", str(self.threads)) if self.threads > 1 else ()
        return "--engine", self.engine, *threads


SHAPES = (
    Shape("processes", "processes"),
    Shape("threads", "processes", THREADS),
    Shape("inline", "inline"),
    Shape("ray", "ray"),
    Shape("ray, threads", "ray", THREADS),
)


class Watched(NamedTuple):
    """What a crawl took: seconds to its first attempt and from there to its last page, CPU seconds, bytes."""

    pages: int
    ready: float
    seconds: float
    cpu: float
    memory: int


def cpu_of(pid: int) -> float:
    """CPU seconds of the threads of a process that live."""
    seconds = 0.0
    with suppress(OSError):
        for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            seconds += int(path.read_text().split()[0]) / 1e9
    return seconds


def watch(start: Start) -> tuple[float, int]:
    """CPU seconds and the most bytes of a command, until it ends."""
    give_up, cpu, most = time.monotonic() + PATIENCE, dict[int, float](), 0
    while start.runs:
        assert time.monotonic() < give_up, start.said
        for pid in tree(start.pid):
            cpu[pid] = max(cpu.get(pid, 0.0), cpu_of(pid))
        most = max(most, memory_of_tree(start.pid))
        time.sleep(LOOK_SECONDS)
    return sum(cpu.values()), most


def measure(folder: Path, shape: Shape, workers: int, lists: int, latency: float) -> Watched:
    """One crawl, judged: nothing lost, nothing twice."""
    with Lab(pages=lists, proxies=workers, latency=latency) as lab:
        job = Job(folder, lab)
        job.other_engine = shape.options
        began = time.time()
        start = job.crawl("-w", str(workers), "-q")
        try:
            cpu, memory = watch(start)
            assert start.wait() == 0, start.said
        finally:
            start.sweep()
        job.complete()
    with closing(sqlite3.connect(job.journal)) as db:
        query = "SELECT min(at), max(at + seconds), count(*) FROM attempts WHERE ending = 'ok'"
        first, last, pages = db.execute(query).fetchone()
    return Watched(pages, first - began, last - first, cpu, memory)


def rows(asked: argparse.Namespace, folder: Path) -> Iterator[str]:
    """A line of the table for each crawl."""
    wanted = [shape for shape in SHAPES if shape.engine in ENGINES and shape.name in asked.engines]
    cases = product(asked.latency, asked.workers, wanted)
    for number, (latency, workers, shape) in enumerate(cases):
        if shape.threads > 1 and workers < 2 * shape.threads:
            continue
        lists = max(1, asked.lists // 10) if shape.engine == "inline" and latency else asked.lists
        took = measure(folder / str(number), shape, workers, lists, latency)
        yield (
            f"| {shape.name} | {workers} | {latency * 1000:.0f} ms | {took.pages:,} | {took.pages / took.seconds:,.0f}"
            f" | {took.cpu / took.pages * 1000:.1f} ms | {took.memory / 1e6:,.0f} MB | {took.ready:.1f} s |"
        )


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=numbers, default=[4, 20])
    parser.add_argument("--lists", type=int, default=91)
    parser.add_argument("--latency", type=lambda text: [float(part) for part in text.split(",")], default=[0.0, 0.2])
    parser.add_argument("--engines", type=lambda text: text.split(","), default=[shape.name for shape in SHAPES])
    asked = parser.parse_args()
    print("| engine | workers | latency | pages | pages/s | CPU a page | memory | ready |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory(prefix="engines-") as name:
        for row in rows(asked, Path(name)):
            print(row, flush=True)


if __name__ == "__main__":
    main()
