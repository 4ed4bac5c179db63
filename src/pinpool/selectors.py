"""Selectors, XPath or CSS. CSS is translated to XPath, so there is one engine. Each selector is compiled once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from threading import get_ident
from typing import TYPE_CHECKING, Any, NamedTuple

from pinpool.text import cut

if TYPE_CHECKING:
    from lxml.etree import XPath, _Element

_FUNCTION = re.compile(r"[a-z][a-z-]*\(")
_XPATH_NAMES = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_NAMESPACES = {"re": "http://exslt.org/regular-expressions"}
#: A prefix in an XPath; texts in quotes are passed over.
_PREFIX = re.compile(r"\"[^\"]*\"|'[^']*'|(?<![\w.-])([^\W\d][\w.-]*):(?=[^\W\d]|\*)")
_UNDECLARED = "urn:pinpool:undeclared"
#: The tokens of an XPath (XPath 1.0, 3.7), as far as `_in_node` tells them apart.
_TOKEN = re.compile(r"\"[^\"]*\"|'[^']*'|//|[^\W\d][\w.-]*|\d+(?:\.\d*)?|\.\d+|\.\.|\S")
_OPERATORS = frozenset({"and", "or", "div", "mod", "*"})

#: Prefixes that feeds and sitemaps mostly use. Those that a page declares itself count before these.
PREFIXES: Mapping[str, str] = {
    **_NAMESPACES,
    "atom": "http://www.w3.org/2005/Atom",
    "content": "http://purl.org/rss/1.0/modules/content/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "dcterms": "http://purl.org/dc/terms/",
    "g": "http://base.google.com/ns/1.0",
    "geo": "http://www.w3.org/2003/01/geo/wgs84_pos#",
    "georss": "http://www.georss.org/georss",
    "image": "http://www.google.com/schemas/sitemap-image/1.1",
    "itunes": "http://www.itunes.com/dtds/podcast-1.0.dtd",
    "media": "http://search.yahoo.com/mrss/",
    "news": "http://www.google.com/schemas/sitemap-news/0.9",
    "podcast": "https://podcastindex.org/namespace/1.0",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rss": "http://purl.org/rss/1.0/",
    "sitemap": "http://www.sitemaps.org/schemas/sitemap/0.9",
    "slash": "http://purl.org/rss/1.0/modules/slash/",
    "svg": "http://www.w3.org/2000/svg",
    "sy": "http://purl.org/rss/1.0/modules/syndication/",
    "video": "http://www.google.com/schemas/sitemap-video/1.1",
    "wfw": "http://wellformedweb.org/CommentAPI/",
    "xhtml": "http://www.w3.org/1999/xhtml",
    "xlink": "http://www.w3.org/1999/xlink",
}


class Names(NamedTuple):
    """
    How the elements of a page are named. `prefixes` are those that it declares, with their namespaces. Elements of
    the namespaces `bare` have none in the tree, so that ``//url/loc`` finds them; selectors may write their prefix too.
    """

    prefixes: Mapping[str, str]
    bare: frozenset[str]


#: A page in HTML: no namespaces, and a selector with a prefix finds nothing.
HTML = Names({}, frozenset())


def is_xpath(selector: str) -> bool:
    """
    Whether a selector is XPath. Otherwise it is CSS.

    XPath starts with ``/``, ``./``, ``../``, ``(``, ``@`` or a function call, or is ``.`` or ``..``. The prefixes
    ``xpath:`` and ``css:`` overrule this.
    """
    text = selector.strip()
    if text.startswith(("xpath:", "css:")):
        return text.startswith("xpath:")
    return text in (".", "..") or text.startswith(("/", "./", "../", "(", "@")) or bool(_FUNCTION.match(text))


def compiled(selector: str) -> XPath:
    """The selector as a function of an element. Raises ValueError with the selector and the reason."""
    # lxml locks an XPath while it is evaluated: with one for all threads, a slow page would hold up all others.
    return _compiled(selector, get_ident())


@lru_cache(maxsize=1024)
def _compiled(
    selector: str, thread: int, namespaces: tuple[tuple[str, str | None], ...] | None = None, in_node: bool = False
) -> XPath:
    """`namespaces` are those of the prefixes, for a page in XML; None leaves a prefix out."""
    from lxml import etree

    is_xml = namespaces is not None
    try:
        path = _xpath(selector, is_xml)
        if in_node and is_xpath(selector):
            path = _in_node(path)
        bare = {prefix for prefix, uri in namespaces or () if uri is None}
        if bare:
            path = _PREFIX.sub(lambda found: "" if found[1] in bare else found[0], path)
        spaces = {prefix: uri for prefix, uri in namespaces or () if uri is not None}
        return etree.XPath(path, namespaces={**spaces, **_NAMESPACES}, smart_strings=False)
    # cssselect raises the last three
    except (etree.XPathError, SyntaxError, ValueError, RuntimeError) as error:
        kind = "an XPath" if is_xpath(selector) else "a CSS"
        raise ValueError(f"{cut(selector, 200)!r} is not {kind} selector: {error}") from None


def _xpath(selector: str, is_xml: bool) -> str:
    text = selector.strip()
    if is_xpath(text):
        return text.removeprefix("xpath:")
    # Importing parsel takes 90 ms: only spiders with CSS pay for it.
    from parsel.csstranslator import GenericTranslator, HTMLTranslator

    # In HTML the case of names does not count.
    translator = GenericTranslator() if is_xml else HTMLTranslator()
    return translator.css_to_xpath(text.removeprefix("css:"))


def _in_node(path: str) -> str:
    """
    The XPath with each ``//x`` that would search the whole document searching below the variable ``$node`` instead.

    Such a ``//`` stands where an operand begins. A single ``/`` there still starts at the root of the document.
    """
    found, end, after_operand = [], 0, False
    for token in _TOKEN.finditer(path):
        text = token[0]
        if text == "//" and not after_operand:
            found += [path[end : token.start()], "$node"]
            end = token.start()
        if after_operand and text in _OPERATORS:
            after_operand = False
        else:
            after_operand = text in ("*", ")", "]") or text[0] in "\"'._" or text[0].isalnum()
    return "".join([*found, path[end:]])


@lru_cache(maxsize=1024)
def _prefixes(selector: str) -> tuple[str, ...]:
    """The prefixes in a selector, as far as it can be compiled."""
    try:
        found = _PREFIX.findall(_xpath(selector, True))
    except (SyntaxError, ValueError, RuntimeError):
        return ()
    return tuple(sorted({*found} - {"", "xml"}))


def _for_xml(selector: str, names: Names, in_node: bool) -> XPath:
    spaces = []
    for prefix in _prefixes(selector):
        uri = names.prefixes.get(prefix) or PREFIXES.get(prefix, _UNDECLARED)
        spaces.append((prefix, None if uri in names.bare else uri))
    return _compiled(selector, get_ident(), tuple(spaces), in_node)


def evaluate(selector: str, root: _Element, names: Names | None = None, *, in_node: bool = False) -> list[Any]:
    """
    What the selector finds below `root`: elements, strings, or one number or boolean.

    `names` are those of a page. A prefix that it does not declare then finds nothing. Without them such a prefix is a
    mistake. With `in_node`, ``//x`` searches below `root`, and not the whole document that it belongs to. Raises
    ValueError with the selector and the reason. Some errors only show here, such as an unknown function.
    """
    from lxml import etree

    if not isinstance(selector, str):
        raise ValueError(f"a selector is text, not {type(selector).__name__}")
    if names is None or names is HTML:
        path = _compiled(selector, get_ident(), None, in_node)
    else:
        path = _for_xml(selector, names, in_node)
    try:
        found = path(root, node=[root]) if in_node else path(root)
    except etree.XPathError as error:
        if names is HTML and "Undefined namespace prefix" in str(error):
            return []
        raise ValueError(f"{cut(selector, 200)!r} cannot be used here: {error}") from None
    return found if isinstance(found, list) else [found]


def checked(selector: Any) -> str:
    """The selector itself. Raises ValueError if it cannot be compiled, or fails on an empty document."""
    from lxml import etree

    evaluate(selector, etree.Element("html"), HTML)
    return str(selector)


def holds(found: list[Any]) -> bool:
    """Whether a selector has found anything. If the XPath gives a number, a boolean or a text, its value decides."""
    return any(match not in (False, 0, "") for match in found)


def text_of(found: Any) -> str:
    """An attribute, text or number unchanged; an element as its text, with white space folded."""
    if isinstance(found, str):
        return found
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, float):
        return _XPATH_NAMES.get(str(found)) or (str(int(found)) if found.is_integer() else repr(found))
    if isinstance(found, tuple):  # a namespace: its prefix and its URI
        return str(found[1])
    # A comment has no string value here.
    text = compiled("string()")(found) if isinstance(found.tag, str) else found.text
    return " ".join(str(text or "").split())
