"""
Is `pinpool tune --from` right? It compares real crawls of the lab with what the model predicts, as in the README.

    python tests/benchmarks/model_check.py [CRAWLS]

Each part records a crawl, predicts other crawls from its journal, and then makes these crawls: with other numbers of
workers, other rules, lists that are used up. CRAWLS (100) is how often each list of the second table is really crawled:
a chance is then known to 5 points (one standard error). It takes about ten minutes.

The crawl runs on one core, and the lab on the others, so it needs two, better more. The speed of a core that is shared
with strangers changes. Where the core is the limit, and where pages fail, all crawls of a world are done several times
in turn, each recorded one predicts, and the means are compared. These crawls are longer than the others: workers that
start take the core from those that work, and the model does not know that.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from pinpool.journal.reader import Reader
from pinpool.lab import Lab
from pinpool.tune.forecast import predict
from pinpool.tune.recording import Recording, learn

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
#: Rounds in which pages fail, and in which the core is the limit.
FAILING, BUSY = 3, 4
CORES = sorted(os.sched_getaffinity(0))
#: How many crawls of dying lists go on at a time: they share the machine, and must not notice it.
ABREAST = 6
#: A fifth of the living dies each second: 20 % a minute on a clock that runs sixty times as fast.
DYING = 1 - 0.8**60


class Real(NamedTuple):
    """What a real crawl did."""

    journal: Path
    pages_per_second: float
    lasted: bool


class Case(NamedTuple):
    """A world, the crawl that is recorded in it, and the crawls that are predicted: workers and settings."""

    name: str
    lab: dict[str, Any]
    recorded: int
    families: int
    settings: dict[str, str]
    others: Sequence[tuple[int, dict[str, str]]]
    rounds: int = 1


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
        240,
        {},
        [(8, {}), (16, {}), (32, {})],
        rounds=BUSY,
    ),
    Case(
        "no latency: nothing but CPU",
        {"latency": 0.0, "proxies": 8},
        4,
        240,
        {},
        [(1, {}), (2, {}), (8, {})],
        rounds=BUSY,
    ),
    Case(
        "100 ms, half of 24 proxies fail 1 of 10",
        {"latency": 0.1, "proxies": 24, "faults": ["flaky"] * 12, "flaky_rate": 0.1},
        8,
        120,
        {"cooling": "1"},
        [(16, {}), (24, {}), (8, {"swap_after": "1"})],
        rounds=FAILING,
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


def measure(journal: Path) -> Real:
    """Pages a second from the first attempt to the last page, as the model counts them."""
    with Reader(journal) as reader:
        attempts = list(reader.attempts())
        info = reader.run_info()
    first = min(row.at for row in attempts)
    last = max(row.at + row.seconds for row in attempts if row.ending != "failed")
    return Real(journal, info.pages / (last - first), info.state == "complete")


def speeds(folder: Path) -> list[str]:
    """The lines of the first table."""
    lines = [
        "| world | recorded with | predicted | model, pages/s | real, pages/s | error |",
        "|---|---|---|---:|---:|---:|",
    ]
    for number, case in enumerate(CASES):
        rounds = [one_round(folder / f"{number}-{n}", case, seed=number + 100 * n) for n in range(case.rounds)]
        for (workers, changed), figures in zip(case.others, zip(*rounds, strict=True), strict=True):
            predicted, real = (fmean(column) for column in zip(*figures, strict=True))
            what = ", ".join([f"{workers} workers", *(f"{key} {value}" for key, value in changed.items())])
            error = predicted / real - 1
            lines.append(
                f"| {case.name} | {case.recorded} workers | {what} | {predicted:.1f} | {real:.1f} | {error:+.1%} |"
            )
            print(lines[-1], file=sys.stderr)
    return lines


def one_round(folder: Path, case: Case, seed: int) -> list[tuple[float, float]]:
    """Record a crawl and do the others: (what the model says, what came) of each, in pages a second."""
    folder.mkdir()

    def crawled(name: str, workers: int, changed: dict[str, str]) -> Real:
        with Lab(pages=case.families, seed=seed, **case.lab) as lab:
            here = os.sched_getaffinity(0)
            os.sched_setaffinity(0, CORES[:1])  # what is started now stays there
            try:
                rules = {**case.settings, **changed}
                return measure(crawl(folder / name, lab, case.families, workers, rules))
            finally:
                os.sched_setaffinity(0, here)

    recording = learn(crawled("recorded", case.recorded, {}).journal)
    return [
        (
            forecast_of(recording, workers, case.lab["proxies"], changed)[0],
            crawled(f"{place}", workers, changed).pages_per_second,
        )
        for place, (workers, changed) in enumerate(case.others)
    ]


def forecast_of(
    recording: Recording, workers: int, proxies: int, changed: dict[str, str], pages: int | None = None
) -> tuple[float, float]:
    """What the model says: pages a second, and the chance that the list lasts."""
    row = predict(recording.changed(pages, changed), workers, proxies=proxies)
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
            return measure(path).lasted

        _, chance = forecast_of(recording, workers, proxies, {"pace": "0"}, families * FAMILY)
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
