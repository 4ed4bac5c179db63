"""JSON, asked by JMESPath as pages and their nodes are asked by XPath and CSS."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any


class JsonNode:
    """
    A value in a JSON page. Its `first` and `all` give values as JSON has them: numbers stay numbers.

    A query that cannot be compiled or used raises ValueError with the reason.
    """

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def all(self, query: str) -> list[Any]:
        """What the query finds: the elements of a list, or the one value. Without nulls."""
        found = _search(query, self.value)
        return [one for one in (found if isinstance(found, list) else [found]) if one is not None]

    def first(self, query: str) -> Any:
        """The value that the query finds, of a list the first element; None if it finds nothing."""
        found = _search(query, self.value)
        if isinstance(found, list):
            return next((one for one in found if one is not None), None)
        return found

    def each(self, query: str) -> "list[JsonNode]":
        """All that the query finds, to be asked by queries of their own."""
        return [JsonNode(one) for one in self.all(query)]


def checked_query(query: str) -> str:
    """The query itself. Raises ValueError if it cannot be compiled, or uses a function that JMESPath does not have."""
    from jmespath.functions import Functions

    unknown = [name for name in _functions_in(_compiled(query).parsed) if name not in Functions.FUNCTION_TABLE]
    if unknown:
        raise ValueError(f"{query[:200]!r} uses {unknown[0]}(), which is not a function of JMESPath")
    return query


def _functions_in(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if part.get("type") == "function_expression":
            yield str(part["value"])
        for child in part.get("children", ()):
            yield from _functions_in(child)


def _search(query: str, value: Any) -> Any:
    # JMESPath's errors are ValueErrors.
    try:
        return _compiled(query).search(value)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{query[:200]!r} cannot be used here: {_reason(error)}") from None


@lru_cache(maxsize=1024)
def _compiled(query: str) -> Any:
    from jmespath import compile as compiled

    try:
        return compiled(query)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{query[:200]!r} is not a JMESPath query: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return str(error).partition("\n")[0].removesuffix(", for expression:") or type(error).__name__
