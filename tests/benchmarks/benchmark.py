"""
What pinpool costs, part by part, compared with the baseline that the repository keeps.

    python tests/benchmarks [--rounds N] [--update]

Every part runs once a round (5 rounds, about a minute), in a process of its own. A cost is shown as it is here, and as
the ratio to a calibration loop that runs in between. The ratio is what compares machines: one that is more than 15 %
off the baseline is marked. Run it on a quiet machine. It never fails for a cost, and no test asserts one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

import page_parts
import run_parts
from measuring import Reading, Row, ratios, summed_up, table

BASELINE = Path(__file__).with_name("baseline.json")

ROWS = (
    Row("fetch, http", "µs/page"),
    Row("fetch, https", "µs/page"),
    Row("extraction", "µs/page"),
    Row("page in a worker, http", "µs/page"),
    Row("journal", "µs/page"),
    Row("parent, crawl loop alone", "µs/page"),
    Row("parent, 20 workers", "µs/page"),
    Row("parent, 100 workers", "µs/page"),
    Row("start, 20 workers", "ms", 1e3),
    Row("start, 100 workers", "ms", 1e3),
    Row("memory, 20 workers", "MB", 1e-6),
    Row("memory, 100 workers", "MB", 1e-6),
)
PARTS: tuple[Callable[[], Mapping[str, list[Reading]]], ...] = (
    page_parts.page,
    run_parts.journal,
    run_parts.loop,
    partial(run_parts.pool, 20, "20 workers"),
    partial(run_parts.pool, 100, "100 workers"),
)


def machine() -> str:
    """Versions, and what all of this runs on."""
    model = ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(": ")[2]
            break
    parts = [f"pinpool {version('pinpool')}", f"{platform.python_implementation()} {platform.python_version()}"]
    parts += [f"{name} {version(name)}" for name in ("lxml", "urllib3")]
    cores = len(os.sched_getaffinity(0))
    return ", ".join([*parts, f"{platform.system()} {platform.machine()}", f"{cores} cores", model]).removesuffix(", ")


def measure(rounds: int) -> dict[str, list[Reading]]:
    """All readings by row. The parts take turns, so that a slow minute of the machine does not hit one alone."""
    readings: dict[str, list[Reading]] = defaultdict(list)
    context = get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as fresh:
        for _ in range(rounds):
            for part in PARTS:
                for name, found in fresh.submit(part).result().items():
                    readings[name] += found
    assert set(readings) == {row.name for row in ROWS}
    return readings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--update", action="store_true", help="keep the ratios as the new baseline")
    asked = parser.parse_args()
    baseline = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    print(machine())
    load = os.getloadavg()[0]
    readings = measure(asked.rounds)
    results = [summed_up(row, readings[row.name], baseline.get(row.name)) for row in ROWS]
    print(table(results))
    if load > 1:
        print(f"the machine was busy (load {load:.1f}): these figures are not worth much")
    if asked.update:
        BASELINE.write_text(json.dumps(ratios(results), indent=4) + "\n")
        print(f"{BASELINE}: written")
