"""`pinpool try --shell`: a prompt with the page, on a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from functools import partial

import pytest

from commands import DEADLINE, Desk
from crawling import until

SPIDER = """\
from pinpool import Spider

spider = Spider(seeds=["http://movies.test/1"])


@spider.index
def films(page):
    yield {"title": page.first("//h1")}
"""
NO_IPYTHON = 'raise ImportError("none here")\n'
STAND_IN = """\
def start_ipython(argv, user_ns, config):
    print(config.TerminalInteractiveShell.banner1)
    print("IPython has", user_ns["page"].first("//h1"), user_ns["extract"]())
"""
CONFIG = """\
class Config:
    def __getattr__(self, name):
        made = type(name, (), {})()
        setattr(self, name, made)
        return made
"""


@pytest.fixture
def page(desk: Desk) -> Desk:
    """A spider, and a page in a file."""
    desk.write("films.py", SPIDER)
    desk.write("page.html", "<h1>Heat</h1>")
    return desk


def on_a_terminal(desk: Desk, typed: dict[str, str], *words: str) -> tuple[int, str]:
    """The exit code and what is shown. As soon as a key of `typed` is shown, somebody types its value."""
    window, inner = os.openpty()
    os.set_blocking(window, False)
    command = [sys.executable, "-m", "pinpool", *words]
    environment = {**desk.environment, "TERM": "dumb"}
    shown = ""

    def read() -> bool:
        nonlocal shown
        with suppress(OSError):  # nothing new, or nobody there any more
            shown += os.read(window, 1 << 16).decode(errors="replace")
        return program.poll() is not None

    def has_shown(text: str) -> bool:
        return read() or text in shown

    with subprocess.Popen(
        command, cwd=desk.folder, env=environment, stdin=inner, stdout=inner, stderr=inner, start_new_session=True
    ) as program:
        os.close(inner)
        try:
            for awaited, keys in typed.items():
                until(partial(has_shown, awaited), awaited, seconds=DEADLINE)
                os.write(window, keys.encode())
            until(read, "the end of the shell", seconds=DEADLINE)
        finally:
            program.kill()
    read()
    os.close(window)
    return program.returncode, shown


@pytest.mark.parametrize("leave", ["exit()\n", "\x04"])
def test_a_prompt_has_the_page_and_what_the_spider_makes_of_it(page: Desk, leave: str) -> None:
    page.write("IPython.py", NO_IPYTHON)
    asked = "print('title', page.first('//h1'))\nprint(len(extract()), extract()[0])\n"
    typed = {">>> ": asked, "1 {'title': 'Heat'}": leave}

    code, shown = on_a_terminal(page, typed, "try", "films.py", "--file", "page.html", "--shell")

    assert code == 0, shown
    assert "page is <Page 200 index, 13 bytes>" in shown
    assert "Ctrl-D leaves." in shown
    assert "title Heat" in shown
    assert "1 {'title': 'Heat'}" in shown
    assert "Traceback" not in shown


def test_ipython_is_taken_if_it_is_there(page: Desk) -> None:
    page.write("IPython.py", STAND_IN)
    (page / "traitlets").mkdir()
    page.write("traitlets/__init__.py", "")
    page.write("traitlets/config.py", CONFIG)

    code, shown = on_a_terminal(page, {}, "try", "films.py", "--file", "page.html", "--shell", "--select", "h1")

    assert code == 0, shown
    assert "h1: 1 match" in shown
    assert "IPython has Heat [{'title': 'Heat'}]" in shown


def test_off_a_terminal_there_is_no_prompt_and_the_error_names_another_way(page: Desk) -> None:
    code, out, err = page.run("try", "films.py", "--file", "page.html", "--shell")

    assert (code, out) == (2, "")
    assert err == "--shell needs a terminal, for input and output: --select SELECTOR shows what a selector finds\n"
