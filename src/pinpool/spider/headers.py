"""The headers of a page."""

from collections.abc import Mapping
from typing import Any


class Headers(dict[str, str]):
    """Headers by name, in any case: ``page.headers["Content-Type"]``. Iterating gives the names in lower case."""

    __slots__ = ()

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__((name.lower(), value) for name, value in headers.items())

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a header, or `default`."""
        return super().get(name.lower(), default)
