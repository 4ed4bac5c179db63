"""Makes tasks: a URL, a stage, perhaps a form."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from json import dumps
from urllib.parse import urlencode

from pinpool.model import Task
from pinpool.text import shown_url
from pinpool.urls import canonical_url, clean_url, header_problems

Form = Mapping[str, object] | Sequence[tuple[str, object]]

MAX_DATA = 1_000_000  # bytes of JSON that one task may carry

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

    Give at most one of `form`, `json` and `body`; the method is then POST unless `method` says otherwise. A `body` of
    text is sent as UTF-8. `data` is handed on to the page, as `page.data`. Tasks with the same stage, method, URL (its
    query in any order) and body have the same key, and are requested once; headers and data do not count.

    Raises ValueError that names the URL and what is wrong.
    """
    cleaned = clean_url(url, query_encoding)
    if not stage or not stage.isprintable():
        raise ValueError(f"{shown_url(cleaned)}: {stage!r} is not a stage name")
    content, kind = None, None
    if form is not None or json is not None or body is not None:
        content, kind = _content(cleaned, form, json, body)
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


def _content(url: str, form: Form | None, json: object, body: bytes | str | None) -> tuple[bytes | None, str | None]:
    given = [name for name, value in (("form", form), ("json", json), ("body", body)) if value is not None]
    if len(given) > 1:
        raise ValueError(f"{shown_url(url)}: give only one of {' and '.join(given)}")
    if form is not None:
        try:
            return urlencode(form, doseq=True).encode("ascii"), "application/x-www-form-urlencoded"
        except (TypeError, UnicodeEncodeError) as error:
            raise ValueError(f"{shown_url(url)}: form cannot be sent: {error}") from None
    if json is not None:
        return _json(url, "json", json).encode("ascii"), "application/json"
    if body is None or isinstance(body, bytes):
        return body, None
    if isinstance(body, str):
        return body.encode("utf-8", "replace"), None
    raise ValueError(f"{shown_url(url)}: body is {type(body).__name__}, not bytes or text")


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
