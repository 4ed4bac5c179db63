"""What `pinpool try` prints: the answer, and what the spider or the user makes of it."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pinpool.cli.options import say
from pinpool.text import counted, one_line

if TYPE_CHECKING:
    from pinpool.check.page import PageTry
    from pinpool.check.question import Question
    from pinpool.model import Fetched
    from pinpool.spider.extraction import Extracted
    from pinpool.spider.page import Page
    from pinpool.spider.spider import Spider

SHOWN_ITEMS = 5
SHOWN_TASKS = 20


@dataclass(frozen=True)
class Shown:
    """What is wanted of a page. `fetched_now` is false for a page that a file or a journal has."""

    spider: Spider
    question: Question
    fetched_now: bool
    selectors: Sequence[str] = ()
    shell: bool = False
    save: Path | None = None


def show(wanted: Shown, attempts: Iterable[PageTry]) -> bool:
    """Print the attempts as they come, then what was wanted of the last. True if there was something to show."""
    last: PageTry | None = None
    for last in attempts:
        _show_attempt(wanted, last)
        if last.settled:
            break
    if last is None:
        return False
    if last.proxy is not None and not last.settled:
        say("no proxy of the list could be used", err=True)
    if last.fetched is None:
        return False
    if wanted.save is not None:
        from pinpool.check.page_file import save_page

        say(save_page(wanted.save, last.fetched, wanted.spider.settings), err=True)
    if wanted.selectors or wanted.shell:
        return _show_page(wanted, _page(wanted, last, last.fetched))
    return _show_result(wanted, last, last.fetched)


def _show_attempt(wanted: Shown, attempt: PageTry) -> None:
    from pinpool.fetch.robots import FORBIDDEN
    from pinpool.model import Evidence

    fetched, result, proxy = attempt.fetched, attempt.result, attempt.proxy
    if fetched is not None:
        if proxy is not None:
            say(f"through {proxy.label}")
        _show_answer(wanted, attempt.stage, fetched)
    if isinstance(result, Evidence):
        if attempt.in_spider and (wanted.selectors or wanted.shell):
            return  # the user looks at the page, not at the spider
        who = f"{proxy.label}: " if proxy is not None and not attempt.in_spider else ""
        say(f"{who}{attempt.fault}: {result.message}", err=True)
        _show_trace(wanted, attempt)
    elif result is None and fetched is not None:
        say("gone: the site says that there is no such page", err=True)
    elif result is None:
        say(f"{wanted.question.task.url}: {FORBIDDEN}; in a crawl it would count as gone", err=True)


def _show_answer(wanted: Shown, stage: str, fetched: Fetched) -> None:
    answer = f"{fetched.status} {one_line(fetched.url)}: {counted(len(fetched.body), 'byte')}"
    say(f"{answer} in {fetched.seconds:.2f} s" if wanted.fetched_now else answer)
    if fetched.note:
        say(fetched.note, err=True)
    if not wanted.fetched_now and len(fetched.body) < fetched.size:
        say(f"the page sample is cut: the page had {counted(fetched.size, 'byte')}", err=True)
    question = wanted.question
    why = f": {question.why}" if question.why else ""
    say(f"stage {stage}{why}" + ("" if question.sure else " (--stage takes another)"))


def _show_trace(wanted: Shown, attempt: PageTry) -> None:
    """Where the spider's own code raised, or was ended."""
    from pinpool.spider.user_trace import trace_lines

    if attempt.error is None:
        return
    lines = trace_lines(attempt.error, wanted.spider.file)
    for line in lines:
        say(line, err=True)
    handed_on = isinstance(attempt.error, KeyError) and lines and "page.data" in lines[-1]
    if handed_on and not wanted.question.task.data:
        key = json.dumps(str(attempt.error.args[0]) if attempt.error.args else "name", ensure_ascii=False)
        say(f"page.data is what the page before hands on: give it, --data '{{{key}: ...}}'", err=True)


def _page(wanted: Shown, attempt: PageTry, fetched: Fetched) -> Page:
    from pinpool.spider.page import Page

    return Page(wanted.question.task._replace(stage=attempt.stage), fetched, wanted.spider.settings)


def _show_page(wanted: Shown, page: Page) -> bool:
    from pinpool.spider.encoding import read_type
    from pinpool.terminal.selection import selection_lines

    all_found = True
    # In a pipe, lines are as long as they are.
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 1000
    for selector in wanted.selectors:
        try:
            found, lines = selection_lines(page, selector, width)
        except ValueError as error:  # some errors only show on a page
            found, lines = False, [f"{one_line(selector)}: {one_line(str(error))}"]
        all_found = all_found and found
        for line in lines:
            say(line)
    if not all_found and read_type(page.headers.get("content-type")).is_json:
        say("the page is JSON, and selectors read HTML and XML: look at page.json() with --shell", err=True)
    if wanted.shell:
        from pinpool.cli.try_shell import open_shell

        open_shell(page, wanted.spider)
        return True
    return all_found


def _show_result(wanted: Shown, attempt: PageTry, fetched: Fetched) -> bool:
    from pinpool.spider.extraction import Extracted

    found = attempt.result
    made_something = isinstance(found, Extracted) and (not found.empty or wanted.spider.settings.empty_ok)
    if isinstance(found, Extracted):
        _show_extracted(found)
        if not made_something:
            say("nothing extracted: a crawl would try this page through other proxies, too", err=True)
    if not made_something and not wanted.question.sure and (isinstance(found, Extracted) or attempt.in_spider):
        from pinpool.check.page import other_stages

        _show_others(other_stages(wanted.spider, wanted.question, fetched, attempt.stage))
    return made_something


def _show_extracted(found: Extracted) -> None:
    from pinpool.terminal.selection import field_lines, grouped, task_line

    for item in found.items[:SHOWN_ITEMS]:
        say(json.dumps(json.loads(item), ensure_ascii=False, indent=2))
    if len(found.items) > SHOWN_ITEMS:
        say(f"... and {counted(len(found.items) - SHOWN_ITEMS, 'more item')}")
    filled, unfilled = field_lines(found.items)
    if filled:
        say(filled)
    for task in found.tasks[:SHOWN_TASKS]:
        say(task_line(task))
    if len(found.tasks) > SHOWN_TASKS:
        say(f"... and {counted(len(found.tasks) - SHOWN_TASKS, 'more task')}")
    for line in grouped(found.left_out, SHOWN_TASKS):
        say(f"left out: {line}", err=True)
    if again := len(found.tasks) - len({task.key for task in found.tasks}):
        say(f"{counted(again, 'task')} the same as another: a crawl asks for each page once", err=True)
    left_out = f", {counted(len(found.left_out), 'link')} left out" if found.left_out else ""
    say(f"{counted(len(found.items), 'item')}, {counted(len(found.tasks), 'task')}{left_out}")
    if unfilled:
        say(f"{unfilled}; --select and --shell help to find a selector", err=True)


def _show_others(others: Mapping[str, Extracted]) -> None:
    for stage, found in others.items():
        made = f"{counted(len(found.items), 'item')} and {counted(len(found.tasks), 'task')}"
        say(f"stage {stage} would make {made} of this page: add --stage {stage}", err=True)
