"""
Two stories of crawls over the hosts of a Ray cluster, told by the journal and by the books of the lab's proxies.

    python tests/benchmarks/ray_hosts_story.py cut|hosts

`cut`: the only host with workers loses its connection to the parent for 30 seconds, in the middle of two requests that
it could finish: it still reaches the proxies. Another host stands ready. Needs root and the command ip.
`hosts`: 5,005 pages over two hosts; a third one joins, and one dies.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

from crawling import Start, until
from holders import holdings, overlaps
from namespaces import machine
from pinpool.lab import Lab
from pinpool.lab.request_log import Seen
from ray_hosts import Cluster, Host, RayJob, cluster

CUT_SECONDS = 30.0
#: Pages that are never answered the first time.
SILENT = ("/page/5", "/page/6")


def cut(folder: Path) -> None:
    with machine() as far, cluster(far) as made:
        lab = Lab(pages=30, proxies=2, latency=0.1)
        for proxy in lab.proxies:
            proxy.host = far.world
        with lab:
            far_host = made.add_machine(2)
            films = films_of(folder, lab, made)
            for path in SILENT:
                lab.set_site_fault(path, "silent", times=1)
            start = films.crawl("-w", "4", "--timeout", "120", "--deadline", "150")
            until(lambda: len(unanswered(lab)) == 2, "two requests under way")
            [ready] = made.add(2)
            until(lambda: len(ready.workers()) == 2, "two workers without a proxy")
            waiting = unanswered(lab)
            cut_at, by_the_wall = time.monotonic(), time.time()
            far.cut()
            start.runs_for(CUT_SECONDS)
            far.heal()
            healed = time.monotonic()
            code = start.wait()
            told = [
                (healed - cut_at, "the connection is back"),
                (time.monotonic() - cut_at, "the crawl is done"),
                *((at - by_the_wall, "the parent knows that a worker is lost") for at in lost_at(films)),
                *(
                    (seen.ended - cut_at, f"the worker at proxy {seen.proxy} is gone: its connection is closed")
                    for seen in waiting
                    if seen.ended is not None
                ),
                *(
                    (holding.since - cut_at, f"proxy {holding.proxy} has its next holder")
                    for holding in holdings(lab.requests)
                    if holding.host != far_host.session
                ),
            ]
            print("seconds after the cut:")
            for at, what in sorted(told):
                print(f"{at:6.1f}  {what}")
            judge(films, start, code)


def hosts(folder: Path) -> None:
    with cluster() as made, Lab(pages=455, proxies=12, latency=0.1) as lab:
        first, second = made.add(4, 4)
        films = films_of(folder, lab, made)
        began = time.monotonic()
        start = films.crawl("-w", "12")
        until(lambda: len(lab.requests) >= 1000, "a thousand pages")
        [third] = made.add(4)
        print(f"{time.monotonic() - began:6.1f} s  a third host has joined, {len(lab.requests):,} pages asked for")
        until(lambda: by(third, lab) > 0, "its first page")
        print(f"{time.monotonic() - began:6.1f} s  it asks for its first page")
        until(lambda: len(lab.requests) >= 2500, "2,500 pages")
        second.kill()
        print(f"{time.monotonic() - began:6.1f} s  the second host is dead, {len(lab.requests):,} pages asked for")
        code = start.wait(900)
        print(f"{time.monotonic() - began:6.1f} s  done")
        print(f"pages by host: {by(first, lab):,} {by(second, lab):,} {by(third, lab):,}")
        judge(films, start, code)


def films_of(folder: Path, lab: Lab, made: Cluster) -> RayJob:
    os.environ |= made.environment
    return RayJob(folder / "run", lab, made)


def unanswered(lab: Lab) -> list[Seen]:
    return [seen for seen in lab.requests if seen.path in SILENT and seen.ended is None]


def by(host: Host, lab: Lab) -> int:
    """How many pages workers of this host have asked for."""
    return sum(holding.requests for holding in holdings(lab.requests) if holding.host == host.session)


def lost_at(films: RayJob) -> list[float]:
    with closing(sqlite3.connect(films.journal)) as db:
        return [at for (at,) in db.execute("SELECT at FROM events WHERE kind = 'worker_lost'")]


def judge(films: RayJob, start: Start, code: int) -> None:
    coverage = json.loads(films.ask("verify", "films.db", "--json").stdout)
    print(f"exit code {code}, {coverage['items']:,} items of {len(films.lab.catalogue):,}, {coverage['ended']:,} pages")
    print(f"proven complete: {coverage['complete']}; workers lost: {len(lost_at(films))}")
    print(f"lost or wrong {len(films.lost())}, twice {len(films.twice())}, direct requests {films.lab.direct}")
    print(f"overlaps of holders {len(overlaps(films.lab.requests))}, proxies shared {len(films.shared())}")
    if code:
        print(start.said)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="ray-hosts-story-") as name:
        {"cut": cut, "hosts": hosts}[sys.argv[1]](Path(name))
