"""
What the process engine costs by itself: start-up, memory of each worker, CPU of the parent for each task.

    python tests/benchmarks/engine_cost.py [WORKERS] [TASKS]

The tasks do nothing, so everything measured is the engine: pool, board, lease queue, death watch. Run it on a quiet
machine and quote ratios of one run; nothing here is asserted by a test.
"""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from pathlib import Path

from pinpool.calls.call_job import CallJob
from pinpool.model import ProxyState
from pinpool.pool.engine import Answered
from pinpool.pool.lease_types import Standing
from pinpool.pool.processes import ProcessEngine
from pinpool.proxies.proxy import Proxy
from pinpool.settings import Settings


def nothing() -> None:
    """The whole task."""


def main(workers: int, tasks: int) -> None:
    import pickle

    settings = Settings()
    standings = [
        Standing(n, Proxy("http", f"192.0.2.{n % 250}", 1000 + n), ProxyState.SPARE) for n in range(1, workers + 1)
    ]
    engine = ProcessEngine(
        partial(CallJob, settings), standings, workers=workers, hang_seconds=60.0, cooling=settings.cooling
    )
    began = time.perf_counter()
    engine.start()
    while engine.census().count(ProxyState.PINNED) < workers:
        engine.poll(0.01)
    ready = time.perf_counter() - began
    memory = [private_megabytes(line.pid) for line in engine.workers()]

    blob = pickle.dumps((nothing, ()))
    cpu, began, submitted, answered = time.process_time(), time.perf_counter(), 0, 0
    while answered < tasks:
        while submitted < tasks and submitted - answered < workers + max(2, workers // 4):
            submitted += 1
            engine.submit(submitted, blob)
        answered += sum(isinstance(signal, Answered) for signal in engine.poll(0.1))
    cpu, seconds = time.process_time() - cpu, time.perf_counter() - began
    began = time.perf_counter()
    engine.close()
    closed = time.perf_counter() - began

    print(f"{workers} workers: ready in {ready:.2f} s, closed in {closed:.2f} s")
    print(f"memory of its own, each: {sum(memory) / len(memory):.1f} MB")
    print(f"{tasks} empty tasks: {tasks / seconds:.0f} a second, {1e6 * cpu / tasks:.0f} µs of the parent's CPU each")


def private_megabytes(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


if __name__ == "__main__":
    sys.path.insert(0, os.fspath(Path(__file__).parent.parent / "support"))
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100, int(sys.argv[2]) if len(sys.argv) > 2 else 20_000)
