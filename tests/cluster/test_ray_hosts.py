"""The cluster that the tests have for themselves: its hosts stand still, die, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from crawling import players, until

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc"),
]

#: Starts a cluster, says who and where it is, and waits for its end.
TESTS = """
import time
from ray_hosts import cluster

with cluster() as made:
    print(made.head.session, made.folder, flush=True)
    time.sleep(3600)
"""


def test_a_killed_test_run_leaves_no_process_and_no_file_of_its_cluster(slow: bool) -> None:
    if not slow:
        pytest.skip("looks at the tests only: --slow")
    tests = subprocess.Popen([sys.executable, "-c", TESTS], stdout=subprocess.PIPE, text=True, env=environment())
    assert tests.stdout is not None
    session, folder = tests.stdout.readline().split()

    tests.send_signal(signal.SIGKILL)

    tests.wait()
    tests.stdout.close()
    until(lambda: not list(players(int(session))), "no process is left")
    until(lambda: not Path(folder).exists(), "no file is left")


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
