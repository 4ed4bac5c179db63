"""The prompt of `pinpool try --shell`: a page in hand, and the spider beside it."""

from __future__ import annotations

import code
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from pinpool.spider.page import Page
from pinpool.spider.spider import Spider
from pinpool.text import one_line, visible

_BANNER = """\
page is {page}
        {url}

    page.first("h2::text")           the first match as text; CSS or XPath
    page.all("//a/@href")            all of them
    page.select("a.name")            as lxml elements
    page.text, page.json(), page.headers, page.url, page.data
    extract()                        what stage {stage} of the spider makes of it

Ctrl-D leaves."""


def refusal() -> str:
    """Why there can be no prompt here; empty if there can."""
    if sys.stdin.isatty() and sys.stdout.isatty():
        return ""
    return "--shell needs a terminal, for input and output: --select SELECTOR shows what a selector finds"


def open_shell(page: Page, spider: Spider) -> None:
    """A Python prompt with `page`, `spider` and `extract`, in IPython if it is installed, until the user leaves it."""

    def extract() -> list[Any]:
        """What the stage of the page yields: items and tasks."""
        result = spider.stages[page.stage](page)
        return list(result) if isinstance(result, Iterator) else [result]

    names: dict[str, Any] = {"page": page, "spider": spider, "extract": extract}
    banner = visible(_BANNER.format(page=page, url=one_line(page.url), stage=page.stage))
    try:
        from IPython import start_ipython
        from traitlets.config import Config
    except ImportError:
        _plain_shell(names, banner)
        return
    config = Config()
    config.TerminalInteractiveShell.banner1 = f"{banner}\n"
    config.TerminalInteractiveShell.banner2 = ""
    config.TerminalInteractiveShell.confirm_exit = False
    start_ipython(argv=[], user_ns=names, config=config)


def _plain_shell(names: dict[str, Any], banner: str) -> None:
    with suppress(ImportError):  # some builds of Python have no readline
        import readline
        import rlcompleter

        readline.set_completer(rlcompleter.Completer(names).complete)
        readline.parse_and_bind("tab: complete")
    code.interact(banner, local=names, exitmsg="")
