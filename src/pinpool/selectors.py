"""Selectors: told apart, compiled once, and read as text. CSS is translated to XPath, so there is one engine."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lxml.etree import XPath, _Element

_FUNCTION = re.compile(r"[a-z][a-z-]*\(")
_NO_NUMBERS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}  # in XPath's own spelling
_REGULAR = {"re": "http://exslt.org/regular-expressions"}


def is_xpath(selector: str) -> bool:
    """
    Whether a selector is XPath; if not, it is CSS.

    XPath starts with ``/``, ``./``, ``../``, ``(`` or ``@``, is ``.`` or ``..``, or starts with a function call.
    ``xpath:`` or ``css:`` in front decides.
    """
    text = selector.strip()
    if text.startswith(("xpath:", "css:")):
        return text.startswith("xpath:")
    return text in (".", "..") or text.startswith(("/", "./", "../", "(", "@")) or bool(_FUNCTION.match(text))


@lru_cache(maxsize=1024)
def compiled(selector: str) -> XPath:
    """The selector, ready to be called with an element. Raises ValueError with the selector and the reason."""
    from lxml import etree

    if not isinstance(selector, str):
        raise ValueError(f"a selector is text, not {type(selector).__name__}")
    text = selector.strip()
    try:
        path = text.removeprefix("xpath:") if is_xpath(text) else _css(text.removeprefix("css:"))
        return etree.XPath(path, namespaces=_REGULAR, smart_strings=False)
    except (
        etree.XPathError,
        SyntaxError,
        ValueError,
        RuntimeError,
    ) as error:  # cssselect raises all but the first
        kind = "XPath" if is_xpath(text) else "CSS"
        raise ValueError(f"{_short(selector)} is no {kind} selector: {error}") from None


def evaluate(selector: str, root: _Element) -> list[Any]:
    """
    What the selector finds below `root`: elements, strings, or one number or boolean.

    Raises ValueError with the selector and the reason, also for what only shows when it is used (a function that
    does not exist).
    """
    from lxml import etree

    find = compiled(selector)
    try:
        found = find(root)
    except etree.XPathError as error:
        raise ValueError(f"{_short(selector)} cannot be used here: {error}") from None
    return found if isinstance(found, list) else [found]


def checked(selector: str) -> str:
    """The selector itself. Raises ValueError if it cannot be compiled, or not even be used on an empty document."""
    from lxml import etree

    evaluate(selector, etree.Element("html"))
    return selector


def matches(selector: str, root: _Element) -> bool:
    """Whether the selector finds anything; a number, a boolean or a text of XPath alone counts by its value."""
    return any(found not in (False, 0, "") for found in evaluate(selector, root))


def text_of(found: Any) -> str:
    """An attribute, text or number as it stands; an element as its text, with white space folded."""
    if isinstance(found, str):
        return found
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, float):
        return _NO_NUMBERS.get(str(found)) or (str(int(found)) if found.is_integer() else repr(found))
    if isinstance(found, tuple):  # a namespace: its prefix and its name
        return str(found[1])
    text = (
        _string()(found) if isinstance(found.tag, str) else found.text
    )  # a comment has no string value here
    return " ".join(str(text or "").split())


@lru_cache(maxsize=1)
def _string() -> XPath:
    from lxml import etree

    return etree.XPath("string()", smart_strings=False)


@lru_cache(maxsize=1)
def _translator() -> Any:
    # The module of its own would do, but any import of parsel takes 90 ms: only those who write CSS pay.
    from parsel.csstranslator import HTMLTranslator

    return HTMLTranslator()


def _css(selector: str) -> str:
    return str(_translator().css_to_xpath(selector))


def _short(selector: str) -> str:
    return repr(selector if len(selector) <= 200 else selector[:199] + "…")
