"""
Does the advice of `pinpool tune --from` make a list of poor proxies last? Real crawls that follow it, and others.

    python tests/benchmarks/dying_list.py [CRAWLS]

Of 20 proxies a fifth of the living dies in each second, used or not: 20 % a minute, on a clock that runs sixty times as
fast. The job is 550 pages of 100 ms. A careful user takes 5 workers, so that each has three spares. The model learns
from another crawl of such proxies. It predicts what these workers do, and recommends a number. Then both are crawled,
CRAWLS (20) times each. It takes about five minutes; run it on a quiet machine.
"""

from __future__ import annotations

import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from model_check import DYING, FAMILY, crawl, measure

from pinpool.lab import Lab
from pinpool.tune.forecast import predict, spares_needed
from pinpool.tune.recording import learn
from pinpool.tune.result import recommend, table

PROXIES, FAMILIES, CAREFUL = 20, 50, 5
SIZES = (2, CAREFUL, 10, 15, PROXIES)
WORLD: dict[str, Any] = {"latency": 0.1, "dying": DYING}
#: Crawls at a time: they share the machine, and must not notice it.
ABREAST = 2


def main(crawls: int) -> None:
    with tempfile.TemporaryDirectory(prefix="dying-list-") as name:
        folder = Path(name)
        with Lab(pages=100, proxies=200, seed=11, **WORLD) as lab:
            rules = {"cooling": "0.1", "pace": "0.5"}
            recording = learn(crawl(folder / "recorded", lab, 100, 80, rules))
        recording = recording.changed(FAMILIES * FAMILY, {"pace": "0"})
        rows = [predict(recording, size, proxies=PROXIES) for size in SIZES]
        advice = recommend(rows)
        print(table(rows, advice.workers))
        print(f"take {advice.workers} workers: {advice.why}")
        for workers in (CAREFUL, advice.workers):
            spares = spares_needed(recording, workers)
            needed = "no number of" if spares is None else spares
            print(f"{workers} workers: {needed} spare proxies make the list last in 95 of 100 crawls")

            def once(seed: int, workers: int = workers) -> bool:
                with Lab(pages=FAMILIES, proxies=PROXIES, seed=seed, **WORLD) as lab:
                    path = folder / f"{workers}-{seed}"
                    return measure(crawl(path, lab, FAMILIES, workers, {"cooling": "0.1"})).lasted

            with ThreadPoolExecutor(ABREAST) as several:
                lasted = sum(several.map(once, range(crawls)))
            print(f"{workers} workers: the list lasted in {lasted} of {crawls} real crawls", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
