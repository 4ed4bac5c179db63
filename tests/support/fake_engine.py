"""
The engine in memory, as the registry makes an engine: it does the jobs of real workers, in simulated time.

A job that needs the network is done in real time, one page after another.
"""

from __future__ import annotations

import time

from pinpool.model import Assignment, Call
from pinpool.pool.clock import FakeClock
from pinpool.pool.fake import FakeEngine
from pinpool.pool.job import JobResult
from pinpool.pool.lease_types import Lease
from pinpool.pool.pin import Pin
from pinpool.pool.registry import EnginePlan
from scripted_job import ScriptedJob


class RealTime(FakeClock):
    """In place of simulated time: whoever moves it waits."""

    def epoch(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def advance(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))


def engine_for(plan: EnginePlan) -> FakeEngine:
    """The engine of this plan. Whoever asks the registry for it by a name of his own gets this one."""
    job = plan.job()
    pins: dict[int, Pin] = {}

    def script(lease: Lease, work: Assignment | Call) -> tuple[JobResult, float]:
        assert isinstance(job, ScriptedJob)
        return job.result(lease.proxy, work), job.seconds(work) or 0.01

    def real(lease: Lease, work: Assignment | Call) -> tuple[JobResult, float]:
        if lease.proxy not in pins:
            pins[lease.proxy] = Pin(lease, plan.settings)
        while (result := job.perform(pins[lease.proxy], work)) is None:
            continue  # it was a step towards it
        return result, 0.0

    is_scripted = isinstance(job, ScriptedJob)
    return FakeEngine(
        script if is_scripted else real,
        plan.proxies,
        workers=plan.workers,
        settings=plan.settings,
        clock=FakeClock() if is_scripted else RealTime(),
    )
