"""
One small job on each engine: 100 proxies that answer in 0.2 s, as many workers.

    python tests/benchmarks/each_engine.py [ENGINE...] [--lists N] [--proxies N]

For each engine: seconds from Enter to the first attempt and to the end, pages a second from the first attempt to the
last page, and the memory of all processes of the run (the most that was seen). Every run is judged: nothing lost,
nothing twice. Run it on a quiet machine. `ray` needs the package, and gets a Ray of its own on this machine.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

from measuring import memory_of

from crawling import job, players, spider
from pinpool.lab import Lab

LATENCY = 0.2
ENGINES = {
    "processes": (),
    "threads": ("--threads", "25"),
    "inline": ("--engine", "inline"),
    "ray": ("--engine", "ray"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engines", nargs="*", metavar="ENGINE", help=f"{', '.join(ENGINES)}; all of them by default")
    parser.add_argument("--lists", type=int, default=10)
    parser.add_argument("--proxies", type=int, default=100)
    asked = parser.parse_args()
    print(f"{11 * asked.lists:,} pages, {asked.proxies} proxies, {LATENCY:g} s an answer")
    print(f"{'engine':10} {'first attempt':>14} {'end':>8} {'pages/s':>9} {'memory':>8}")
    for engine in asked.engines or ENGINES:
        print(f"{engine:10} {measured(ENGINES[engine], asked.lists, asked.proxies)}", flush=True)


def measured(options: tuple[str, ...], lists: int, proxies: int) -> str:
    """One run, as a line of the table."""
    with (
        tempfile.TemporaryDirectory(prefix="engines-") as name,
        Lab(pages=lists, proxies=proxies, latency=LATENCY) as lab,
        job(Path(name, "job"), lab, spider()) as films,
    ):
        films.other_engine = options or films.engine
        began, memory = time.time(), 0.0
        start = films.crawl()
        while start.runs:
            memory = max(memory, sum(memory_of(player.pid) for player in players(start.pid)) / 1e6)
            time.sleep(0.5)
        ended = time.time() - began
        assert start.wait() == 0, start.said
        films.complete()
        with closing(sqlite3.connect(films.journal)) as db:
            query = "SELECT min(at), max(at + seconds), count(*) FROM attempts WHERE ending = 'ok'"
            first, last, answered = db.execute(query).fetchone()
    return f"{first - began:12.2f} s {ended:6.1f} s {answered / (last - first):9.1f} {memory:5.0f} MB"


if __name__ == "__main__":
    main()
