"""What a run costs beside its pages: the journal, the parent with its crawl loop, and starting workers."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from canned_job import SITE, CannedJob, result_of
from measuring import Reading, bare_memory, calibrated, cpu_of, cpu_of_tree, memory_of_tree

from pinpool.crawler import PRELOAD
from pinpool.crawler.loop import Loop
from pinpool.crawler.signals import Stop
from pinpool.journal.records import About, Settlement
from pinpool.journal.writer import Journal
from pinpool.model import Assignment, Outcome, ProxyState, Task, TaskState
from pinpool.output.outputs import Outputs
from pinpool.output.target import parse_target
from pinpool.policy.reputation import Reputation
from pinpool.pool.engine import Engine
from pinpool.pool.fake import FakeEngine, spare_proxies
from pinpool.pool.job import JobResult
from pinpool.pool.lease_types import Lease
from pinpool.pool.registry import EnginePlan, make_engine
from pinpool.settings import Settings
from pinpool.tasks import request

LIST_PAGES = 60
CHUNKS = 4
#: Pages a second that all workers make together.
SPEED = 1000
ABOUT = About("movies", "pinpool.examples.movies", "", 20, "processes", "", "{}", "", b"salt")


def seeds(lists: int = LIST_PAGES) -> list[Task]:
    return [request(f"{SITE}/page/{number}", stage="index") for number in range(1, lists + 1)]


def outcome_of(task: Task) -> Outcome:
    return Outcome(1, 1, 1, at=time.time(), seconds=0.2, **result_of(task)._asdict())


def journal() -> dict[str, list[Reading]]:
    """A new journal, and outcomes settled in it: each list page, then its ten films."""
    outcomes, id_ = {}, LIST_PAGES
    for number, seed in enumerate(seeds(), 1):
        outcomes[number] = outcome_of(seed)
        for film in outcomes[number].tasks:
            id_ += 1
            outcomes[id_] = outcome_of(film)

    def chunk() -> int:
        with (
            tempfile.TemporaryDirectory(prefix="benchmark-") as folder,
            Journal.create(Path(folder, "run.db"), ABOUT, time.time(), seeds()) as made,
        ):
            made.enroll([("http://192.0.2.1:80", "abcd")])
            for task, outcome in outcomes.items():
                made.settle(Settlement(task, outcome, None, False, TaskState.DONE), time.time())
                if made.pending >= 50:
                    made.commit()
        return len(outcomes)

    return {"journal": cpu_of(chunk, CHUNKS)}


def crawl(engine: Engine, proxies: int, workers: int, lists: int = LIST_PAGES) -> int:
    """A whole crawl over an engine that is started, with journal and output. Returns the number of its pages."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        path = Path(folder, "run.db")
        with (
            Journal.create(path, ABOUT, time.time(), seeds(lists)) as made,
            Outputs(made, [parse_target(str(Path(folder, "films.jsonl")))]) as outputs,
        ):
            settings = Settings()
            reputation = Reputation(settings.cooling)
            for row in made.enroll([(f"http://192.0.2.1:{8000 + number}", "abcd") for number in range(proxies)]):
                reputation.admit(row.id, row.label)
            loop = Loop(engine, made, reputation, settings, workers=workers, stop=Stop(), committed=outputs.advance)
            end = loop.run()
            assert end == "complete"
            made.finish(end, time.time())
            return sum(made.task_counts().values())


def loop() -> dict[str, list[Reading]]:
    """The crawl loop over an in-memory engine: all of the parent but the pool."""

    def perform(lease: Lease, work: Assignment) -> tuple[JobResult, float]:
        return result_of(work.task), 0.2

    return {"parent, crawl loop alone": cpu_of(lambda: crawl(FakeEngine(perform, 20), 20, 20), CHUNKS)}


@contextmanager
def started(workers: int, threads: int) -> Iterator[Engine]:
    """A real pool whose workers all have a pin. They make up their pages, `SPEED` a second in all."""
    settings = Settings(threads=threads)
    job = partial(CannedJob, settings, workers / SPEED)
    engine = make_engine(EnginePlan(job, spare_proxies(workers), settings, workers, preload=PRELOAD))
    engine.start()
    try:
        while engine.census().count(ProxyState.PINNED) < workers:
            engine.poll(0.01)
        yield engine
    finally:
        engine.close()


def pool(workers: int, threads: int, name: str) -> dict[str, list[Reading]]:
    """Workers of a real pool, from their start to the end of a crawl. Each start needs a fresh process."""
    before, cpu, began = calibrated(), cpu_of_tree(), time.perf_counter()
    with started(workers, threads) as engine:
        cpu, ready = cpu_of_tree() - cpu, time.perf_counter() - began
        start = Reading(cpu, (before + calibrated()) / 2, f"ready in {ready:.2f} s")
        memory = Reading(memory_of_tree(), bare_memory())
        before, own, began = calibrated(), time.process_time(), time.perf_counter()
        pages = crawl(engine, workers, workers)
        own, seconds = time.process_time() - own, time.perf_counter() - began
        parent = Reading(own / pages, (before + calibrated()) / 2, f"at {pages / seconds:,.0f} pages/s")
    return {f"start, {name}": [start], f"memory at start, {name}": [memory], f"parent, {name}": [parent]}
