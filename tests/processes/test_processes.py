"""The answers of worker processes, and how their engine ends, over forkserver and spawn. Every wait has a deadline."""

from __future__ import annotations

import errno
import multiprocessing
import subprocess
import sys
import time
from typing import Any

import pytest

from engines import Maker, is_alive, scripted_engine, spares
from ledger import Ledger
from pinpool import calls, crawler
from pinpool.model import Sign
from pinpool.pool.engine import EngineError
from pinpool.pool.status_board import Activity

#: Every test runs over forkserver or spawn, alone in a process or not; with --slow over all four.
pytestmark = [pytest.mark.processes, pytest.mark.grid(share=0.25)]


def test_a_worker_imports_nothing_that_its_forkserver_could_have_imported_once() -> None:
    """It would cost each of a hundred workers a megabyte and 10 ms."""
    preloads = ", ".join((*crawler.PRELOAD, *calls.PRELOAD, "pinpool.pool.quiet_server", "pinpool.pool.preload"))
    program = f"import sys, {preloads}; print(*sys.modules)"
    preloaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    engine = scripted_engine(1, spares(1), start_method="forkserver")
    ledger = Ledger(engine)
    try:
        engine.start()
        ledger.submit("modules")
        ledger.run()
    finally:
        engine.close()

    modules = (ledger.answers[0][1].outcome.result or b"").decode().split()
    ours = [name for name in modules if name.startswith(("pinpool.", "multiprocessing."))]
    assert "pinpool.pool.worker" in ours
    assert set(ours) - set(preloaded.stdout.split()) == set()


def test_t9_an_answer_that_makes_no_sense_costs_its_attempt_and_not_the_run(make: Maker) -> None:
    """The callbacks only post, so the worst that can reach the loop is an object that nobody expects."""
    engine = make(workers=1, proxies=1)
    ledger = Ledger(engine, resubmit=False)
    ledger.submit("sleep:0.2")

    engine.post(1, ValueError("from nowhere"))
    ledger.run()
    ledger.submit("ok")
    ledger.run()

    assert [(lost.sign, lost.message) for _, lost in ledger.lost] == [(Sign.CRASH, "the pool said ValueError")]
    assert ledger.good == 1


def test_an_answer_that_the_parent_had_no_file_for_is_nobodys_fault_and_is_fetched_again(make: Maker) -> None:
    engine = make(workers=1, proxies=1)
    ledger = Ledger(engine, resubmit=False)
    ledger.submit("sleep:0.2")

    engine.post(1, OSError(errno.EMFILE, "Too many open files"))
    ledger.run()

    assert [(lost.sign, lost.message) for _, lost in ledger.lost] == [(None, "the pool said Too many open files")]
    assert ledger.good == 1


def test_a_parent_that_never_has_a_file_for_an_answer_says_so_and_what_to_do(make: Maker) -> None:
    engine = make(workers=1, proxies=1)
    ledger = Ledger(engine, resubmit=False)

    ledger.submit("sleep:30")

    with pytest.raises(EngineError, match=r"20 pages in a row were lost .*: too many open files: raise the limit"):
        for _ in range(30):
            (serial,) = ledger.flight
            engine.post(serial, OSError(errno.EMFILE, "Too many open files"))
            ledger.run(until=lambda: serial not in ledger.flight)  # noqa: B023


def test_closing_an_engine_leaves_other_peoples_processes_alone(make: Maker, method: str) -> None:
    engine = make(workers=2, proxies=2)
    other = make(workers=1, proxies=1)
    context: Any = multiprocessing.get_context(method)
    mine = context.Process(target=time.sleep, args=(60,))
    mine.start()

    engine.close()

    assert mine.is_alive()
    ledger = Ledger(other)
    ledger.submit("ok")
    ledger.run()
    assert ledger.good == 1
    assert other.census().losses == 0
    mine.kill()
    mine.join(10)
    mine.close()


@pytest.mark.parametrize("threads", [1], indirect=True)  # a thread that stops its process may go on before that stops
def test_closing_an_engine_ends_a_worker_that_is_stopped(make: Maker) -> None:
    engine = make(workers=3, proxies=3)
    ledger = Ledger(engine)
    ledger.submit("stop")
    ledger.run(until=lambda: any(line.activity is Activity.RUN for line in engine.workers()))
    pids = engine.worker_pids

    engine.close()

    assert pids
    assert [pid for pid in pids if is_alive(pid)] == []
