"""A `PinnedPool` in a script: Ctrl-C, a script that never closes it, and what a user reads."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

import pinpool
from commands import Desk
from pinpool.lab import Lab
from pools import AT_ONCE, films

pytestmark = pytest.mark.processes

LIBRARY = Path(pinpool.__file__).parent / "manual" / "library.md"

SCRIPT = """
import sys
import time
from pinpool import PinnedPool


def nap(number):
    sys.stdout.write(f"{{number}}\\n")  # in one piece, beside another thread that does the same
    sys.stdout.flush()
    time.sleep(3600)


def fail(number):
    raise LookupError(f"no {{number}} here")


if __name__ == "__main__":
    {body}
"""


@pytest.mark.parametrize(
    "body",
    ["for result in pool.map(nap, [7] * 9): pass", "pool.submit(nap, 7)", "pool.submit(nap, 7).result()"],
    ids=["in a map", "while it closes", "in a result"],
)
def test_ctrl_c_ends_a_script_at_once_and_leaves_nothing(desk: Desk, lab: Lab, threads: int, body: str) -> None:
    lab.write_proxies(desk / "proxies.txt")
    pool = f"with PinnedPool('proxies.txt', threads={threads}) as pool: {body}"
    if body.startswith("for"):
        pool = pool.replace(": for", ":\n        for")
    program = desk.start_python(desk.write("nap.py", SCRIPT.format(body=pool)))
    assert program.line() == "7\n"

    begin = time.monotonic()
    program.press_ctrl_c()
    said = program.end()

    assert time.monotonic() - begin < AT_ONCE
    assert said.code == -signal.SIGINT
    assert said.err.endswith("KeyboardInterrupt\n")
    assert said.err.count("Traceback") == 1


def test_whoever_catches_ctrl_c_at_the_end_of_the_with_finds_the_pool_ended(desk: Desk, lab: Lab) -> None:
    lab.write_proxies(desk / "proxies.txt")
    body = (
        "try:\n"
        "        with PinnedPool('proxies.txt') as pool:\n"
        "            future = pool.submit(nap, 7)\n"
        "    except KeyboardInterrupt:\n"
        "        print(future.exception(0))"
    )
    program = desk.start_python(desk.write("nap.py", SCRIPT.format(body=body)))
    assert program.line() == "7\n"

    program.press_ctrl_c()
    said = program.end()

    assert (said.code, said.err) == (0, "")
    assert said.out == "closed: the pool was closed before the call came to an end\n"


def test_a_script_that_never_closes_its_pool_ends_all_the_same(desk: Desk, lab: Lab, threads: int) -> None:
    lab.write_proxies(desk / "proxies.txt")
    body = f"pool = PinnedPool('proxies.txt', threads={threads})\n    print(list(pool.map(abs, [-1, 2])))"

    said = desk.start_python(desk.write("script.py", SCRIPT.format(body=body))).end()

    assert (said.code, said.out, said.err) == (0, "[1, 2]\n", "")


def test_python_prints_the_workers_traceback_above_the_error(desk: Desk, lab: Lab) -> None:
    lab.write_proxies(desk / "proxies.txt")
    body = "with PinnedPool('proxies.txt') as pool:\n        list(pool.map(fail, [3]))"

    said = desk.start_python(desk.write("script.py", SCRIPT.format(body=body))).end()

    above, _, below = said.err.partition("The above exception was the direct cause of the following exception:")
    assert 'raise LookupError(f"no {number} here")' in above
    assert above.startswith('pinpool.errors.RemoteTraceback: \n"""\nTraceback (most recent call last):\n')
    assert "call_job.py" not in above
    assert below.endswith("pinpool.errors.CallFailed: LookupError: no 3 here\nin the call fail(3)\n")
    assert said.code == 1


def test_a_function_below_the_guard_is_told_where_it_belongs(desk: Desk, lab: Lab) -> None:
    lab.write_proxies(desk / "proxies.txt")
    body = "def below(number): return number\n    with PinnedPool('proxies.txt') as pool: list(pool.map(below, [3]))"

    said = desk.start_python(desk.write("script.py", SCRIPT.format(body=body))).end()

    assert "the workers cannot import below (script.py:" in said.err
    assert "define it at the top level of the script, above `if __name__ == '__main__':`" in said.err


def test_the_manuals_script_becomes_a_pinned_pool_by_three_changed_lines(desk: Desk, lab: Lab) -> None:
    blocks = LIBRARY.read_text(encoding="utf-8").split("```python\n")[1:]
    before, after = [text.partition("```")[0] for text in blocks if "urls.txt" in text]
    lab.write_proxies(desk / "proxies.txt")
    desk.write("urls.txt", "\n".join(films(lab)))

    said = desk.start_python(desk.write("sizes.py", after)).end()

    changed = [pair for pair in zip(before.splitlines(), after.splitlines(), strict=True) if pair[0] != pair[1]]
    assert len(changed) == 3
    assert len([line for line in before.splitlines() if line]) == 10
    assert (said.code, said.err) == (0, "")
    assert [line.split()[1] for line in said.out.splitlines()] == films(lab)
