"""Process engines under test: how they are made, and what to wait for."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ledger import E, Ledger
from pinpool.model import ProxyState
from pinpool.pool.lease_types import Standing
from pinpool.pool.processes import ProcessEngine
from pinpool.pool.status_board import Activity, Line
from pinpool.proxies.proxy import Proxy
from pinpool.settings import Settings
from scripted_job import ScriptedJob

Maker = Callable[..., ProcessEngine]


def spares(count: int) -> list[Standing]:
    """So many spare proxies, numbered from 1."""
    return [spare(number) for number in range(1, count + 1)]


def spare(number: int, state: ProxyState = ProxyState.SPARE) -> Standing:
    return Standing(number, Proxy("http", f"192.0.2.{number}", 80), state)


def scripted_engine(
    workers: int,
    standings: list[Standing],
    *,
    hang: float = 30.0,
    cooling: float = 3600.0,
    swap_after: int = 3,
    threads: int = 1,
    start_method: str | None = None,
) -> ProcessEngine:
    """An engine, not started yet, whose workers do what each piece of work says."""
    return ProcessEngine(
        partial(ScriptedJob, Settings(swap_after=swap_after)),
        standings,
        workers=workers,
        hang_seconds=hang,
        cooling=cooling,
        threads=threads,
        start_method=start_method,
    )


def all_pinned(ledger: Ledger[E], wanted: int) -> None:
    """Go on until so many proxies are pinned."""
    ledger.run(until=lambda: ledger.engine.census().count(ProxyState.PINNED) == wanted)


def all_idle(ledger: Ledger[ProcessEngine], wanted: int) -> None:
    """Go on until there are so many workers, and each waits for a task."""
    ledger.run(until=lambda: [line.activity for line in ledger.engine.workers()] == [Activity.IDLE] * wanted)


def proxyless(engine: ProcessEngine) -> list[Line]:
    return [line for line in engine.workers() if line.proxy < 0]


def kill_manager(engine: ProcessEngine, number: int = signal.SIGKILL) -> None:
    assert engine.manager_pid is not None
    os.kill(engine.manager_pid, number)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False
