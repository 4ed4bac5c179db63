"""Turns a page into items and tasks by the spider's functions, or into the evidence of a failure."""

from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from pinpool.errors import DeadlinePassed
from pinpool.model import FILE_STAGE, Evidence, Fetched, Sign, Step, Task
from pinpool.policy.faults import answer, is_gone
from pinpool.selectors import holds
from pinpool.settings import Settings
from pinpool.spider.habits import hint_for, refused_part
from pinpool.spider.item_objects import fields_of
from pinpool.spider.items import is_empty, item_text
from pinpool.spider.page import Page
from pinpool.spider.spider import Spider
from pinpool.spider.user_errors import UnusableYield, UnwantedPage, described, is_ours, line_inside
from pinpool.text import one_line

MAX_PAGE = 10_000_000  # characters of all items and tasks of one page
_MAX_NESTING = 20  # generators in generators
# Characters that each item or task counts for at least, so that endless empty ones are too many.
_MIN_SIZE = 32

#: Is given what the user's code raised, while its traceback is there.
Notice = Callable[[BaseException], None]


class Extracted(NamedTuple):
    """
    What a page yielded. `items` are JSON objects as text.

    `empty` is true if no field other than url has a value, and the page has no tasks. Tasks beside items do not count
    if every item has other fields: a block page in the site's own frame still links to other pages. One item with a
    value makes the page a real one, and its empty items are kept. `left_out` has the links that lead nowhere, with the
    reason. `filled` are the fields that have a value in some item.
    """

    items: tuple[str, ...]
    tasks: tuple[Task, ...]
    empty: bool
    left_out: tuple[str, ...] = ()
    filled: frozenset[str] = frozenset()


def read(
    spider: Spider, task: Task, fetched: Fetched, settings: Settings, *, tunnelled: bool, notice: Notice | None = None
) -> Extracted | Evidence | None:
    """
    What the spider makes of an answer, the evidence against it, or None if the site says that the page is gone.

    `ban_text` and `ban_selector` are tried first, because block pages come with 404 and 503 too. `tunnelled` is as in
    `faults.answer`, `notice` as in `extract`.
    """
    page = Page(task, fetched, settings)
    evidence = answer(page.status, settings.ban_status, tunnelled=tunnelled)
    if (evidence is None or evidence.sign is Sign.STATUS) and (ban := _ban_mark(page, settings)):
        return ban
    return extract(spider, page, notice) if evidence is None and not is_gone(page.status) else evidence


def _ban_mark(page: Page, settings: Settings) -> Evidence | None:
    try:
        folded = page.text.casefold() if settings.ban_text else ""
    except ValueError as error:  # a gzip file that is too large
        return Evidence(Step.PAGE, Sign.RAISED, one_line(str(error)), page.status)
    for text in settings.ban_text:
        if text.casefold() in folded:
            return Evidence(Step.PAGE, Sign.BAN, one_line(f"the page contains {text!r}"), page.status)
    try:
        for selector in settings.ban_selector:
            if holds(page.select(selector)):
                message = one_line(f"ban_selector {selector!r} matches the page")
                return Evidence(Step.PAGE, Sign.BAN, message, page.status)
    except ValueError as error:  # an unknown XPath function is only noticed when it is called
        return Evidence(Step.PAGE, Sign.RAISED, one_line(f"ban_selector: {error}"), page.status)
    return None


