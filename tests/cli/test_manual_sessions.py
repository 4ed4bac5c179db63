"""The sessions that the manual shows: each command prints what stands below it."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from typing import NamedTuple

import pytest

from commands import DEADLINE, Desk
from pinpool.lab import Lab

PAGE = (files("pinpool") / "manual" / "try.md").read_text(encoding="utf-8")
#: What differs from run to run: the ports of proxies, and how long it took.
_VARIES = re.compile(r"(?<=127\.0\.0\.1:)\d+|(?<=in )\d+\.\d\d(?= s)")
#: Stands for lines that are left out.
_GAP = "..."


class Step(NamedTuple):
    """A block of Python to save as movies.py, or a command and what it prints."""

    command: str
    shown: tuple[str, ...]
    code: str = ""


def steps(page: str) -> Iterator[Step]:
    """What the page tells to do, in its order."""
    blocks = r"```python\n(?P<code>(?:(?!```)[^\n]*\n)+)|(?P<said>(?:^    [^\n]*\n)+)"
    for block in re.finditer(blocks, page, re.MULTILINE):
        if block["code"]:
            yield Step("", (), block["code"])
            continue
        for part in re.split(r"^    \$ ", block["said"], flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            yield Step(command, tuple(line[4:] for line in shown.splitlines()))


STEPS = list(steps(PAGE))


def fits(shown: tuple[str, ...], printed: list[str]) -> bool:
    """Whether these lines were printed; a line of dots stands for any number of lines."""
    if not shown:
        return not printed
    if shown[0] == _GAP:
        return any(fits(shown[1:], printed[skip:]) for skip in range(len(printed) + 1))
    return bool(printed) and shown[0].rstrip() == printed[0].rstrip() and fits(shown[1:], printed[1:])


def run(desk: Desk, command: str) -> list[str]:
    """What a command prints, to stdout and to stderr, as on a terminal."""
    words = shlex.split(command)
    assert words[0] == "pinpool", command
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=desk.folder,
        env=desk.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=DEADLINE,
        check=False,
    ).stdout.splitlines()


def test_the_session_of_trying_prints_what_the_manual_shows(desk: Desk) -> None:
    with Lab(pages=10, proxies=8) as lab:
        lab.write_proxies(desk / "proxies.txt")
        ours, shown = lab.named_url, "http://movies.test:8000"
        for step in STEPS:
            if step.code:
                desk.write("movies.py", step.code.replace(shown, ours))
                continue
            printed = run(desk, step.command.replace(shown, ours))
            masked = [_VARIES.sub("#", line.replace(ours, shown)) for line in printed]
            wanted = tuple(_VARIES.sub("#", line) for line in step.shown)
            assert fits(wanted, masked), "\n".join([f"$ {step.command}", *masked])

    assert sum(bool(step.command) for step in STEPS) >= 6


def test_what_the_manual_shows_is_not_all_dots() -> None:
    assert fits(("a", "...", "d"), ["a", "b", "c", "d"])
    assert not fits(("a", "...", "d"), ["a", "b", "c"])
    assert not fits(("a",), ["a", "b"])
    assert all(len(line) <= 120 for step in STEPS for line in step.shown)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_that_the_manual_shows_prints_a_script(desk: Desk, shell: str) -> None:
    text = (files("pinpool") / "manual" / "runs.md").read_text(encoding="utf-8")
    assert f"_PINPOOL_COMPLETE={shell}_source pinpool" in text

    # For bash, click asks the shell for its version, and complains on stderr if there is none.
    assert "_pinpool_completion" in desk.run(_PINPOOL_COMPLETE=f"{shell}_source").out
