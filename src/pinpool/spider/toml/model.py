"""
The shape of a TOML spider: its tables, keys and types. Loaded in the parent only: pydantic is too heavy for workers.

What types cannot say, such as selectors and stages that belong together, is checked by `rules`.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.fields import FieldInfo

from pinpool.settings import SETTINGS
from pinpool.spider.toml.forms import field_table, form_table, link_tables, seed_tables
from pinpool.spider.toml.keys import KeyPath

#: What a key that the file leaves out is, for pydantic; nobody reads it.
ABSENT: Any = None


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        for part in value.values():
            _plain(part)
    elif isinstance(value, list):
        for part in value:
            _plain(part)
    elif not isinstance(value, str | bool | int | float):
        raise ValueError(f"holds a {type(value).__name__}, which JSON does not have; write it as text")
    elif value != value or value in (float("inf"), float("-inf")):
        raise ValueError("holds nan or inf, which JSON does not have")
    return value


def _number_rule(value: Any) -> Any:
    if not isinstance(value, bool) and value not in (".", ","):
        raise ValueError('is true, or the mark before the decimals: "." or ","')
    return value


def _date_rule(value: Any) -> Any:
    if not isinstance(value, bool | str):
        raise ValueError('is true, or a format such as "%d.%m.%Y"')
    return value


Plain = Annotated[Any, AfterValidator(_plain), WithJsonSchema({})]
NumberRule = Annotated[Any, AfterValidator(_number_rule), WithJsonSchema({"enum": [True, False, ".", ","]})]
DateRule = Annotated[Any, AfterValidator(_date_rule), WithJsonSchema({"type": ["boolean", "string"]})]
Text = Annotated[str, Field(min_length=1)]
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class Table(BaseModel):
    """A table whose keys are all known, and whose values have their types already: a number is not a text."""

    model_config = ConfigDict(extra="forbid", strict=True)


class FieldTable(Table):
    """A field of an item. Text alone is `first`."""

    first: Text = Field(ABSENT, description="selector; the first match as text")
    all: Text = Field(ABSENT, description="selector; all matches as a list of texts")
    rows: Text = Field(ABSENT, description="selector; a table of fields for each match, see `fields`")
    fields: "dict[str, ShortField]" = Field(ABSENT, description="fields of each of the `rows`")
    data: Text = Field(ABSENT, description="name of a value that an earlier page handed on")
    value: Plain = Field(ABSENT, description="a fixed value")
    attribute: Text = Field(ABSENT, description="attribute of the elements found, in place of their text")
    regex: Text = Field(ABSENT, description="regular expression; the match, or its first group; matches only count")
    strip: bool = Field(ABSENT, description="cut white space off both ends")
    number: NumberRule = Field(ABSENT, description='first number in the text; "," says that the comma is decimal')
    date: DateRule = Field(ABSENT, description="date as ISO 8601; true for ISO and feeds, else a strptime format")
    absolute: bool = Field(ABSENT, description="a link as a whole URL")
    joined: str = Field(ABSENT, description="with `all`: one text, with this between the matches")
    default: Plain = Field(ABSENT, description="in place of an empty value")
    required: bool = Field(ABSENT, description="a page without a value is a block page; a row without one is an error")


ShortField = Annotated[FieldTable, BeforeValidator(field_table)]
FormField = Annotated[FieldTable, BeforeValidator(form_table)]
FieldTable.model_rebuild()  # now that its fields are known


class LinkTable(Table):
    """Pages to ask for. Text alone is `find`."""

    find: Text = Field(description="selector of the links, or of values for `url`, `form` and `json`")
    rows: Text = Field(ABSENT, description="selector; `find`, `data` and `form` are asked of each match")
    url: Text = Field(ABSENT, description="URL, in which {} stands for what was found")
    method: Method = Field(ABSENT, description="GET, or POST if there is a form or JSON")
    form: dict[str, FormField] = Field(ABSENT, description="form to send; {} stands for what was found")
    json_: Plain = Field(ABSENT, alias="json", description="JSON to send; {} stands for what was found")
    headers: dict[str, str] = Field(ABSENT, description="headers of these requests")
    data: dict[str, ShortField] = Field(ABSENT, description="fields that are handed on to these pages")


Links = Annotated[list[LinkTable], BeforeValidator(link_tables)]


class FileTable(Table):
    """Files to download. Text alone is `find`."""

    find: Text = Field(description="selector of the links, or of values for `url`")
    rows: Text = Field(ABSENT, description="selector; `find` and `data` are asked of each match")
    url: Text = Field(ABSENT, description="URL, in which {} stands for what was found")
    type: Text = Field(ABSENT, description="content type that the files must have, such as application/pdf or image/*")
    headers: dict[str, str] = Field(ABSENT, description="headers of these requests")
    data: dict[str, ShortField] = Field(ABSENT, description="further fields of the items of these files")


Files = Annotated[list[FileTable], BeforeValidator(link_tables)]


class StageTable(Table):
    """A kind of page: its items, and what it asks for."""

    json_: bool = Field(ABSENT, alias="json", description="the pages are JSON, and selectors are JMESPath")
    url: bool = Field(ABSENT, description="false: items do not begin with the URL of their page")
    rows: Text = Field(ABSENT, description="selector; an item for each match, in place of one a page")
    fields: dict[str, ShortField] = Field(ABSENT, description="fields of the items")
    details: Links = Field(ABSENT, description="links to pages of the stage `detail`")
    more: Links = Field(ABSENT, description="links to further pages of this stage")
    links: dict[str, Links] = Field(ABSENT, description="links to pages of other stages, by the name of the stage")
    files: Files = Field(ABSENT, description="files to download")


class SeedTable(Table):
    """A page to start from. Text alone is `url`."""

    url: Text = Field(ABSENT, description="URL; {1..10} stands for each number, {a,b} for each word")
    file: Text = Field(ABSENT, description="file of URLs, one a line, beside this one")
    stage: Text = Field(ABSENT, description="stage of the page")
    method: Method = Field(ABSENT, description="GET, or POST if there is a form or JSON")
    form: dict[str, Plain] = Field(ABSENT, description="form to send; {1..10} stands for each number")
    json_: Plain = Field(ABSENT, alias="json", description="JSON to send; {1..10} stands for each number")
    headers: dict[str, str] = Field(ABSENT, description="headers of this request")
    data: dict[str, Plain] = Field(ABSENT, description="values that are handed on to the page")


Seeds = Annotated[list[SeedTable], BeforeValidator(seed_tables)]
_TEXTS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
_STATUSES = {"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "integer"}}]}


class BanTable(Table):
    """What a block page looks like."""

    status: Annotated[Any, WithJsonSchema(_STATUSES)] = Field(ABSENT, description="statuses of a block page")
    text: Annotated[Any, WithJsonSchema(_TEXTS)] = Field(ABSENT, description="texts of a block page, in any case")
    selector: Annotated[Any, WithJsonSchema(_TEXTS)] = Field(ABSENT, description="selectors that find a block page")


_SETTINGS = {
    "type": "object",
    "additionalProperties": False,
    "properties": {name: {"description": declared["help"]} for name, declared in SETTINGS.items()},
}


class SpiderFile(Table):
    """A spider of pinpool, without code."""

    name: str = Field(ABSENT, description="name of the spider and its journal; that of the file, if left out")
    seeds: Seeds = Field(ABSENT, description="pages to start from")
    headers: dict[str, str] = Field(ABSENT, description="headers of every request")
    index: StageTable = Field(ABSENT, description="list pages")
    detail: StageTable = Field(ABSENT, description="the pages behind them")
    stages: dict[str, StageTable] = Field(ABSENT, description="further kinds of pages, by name")
    ban: BanTable = Field(ABSENT, description="what a block page looks like")
    settings: Annotated[dict[str, Any], WithJsonSchema(_SETTINGS)] = Field(ABSENT, description="settings of the run")


def keys_at(path: KeyPath) -> list[str]:
    """The keys that the table at `path` may have; empty if it may have any."""
    found: Any = SpiderFile
    for part in path:
        found = _inside(found, part)
    return list(_keys_of(found)) if _is_table(found) else []


def schema() -> dict[str, Any]:
    """The JSON Schema of the file, for editors."""
    made: dict[str, Any] = _with_short_forms(SpiderFile.model_json_schema(by_alias=True))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def _inside(annotation: Any, part: str | int) -> Any:
    """The type of what stands at `part` of a table or list."""
    if _is_table(annotation):
        field = _keys_of(annotation).get(str(part))
        return _bare(field.annotation) if field is not None else None
    # A list, or a table with keys of the user's choice: what stands in it comes last in its type.
    return _bare(getattr(annotation, "__args__", (None,))[-1])


def _bare(annotation: Any) -> Any:
    return annotation.__origin__ if hasattr(annotation, "__metadata__") else annotation


def _is_table(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Table)


def _keys_of(table: type[Table]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in table.model_fields.items()}


def _with_short_forms(part: Any) -> Any:
    """The schema with the short forms of `forms`, and without the defaults that no file has."""
    if isinstance(part, list):
        return [_with_short_forms(one) for one in part]
    if not isinstance(part, dict):
        return part
    ref = part.get("$ref", "").rpartition("/")[2]
    if ref == "FieldTable":
        return {"anyOf": [{"type": ["string", "number"]}, part]}
    made = {
        # In these, the keys are names of the file's own.
        key: {name: _with_short_forms(one) for name, one in value.items()}
        if key in ("properties", "$defs")
        else _with_short_forms(value)
        for key, value in part.items()
        if key not in ("title", "default")
    }
    listed = made.get("items", {}).get("$ref", "") if made.get("type") == "array" else ""
    if listed.endswith(("/LinkTable", "/FileTable", "/SeedTable")):
        one = {"anyOf": [{"type": "string"}, made.pop("items")]}
        made.pop("type")
        made["anyOf"] = [*one["anyOf"], {"type": "array", "items": one}]
    return made
