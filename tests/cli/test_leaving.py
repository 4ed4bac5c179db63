"""How the command leaves: quickly, but not before all is said and done."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

VERSION = "import sys; sys.argv = ['pinpool', '--version']\nfrom pinpool.cli import main\nmain()\n"
BAD = VERSION.replace("--version", "--nonsense")


@pytest.mark.parametrize(
    ("before", "program", "code", "said"),
    [
        ("", VERSION, 0, ["pinpool"]),
        ("", BAD, 2, []),
        ("import atexit; atexit.register(print, 'tidied')\n", VERSION, 0, ["pinpool", "tidied"]),
        (
            "import threading\n"
            "threading.Thread(target=lambda: (threading.main_thread().join(), print('worked'))).start()\n",
            VERSION,
            0,
            ["pinpool", "worked"],
        ),
    ],
    ids=["a version", "a wrong option", "something to tidy up", "a thread that still works"],
)
def test_all_is_said_and_done_when_the_command_ends(before: str, program: str, code: int, said: list[str]) -> None:
    command = [sys.executable, "-c", before + program]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert ended.returncode == code
    assert [line.split()[0] for line in ended.stdout.splitlines()] == said
    assert "Traceback" not in ended.stderr


def test_a_full_disk_under_the_output_is_not_reported_as_success() -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-c", VERSION]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, timeout=60, check=False)

    assert ended.returncode != 0
    assert b"No space left on device" in ended.stderr


#: A Ctrl-C while a module makes a class, which Python before 3.12 wraps in a RuntimeError.
PRESSED = """
import sys
from pinpool.cli import main
from pinpool.cli.app import app

class Field:
    def __set_name__(self, owner, name):
        raise KeyboardInterrupt

@app.command()
def load():
    type("Loaded", (), {"field": Field()})

sys.argv = ["pinpool", "load"]
main()
"""


def test_ctrl_c_while_a_command_loads_its_modules_is_exit_130() -> None:
    command = [sys.executable, "-c", PRESSED]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (ended.returncode, ended.stderr) == (130, "interrupted\n")
