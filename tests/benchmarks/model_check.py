"""
Is `pinpool tune --from` right? Real crawls of the lab beside what the model said of them, as the README shows it.

    python tests/benchmarks/model_check.py [CRAWLS]

Each part records ONE crawl, foretells others from its journal, and then does those: other numbers of workers, other
rules, lists that are used up. CRAWLS (100) is how often each list of the second table is really crawled: a chance is
then known to 5 points (one standard error). It takes about ten minutes.

The crawl has one core, and the lab, which plays the rest of the world, the others: so it needs two, better more. A core
that is shared with strangers is now fast and now slow; therefore its speed is measured during each crawl, by the CPU
time of the same small loop, and where the core is the limit the model is told it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from pinpool.forecast import Recording, foretell, learn
from pinpool.lab import Lab
from pinpool.reading import Reader
from pinpool.settings import settings_from

SPIDER = """
from pinpool import Page, Spider

spider = Spider(seeds=[f"BASE/page/{n}" for n in range(1, PAGES + 1)])


@spider.index
def films(page: Page):
    yield from page.details('//a[@class="name"]/@href')


@spider.detail
def film(page: Page):
    return {"url": page.url, "title": page.first("h2.m-b-sm::text")}
"""
#: A list page and its ten films.
FAMILY = 11
PATIENCE = 120.0
#: Crawls of which the mean counts where the core is the limit, or pages fail: the last retry may wait for seconds.
TIMES = 3
#: Writes the mean CPU seconds of a loop that it runs ten times a second until its stdin is closed.
SPEEDOMETER = """
import select, sys, time
spent = []
while not select.select([sys.stdin], [], [], 0.1)[0]:
    begun = time.process_time()
    sum(n * n for n in range(10_000))
    spent.append(time.process_time() - begun)
print(sum(spent) / len(spent))
"""
CORES = sorted(os.sched_getaffinity(0))
#: How many crawls of dying lists go on at a time: they share the machine, and must not notice it.
ABREAST = 6
#: A fifth of the living dies each second: 20 % a minute on a clock that runs sixty times as fast.
DYING = 1 - 0.8**60


class Real(NamedTuple):
    """What a real crawl did. `loop` is CPU seconds of the speedometer's loop meanwhile."""

    journal: Path
    pages_per_second: float
    lasted: bool
    loop: float


class Case(NamedTuple):
    """A world, the crawl that is recorded in it, and the ones that are foretold: workers, proxies, settings."""

    name: str
    lab: dict[str, Any]
    recorded: int
    families: int
    settings: dict[str, str]
    others: Sequence[tuple[int, dict[str, str]]]
    times: int = 1


CASES = (
    Case(
        "200 ms, 40 proxies",
        {"latency": 0.2, "proxies": 40},
        8,
        40,
        {},
        [(4, {}), (16, {}), (32, {})],
    ),
    Case(
        "20 ms, 32 proxies: the core becomes the limit",
        {"latency": 0.02, "proxies": 32},
        4,
        80,
        {},
        [(8, {}), (16, {}), (32, {})],
        times=TIMES,
    ),
    Case(
        "no latency: nothing but CPU",
        {"latency": 0.0, "proxies": 8},
        4,
        120,
        {},
        [(1, {}), (2, {}), (8, {})],
        times=TIMES,
    ),
    Case(
        "100 ms, half of 24 proxies fail 1 of 10",
        {"latency": 0.1, "proxies": 24, "faults": ["flaky"] * 12, "flaky_rate": 0.1},
        8,
        120,
        {"cooling": "1"},
        [(16, {}), (24, {}), (8, {"swap_after": "1"})],
        times=TIMES,
    ),
    Case(
        "100 ms, 8 proxies, rules changed",
        {"latency": 0.1, "proxies": 8},
        4,
        40,
        {},
        [(12, {}), (8, {"pace": "0.3"})],
    ),
)


