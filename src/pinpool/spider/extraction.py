"""A page, as a spider's functions see it, and what they make of it: items and tasks, or the evidence of a failure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from lxml import etree
from w3lib.encoding import html_to_unicode, resolve_encoding, to_unicode
from w3lib.html import get_base_url

from pinpool.errors import DeadlinePassed
from pinpool.model import Evidence, Fetched, Settings, Sign, Step, Task
from pinpool.policy.faults import answer, is_gone
from pinpool.spider.items import is_empty, item_text
from pinpool.spider.selectors import evaluate, matches, text_of
from pinpool.spider.spider import Spider, line_inside
from pinpool.tasks import Form, request
from pinpool.urls import clean_url, join_url, one_line

MAX_PAGE = 10_000_000  # characters of all items and tasks of one page
_MAX_NESTING = 20  # generators in generators
_EACH = 32  # what the smallest item or task counts for, so that a million empty ones are too many

#: Elements that may stand for their link; they may also have none.
_LINKS = ("a", "area", "link")

Default = TypeVar("Default")


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


class Page:
    """
    A fetched page, interpreted on demand. Selectors are XPath or CSS (with ``::text`` and ``::attr(name)``).

    A selector that cannot be compiled or used raises ValueError with the reason.
    """

    def __init__(self, task: Task, fetched: Fetched, settings: Settings) -> None:
        self.url = fetched.url
        self.status = fetched.status
        self.headers: Mapping[str, str] = fetched.headers
        self.body = fetched.body
        self.stage = task.stage
        self._task = task
        self._settings = settings
        self._parser: etree.HTMLParser | None = None

    def __repr__(self) -> str:
        return f"<Page {self.status} {self.stage}, {len(self.body)} bytes>"

    @cached_property
    def data(self) -> dict[str, Any]:
        """What the page that asked for this one handed on."""
        found = json.loads(self._task.data) if self._task.data else {}
        return found if isinstance(found, dict) else {}

    @property
    def encoding(self) -> str:
        """The encoding that the text was read in, as a browser would have."""
        return self._decoded[0]

    @property
    def text(self) -> str:
        """The body as text, without byte order mark and NULs; what cannot be read is U+FFFD."""
        return self._decoded[1]

    @cached_property
    def root(self) -> etree._Element:
        """The document's element; an empty one if there is no document."""
        # UTF-8 bytes with the encoding said beforehand: libxml2 heeds no declaration then, in meta or XML, and
        # refuses none. huge_tree lifts the limits of 10 MB and 255 levels; the cap on bodies stands before it.
        self._parser = etree.HTMLParser(encoding="utf-8", huge_tree=True)
        try:
            root = etree.fromstring(self.text.encode("utf-8", "replace"), self._parser)
        except etree.XMLSyntaxError:
            root = None
        # An empty document raises or yields None, by version.
        return etree.Element("html") if root is None else root

    @property
    def cut(self) -> bool:
        """Whether the document was nested so deep (2,048 levels) that its end had to be dropped."""
        self.root  # noqa: B018  parses
        assert self._parser is not None
        log: Any = self._parser.error_log
        return bool(log.filter_from_level(etree.ErrorLevels.FATAL))

    def select(self, selector: str) -> list[Any]:
        """All that the selector finds: lxml elements, or strings; a number or boolean of XPath alone in a list."""
        return evaluate(selector, self.root)

    def all(self, selector: str) -> list[str]:
        """
        All that the selector finds, as text; also what is empty.

        Attributes and text() as they stand, an element as its text with white space folded.
        """
        return [text_of(found) for found in evaluate(selector, self.root)]

    def first(self, selector: str, default: Default | None = None) -> str | Default | None:
        """The first that the selector finds, as in `all`, or `default` where there is none."""
        for found in evaluate(selector, self.root):
            return text_of(found)
        return default

    def json(self) -> Any:
        """The body as JSON. Raises ValueError if it is none."""
        try:
            try:
                return json.loads(self.body)
            except UnicodeDecodeError:
                return json.loads(self.text)
        except ValueError as error:
            raise ValueError(f"the body is no JSON: {error}; it starts with {self.text[:40]!r}") from None

    def details(
        self, selector: str, data: Mapping[str, object] | None = None, **more: object
    ) -> Iterator[Task]:
        """A task of the detail stage for each link that the selector finds."""
        return self.tasks(selector, "detail", data, **more)

    def more(self, selector: str, data: Mapping[str, object] | None = None, **more: object) -> Iterator[Task]:
        """A task of this page's own stage for each link that the selector finds: further list pages."""
        return self.tasks(selector, self.stage, data, **more)

    def tasks(
        self, selector: str, stage: str, data: Mapping[str, object] | None = None, **more: object
    ) -> Iterator[Task]:
        """
        A task for each link that the selector finds, handing on `data` and every other keyword.

        The selector finds URLs (``//a/@href``), or elements with an ``href``. What a browser could not open or would
        not leave the page for is passed over: empty, ``#top``, ``mailto:``, ``javascript:``, a malformed URL.
        Raises ValueError if the selector finds something else.
        """
        handed = {**(data or {}), **more}
        for found in evaluate(selector, self.root):
            href = self._href(selector, found)
            if href is None or not href.strip() or href.strip().startswith("#"):
                continue
            try:
                url = clean_url(join_url(self._base, href), self._query_encoding)
            except ValueError:
                continue
            yield request(url, stage=stage, data=handed)

    def task(
        self,
        url: str,
        stage: str = "detail",
        method: str | None = None,
        form: Form | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
        data: Mapping[str, object] | None = None,
        **more: object,
    ) -> Task:
        """
        A task for one URL, which may be relative to this page, handing on `data` and every other keyword.

        With `form` or `json` it is a POST. Raises ValueError if the URL or anything else cannot be sent.
        """
        return request(
            join_url(self._base, url),
            stage=stage,
            method=method,
            form=form,
            json=json,
            headers=headers,
            data={**(data or {}), **more},
            query_encoding=self._query_encoding,
        )

    @cached_property
    def _decoded(self) -> tuple[str, str]:
        return _decode(self.body, self.headers.get("content-type"), self._settings.encoding)

    @cached_property
    def _base(self) -> str:
        try:
            return clean_url(get_base_url(self.text, self.url), self._query_encoding)
        except ValueError:  # a browser takes no base from javascript: and the like
            return self.url

    @property
    def _query_encoding(self) -> str:
        # Browsers send no UTF-16 in a URL, nor a byte order mark.
        return "utf-8" if self.encoding.startswith("utf") else self.encoding

    def _href(self, selector: str, found: Any) -> str | None:
        if isinstance(found, str):
            return found
        if isinstance(found, etree._Element):
            href = found.get("href")
            if href is not None or found.tag in _LINKS:
                return None if href is None else str(href)
        kind = f"<{found.tag}>" if isinstance(found, etree._Element) else type(found).__name__
        raise ValueError(f"{selector!r} finds {kind}, which is no link; end it with /@href or ::attr(href)")


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


def _decode(body: bytes, content_type: str | None, override: str | None) -> tuple[str, str]:
    try:
        if override:
            encoding = resolve_encoding(override) or override
            text = to_unicode(body, encoding).removeprefix("\ufeff")
        else:
            encoding, text = html_to_unicode(content_type, body, auto_detect_fun=_guess)
        if encoding.endswith("unicode-escape"):
            raise LookupError("an encoding of Python's source code, not of pages")
    except (LookupError, ValueError):
        # Python has codecs that are no encodings of text (charset=zlib), or that refuse to replace (charset=idna).
        encoding = _guess(body)
        text = to_unicode(body, encoding)
    return encoding, text.replace("\0", "")


def _guess(body: bytes) -> str:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


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
