"""What selectors can be asked of: a page, and each of the nodes that `each` finds on it."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, overload

from lxml import etree

from pinpool.selectors import Names, evaluate, text_of
from pinpool.spider.habits import missing_attribute

Default = TypeVar("Default")


class Selectable(ABC):
    """
    Answers selectors: XPath, or CSS with ``::text`` and ``::attr(name)``.

    A selector that cannot be compiled or used raises ValueError with the reason.
    """

    __slots__ = ()
    _names: Names

    @abstractmethod
    def select(self, selector: str) -> list[Any]:
        """All matches: lxml elements, or strings; a list of one if the XPath gives a number or a boolean."""

    def all(self, selector: str) -> list[str]:
        """All matches as text, empty ones included. White space is folded in elements only."""
        return [text_of(found) for found in self.select(selector)]

    @overload
    def first(self, selector: str) -> str | None: ...

    @overload
    def first(self, selector: str, default: Default) -> str | Default: ...

    def first(self, selector: str, default: object = None) -> object:
        """The first match as text, as in `all`, or `default` if there is none."""
        for found in self.select(selector):
            return text_of(found)
        return default

    def each(self, selector: str) -> "list[Node]":
        """
        All matches as nodes, to be asked by selectors of their own: a film of a list, a row of a table.

        Raises ValueError if the selector finds anything but elements.
        """
        found = self.select(selector)
        for match in found:
            if not isinstance(match, etree._Element):
                raise ValueError(
                    f"{selector!r} finds text, and each() needs elements: leave ::text, ::attr(...), text() and @... to"
                    " the selectors of the nodes, or use all()"
                )
        names = self._names
        return [Node(element, names) for element in found]

    if not TYPE_CHECKING:  # a type checker should find a name that does not exist

        def __getattr__(self, name: str) -> NoReturn:
            raise AttributeError(missing_attribute(self, name), name=name, obj=self)


class Node(Selectable):
    """
    A match of `each`: an element of a page, whose selectors search this element and what is in it.

    CSS and ``.//x`` start here; so does ``//x``, which elsewhere searches the whole document. CSS finds the element
    itself, too, if it matches. ``.`` is the element, ``@href`` its attribute. An XPath that starts with a single
    ``/`` starts at the root of the document. `root` is the lxml element.
    """

    __slots__ = ("_names", "root")

    def __init__(self, root: etree._Element, names: Names) -> None:
        self.root = root
        self._names = names

    def __repr__(self) -> str:
        return f"<Node {self.root.tag}>"

    def select(self, selector: str) -> list[Any]:
        """All matches: lxml elements, or strings; a list of one if the XPath gives a number or a boolean."""
        return evaluate(selector, self.root, self._names, in_node=True)
