"""
The reference job, whole: 5,000 list pages, 50,000 films, 100 proxies, 200 ms. Judged by the practice site's own books.

    python tests/benchmarks/reference_job.py [--https] [--kill] [--threads K] [--lists N]

With `--kill` the parent is killed (signal 9) in the middle, and the run is resumed. Nothing may be lost or twice, and
no page may be asked for again but those in flight at the kill, and those that hung. It takes two to three minutes; run
it on a quiet machine: the site and its proxies need a third of a core themselves.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

from measuring import memory_of_tree

from certificates import Authority
from crawling import Job, Start, spider
from pinpool.lab import Film, Lab

PROXIES, LATENCY = 100, 0.2
#: Pages that a kill may throw back: those with the workers, those handed out, and those of the group not yet committed.
IN_FLIGHT = 3 * PROXIES
#: No run may take longer; whoever gets here has failed.
PATIENCE = 1800.0
#: Memory is looked at so often: each look costs CPU time of its own.
LOOK_SECONDS = 15.0


class SafeJob(Job):
    """The same over https."""

    def _films(self) -> dict[str, Film]:
        return self.lab.films(self.lab.named_tls_url)


def watched(start: Start, lab: Lab, kill_at: int = 0) -> list[tuple[int, float]]:
    """Wait for the end of a run, or kill its parent after so many requests: (requests so far, megabytes), in turn."""
    found, give_up, next_look = [], time.monotonic() + PATIENCE, time.monotonic() + 5
    while start.runs:
        assert time.monotonic() < give_up, f"still running after {PATIENCE:g} s: {start.said}"
        asked = sum(proxy.requests for proxy in lab.proxies)
        if time.monotonic() >= next_look:
            next_look += LOOK_SECONDS
            found.append((asked, memory_of_tree(start.pid) / 1e6))
        if kill_at and asked >= kill_at:
            start.process.kill()
            break
        time.sleep(0.05)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--https", action="store_true")
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--lists", type=int, default=5_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reference-job-") as name:
        authority = Authority(Path(name))
        certificate = authority.files("movies.test")
        with Lab(pages=asked.lists, proxies=PROXIES, latency=LATENCY, certificate=certificate) as lab:
            run(Path(name, "job"), lab, authority, asked)


def run(folder: Path, lab: Lab, authority: Authority, asked: argparse.Namespace) -> None:
    pages = 11 * asked.lists
    options: list[str] = []
    source, kind = spider(), Job
    if asked.https:
        source, kind = source.replace("BASE", lab.named_tls_url), SafeJob
        options += ["-s", f"ca_bundle={authority.bundle}"]
    job = kind(folder, lab, source)
    job.threads = asked.threads
    try:
        began = time.perf_counter()
        memory = watched(job.crawl(*options), lab, pages // 2 if asked.kill else 0)
        if asked.kill:
            job.starts[-1].leaves_nobody()
            memory += watched(job.resume(), lab)
        whole = time.perf_counter() - began
        for start in job.starts:
            start.leaves_nobody()
        assert job.starts[-1].wait() == 0, job.starts[-1].said
        with closing(sqlite3.connect(job.journal)) as db:
            query = "SELECT min(at), max(at + seconds), count(*) FROM attempts WHERE ending = 'ok'"
            first, last, answered = db.execute(query).fetchone()
            (overtaken,) = db.execute("SELECT count(*) FROM attempts WHERE ending = 'overtaken'").fetchone()
        judge(job, pages, overtaken + (IN_FLIGHT if asked.kill else 0))
    finally:
        for start in job.starts:
            start.sweep()
    ideal, seconds = pages * LATENCY / PROXIES, last - first
    print(f"{answered:,} pages in {whole:.1f} s; first attempt to last page {seconds:.1f} s: ", end="")
    print(f"{ideal / seconds:.1%} of the ideal {ideal:.0f} s")
    # The first look and the last may meet a run that starts or ends.
    shown = memory[1:-1][:: max(1, len(memory) // 8)]
    print("memory: " + ", ".join(f"{size:.0f} MB after {count:,} requests" for count, size in shown))


def judge(job: Job, pages: int, repeats: int) -> None:
    """Complete by the journal, the output file and the site's own books, else AssertionError; few pages asked again."""
    job.complete()
    paths = Counter(seen.path for seen in job.lab.requests)
    again = sum(times - 1 for times in paths.values())
    print(f"nothing lost, nothing twice; {len(paths):,} different pages asked for, {again} of them again")
    assert len(paths) == pages
    assert again <= repeats, f"only {repeats} pages were asked for twice with a reason"


if __name__ == "__main__":
    main()
