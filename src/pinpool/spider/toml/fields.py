"""Fields of an item as functions of a page or of a part of it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from pinpool.spider.items import is_empty
from pinpool.spider.page import Page
from pinpool.spider.toml.keys import shown_key
from pinpool.spider.toml.values import date_in, matcher, number_in
from pinpool.spider.user_errors import UnusableYield, UnwantedPage


class Scope(Protocol):
    """What selectors are asked of: a page, a node of it, or a value of a JSON page."""

    def first(self, selector: str, /) -> Any: ...
    def all(self, selector: str, /) -> list[Any]: ...
    def each(self, selector: str, /) -> "Iterable[Any]": ...


class Place(NamedTuple):
    """A key of the file, for messages."""

    key: str
    file: str
    line: int

    def unusable(self, problem: object, kind: type[UnusableYield] = UnusableYield) -> UnusableYield:
        """The error that says so."""
        return kind(f"{self.key}: {problem} ({self.file}:{self.line})")


Table = Mapping[str, Any]
Read = Callable[[Scope, Page], Any]
Convert = Callable[[Any, Page], Any]


class Field(NamedTuple):
    """
    A field of an item. `read` takes its value from the page, None where it has another source: `data`, a key of what
    an earlier page handed on, or `value`. `default` takes the place of an empty value, and `required` makes an error
    of it.
    """

    name: str
    place: Place
    read: Read | None
    data: str | None = None
    value: Any = None
    default: Any = None
    required: bool = False


class Fields:
    """
    The fields of an item, read together.

    An item of which the page has no field at all is left empty, without defaults, handed-on data and fixed values:
    what comes from elsewhere must not make a block page look like a film.
    """

    def __init__(self, fields: Sequence[Field]) -> None:
        self._read = [(field.name, field.read, field.place) for field in fields]
        self._completed = [
            field for field in fields if field.read is None or field.default is not None or field.required
        ]

    def item(self, scope: Scope, page: Page, *, empty_ok: bool, whole: bool = False) -> dict[str, Any]:
        """
        The item of a `whole` page, or of a row. `empty_ok` completes an empty one, too.

        Raises UnusableYield if a selector cannot be used, or a required field has no value. For a whole page the latter
        is UnwantedPage: it may be a block page with a heading, while rows are only on pages of the right kind.
        """
        item: dict[str, Any] = {}
        for name, read, place in self._read:
            try:
                item[name] = read(scope, page) if read is not None else None
            except ValueError as error:
                raise place.unusable(error) from None
        if self._completed and (empty_ok or not all(is_empty(item[name]) for name in item if name != "url")):
            self._complete(item, page, UnwantedPage if whole else UnusableYield)
        return item

    def values(self, scope: Scope, page: Page) -> dict[str, Any]:
        """What a page hands on: as `item`, but always complete."""
        return self.item(scope, page, empty_ok=True)

    def _complete(self, item: dict[str, Any], page: Page, lacking: type[UnusableYield]) -> None:
        for field in self._completed:
            value = item[field.name]
            if field.read is None:
                value = page.data.get(field.data) if field.data is not None else field.value
            if is_empty(value):
                if field.required:
                    raise field.place.unusable(f"required, but {_what_stands_there(item[field.name])}", lacking)
                value = value if field.default is None else field.default
            item[field.name] = value


def _what_stands_there(value: Any) -> str:
    return "the page has nothing that fits" if value is None else "it is empty"


def fields_of(tables: Mapping[str, Table], key: str, places: Callable[[str], Place]) -> Fields:
    """The fields of a checked table of fields at `key`."""
    return Fields([field_of(name, table, f"{key}.{shown_key((name,))}", places) for name, table in tables.items()])


def field_of(name: str, table: Table, key: str, places: Callable[[str], Place]) -> Field:
    """A checked field in its long form."""
    return Field(
        name,
        places(key),
        None if "data" in table or "value" in table else _reader(table, key, places),
        table.get("data"),
        table.get("value"),
        table.get("default"),
        table.get("required", False),
    )


def _reader(table: Table, key: str, places: Callable[[str], Place]) -> Read:
    if "rows" in table:
        rows, fields = table["rows"], fields_of(table["fields"], f"{key}.fields", places)
        return lambda scope, page: [fields.item(row, page, empty_ok=False) for row in scope.each(rows)]
    convert = _conversion(table)
    attribute = table.get("attribute")
    if "first" in table:
        selector = table["first"]
        if convert is None and attribute is None:
            return lambda scope, page: scope.first(selector)
        return lambda scope, page: next(iter(_converted(scope, selector, attribute, convert, page)), None)
    selector, between = table["all"], table.get("joined")
    if between is not None:
        return lambda scope, page: (
            between.join(map(_text, _converted(scope, selector, attribute, convert, page))) or None
        )
    if convert is None and attribute is None:
        return lambda scope, page: scope.all(selector)
    return lambda scope, page: list(_converted(scope, selector, attribute, convert, page))


def _converted(
    scope: Scope, selector: str, attribute: str | None, convert: Convert | None, page: Page
) -> Iterable[Any]:
    """All matches, converted; what does not fit is left out."""
    found = scope.all(selector) if attribute is None else _attributes(scope, selector, attribute)
    if convert is None:
        return found
    return (made for one in found if (made := convert(one, page)) is not None)


def _attributes(scope: Any, selector: str, attribute: str) -> list[str]:
    found = scope.select(selector)
    for match in found:
        if not hasattr(match, "get"):
            raise ValueError(f"{selector!r} finds text, and an attribute needs elements: leave `attribute` out")
    return [str(match.get(attribute)) for match in found if match.get(attribute) is not None]


def _conversion(table: Table) -> Convert | None:
    """The steps from what a selector finds to a value, in their fixed order; None if there is none."""
    steps: list[Convert] = []
    if "regex" in table:
        match = matcher(table["regex"])
        steps.append(lambda found, page: match(_text(found)))
    if table.get("strip"):
        steps.append(lambda found, page: found.strip() if isinstance(found, str) else found)
    if table.get("number"):
        decimal = "," if table["number"] == "," else "."
        steps.append(lambda found, page: _number(found, decimal))
    if table.get("date"):
        form = table["date"] if isinstance(table["date"], str) else None
        steps.append(lambda found, page: date_in(_text(found), form))
    if table.get("absolute"):
        steps.append(_absolute)
    if not steps:
        return None

    def convert(found: Any, page: Page) -> Any:
        for step in steps:
            if found is None:
                return None
            found = step(found, page)
        return found

    return convert


def _number(found: Any, decimal: str) -> Any:
    is_number = isinstance(found, int | float) and not isinstance(found, bool)
    return found if is_number else number_in(_text(found), decimal)


def _absolute(found: Any, page: Page) -> str | None:
    try:
        return page.join(_text(found).strip() or None)
    except ValueError:  # no page can be there
        return None


def _text(found: Any) -> str:
    """What a selector finds as text; only JSON has anything but texts."""
    return found if isinstance(found, str) else "" if isinstance(found, dict | list) else str(found)
