"""Selectors, XPath or CSS. CSS is translated to XPath, so there is one engine. Each selector is compiled once."""

from __future__ import annotations

import re
from functools import lru_cache
from threading import get_ident
from typing import TYPE_CHECKING, Any

from pinpool.text import cut

if TYPE_CHECKING:
    from lxml.etree import XPath, _Element

_FUNCTION = re.compile(r"[a-z][a-z-]*\(")
_XPATH_NAMES = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_NAMESPACES = {"re": "http://exslt.org/regular-expressions"}


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
def _compiled(selector: str, thread: int) -> XPath:
    from lxml import etree

    text, kind = selector.strip(), "an XPath"
    try:
        if not is_xpath(text):
            # Importing parsel takes 90 ms: only spiders with CSS pay for it.
            from parsel.csstranslator import css2xpath

            kind = "a CSS"
            text = css2xpath(text.removeprefix("css:"))
        return etree.XPath(text.removeprefix("xpath:"), namespaces=_NAMESPACES, smart_strings=False)
    # cssselect raises the last three
    except (etree.XPathError, SyntaxError, ValueError, RuntimeError) as error:
        raise ValueError(f"{cut(selector, 200)!r} is not {kind} selector: {error}") from None


def evaluate(selector: str, root: _Element) -> list[Any]:
    """
    What the selector finds below `root`: elements, strings, or one number or boolean.

    Raises ValueError with the selector and the reason. Some errors only show here, such as an unknown function.
    """
    from lxml import etree

    if not isinstance(selector, str):
        raise ValueError(f"a selector is text, not {type(selector).__name__}")
    path = compiled(selector)
    try:
        found = path(root)
    except etree.XPathError as error:
        raise ValueError(f"{cut(selector, 200)!r} cannot be used here: {error}") from None
    return found if isinstance(found, list) else [found]


def checked(selector: Any) -> str:
    """The selector itself. Raises ValueError if it cannot be compiled, or fails on an empty document."""
    from lxml import etree

    evaluate(selector, etree.Element("html"))
    return str(selector)


def matches(selector: str, root: _Element) -> bool:
    """Whether the selector finds anything. If the XPath gives a number, a boolean or a text, its value decides."""
    return any(found not in (False, 0, "") for found in evaluate(selector, root))


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
