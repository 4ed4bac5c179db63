"""
A journal of a long run that never happened, written through the journal's own interface: proxies that die, that are
banned, that refuse the login; pages given up; times that vary. The same seed gives the same run.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

from journals import ABOUT, START, answered, item, task
from pinpool.journal.records import Settlement
from pinpool.journal.writer import Journal
from pinpool.model import (
    Ending,
    Event,
    EventKind,
    Evidence,
    Fault,
    Outcome,
    ProxyState,
    Sign,
    Step,
    TaskState,
)

__all__ = ["synthetic_run"]

PACE = 0.02  # seconds between two attempts of the run
FAULTS = {
    Fault.REFUSED: (Step.CONNECT, Sign.REFUSED, 0.01, None, 0),
    Fault.PROXY_AUTH: (Step.PROXY, Sign.AUTH, 0.05, 407, 0),
    Fault.BANNED: (Step.PAGE, Sign.BAN, 0.3, 403, 9_000),
    Fault.TIMEOUT: (Step.HEAD, Sign.TIMEOUT, 15.0, None, 0),
    Fault.SERVER_ERROR: (Step.PAGE, Sign.STATUS, 0.4, 503, 700),
}


def synthetic_run(path: Path, proxies: int = 200, attempts: int = 50_000, seed: int = 1) -> None:
    """
    Write the journal. Of every twenty proxies one refuses the login, one dies halfway, two are banned on and off.
    """
    rng = Random(seed)
    about = ABOUT._replace(workers=proxies * 3 // 4)
    seeds = [task(str(n)) for n in range(attempts * 9 // 10)]
    with Journal.create(path, about, START, seeds) as journal:
        labels = [(f"http://user{n}@proxy{n}.films.example:8080", f"{n:04}") for n in range(1, proxies + 1)]
        journal.enroll(labels)
        for move in _moves(proxies, attempts * PACE, rng):
            journal.event(move)
        for n, settlement in enumerate(_settlements(proxies, attempts, len(seeds), rng)):
            journal.settle(settlement, settlement.outcome.at)
            if n % 5000 == 0:
                journal.commit()
        for n in range(1, proxies + 1):
            if n % 20 == 3:
                journal.proxy(n, ProxyState.RETIRED, "it refuses our login")
            elif n % 20 == 7:
                journal.proxy(n, ProxyState.RETIRED, "refused again after 5 rests in a row")
        journal.progress(0, 4, 1, START + attempts * PACE)
        journal.finish("complete", START + attempts * PACE)


def _moves(proxies: int, seconds: float, rng: Random) -> Iterator[Event]:
    for n in range(1, proxies + 1):
        at = START + rng.random()
        yield Event(at, EventKind.LEASED, n, 100 + n)
        if n % 20 == 3:
            yield Event(at + 1, EventKind.FAULTED, n)
            yield Event(at + 1, EventKind.EXHAUSTED, n, None, "it refuses our login")
        elif n % 20 == 7:
            yield Event(START + seconds / 2, EventKind.FAULTED, n)
            yield Event(START + seconds * 0.6, EventKind.EXHAUSTED, n, None, "refused again after 5 rests in a row")
        elif n % 20 in (11, 15):
            while (at := at + rng.uniform(0.03, 0.2) * seconds) < START + seconds * 0.9:
                yield Event(at, EventKind.FAULTED, n)
                at += rng.uniform(0.02, 0.1) * seconds
                yield Event(at, EventKind.RESTED, n)
                yield Event(at + 1, EventKind.LEASED, n, 100 + n)


def _settlements(proxies: int, attempts: int, tasks: int, rng: Random) -> Iterator[Settlement]:
    """So many attempts; each task is tried until it is done, but for one in 500 that is given up."""
    task_id, tries, refused = 1, 0, set[int]()
    for n in range(attempts):
        if task_id > tasks:
            return
        proxy, at = rng.randint(1, proxies), START + n * PACE
        fault = _fault(proxy, n / attempts, rng)
        if proxy % 20 == 3:
            if proxy in refused:
                proxy, fault = proxy % proxies + 1, None
            refused.add(proxy)
        tries += 1
        if fault is None and task_id % 500:
            seconds = rng.lognormvariate(-1.2 + (proxy % 7) / 10, 0.5)
            outcome = answered(item(f"film {task_id}"), proxy=proxy)
            outcome = outcome._replace(at=at, seconds=seconds, size=rng.randint(10_000, 60_000))
            yield Settlement(task_id, outcome, None, False, TaskState.DONE)
            task_id, tries = task_id + 1, 0
            continue
        fault = fault or Fault.SERVER_ERROR
        step, sign, seconds, status, size = FAULTS[fault]
        evidence = Evidence(step, sign, f"it said {fault} once more")
        outcome = Outcome(1, 100 + proxy, proxy, Ending.FAILED, at, seconds, status, size, evidence)
        gives_up = task_id % 500 == 0 and tries == 4
        state, reason = (TaskState.FAILED, f"{fault} on 4 proxies") if gives_up else (None, None)
        yield Settlement(task_id, outcome, fault, True, state, reason)
        if gives_up:
            task_id, tries = task_id + 1, 0


def _fault(proxy: int, share: float, rng: Random) -> Fault | None:
    if proxy % 20 == 3:
        return Fault.PROXY_AUTH
    if proxy % 20 == 7 and share > 0.5:
        return Fault.REFUSED
    if proxy % 20 in (11, 15) and rng.random() < 0.4:
        return Fault.BANNED
    return Fault.TIMEOUT if rng.random() < 0.01 else None
