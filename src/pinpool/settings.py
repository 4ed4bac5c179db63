"""Settings from a spider's keywords, a recipe's table, or ``-s KEY=VALUE``: every fault is found at once."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from pinpool.errors import SettingsError
from pinpool.selectors import checked
from pinpool.text import shown_path
from pinpool.urls import header_problems

#: The settings by which a crawl judges and waits. An event stores them, so that `tune --from` need not load the spider.
RULES = ("pace", "site_rate", "attempts", "swap_after", "cooling")

_DAY = 86_400.0
_WORDS = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}
_NEXT_HEADER = re.compile(r"\n|,\s*(?=[\w-]+:\s)")
_READABLE = frozenset({"gzip", "x-gzip", "deflate", "identity"})

Parser = Callable[[object], object]


@dataclass(frozen=True, slots=True)
class Settings:
    """
    Everything a spider or the command line may set. Durations are seconds, sizes bytes.

    The defaults are the design's: connect 5 s, read 15 s, page 45 s, and 15 s more before a hung worker is killed.
    """

    pace: float = 0.0  # between two requests of one proxy, from hand to hand; jittered by a quarter
    site_rate: float | None = None  # requests a second, over all workers
    attempts: int = 4  # charged attempts before a task is given up
    swap_after: int = 3  # doubtful faults in a row before a worker swaps
    connect_timeout: float = 5.0
    timeout: float = 15.0  # longest silence while reading
    deadline: float = 45.0  # the whole page, extraction included
    grace: float = 15.0  # beyond the deadline, before the worker is killed
    site_patience: float = 3600.0  # how long the whole site may be silent before the run stops, to be resumed
    cooling: float = 30.0  # first rest of a faulted proxy; doubles each time
    max_body: int = 5_000_000  # after decompression
    max_redirects: int = 10
    headers: Mapping[str, str] = field(default_factory=dict)
    profiles: tuple[Mapping[str, str], ...] = ()  # each new pin draws one; its headers go over `headers`
    robots: bool = False  # ask robots.txt, and leave alone what it forbids
    ban_status: tuple[int, ...] = (403, 429)
    ban_text: tuple[str, ...] = ()  # any of them in the page's text, in whatever case, makes it a block page
    ban_selector: tuple[str, ...] = ()  # XPath or CSS; what any of them finds makes it a block page
    empty_ok: bool = False  # a page that yields nothing is believed at once
    encoding: str | None = None  # overrules what the site declares
    ca_bundle: str | None = None  # PEM file of certificate authorities instead of the shipped ones


def settings_from(mapping: Mapping[str, object], base: Settings | None = None) -> Settings:
    """
    `base` (or the defaults) with the values of `mapping` in place of its own; headers are added to those it has.

    A value may have its own type, or be text as the command line gives it: a number, ``yes`` or ``no``, a list
    with commas, ``none`` where nothing may be set, headers as ``Name: value, Name: value`` or one a line, texts,
    selectors and profiles one a line.

    Raises SettingsError with one problem for each unknown name (and what was perhaps meant) and each bad value.
    """
    base = base or Settings()
    problems: list[str] = []
    values: dict[str, object] = {}
    for name, value in mapping.items():
        parse = _PARSERS.get(name)
        if parse is None:
            near = get_close_matches(name, _PARSERS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(_PARSERS)}"
            problems.append(f"{name}: no such setting; {hint}")
            continue
        try:
            values[name] = parse(value)
        except ValueError as error:
            problems.append(f"{name}: {error}")
    if problems:
        raise SettingsError(problems)
    if "headers" in values:
        values["headers"] = _joined(base.headers, values["headers"])
    return replace(base, **values)  # type: ignore[arg-type]  # the table's parsers return what the fields hold


def pairs(texts: Iterable[str]) -> dict[str, str]:
    """Settings from ``KEY=VALUE``, not checked otherwise. Raises SettingsError with every text that is none."""
    split = [(text, *text.partition("=")) for text in texts]
    if wrong := [text for text, name, equals, _ in split if not equals or not name.strip().isidentifier()]:
        raise SettingsError([f"-s: {shown_path(text)!r} is not KEY=VALUE" for text in wrong])
    return {name.strip(): value for _, name, _, value in split}


def _number(low: float, high: float, *, above: bool = False) -> Parser:
    def parse(value: object) -> float:
        try:
            number = (
                float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else None
            )
        except (ValueError, OverflowError):
            number = None
        if number is None or math.isnan(number):
            raise ValueError(f"{_shown(value)} is no number")
        if not low <= number <= high or (above and number == low):
            raise ValueError(
                f"{_shown(value)} is not {'above' if above else 'from'} {low:g}{_upto(high, above)}"
            )
        return number

    return parse


def _whole(low: int, high: int) -> Parser:
    def parse(value: object) -> int:
        if isinstance(value, str):
            try:
                value = int(value)
            except ValueError:
                raise ValueError(f"{_shown(value)} is no whole number") from None
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"{_shown(value)} is no whole number")
        if not low <= value <= high:
            raise ValueError(f"{_shown(value)} is not from {low} to {high}")
        return value

    return parse


def _optional(parse: Parser) -> Parser:
    def parse_or_none(value: object) -> object:
        if value is None or (isinstance(value, str) and value.strip().lower() in ("", "none")):
            return None
        return parse(value)

    return parse_or_none


def _yes_or_no(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in _WORDS:
        return _WORDS[value.strip().lower()]
    raise ValueError(f"{_shown(value)} is neither yes nor no")


def _statuses(value: object) -> tuple[int, ...]:
    if isinstance(value, str):
        value = [part for part in value.split(",") if part.strip()]
    elif isinstance(value, int):
        value = [value]
    if not isinstance(value, Iterable):
        raise ValueError(f"{_shown(value)} is no list of statuses such as 403,429")
    status = _whole(100, 599)
    return tuple(int(str(status(part))) for part in value)


def _headers(value: object) -> dict[str, str]:
    if isinstance(value, str):
        value = _NEXT_HEADER.split(value)
    if isinstance(value, Mapping):
        headers = dict(value)
    elif isinstance(value, list | tuple) and all(isinstance(line, str) for line in value):
        headers = {}
        for line in filter(str.strip, value):
            name, colon, content = line.partition(":")
            if not colon:
                raise ValueError("a header is written Name: value")
            headers[name.strip()] = content.strip()
    else:
        raise ValueError(f"{type(value).__name__} is no mapping of names to values")
    problems = header_problems(headers)
    for name, content in headers.items():
        if str(name).lower() == "accept-encoding" and (unread := _unreadable(content)):
            # Copied from a browser, for instance: every page would come as something that nobody here reads.
            problems.append(f"{name} asks for {unread}; pinpool reads gzip and deflate")
    if problems:
        raise ValueError("; ".join(problems))
    return headers


def _unreadable(accepted: object) -> str:
    """The content codings among the accepted ones that are not read here."""
    codings = [part.partition(";")[0].strip().lower() for part in str(accepted).split(",")]
    return ", ".join(coding for coding in codings if coding and coding not in _READABLE)


def _profiles(value: object) -> tuple[dict[str, str], ...]:
    if isinstance(value, Mapping):
        raise ValueError("it is a list of profiles; put [ and ] around the one")
    profiles, problems = [], []
    for number, one in enumerate(_lines(value, "profiles"), 1):
        try:
            profiles.append(_headers(one))
        except ValueError as error:
            problems.append(f"profile {number}: {error}")
    if problems:
        raise ValueError("; ".join(problems))
    return tuple(profiles)


def _texts(value: object) -> tuple[str, ...]:
    found = _lines(value, "texts")
    for text in found:
        if not isinstance(text, str):
            raise ValueError(f"{type(text).__name__} is no text")
        if not text.strip():
            raise ValueError("an empty text would be found in every page")
    return tuple(str(text) for text in found)


def _selectors(value: object) -> tuple[str, ...]:
    problems = []
    for selector in (found := _texts(value)):
        try:
            checked(selector)
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ValueError("; ".join(problems))
    return found


def _lines(value: object, what: str) -> list[object]:
    """One value or several: a list, or text with one a line, of which the blank ones do not count."""
    if isinstance(value, str):
        return (
            [] if value.strip().lower() == "none" else [line for line in value.splitlines() if line.strip()]
        )
    if isinstance(value, list | tuple):
        return list(value)
    raise ValueError(f"{type(value).__name__} is no list of {what}")


def _joined(old: Mapping[str, str], new: object) -> dict[str, str]:
    assert isinstance(new, dict)
    taken = {name.lower() for name in new}
    return {name: value for name, value in old.items() if name.lower() not in taken} | new


def _encoding(value: object) -> str:
    if isinstance(value, str):
        try:
            # Some codecs turn bytes into bytes, or refuse to replace what they cannot read.
            b"\xff".decode(value, "replace")
            return value
        except (LookupError, ValueError):
            pass
    raise ValueError(f"{_shown(value)} is no encoding that Python knows")


def _text(value: object) -> str:
    if isinstance(value, str) and value.isprintable():
        return value
    raise ValueError(f"{_shown(value)} is no text")


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, str | int | float | None) else type(value).__name__
    if "@" in text:
        return "a value with an @ in it"  # a proxy in the wrong place, perhaps, with its password
    return text if len(text) <= 60 else text[:59] + "…"


def _upto(high: float, above: bool) -> str:
    return f"{' and at most' if above else ' to'} {high:g}"


_PARSERS: dict[str, Parser] = {
    "pace": _number(0, _DAY),
    "site_rate": _optional(_number(0, 1e6, above=True)),
    "attempts": _whole(1, 1_000),
    "swap_after": _whole(1, 1_000),
    "connect_timeout": _number(0, _DAY, above=True),
    "timeout": _number(0, _DAY, above=True),
    "deadline": _number(0, _DAY, above=True),
    "grace": _number(0, _DAY),
    "site_patience": _number(0, 366 * _DAY),
    "cooling": _number(0, _DAY),
    "max_body": _whole(1, 2**40),
    "max_redirects": _whole(0, 1_000),
    "headers": _headers,
    "profiles": _profiles,
    "robots": _yes_or_no,
    "ban_status": _statuses,
    "ban_text": _texts,
    "ban_selector": _selectors,
    "empty_ok": _yes_or_no,
    "encoding": _optional(_encoding),
    "ca_bundle": _optional(_text),
}
