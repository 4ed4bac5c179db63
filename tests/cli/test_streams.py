"""What the command line says on which stream, and what it does when nobody listens any more."""

from __future__ import annotations

import subprocess
import sys

import pytest

from commands import DEADLINE, Desk
from pinpool.lab import Lab


def in_a_shell(desk: Desk, line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell; its code is that of pinpool, for the others end well."""
    command = ["bash", "-o", "pipefail", "-c", line.replace("pinpool", f"{sys.executable} -m pinpool")]
    return subprocess.run(
        command,
        cwd=desk.folder,
        env=desk.environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


def test_a_reader_of_the_items_that_leaves_interrupts_the_run(desk: Desk) -> None:
    with Lab(pages=4, proxies=3, latency=0.02) as lab:
        desk.prepare(lab)

        said = in_a_shell(desk, "pinpool crawl films.py -p proxies.txt -o - | head -n 1")
        resumed = desk.run("resume", "films.db")
        proven = desk.run("verify", "films.db")

    assert said.returncode == 130
    assert said.stdout.count("\n") == 1
    assert said.stderr.startswith("interrupted: ")
    assert said.stderr.endswith("interrupted; `pinpool resume films.db` goes on\n")
    assert (resumed.code, proven.code) == (0, 0)


def test_a_run_goes_on_when_nobody_reads_its_progress(desk: Desk) -> None:
    with Lab(pages=2, proxies=3) as lab:
        desk.prepare(lab)

        said = in_a_shell(desk, "pinpool crawl films.py -p proxies.txt -w 5 2> >(true)")

    assert said.returncode == 0
    assert said.stdout.startswith("complete: 22 pages, 20 items")


@pytest.mark.parametrize("target", ["-", "-:csv", "-:JSONL"])
def test_stdout_is_for_the_items_or_for_the_summary_in_json(desk: Desk, target: str) -> None:
    with Lab(pages=1, proxies=1) as lab:
        desk.prepare(lab)

        said = desk.run("crawl", "films.py", "-p", "proxies.txt", "--json", "-o", target)

    assert (said.code, said.out) == (2, "")
    assert "stdout can be the items or the summary of --json, not both" in said.err
    assert not (desk / "films.db").exists()


def test_a_ctrl_c_where_python_cannot_raise_is_not_lost(desk: Desk) -> None:
    desk.write("proxies.txt", "127.0.0.1:1\n")
    desk.write(
        "films.py",
        "import signal, time\n"
        "class Dropped:\n"
        "    def __del__(self):\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "Dropped()\n"
        "time.sleep(60)\n",
    )

    said = desk.run("crawl", "films.py", "-p", "proxies.txt")

    assert (said.code, said.out, said.err.strip()) == (130, "", "interrupted")
