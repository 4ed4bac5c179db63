"""An engine that is closed leaves nothing behind, whenever and however often. Every wait has a deadline."""

from __future__ import annotations

import gc
import os
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from crawling import descendants, until
from engine_kinds import Has, Kind, Started, ready
from pinpool.files import temporary_folder
from pinpool.model import ProxyState


def belongings() -> Counter[str]:
    """Threads, open files and sockets, and temporary files of this process."""
    gc.collect()
    found = [str(path) for path in Path(temporary_folder()).rglob("*")]
    found += [thread.name for thread in threading.enumerate()]
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # that of the listing itself
            found.append(str(entry.readlink()))
    return Counter(found)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_a_closed_engine_leaves_no_process_thread_file_or_socket_behind(started: Started) -> None:
    """But what serves all engines of this process, once there was one: a forkserver, and its temporary folder."""
    started(workers=1, proxies=1).engine.close()
    until(lambda: not descendants(), "no process of the first engine", seconds=30)
    before = belongings()
    ledger = started(workers=6, proxies=4)
    for _ in range(20):
        ledger.submit("ok")
    ledger.run()
    ready(ledger, 6, pinned=4)

    ledger.engine.close()

    until(lambda: not belongings() - before and not descendants(), "nothing is left", seconds=30)


def test_an_engine_that_is_closed_at_once_and_twice_leaves_nothing_behind(started: Started) -> None:
    engine = started(workers=8, proxies=8).engine

    engine.close()
    engine.close()


def test_an_engine_that_was_never_started_can_be_closed_and_counted(started: Started, engine_kind: Kind) -> None:
    engine = engine_kind.make(3, 2)

    assert dict(engine.census().states) == {1: ProxyState.SPARE, 2: ProxyState.SPARE}
    assert engine.census().workers == 3
    engine.close()


def test_an_engine_with_tasks_in_flight_is_closed_without_their_answers(started: Started) -> None:
    ledger = started(workers=2, proxies=2)
    for _ in range(10):
        ledger.submit("sleep:0.2")
    ledger.poll()
    census = ledger.engine.census()

    ledger.engine.close()

    assert len(ledger.engine.census().states) == len(census.states) == 2


@pytest.mark.needs(Has.CLOCK)
def test_a_task_for_an_engine_that_is_closed_is_refused(started: Started) -> None:
    ledger = started(workers=1, proxies=1)
    ledger.engine.close()

    with pytest.raises(RuntimeError, match="closed"):
        ledger.submit("ok")


@pytest.mark.needs(Has.PROCESSES)
@pytest.mark.grid(keep=1)
@pytest.mark.parametrize("hang", ["loop", "swallow", "grip"])
def test_closing_an_engine_ends_workers_that_hang(started: Started, hang: str) -> None:
    before = {one.pid for one in descendants()}
    ledger = started(workers=3, proxies=3)
    ledger.submit(hang)
    ledger.run(until=lambda: ledger.engine.census().running == 1)
    pids = {line.pid for line in ledger.engine.census().lines}

    ledger.engine.close()

    assert pids
    assert os.getpid() not in pids
    until(lambda: not pids & {one.pid for one in descendants()} - before, "no worker", seconds=30)
