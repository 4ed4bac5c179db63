"""The page that a spider's functions get."""

import json
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar, overload

from lxml import etree

from pinpool.model import Fetched, Task
from pinpool.selectors import HTML, Names, evaluate
from pinpool.settings import Settings
from pinpool.spider.document import document, unpacked
from pinpool.spider.encoding import Decoded, decode, json_text
from pinpool.spider.habits import foreign_keywords
from pinpool.spider.headers import Headers
from pinpool.spider.node import Selectable
from pinpool.tasks import Form, file_task, request
from pinpool.urls import clean_url, resolve_url

Data = Mapping[str, object]
_BASE = re.compile("<base|xml:base", re.IGNORECASE)
_NO_BASE_IN = ("template", "noscript", "title", "textarea", "svg", "math", "iframe", "noembed", "noframes", "xmp")
_XML_BASE = "{http://www.w3.org/XML/1998/namespace}base"
_LINK_TAGS = ("a", "area", "link")
Value = TypeVar("Value")


class _Once(Generic[Value]):
    """
    As functools.cached_property, without its lock: before Python 3.12 all threads share that, so that a page which
    takes long to parse would hold up all pages of its process.
    """

    def __init__(self, make: Callable[[Any], Value]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, page: Any, owner: type) -> Value:
        value = vars(page)[self._name] = self._make(page)
        return value


