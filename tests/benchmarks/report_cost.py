"""
What a report costs: seconds, memory, and the size of the page, for a journal of a long run.

    PYTHONPATH=tests/support python tests/benchmarks/report_cost.py [PROXIES] [ATTEMPTS]

The journal is made through the journal's own interface and thrown away. Nothing here is asserted by a test.
"""

from __future__ import annotations

import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

from pinpool.report.cost import Price
from pinpool.report.html import render
from pinpool.report.queries import read_run
from synthetic import synthetic_run


def measure(journal: Path) -> None:
    """In a process of its own, so that its peak of memory is the report's alone."""
    before = peak_megabytes()
    began = time.perf_counter()
    found = read_run(journal, time.time())
    read = time.perf_counter() - began
    page = render(found, time.time(), Price(2.5))
    drawn = time.perf_counter() - began - read
    print(f"read and folded in {read:.2f} s, drawn in {drawn:.2f} s, page of {len(page.encode()) / 1000:.0f} kB")
    print(f"peak {peak_megabytes():.0f} MB, of which {before:.0f} MB before the start")


def peak_megabytes() -> float:
    """The most memory that this process ever held. Not ru_maxrss, which a child takes over from its parent."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main(proxies: int, attempts: int) -> None:
    """Make the journal, then measure in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "long.db"
        synthetic_run(journal, proxies, attempts)
        print(f"{proxies} proxies, {attempts:,} attempts, journal of {journal.stat().st_size / 1e6:.0f} MB")
        child = get_context("spawn").Process(target=measure, args=(journal,))
        child.start()
        child.join()


if __name__ == "__main__":
    main(*(int(text) for text in (sys.argv[1:] + ["200", "50000"][len(sys.argv) - 1 :])))
