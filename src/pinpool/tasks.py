"""Makes tasks: a URL, a stage, perhaps a form."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from hashlib import blake2b
from json import dumps
from os import PathLike
from typing import Any
from urllib.parse import quote_plus

from pinpool.model import FILE_STAGE, Task
from pinpool.settings.values import media_type
from pinpool.text import shown_url
from pinpool.urls import canonical_url, clean_url, header_problems

Form = Mapping[str, object] | Sequence[tuple[str, object]]

MAX_DATA = 1_000_000  # bytes of JSON that one task may carry

_SURROGATE = re.compile(r"[\ud800-\udfff]")
_LINE_END = re.compile(r"\r\n?|\n")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def request(
    url: str,
    *,
    stage: str = "index",
    method: str | None = None,
    form: Form | None = None,
    json: object = None,
    body: bytes | str | None = None,
    headers: Mapping[str, str] | None = None,
    data: Mapping[str, object] | None = None,
    query_encoding: str = "utf-8",
) -> Task:
    """
    A task that requests `url` for a stage.

    Give at most one of `form`, `json` and `body`; the method is then POST unless `method` says otherwise. A field of a
    form is text, bytes or a number, or a list of these; without a value (None) it is left out. Browsers send forms and
    queries in the encoding of the page; `query_encoding` is Python's name of it. A `body` of text is sent as UTF-8.
    `data` is handed on to the page, as `page.data`. Tasks with the same stage, method, URL (its
    query in any order) and body have the same key, and are requested once; headers and data do not count.

    Raises ValueError that names the URL and what is wrong.
    """
    cleaned = clean_url(url, query_encoding)
    if not isinstance(stage, str):
        named = getattr(stage, "__name__", type(stage).__name__)
        raise ValueError(f'{shown_url(cleaned)}: the stage is given by its name, not as {named}: write stage="NAME"')
    if not stage or not stage.isprintable():
        raise ValueError(f"{shown_url(cleaned)}: {stage!r} is not a stage name")
    content, kind = None, None
    if form is not None or json is not None or body is not None:
        content, kind = _content(cleaned, form, json, body, query_encoding)
    verb = (method or ("GET" if content is None else "POST")).upper()
    if verb not in _METHODS:
        raise ValueError(f"{shown_url(cleaned)}: the method {method!r} is not one of {', '.join(_METHODS)}")
    if content is not None and verb in ("GET", "HEAD"):
        raise ValueError(f"{shown_url(cleaned)}: a {verb} request has no body; put the values into the URL")
    sent = dict(headers) if headers else {}
    if sent and (problems := header_problems(sent)):
        raise ValueError(f"{shown_url(cleaned)}: {'; '.join(problems)}")
    if kind and not any(name.lower() == "content-type" for name in sent):
        sent["Content-Type"] = kind
    return Task(
        stage=stage,
        url=cleaned,
        key=_key(stage, verb, cleaned, content),
        method=verb,
        body=content,
        headers=tuple(sent.items()),
        data=_data(cleaned, data) if data else None,
    )


def file_task(
    url: str,
    name: str | None = None,
    *,
    type: str | None = None,
    headers: Mapping[str, str] | None = None,
    data: Mapping[str, object] | None = None,
) -> Task:
    """
    A task that downloads the file at `url`.

    `name` is the name that it should have, made safe and unique later; without it the site or the URL names it. `type`
    is the content type that it must have, such as ``application/pdf`` or ``image/*``. `data` are further fields of
    its item. One URL is downloaded once, whatever it is to be called.

    Raises ValueError that names the URL and what is wrong.
    """
    if name is not None and not isinstance(name, str):
        raise ValueError(f"{shown_url(clean_url(url))}: the name is {name.__class__.__name__}, not text")
    try:
        wanted = media_type(type) if type is not None else None
    except ValueError as error:
        raise ValueError(f"{shown_url(clean_url(url))}: type: {error}") from None
    kept = {"name": name, "type": wanted, "data": dict(data) if data else None}
    kept = {key: value for key, value in kept.items() if value}
    return request(url, stage=FILE_STAGE, headers=headers, data=kept)


def _content(
    url: str, form: Form | None, json: object, body: bytes | str | None, encoding: str
) -> tuple[bytes | None, str | None]:
    given = [name for name, value in (("form", form), ("json", json), ("body", body)) if value is not None]
    if len(given) > 1:
        raise ValueError(f"{shown_url(url)}: give only one of {' and '.join(given)}")
    if form is not None:
        try:
            return _form(form, encoding), "application/x-www-form-urlencoded"
        except (TypeError, ValueError) as error:
            raise ValueError(f"{shown_url(url)}: form cannot be sent: {error}") from None
    if json is not None:
        return _json(url, "json", json).encode("ascii"), "application/json"
    if body is None or isinstance(body, bytes):
        return body, None
    if isinstance(body, str):
        return body.encode("utf-8", "replace"), None
    raise ValueError(f"{shown_url(url)}: body is {type(body).__name__}, not bytes or text")


def _form(form: Form, encoding: str) -> bytes:
    """The form as a browser writes it (URL Standard, 5.2; HTML Standard, 4.10.21)."""
    fields: Iterable[Any] = form.items() if isinstance(form, Mapping) else form
    sent = []
    for field in fields:
        if not isinstance(field, tuple | list) or len(field) != 2:
            raise ValueError(f"it is {type(form).__name__}, not a mapping or a list of pairs")
        name, given = field
        values = given if isinstance(given, list | tuple | set | frozenset) else (given,)
        written = _written(name, name, encoding)
        sent += [f"{written}={_written(name, value, encoding)}" for value in values if value is not None]
    return "&".join(sent).encode("ascii")


def _written(name: object, value: object, encoding: str) -> str:
    if isinstance(value, bytes):
        text = value
    elif isinstance(value, str | int | float | Decimal | date | time):
        # Line ends are CR LF in a form. What the encoding lacks is sent as a reference, &#20140;.
        lines = _LINE_END.sub("\r\n", _SURROGATE.sub("\ufffd", str(value)))
        text = lines.encode(encoding, "xmlcharrefreplace")
    elif hasattr(value, "read") or isinstance(value, PathLike):
        raise ValueError(f"field {name!r} is a file, and files are not sent; a form has only text")
    else:
        raise ValueError(f"field {name!r} is {type(value).__name__}, not text or a number")
    return quote_plus(text, safe="*").replace("~", "%7E")


def _data(url: str, data: Mapping[str, object]) -> str:
    if not isinstance(data, Mapping):
        raise ValueError(f"{shown_url(url)}: data is {type(data).__name__}, not a mapping")
    text = _json(url, "data", dict(data))
    if len(text) > MAX_DATA:
        raise ValueError(f"{shown_url(url)}: data is {len(text):,} bytes of JSON, above {MAX_DATA:,}")
    return text


def _json(url: str, name: str, value: object) -> str:
    try:
        return dumps(value, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{shown_url(url)}: {name} cannot be written as JSON: {error}") from None


def _key(stage: str, method: str, url: str, body: bytes | None) -> bytes:
    head = "\0".join((stage, method, canonical_url(url), ""))
    return blake2b(head.encode("utf-8") + (body or b""), digest_size=16).digest()