class Page(Selectable):
    """
    A fetched page, parsed on first use. Selectors are XPath or CSS (with ``::text`` and ``::attr(name)``).

    `url` is where the redirects ended, `headers` answer to names in any case, `body` is bytes. `stage` is that of the
    task, whose function gets this page.

    XML (feeds, sitemaps) is read as XML if the content type or its start says so. Names then have the case of the
    document. Those without a prefix need none, whatever their namespace (``//url/loc``); others have the prefix that
    the document declares, or a usual one (``//media:content``, see `selectors.PREFIXES`).

    A selector that cannot be compiled or used raises ValueError with the reason.
    """

    def __init__(self, task: Task, fetched: Fetched, settings: Settings) -> None:
        self.url = fetched.url
        self.status = fetched.status
        self.headers: Mapping[str, str] = Headers(fetched.headers)
        self.body = fetched.body
        self.stage = task.stage
        #: The links that lead nowhere, each with the reason.
        self.left_out: list[str] = []
        self._names: Names = HTML
        self._task = task
        self._settings = settings

    def __repr__(self) -> str:
        return f"<Page {self.status} {self.stage}, {len(self.body)} bytes>"

    @_Once
    def data(self) -> dict[str, Any]:
        """The data that the page which made this task handed on."""
        data = json.loads(self._task.data) if self._task.data else {}
        return data if isinstance(data, dict) else {}

    @property
    def encoding(self) -> str:
        """The encoding that the text was read in; a browser would choose the same."""
        return self._decoded[0]

    @property
    def text(self) -> str:
        """
        The body as text, without byte order mark and NULs. What cannot be read is U+FFFD. Of a file in gzip, such as
        sitemap.xml.gz, its content.
        """
        return self._decoded[1]

    @_Once
    def root(self) -> etree._Element:
        """The root element, of HTML or of XML; an empty one if there is no document."""
        root, self._names = document(self._utf8, self.headers.get("content-type"))
        return root

    def select(self, selector: str) -> list[Any]:
        """All matches: lxml elements, or strings; a list of one if the XPath gives a number or a boolean."""
        return evaluate(selector, self.root, self._names)

    def json(self) -> Any:
        """The body as JSON. Raises ValueError if it is not JSON."""
        try:
            try:
                return json.loads(self._content)
            except UnicodeDecodeError:
                announced = self.headers.get("content-type")
                return json.loads(json_text(self._content, announced, self._settings.encoding))
        except ValueError as error:
            raise ValueError(f"the body is not JSON: {error}; it starts with {self.text[:40]!r}") from None

    def details(self, selector: str, data: Data | None = None, **more: object) -> Iterator[Task]:
        """A task of the detail stage for each link that the selector finds."""
        return self.tasks(selector, "detail", data, **more)

    def more(self, selector: str, data: Data | None = None, **more: object) -> Iterator[Task]:
        """A task of this page's own stage for each link that the selector finds: further list pages."""
        return self.tasks(selector, self.stage, data, **more)

    def tasks(self, selector: str, stage: str, data: Data | None = None, **more: object) -> Iterator[Task]:
        """
        A task for each link that the selector finds, handing on `data` and every other keyword.

        The selector finds URLs (``//a/@href``), or elements with an ``href``, or in XML with a URL as their text.
        Links that a browser could not open, or would not leave the page for, are left out: empty, ``#top``,
        ``mailto:``, ``javascript:``, malformed URLs. `pinpool try` shows those.
        Raises ValueError if the selector finds something else.
        """
        data = _handed_on(data, more)
        for found in self.select(selector):
            href = self._href(selector, found)
            if href is None or not href.strip():
                self.left_out.append("a link without a URL")
                continue
            if href.strip().startswith("#"):
                self.left_out.append(f"{href[:80]!r} leads to a place on the same page")
                continue
            try:
                url = resolve_url(self._base, href, self._query_encoding)
            except ValueError as refused:
                self.left_out.append(str(refused))
                continue
            yield request(url, stage=stage, data=data)

    def task(
        self,
        url: str,
        stage: str | None = None,
        method: str | None = None,
        form: Form | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
        data: Data | None = None,
        body: bytes | str | None = None,
        **more: object,
    ) -> Task:
        """
        A task for one URL, which may be relative to this page, handing on `data` and every other keyword.

        The stage is this page's own, unless `stage` names another. With `form`, `json` or `body` it is a POST. Raises
        ValueError if the URL or anything else cannot be sent.
        """
        if url is None:  # against its type, but what `first` gives where nothing matched
            raise ValueError("page.task got None in place of a URL: the selector for it found nothing")
        return request(
            self.join(url),
            stage=self.stage if stage is None else stage,
            method=method,
            form=form,
            json=json,
            body=body,
            headers=headers,
            data=_handed_on(data, more),
            query_encoding=self._query_encoding,
        )

    @overload
    def join(self, href: str) -> str: ...
    @overload
    def join(self, href: None) -> None: ...
    def join(self, href: str | None) -> str | None:
        """
        The whole URL to which `href` leads from this page, as a browser sees it; None if there is no `href`.

        Raises ValueError if no page can be asked for there.
        """
        return None if href is None else resolve_url(self._base, href, self._query_encoding)

    def file(
        self,
        url: str,
        name: str | None = None,
        *,
        type: str | None = None,
        headers: Mapping[str, str] | None = None,
        data: Data | None = None,
        **more: object,
    ) -> Task:
        """
        A task that downloads the file at a URL, which may be relative to this page.

        Its item has ``url``, `data` and every other keyword, and ``path`` (in the run's folder of files), ``sha256``,
        ``size`` (bytes) and ``type``. `name` is made safe, and unique in that folder; without it the site or the URL
        names the file. `type` is the content type that it must have, such as ``application/pdf`` or ``image/*``.
        Raises ValueError if the URL or anything else cannot be used.
        """
        resolved = resolve_url(self._base, url, self._query_encoding)
        return file_task(resolved, name, type=type, headers=headers, data={**(data or {}), **more})

    @_Once
    def _content(self) -> bytes:
        return unpacked(self.body, self._settings.max_body)

    @_Once
    def _decoded(self) -> Decoded:
        return decode(self._content, self.headers.get("content-type"), self._settings.encoding)

    @property
    def _utf8(self) -> bytes:
        """The text as UTF-8: the body itself, if nothing in it had to be replaced or left out."""
        content, (encoding, text, *_) = self._content, self._decoded
        if encoding == "utf-8" and "\ufffd" not in text and b"\0" not in content and content[:3] != BOM_UTF8:
            return content
        return text.encode("utf-8", "replace")

    @_Once
    def _base(self) -> str:
        # JSON need not be parsed as HTML for it.
        href = self._base_href() if "root" in vars(self) or _BASE.search(self.text) else ""
        try:
            return resolve_url(self.url, href, self._query_encoding) if href else clean_url(self.url)
        except ValueError:  # a browser ignores a base such as javascript:
            return self.url

    @property
    def _query_encoding(self) -> str:
        return self._decoded.sent_in

    def _base_href(self) -> str:
        root = self.root
        if self._names is not HTML:
            return root.get(_XML_BASE, "").strip()
        # The first one counts (HTML standard, 4.2.3), but not what is no element of the document: inside a template, or
        # for a browser with scripts inside noscript.
        bases = (
            base.get("href", "").strip()
            for base in root.iter("base")
            if "href" in base.attrib and next(base.iterancestors(*_NO_BASE_IN), None) is None
        )
        return next(bases, "")

    def _href(self, selector: str, found: Any) -> str | None:
        if isinstance(found, str):
            return found
        if isinstance(found, etree._Element) and isinstance(found.tag, str):
            href = found.get("href")
            if href is None and self._names is not HTML and not len(found):
                return found.text or ""  # <link> in RSS, <loc> in a sitemap
            if href is not None or found.tag in _LINK_TAGS:
                return None if href is None else str(href)
        kind = f"<{found.tag}>" if isinstance(found, etree._Element) else type(found).__name__
        raise ValueError(f"{selector!r} finds {kind}, which is not a link; end it with /@href or ::attr(href)")


def _handed_on(data: Data | None, more: Data) -> Data:
    """Raises ValueError for keywords that Scrapy has for something else."""
    if wrong := foreign_keywords(more):
        raise ValueError(wrong)
    if callable(data):
        raise ValueError('data is a function: a page goes to the function of its stage; write stage="NAME"')
    return {**(data or {}), **more}
