"""
How fast items are exported, and how much memory that takes, by format and number of items.

    python tests/benchmarks/export_speed.py [ITEMS]

Makes a journal of ITEMS films (1,000,000), and exports a tenth of it and the whole, each in a process of its own.
Memory is that process's peak: it must be the same for both. Run it on a quiet machine; no test asserts any of this.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

EXPORT = """
import resource, sys, time
from pinpool.output.outputs import write_all
from pinpool.journal.reader import Reader
from pinpool.output.target import Target

journal, path, kind = sys.argv[1:]
start = time.perf_counter()
with Reader(journal) as reader:
    write_all(Target(path, kind, overwrite=True), reader.items)
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def build(path: Path, items: int) -> None:
    """A journal with so many items; the run behind them does not matter."""
    from journals import new_journal, task

    new_journal(path, task("1", "index")).close()
    rows = (
        (
            1,
            n,
            json.dumps(
                {
                    "url": f"https://films.example/detail/{n}",
                    "title": f"Farewell my concubine {n}",
                    "directors": ["Chen Kaige", "Somebody Else"],
                    "score": n % 100 / 10,
                    "year": 1900 + n % 120,
                    "drama": "A story of two actors, told over fifty years. " * 3,
                }
            ),
        )
        for n in range(items)
    )
    with closing(sqlite3.connect(path)) as db, db:
        db.executemany("INSERT INTO items (task, n, data) VALUES (?, ?, ?)", rows)


def main(items: int) -> None:
    print(f"{'format':8} {'items':>9} {'seconds':>8} {'items/s':>9} {'peak MB':>8} {'file MB':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for number in (items // 10, items):
            journal = Path(folder, f"{number}.db")
            build(journal, number)
            for kind in ("jsonl", "json", "csv", "parquet", "sqlite"):
                path = Path(folder, f"items.{kind}")
                told = subprocess.run(
                    [sys.executable, "-c", EXPORT, str(journal), str(path), kind],
                    check=True,
                    capture_output=True,
                    text=True,
                )
                seconds, peak = map(float, told.stdout.split())
                size = path.stat().st_size / 1e6
                print(f"{kind:8} {number:9} {seconds:8.1f} {number / seconds:9.0f} {peak:8.0f} {size:8.1f}")
                path.unlink()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