def extract(spider: Spider, page: Page, notice: Notice | None = None) -> Extracted | Evidence:
    """
    What the spider makes of a page: its ban rule first, then the function of the task's stage.

    Whatever the user's code raises becomes evidence with the file and the line, and so does what it yields and cannot;
    `notice` gets it first. Only DeadlinePassed is raised.
    """
    function, result = spider.stages.get(page.stage), None
    try:
        reason = spider.ban_rule(page) if spider.ban_rule is not None else None
        if reason:
            message = "the ban rule" if reason is True else one_line(str(reason))
            return Evidence(Step.PAGE, Sign.BAN, message, page.status)
        if function is None:
            raise UnusableYield(f"no stage {page.stage}; the spider has {', '.join(spider.stages)}")
        result = function(page)
        return _collected(spider, page.stage, result)._replace(left_out=tuple(page.left_out))
    except DeadlinePassed:
        raise
    except UnwantedPage as error:
        return Evidence(Step.PAGE, Sign.BAN, one_line(str(error)), page.status)
    except UnusableYield as error:
        if notice is not None:
            _note_line(error, function, result)
            notice(error)
        message = one_line(str(error))
    except BaseException as error:  # noqa: BLE001  the user's code may raise SystemExit, and the worker goes on
        if notice is not None:
            notice(error)
        message = one_line(described(error) + hint_for(error)) + _place(error, spider, function)
    return Evidence(Step.EXTRACT, Sign.RAISED, message, page.status)


def _collected(spider: Spider, stage: str, result: object) -> Extracted:
    items: list[str] = []
    tasks: list[Task] = []
    filled: set[str] = set()
    all_have_fields, size = True, 0
    parts = _flat(result, stage, 0)  # a name, as in `_flat`
    for part in parts:
        if isinstance(part, Task):
            if part.stage not in spider.stages and part.stage != FILE_STAGE:
                stages = ", ".join(spider.stages)
                raise UnusableYield(f"stage {stage} asks for stage {part.stage}, but the spider only has {stages}")
            tasks.append(part)
            size += _MIN_SIZE + len(part.url) + len(part.body or b"") + len(part.data or "")
        else:
            try:
                text = item_text(part)
            except ValueError as error:
                raise UnusableYield(f"stage {stage}: {error}") from None
            items.append(text)
            size += _MIN_SIZE + len(text)
            filled.update(key for key, value in part.items() if key not in filled and not is_empty(value))
            all_have_fields = all_have_fields and any(key != "url" for key in part)
        if size > MAX_PAGE:
            raise UnusableYield(f"stage {stage} makes more than {MAX_PAGE:,} characters of one page")
    empty = filled <= {"url"} and (not tasks or (bool(items) and all_have_fields))
    return Extracted(tuple(items), tuple(tasks), empty, filled=frozenset(filled))


def _flat(result: object, stage: str, depth: int) -> Iterator[Task | Mapping[str, object]]:
    if result is None:
        return
    if isinstance(result, Task | Mapping):
        yield result
    elif (fields := fields_of(result)) is not None:
        yield fields
    elif not isinstance(result, Iterator | list | tuple | set | frozenset):
        # Not everything that can be iterated is a list: a text yields texts, an element elements.
        raise UnusableYield(f"stage {stage} yields {refused_part(result)}")
    elif depth == _MAX_NESTING:
        raise UnusableYield(f"stage {stage} yields lists nested deeper than {_MAX_NESTING} levels")
    else:
        # A name keeps a generator where it is while an error is looked at: see `_note_line`.
        parts = _all_of(result, stage) if isinstance(result, Generator) else result
        for part in parts:
            yield from _flat(part, stage, depth + 1)


def _all_of(generator: Generator[object, None, object], stage: str) -> Iterator[object]:
    returned = yield from generator
    if returned is not None:
        raise UnusableYield(
            f"stage {stage} returns a value besides its yields, and Python drops that: write yield in place of return"
        )


def _note_line(error: UnusableYield, function: object, result: object) -> None:
    """Let the traceback of `error` name the line of the yield: no frame of it is the user's."""
    code = getattr(function, "__code__", None)
    if code is None or is_ours(code.co_filename):  # the text of a TOML spider's names its line
        return
    frame = result.gi_frame if isinstance(result, Generator) else None  # type: ignore[attr-defined]
    line = frame.f_lineno if frame is not None else code.co_firstlineno
    error.add_note(f'  File "{code.co_filename}", line {line}, in {code.co_name}')


def _place(error: BaseException, spider: Spider, function: object) -> str:
    # A stage may be defined in another file than its spider.
    for file in (spider.file, getattr(getattr(function, "__code__", None), "co_filename", "")):
        if line := line_inside(error, file):
            return f" ({Path(file).name}:{line})"  # a report must not show the user's folders
    return ""
