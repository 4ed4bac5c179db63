"""
What slow proxies and a black hole cost a crawl: real crawls of the lab.

    python tests/benchmarks/slow_proxies.py [ROUNDS]

Three of ten proxies drip 2 kB/s, so that a film takes 20 s through them. The crawl of 220 pages should take no more
than 1.5 times what it takes through ten good ones. Then a proxy never answers, and has the only seed in hand: its page
should be there within 6 s of the first attempt, with the default time-outs. A quiet machine is best.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

from crawling import job
from pinpool.lab import Lab, connections

PROXIES, SLOW, LATENCY = 10, (1, 4, 7), 0.2
BYTES_A_SECOND = 2_000


def crawl(folder: Path, lab: Lab) -> tuple[float, float, int]:
    """Seconds from the first attempt to the first page and to the last, and how many attempts were overtaken."""
    with job(folder, lab) as films:
        assert films.crawl().wait() == 0, films.starts[0].said
        films.complete()
        with closing(sqlite3.connect(films.journal)) as db:
            begin, overtaken = db.execute("SELECT min(at), sum(ending = 'overtaken') FROM attempts").fetchone()
            query = "SELECT min(at + seconds), max(at + seconds) FROM attempts WHERE ending = 'ok'"
            first, last = db.execute(query).fetchone()
    return first - begin, last - begin, overtaken


def main(rounds: int) -> None:
    connections.DRIP_RATE = BYTES_A_SECOND
    with tempfile.TemporaryDirectory(prefix="slow-proxies-") as name:
        for number in range(rounds):
            folder = Path(name, str(number))
            folder.mkdir()
            with Lab(pages=20, proxies=PROXIES, latency=LATENCY) as lab:
                _, good, _ = crawl(folder / "good", lab)
            with Lab(pages=20, proxies=PROXIES, latency=LATENCY) as lab:
                for index in SLOW:
                    lab.set_fault(index, "drip")
                _, slow, overtaken = crawl(folder / "slow", lab)
            with Lab(pages=1, proxies=PROXIES, latency=LATENCY) as lab:
                lab.set_site_fault("/page/1", "silent", times=1)
                first, _, _ = crawl(folder / "hole", lab)
            print(f"ten good proxies {good:.1f} s; three of them slow {slow:.1f} s: {slow / good:.2f} times, ", end="")
            print(f"{overtaken} attempts overtaken; behind a black hole the first page came after {first:.1f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
