"""A page, as a spider's functions see it, and what they make of it: items and tasks, or the evidence of a failure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from pinpool.errors import DeadlinePassed
from pinpool.model import Evidence, Fetched, Sign, Step, Task
from pinpool.policy.faults import answer, is_gone
from pinpool.selectors import matches
from pinpool.settings import Settings
from pinpool.spider.items import is_empty, item_text
from pinpool.spider.page import Page
from pinpool.spider.spider import Spider
from pinpool.spider.user_errors import line_inside
from pinpool.text import one_line

MAX_PAGE = 10_000_000  # characters of all items and tasks of one page
_MAX_NESTING = 20  # generators in generators
_EACH = 32  # what the smallest item or task counts for, so that a million empty ones are too many


class Extracted(NamedTuple):
    """
    What a page yielded. `items` are JSON objects as text.

    `empty` is true if no item has anything in a field other than its url, and there are no tasks, or every item has
    such fields: a block page in the site's own frame still links to other pages. One item with something in it
    makes the page a real one, and the hollow ones beside it are kept.
    """

    items: tuple[str, ...]
    tasks: tuple[Task, ...]
    empty: bool


def read(
    spider: Spider, task: Task, fetched: Fetched, settings: Settings, *, tunnelled: bool
) -> Extracted | Evidence | None:
    """
    What an answer is, whatever its status: what the spider makes of the page, the evidence against it, or None if
    the site says that there is no such page. `tunnelled` is as in `faults.answer`.

    `ban_text` and `ban_selector` are asked first, for block pages come with 404 and 503 too.
    """
    found = answer(fetched.status, settings.ban_status, tunnelled=tunnelled)
    if (found is None or found.sign is Sign.STATUS) and (banned := _banned(task, fetched, settings)):
        return banned
    if found is None and not is_gone(fetched.status):
        return extract(spider, task, fetched, settings)
    return found


def _banned(task: Task, fetched: Fetched, settings: Settings) -> Evidence | None:
    if not (settings.ban_text or settings.ban_selector):
        return None
    page = Page(task, fetched, settings)
    folded = page.text.casefold() if settings.ban_text else ""
    for text in settings.ban_text:
        if text.casefold() in folded:
            return Evidence(Step.PAGE, Sign.BAN, one_line(f"the page says {text!r}"), fetched.status)
    try:
        for selector in settings.ban_selector:
            if matches(selector, page.root):
                told = one_line(f"the page has what ban_selector {selector!r} finds")
                return Evidence(Step.PAGE, Sign.BAN, told, fetched.status)
    except ValueError as error:  # a function that no XPath knows shows itself where it is called
        return Evidence(Step.PAGE, Sign.RAISED, one_line(f"ban_selector: {error}"), fetched.status)
    return None


def extract(spider: Spider, task: Task, fetched: Fetched, settings: Settings) -> Extracted | Evidence:
    """
    What the spider makes of a page: its ban rule first, then the function of the task's stage.

    Whatever the user's code raises is evidence that names the file and the line; only DeadlinePassed passes through.
    """
    page = Page(task, fetched, settings)
    function = spider.stages.get(task.stage)
    try:
        reason = spider.ban_rule(page) if spider.ban_rule is not None else None
        if reason:
            told = "the ban rule" if reason is True else one_line(str(reason))
            return Evidence(Step.PAGE, Sign.BAN, told, fetched.status)
        if function is None:
            raise _Unusable(f"there is no stage {task.stage}, only {', '.join(spider.stages)}")
        return _gathered(spider, task.stage, function(page))
    except DeadlinePassed:
        raise
    except _Unusable as error:
        return Evidence(Step.EXTRACT, Sign.RAISED, one_line(str(error)), fetched.status)
    except BaseException as error:  # noqa: BLE001  the user's code may raise SystemExit, and the worker goes on
        return Evidence(Step.EXTRACT, Sign.RAISED, _described(error, spider, function), fetched.status)


class _Unusable(Exception):
    """What a stage function returned cannot be stored or asked for."""


def _gathered(spider: Spider, stage: str, result: object) -> Extracted:
    items: list[str] = []
    tasks: list[Task] = []
    empty, hollow, size = True, True, 0
    for found in _flat(result, stage, 0):
        if isinstance(found, Task):
            if found.stage not in spider.stages:
                stages = ", ".join(spider.stages)
                raise _Unusable(
                    f"stage {stage} asks for a page of stage {found.stage}; there is only {stages}"
                )
            tasks.append(found)
            size += _EACH + len(found.url) + len(found.body or b"") + len(found.data or "")
        else:
            try:
                text = item_text(found)
            except ValueError as error:
                raise _Unusable(f"stage {stage}: {error}") from None
            items.append(text)
            size += _EACH + len(text)
            fields = [value for key, value in found.items() if key != "url"]
            empty = empty and all(map(is_empty, fields))
            hollow = hollow and bool(fields)
        if size > MAX_PAGE:
            raise _Unusable(f"stage {stage} makes more than {MAX_PAGE:,} characters of one page")
    return Extracted(tuple(items), tuple(tasks), empty and (not tasks or (bool(items) and hollow)))


def _flat(result: object, stage: str, depth: int) -> Iterator[Task | Mapping[str, object]]:
    if result is None:
        return
    if isinstance(result, Task | Mapping):
        yield result
    elif not isinstance(result, Iterator | list | tuple | set | frozenset):
        # Anything that can be iterated will not do: text is made of text, an element of elements.
        raise _Unusable(
            f"stage {stage} yields {type(result).__name__}; it may yield dicts, tasks, and lists of them"
        )
    elif depth == _MAX_NESTING:
        raise _Unusable(f"stage {stage} yields lists nested deeper than {_MAX_NESTING} levels")
    else:
        for part in result:
            yield from _flat(part, stage, depth + 1)


def _described(error: BaseException, spider: Spider, function: object) -> str:
    try:
        text = str(error)
    except DeadlinePassed:
        raise
    except BaseException:  # noqa: BLE001  its __str__ is the user's code as well
        text = "(its text cannot be shown)"
    place = ""
    # A stage may live in a neighbour of the spider's file.
    for file in (spider.file, getattr(getattr(function, "__code__", None), "co_filename", "")):
        if line := line_inside(error, file):
            place = f" ({Path(file).name}:{line})"  # where the user keeps it is nobody's business in a report
            break
    return one_line(f"{type(error).__name__}: {text}" if text else type(error).__name__) + place
