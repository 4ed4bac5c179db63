"""The fence ends its process in time, whatever that process does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from crawling import until
from pinpool.pool import ray_fence
from pinpool.pool.ray_fence import Fence

PATIENCE = 20.0
BEGIN = "from pinpool.pool.ray_fence import Fence, now\nfence = Fence()\n"


@contextmanager
def fenced(code: str) -> Iterator[subprocess.Popen[str]]:
    """A process with a fence that does this; it prints a line once it has begun."""
    command = [sys.executable, "-c", BEGIN + code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(
    "work",
    ["import time; time.sleep(1000)", "while True: pass", "sum(range(10**15))"],
    ids=["asleep", "in a loop", "in a call that keeps the interpreter's lock"],
)
def test_a_process_ends_when_its_time_is_over(work: str) -> None:
    with fenced(f"fence.extend(now() + 0.3)\n{work}") as process:
        assert process.wait(PATIENCE) == -signal.SIGKILL


def test_code_that_wants_to_live_cannot_prevent_it() -> None:
    code = "import signal, time\nfence.extend(now() + 0.5)\n"
    for_ever = "while True:\n    try: time.sleep(1)\n    except BaseException: pass"
    ignores = "signal.signal(signal.SIGALRM, signal.SIG_IGN)\nsignal.setitimer(signal.ITIMER_REAL, 0)\n"
    with fenced(code + ignores + for_ever) as process:
        assert process.wait(PATIENCE) == -signal.SIGKILL


def test_a_stopped_process_does_not_run_again() -> None:
    with fenced("fence.extend(now() + 1)\nprint('begun', flush=True)\nwhile True: pass") as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.kill(process.pid, signal.SIGSTOP)
        until(lambda: process.poll() is not None, "it is dead, though nobody has continued it", PATIENCE)
        assert process.returncode == -signal.SIGKILL


def test_a_renewed_process_lives_on_and_an_old_renewal_takes_nothing_back() -> None:
    code = (
        "import time\nfence.extend(now() + 0.2)\nfence.extend(now() + 1000)\nfence.extend(now() + 0.1)\ntime.sleep(0.5)"
    )
    with fenced(code) as process:
        assert process.wait(PATIENCE) == 0


def test_before_the_first_renewal_nobody_may_use_a_proxy() -> None:
    with fenced("fence.check()") as process:
        assert process.wait(PATIENCE) == -signal.SIGKILL


def test_a_machine_that_has_slept_is_found_out_by_its_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []
    monkeypatch.setattr(ray_fence, "end_at_once", lambda: ended.append("ended"))
    monkeypatch.setattr(Fence, "_arm", lambda self, until: None)  # this process is not to end
    fence = Fence()
    fence.extend(ray_fence.now() + 1000)
    fence.check()
    assert ended == []
    monkeypatch.setattr(ray_fence, "now", lambda: fence.until + 1)
    fence.check()
    assert ended == ["ended"]


def test_where_the_kernel_has_no_such_timers_an_alarm_does_it() -> None:
    with fenced("fence._timer = None\nfence.extend(now() + 0.3)\nwhile True: pass") as process:
        assert process.wait(PATIENCE) == -signal.SIGALRM
