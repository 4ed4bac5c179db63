"""
The parent's CPU for each page of a crawl, by thread: engine, loop, journal and output are real, the pages are not.

    python tests/benchmarks/parent_cpu.py [WORKERS] [PAGES] [RATE] [--profile]

Workers answer after a pause that makes RATE pages a second, without a network: list pages of ten links, details of one
item. The parent does what it does in any crawl. `--profile` lists where its main thread spends its time; that slows it.
"""

from __future__ import annotations

import cProfile
import json
import os
import pstats
import sys
import tempfile
import threading
import time
from pathlib import Path

from pinpool.crawler import launch
from pinpool.crawler.api import crawl
from pinpool.model import Assignment, Call, Ending
from pinpool.pool.job import JobResult
from pinpool.pool.pin import Pin
from pinpool.settings import Settings
from pinpool.spider.page import Page
from pinpool.spider.spider import Spider
from pinpool.stats.snapshot import Snapshot
from pinpool.tasks import request

PAUSE = "PARENT_CPU_PAUSE"
HOST = "http://site.test"
spider = Spider(name="parent")


@spider.index
def titles(page: Page) -> None:
    """The job below takes its place."""


@spider.detail
def film(page: Page) -> None:
    """The job below takes its place."""


class Instant:
    """A job that fetches nothing."""

    def __init__(self, spider: object, settings: Settings) -> None:
        self.settings = settings
        self._pause = float(os.environ[PAUSE])

    def perform(self, pin: Pin, work: Assignment | Call) -> JobResult:
        assert isinstance(work, Assignment)
        time.sleep(self._pause)
        task = work.task
        number = int(task.url.rpartition("/")[2])
        if task.stage == "index":
            links = tuple(
                request(f"{HOST}/detail/{10 * number + n}", stage="detail", data={"list": task.url}) for n in range(10)
            )
            return JobResult(Ending.OK, 200, 26_000, tasks=links)
        item = {"url": task.url, "title": f"Film {number}", "directors": ["Agnès Varda", "Chantal Akerman"]}
        return JobResult(Ending.OK, 200, 40_000, items=(json.dumps(item, ensure_ascii=False),))


def thread_seconds() -> dict[str, float]:
    """CPU seconds of each thread of this process, by name."""
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    seconds: dict[str, float] = {}
    for task in Path("/proc/self/task").iterdir():
        name = names.get(int(task.name), "other")
        name = name.partition("(")[2].strip(")") or name
        seconds[name] = seconds.get(name, 0.0) + int((task / "schedstat").read_text().split()[0]) / 1e9
    return seconds


def main(workers: int, pages: int, rate: int, *, profile: bool) -> None:
    os.environ[PAUSE] = str(workers / rate)
    vars(launch)["PageJob"] = Instant
    marks: list[tuple[int, float, float, dict[str, float]]] = []
    profiler = cProfile.Profile()

    def watch(view: Snapshot) -> None:
        if view.pages >= (pages // 20 if not marks else pages * 19 // 20 if len(marks) == 1 else 2 * pages):
            marks.append((view.pages, time.process_time(), time.perf_counter(), thread_seconds()))
            if profile:
                (profiler.enable if len(marks) == 1 else profiler.disable)()

    with tempfile.TemporaryDirectory() as folder:
        proxies = [f"http://192.0.2.{n % 250}:{1000 + n}" for n in range(workers)]
        seeds = [f"{HOST}/list/{n}" for n in range(pages // 11)]
        crawl(
            spider,
            proxies,
            journal=Path(folder) / "run.db",
            outputs=[f"{folder}/items.jsonl"],
            seeds=seeds,
            watch=watch,
        )
    (first, cpu, at, threads), (last, cpu_end, at_end, threads_end) = marks
    done = last - first
    print(f"{workers} workers, {done / (at_end - at):.0f} pages/s: {1e6 * (cpu_end - cpu) / done:.0f} µs CPU a page")
    for name in sorted(threads_end, key=lambda name: -threads_end[name]):
        print(f"  {name:20} {1e6 * (threads_end[name] - threads.get(name, 0.0)) / done:6.1f}")
    if profile:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(45).sort_stats("cumtime").print_stats("pinpool", 40)


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:] if not word.startswith("-")]
    main(*numbers, *(100, 20_000, 1_000)[len(numbers) :], profile="--profile" in sys.argv)
