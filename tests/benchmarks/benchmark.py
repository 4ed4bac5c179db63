"""
What pinpool costs, part by part, compared with the baseline that the repository keeps.

    python tests/benchmarks [PART...] [--rounds N] [--update]

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
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import page_parts
import run_parts
from measuring import Reading, Row, ratios, summed_up, table

BASELINE = Path(__file__).with_name("baseline.json")


class Part(NamedTuple):
    """What is measured in a process of its own: `measure` gives the readings of all `rows`, by name."""

    measure: Callable[[], Mapping[str, list[Reading]]]
    rows: tuple[Row, ...]


def pool(name: str, workers: int, threads: int = 1) -> Part:
    """A real pool of so many workers, `threads` of them in a process."""
    rows = (
        Row(f"start, {name}", "ms", 1e3),
        Row(f"memory at start, {name}", "MB", 1e-6),
        Row(f"parent, {name}", "µs/page"),
    )
    return Part(partial(run_parts.pool, workers, threads, name), rows)


PAGE_ROWS = ("fetch, http", "fetch, https", "extraction", page_parts.WHOLE)
PARTS: Mapping[str, Part] = {
    "page": Part(page_parts.page, tuple(Row(name, "µs/page") for name in PAGE_ROWS)),
    "journal": Part(run_parts.journal, (Row("journal", "µs/page"),)),
    "loop": Part(run_parts.loop, (Row("parent, crawl loop alone", "µs/page"),)),
    "pool": pool("20 workers", 20),
    "large": pool("100 workers", 100),
    "threads": pool("100, --threads 25", 100, 25),
}


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


def measure(rounds: int, parts: Sequence[str]) -> dict[str, list[Reading]]:
    """All readings by row. The parts take turns, so that a slow minute of the machine does not hit one alone."""
    readings: dict[str, list[Reading]] = defaultdict(list)
    context = get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as fresh:
        for _ in range(rounds):
            for part in parts:
                for name, found in fresh.submit(PARTS[part].measure).result().items():
                    readings[name] += found
    return readings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all of them by default")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--update", action="store_true", help="keep the ratios as the new baseline")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(unknown)}")
    baseline = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    print(machine())
    load = os.getloadavg()[0]
    readings = measure(asked.rounds, asked.parts or list(PARTS))
    rows = [row for part in asked.parts or PARTS for row in PARTS[part].rows]
    results = [summed_up(row, readings[row.name], baseline.get(row.name)) for row in rows]
    print(table(results))
    if load > 1:
        print(f"the machine was busy (load {load:.1f}): these figures are not worth much")
    if asked.update:
        BASELINE.write_text(json.dumps({**baseline, **ratios(results)}, indent=4) + "\n")
        print(f"{BASELINE}: written")
