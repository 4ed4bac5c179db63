"""
Where the parent's CPU goes in a crawl, by thread: engine, loop, journal and output are real, the pages are made up.

    python tests/benchmarks/parent_cpu.py [--workers N] [--threads K] [--lists N] [--profile]

`--profile` lists where its main thread spends its time, and slows it. What the parent costs in all, compared with
before, is a row of `python tests/benchmarks`.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import threading
import time
from contextlib import nullcontext
from pathlib import Path

from run_parts import crawl, started


def thread_seconds() -> dict[str, float]:
    """CPU seconds of each thread of this process, by name."""
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    seconds: dict[str, float] = {}
    for task in Path("/proc/self/task").iterdir():
        name = names.get(int(task.name), "other")
        name = name.partition("(")[2].strip(")") or name
        seconds[name] = seconds.get(name, 0.0) + int((task / "schedstat").read_text().split()[0]) / 1e9
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--lists", type=int, default=2_000, help="list pages, with ten films behind each")
    parser.add_argument("--profile", action="store_true")
    asked = parser.parse_args()
    profiler = cProfile.Profile()
    with started(asked.workers, asked.threads) as engine:
        before, cpu, began = thread_seconds(), time.process_time(), time.perf_counter()
        with profiler if asked.profile else nullcontext():
            pages = crawl(engine, asked.workers, asked.workers, asked.lists)
        after, cpu, seconds = thread_seconds(), time.process_time() - cpu, time.perf_counter() - began
    print(f"{asked.workers} workers, {pages / seconds:.0f} pages/s: {1e6 * cpu / pages:.0f} µs CPU a page")
    for name in sorted(after, key=lambda name: -after[name]):
        print(f"  {name:20} {1e6 * (after[name] - before.get(name, 0.0)) / pages:6.1f}")
    if asked.profile:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(45).sort_stats("cumtime").print_stats("pinpool", 40)


if __name__ == "__main__":
    main()