def crawl(folder: Path, lab: Lab, families: int, workers: int, settings: dict[str, str]) -> Path:
    """A real crawl to its end; returns its journal."""
    folder.mkdir()
    (folder / "films.py").write_text(SPIDER.replace("BASE", lab.named_url).replace("PAGES", str(families)))
    lab.write_proxies(folder / "proxies.txt")
    words = ["crawl", "films.py", "-p", "proxies.txt", "-w", str(workers), "-j", "run.db", "-q"]
    words += [part for key, value in settings.items() for part in ("-s", f"{key}={value}")]
    command = [sys.executable, "-m", "pinpool", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode not in (0, 4):
        raise SystemExit(f"the crawl failed with {done.returncode}: {done.stderr}")
    return folder / "run.db"


def crawl_alone(folder: Path, lab: Lab, families: int, workers: int, settings: dict[str, str]) -> Real:
    """The same on a core of its own, beside the speedometer."""
    others = os.sched_getaffinity(0)
    os.sched_setaffinity(0, CORES[:1])
    command = [sys.executable, "-c", SPEEDOMETER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as speedometer:
        try:
            journal = crawl(folder, lab, families, workers, settings)
        finally:
            os.sched_setaffinity(0, others)
            loop, _ = speedometer.communicate()
    return look(journal, float(loop))


def look(journal: Path, loop: float = 0.0) -> Real:
    """Pages a second from the first attempt to the last page, as the model counts them."""
    with Reader(journal) as reader:
        attempts = list(reader.attempts())
        info = reader.run_info(time.time())
    first = min(row.at for row in attempts)
    last = max(row.at + row.seconds for row in attempts if row.ending != "failed")
    return Real(journal, info.pages / (last - first), info.state == "complete", loop)


def speeds(folder: Path) -> list[str]:
    """The lines of the first table."""
    lines = [
        "| world | recorded with | foretold | model, pages/s | real, pages/s | error |",
        "|---|---|---|---:|---:|---:|",
    ]
    for number, case in enumerate(CASES):
        recorded = repeated(folder, case, number, case.recorded, {}, 1)[0]
        recording = learn(recorded.journal)
        for workers, changed in case.others:
            done = repeated(folder, case, number, workers, changed, case.times)
            real = fmean(one.pages_per_second for one in done)
            now = at_speed(recording, fmean(one.loop for one in done) / recorded.loop)
            said = say(now, workers, case.lab["proxies"], changed)[0]
            what = ", ".join([f"{workers} workers", *(f"{key} {value}" for key, value in changed.items())])
            error = said / real - 1
            lines.append(
                f"| {case.name} | {case.recorded} workers | {what} | {said:.1f} | {real:.1f} | {error:+.1%} |"
            )
            print(lines[-1], file=sys.stderr)
    return lines


def repeated(
    folder: Path, case: Case, number: int, workers: int, changed: dict[str, str], times: int
) -> list[Real]:
    """So many crawls in the world of a case, each with a lab of its own."""
    done = []
    for time_ in range(times):
        with Lab(pages=case.families, seed=number + 100 * time_, **case.lab) as lab:
            place = folder / "-".join(map(str, (number, workers, *changed.values(), time_)))
            done.append(crawl_alone(place, lab, case.families, workers, {**case.settings, **changed}))
    return done


def at_speed(recording: Recording, slower: float) -> Recording:
    """The same recording, had the machine been slower by that factor."""
    known = recording.machine
    cpu = None if known.cpu is None else known.cpu * slower
    return recording._replace(machine=known._replace(demand=known.demand * slower, cpu=cpu))


def say(
    recording: Recording, workers: int, proxies: int, changed: dict[str, str], pages: int | None = None
) -> tuple[float, float]:
    """What the model says: pages a second, and the chance that the list lasts."""
    row = foretell(
        recording,
        [workers],
        proxies=proxies,
        job=recording.job(pages),
        settings=settings_from(changed, recording.settings),
        seed=1,
    )[0]
    assert row.survival is not None
    return row.pages_per_second, row.survival


def survivals(folder: Path, crawls: int) -> list[str]:
    """The lines of the second table."""
    world: dict[str, Any] = {"latency": 0.05, "dying": DYING}
    # A rate of deaths is known to 1/√n of it: hundreds of them are needed.
    with Lab(pages=400, proxies=400, seed=11, **world) as lab:
        rules = {"cooling": "0.1", "pace": "0.5"}
        recording = learn(crawl(folder / "dying", lab, 400, 80, rules))
    lines = [
        "| list | job | model: it lasts in | real crawls | error |",
        "|---|---|---:|---:|---:|",
    ]
    for workers, proxies, families in ((1, 2, 6), (1, 3, 5), (2, 4, 16)):

        def once(seed: int, job: tuple[int, int, int] = (workers, proxies, families)) -> bool:
            with Lab(pages=job[2], proxies=job[1], seed=seed, **world) as lab:
                name = "-".join(map(str, ("dying", *job, seed)))
                path = crawl(folder / name, lab, job[2], job[0], {"cooling": "0.1"})
            return look(path).lasted

        _, chance = say(recording, workers, proxies, {"pace": "0"}, families * FAMILY)
        with ThreadPoolExecutor(ABREAST) as several:
            lasted = sum(several.map(once, range(crawls)))
        lines.append(
            f"| {proxies} proxies, {workers} workers | {families * FAMILY} pages | {chance:.0%} "
            f"| {lasted} of {crawls}: {lasted / crawls:.0%} | {100 * (chance - lasted / crawls):+.0f} points |"
        )
        print(lines[-1], file=sys.stderr)
    return lines


def main(crawls: int) -> None:
    if len(CORES) < 2:
        raise SystemExit("this needs two cores, one for the crawl and one for the lab")
    with tempfile.TemporaryDirectory(prefix="model-check-") as name:
        os.sched_setaffinity(0, CORES[1:])
        fast = speeds(Path(name))
        os.sched_setaffinity(0, CORES)
        lasting = survivals(Path(name), crawls)
    print("\n".join([*fast, "", *lasting]))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
