"""A desk to work at: a folder with a spider in it, and the command line, started as a user would start it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from crawling import until
from pinpool.lab import Lab

__all__ = ["DEADLINE", "LIST", "SPIDER", "Desk", "Program", "Said"]

#: The list that `Desk.prepare` writes.
LIST = ("-p", "proxies.txt")
#: For whatever takes a second when the machine is idle.
DEADLINE = 180.0

SPIDER = """\
from pinpool import Page, Spider

spider = Spider(seeds=[{seeds}])


@spider.index
def films(page: Page):
    yield from page.details('//a[@class="name"]/@href')


@spider.detail
def film(page: Page):
    return {{"url": page.url, "title": page.first('//h2[@class="m-b-sm"]')}}
"""


class Said(NamedTuple):
    """What a program said until its end."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)

    def items(self) -> list[dict[str, Any]]:
        """The JSON lines on stdout."""
        return [json.loads(line) for line in self.out.splitlines()]


class Program:
    """A program of ours, in a session of its own, so that whatever it leaves behind is found."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str], stdin: str) -> None:
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
        )
        self._stdin = stdin

    def __repr__(self) -> str:
        return f"<Program {self._process.pid}>"

    def line(self) -> str:
        """The next line on stdout."""
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def error_line(self) -> str:
        """The next line on stderr."""
        assert self._process.stderr is not None
        return self._process.stderr.readline()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the program, not to its children."""
        self._process.send_signal(number)

    def press_ctrl_c(self) -> None:
        """What a terminal does: SIGINT for the whole group."""
        os.killpg(self._process.pid, signal.SIGINT)

    def end(self) -> Said:
        """Wait for its end. Fails if it says more than it should: a traceback, or a process left behind."""
        try:
            out, err = self._process.communicate(self._stdin, timeout=DEADLINE)
            self._wait_for_the_session_to_be_empty()
        finally:
            self.kill()
        return Said(self._process.returncode, out, err)

    def kill(self) -> None:
        """End whatever is left of the session."""
        for pid in self._session():
            os.kill(pid, signal.SIGKILL)
        self._process.communicate()

    def _wait_for_the_session_to_be_empty(self) -> None:
        until(lambda: not self._session(), "no process of the command is left", seconds=10)

    def _session(self) -> list[int]:
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    state, _, _, session = (entry / "stat").read_bytes().rpartition(b")")[2].split(maxsplit=4)[:4]
                except OSError:
                    continue  # it has ended
                if int(session) == self._process.pid and state != b"Z":
                    found.append(int(entry.name))
        return found


class Desk:
    """A user's folder. Everything that is started here sees nothing of the tests' own environment settings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("PINPOOL") and not name.lower().endswith("_proxy")
        }
        self._started: list[Program] = []

    def __repr__(self) -> str:
        return f"<Desk {self.folder}>"

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    def write(self, name: str, text: str) -> Path:
        """Put a file on the desk."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def prepare(self, lab: Lab) -> None:
        """A spider ``films.py`` for all list pages of the lab, and its proxies in ``proxies.txt``."""
        seeds = ", ".join(f'"{lab.named_url}/page/{n}"' for n in range(1, lab.catalogue.pages + 1))
        self.write("films.py", SPIDER.format(seeds=seeds))
        lab.write_proxies(self / "proxies.txt")

    def lines(self, name: str) -> list[dict[str, Any]]:
        """The items in a file of JSON lines."""
        return [json.loads(line) for line in (self / name).read_text(encoding="utf-8").splitlines()]

    def start(self, *arguments: object, stdin: str = "", **environment: str) -> Program:
        """Start ``pinpool`` with these arguments."""
        return self.start_python("-m", "pinpool", *arguments, stdin=stdin, **environment)

    def run(self, *arguments: object, stdin: str = "", **environment: str) -> Said:
        """Run ``pinpool`` to its end."""
        return self.start(*arguments, stdin=stdin, **environment).end()

    def start_python(self, *arguments: object, stdin: str = "", **environment: str) -> Program:
        """Start a Python program."""
        command = [sys.executable, *map(str, arguments)]
        program = Program(command, self.folder, {**self.environment, **environment}, stdin)
        self._started.append(program)
        return program

    def clear(self) -> None:
        """End all that a test left running because it failed."""
        for program in self._started:
            program.kill()
