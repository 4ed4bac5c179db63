"""How a run starts: whatever dies meanwhile, and in whatever company. Every wait has a deadline."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from commands import Desk
from crawling import job, spider, until
from engines import all_idle, scripted_engine, spares
from ledger import Ledger
from pinpool.lab import Lab
from pinpool.pool import generation as generation_module
from pinpool.pool.engine import EngineError
from pinpool.pool.generation import Generation
from pinpool.pool.lease_process import LeaseProcess
from pinpool.pool.processes import ProcessEngine
from pinpool.pool.startup import server_pids

pytestmark = pytest.mark.processes


@pytest.fixture
def engine() -> Iterator[ProcessEngine]:
    """Three workers over a forkserver, not started yet."""
    made = scripted_engine(3, spares(3), start_method="forkserver")
    yield made
    made.close()


def end_forkserver(number: int) -> None:
    server, _ = server_pids()
    assert server is not None
    os.kill(server, number)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["dies", "is stopped"])
@pytest.mark.parametrize("meanwhile", [LeaseProcess, Generation], ids=["the manager starts", "the pool starts"])
def test_a_forkserver_that_does_so_while_something_starts_costs_a_second_try(
    engine: ProcessEngine, meanwhile: Any, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[int] = []
    start: Callable[..., None] = meanwhile.start

    def meddle(*arguments: Any) -> None:
        starts.append(1)
        if len(starts) == 1:
            end_forkserver(number)
        start(*arguments)

    monkeypatch.setattr(meanwhile, "start", meddle)
    engine.start()
    ledger = Ledger(engine)
    for _ in range(20):
        ledger.submit("ok")
    ledger.run()

    assert ledger.good == 20
    # A killed one is sometimes replaced by the stdlib itself, before it is missed.
    assert len(starts) in ((2,) if number == signal.SIGSTOP else (1, 2))


def test_a_manager_that_dies_at_each_start_is_reported_and_nothing_is_left(
    engine: ProcessEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids: list[int] = []
    begin = LeaseProcess.begin

    def die(leases: LeaseProcess, *numbers: int) -> None:
        begin(leases, *numbers)
        assert leases.pid is not None
        pids.append(leases.pid)
        raise EOFError

    monkeypatch.setattr(LeaseProcess, "begin", die)

    with pytest.raises(EngineError, match="the workers cannot be started: a process ended while it started"):
        engine.start()

    assert len(pids) == 3
    for pid in pids:
        until(lambda pid=pid: not Path(f"/proc/{pid}").exists(), "no Manager", seconds=30)  # type: ignore[misc]
    assert (engine.worker_pids, engine.manager_pid) == ([], None)


def test_a_crawl_whose_three_streams_are_closed_does_its_work(desk: Desk, lab: Lab) -> None:
    command = f"exec {sys.executable} -m pinpool crawl films.py -p proxies.txt -o films.jsonl <&- >&- 2>&-"

    ended = subprocess.run(["sh", "-c", command], cwd=desk.folder, env=desk.environment, timeout=120, check=False)

    assert ended.returncode == 0
    assert len(desk.lines("films.jsonl")) == 20


def test_a_limit_ends_the_start_with_the_reason_and_nobody_is_left(desk: Desk, lab: Lab) -> None:
    """No child can start a thread, as there is no room for its stack: root has no limit of processes."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_STACK, (1 << 31, 1 << 31)); "
    limit += "resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30)); "
    code = f"{limit}from pinpool.cli import main; main()"

    ended = desk.start_python("-c", code, "crawl", "films.py", "-p", "proxies.txt").end()

    assert ended.code == 1
    assert "the workers cannot be started" in ended.err
    assert "each process may have 1.1 GB of memory: raise the limit (ulimit -v)" in ended.err
    assert "Traceback" not in ended.err


def test_a_sigterm_to_all_processes_is_answered_by_the_parent_alone(tmp_path: Path) -> None:
    with Lab(pages=8, proxies=4, latency=0.05) as lab, job(tmp_path, lab, spider()) as films:
        start = films.crawl()
        until(films.written, "the first items")

        start.send(signal.SIGTERM, to_group=True)

        assert start.wait() == 130
        assert "warning" not in start.said  # a lost worker, a Manager that died
        assert "interrupted" in start.said


def test_a_crawl_started_beside_files_named_like_modules_does_its_work(desk: Desk, lab: Lab, method: str) -> None:
    for name in ("json.py", "queue.py", "lxml.py"):
        desk.write(name, "raise RuntimeError('not this one')\n")

    ended = desk.run("crawl", "films.py", "-p", "proxies.txt", "-o", "films.jsonl", "--start-method", method)

    assert (ended.code, ended.err) == (0, "")
    assert len(desk.lines("films.jsonl")) == 20


def test_what_a_spider_prints_comes_from_its_worker_in_the_log_and_not_between_the_items(desk: Desk, lab: Lab) -> None:
    source = (desk / "films.py").read_text(encoding="utf-8")
    desk.write("films.py", "print('imported')\n" + source.replace("    return {", "    print('a film')\n    return {"))

    ended = desk.run("crawl", "films.py", "-p", "proxies.txt", "-o", "-")

    assert (ended.code, len(ended.items())) == (0, 20)
    assert ended.err.count(": a film (") == 20
    assert re.search(r" print worker \d+: a film \(.*/detail/", ended.err)
    assert ended.err.startswith("imported\n")


def test_no_worker_is_replaced_once_its_pool_is_thrown_away(
    engine: ProcessEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Started late, it would be nobody's, and if somebody stopped it, it would stay for ever."""
    monkeypatch.setattr(generation_module, "_terminate", lambda pool: None)  # it comes too late
    engine.start()
    all_idle(Ledger(engine), 3)
    generation = engine._generation
    assert generation is not None

    generation.dispose()

    handlers = [thread.name for thread in threading.enumerate() if "_handle_workers" in thread.name]
    assert (handlers, generation.children()) == ([], [])
