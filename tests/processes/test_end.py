"""How a process with an engine ends: within seconds, whoever was stopped or interrupted, and nobody is left."""

from __future__ import annotations

from pathlib import Path

import pytest

import engines
from commands import Desk

pytestmark = pytest.mark.processes

#: Three workers, stopped as by SIGSTOP: SIGTERM does not end them, and they end with nothing.
SCRIPT = """
import os, signal
from engines import all_idle, scripted_engine, spares
from ledger import Ledger
from pinpool.pool import processes
from pinpool.pool.startup import server_pids

if __name__ == "__main__":
    engine = scripted_engine(3, spares(3), start_method={method!r})
    engine.start()
    all_idle(Ledger(engine), 3)
    for line in engine.workers():
        os.kill(line.pid, signal.SIGSTOP)
    look = processes.end_stopped_servers

    def press():
        raise KeyboardInterrupt

    def stop():
        look()
        os.kill(server_pids()[0], signal.SIGSTOP)
        processes.end_stopped_servers = look

{end}
"""

#: As a third Ctrl-C does that comes while the engine is closed.
INTERRUPTED = """
    processes.end_stopped_servers = press
    processes.Generation.dispose = lambda generation: press()
    try:
        engine.close()
    except KeyboardInterrupt:
        print("interrupted")
"""

#: After the engine has looked whether somebody had stopped it.
STOPPED = """
    processes.end_stopped_servers = stop
    engine.close()
"""


def ending(desk: Desk, end: str, method: str = "forkserver") -> tuple[int, str, str]:
    """The exit code, and what was said. Fails if it takes long, or leaves a process behind."""
    script = desk.write("script.py", SCRIPT.format(method=method, end=end))
    path = ":".join((str(Path(engines.__file__).parent), desk.environment.get("PYTHONPATH", "")))
    return desk.start_python(script, PYTHONPATH=path).end()


def test_a_process_that_never_closes_its_engine_ends_all_the_same(desk: Desk, method: str) -> None:
    assert ending(desk, "    print('over')", method) == (0, "over\n", "")


def test_a_close_that_was_interrupted_is_made_up_for_at_the_end_of_the_process(desk: Desk) -> None:
    undo = "    dispose = processes.Generation.dispose\n"
    again = "    processes.end_stopped_servers, processes.Generation.dispose = look, dispose\n"

    assert ending(desk, undo + INTERRUPTED + again) == (0, "interrupted\n", "")


def test_a_forkserver_that_is_stopped_in_the_last_moment_keeps_nobody_waiting(desk: Desk) -> None:
    assert ending(desk, STOPPED) == (0, "", "")
