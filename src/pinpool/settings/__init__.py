"""
Every setting, declared once: its default, its check, and the text for the manual and for the help of its option.

A spider gives settings by keyword, the command line by ``-s KEY=VALUE`` or by an option of the same name.
"""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from pinpool.errors import SettingsError
from pinpool.settings import values
from pinpool.settings.values import DAY, Check, number, optional, whole

T = TypeVar("T")

#: What other scrapers call it, and what to write here.
_ELSEWHERE = {
    "start_urls": "write seeds=[...]",
    "allowed_domains": "a spider follows the links that it yields; leave it out",
    "custom_settings": "give each setting by its own keyword",
    "download_delay": "did you mean pace?",
    "download_timeout": "did you mean timeout?",
    "retry_times": "did you mean attempts?",
    "robotstxt_obey": "did you mean robots?",
    "user_agent": 'write headers={"User-Agent": ...}',
    "concurrent_requests": "the number of workers is given by -w",
    "proxies": "the list of proxies is given by -p",
}

#: The settings by which a crawl judges and waits. An event stores them, so that `tune --from` need not load the spider.
RULES = ("pace", "site_rate", "attempts", "swap_after", "cooling")


def setting(default: T, check: Check[T], help: str, metavar: str = "VALUE") -> T:
    """Declare a field of `Settings`. `metavar` stands for its value in help."""
    declared = {"check": check, "help": help, "metavar": metavar}
    return field(default_factory=lambda: copy(default), metadata=declared)


_TIME, _SOME_TIME, _COUNT = number(0, DAY), number(0, DAY, above=True), whole(1, 1_000)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a spider or the command line may set. Durations are seconds, sizes bytes."""

    pace: float = setting(0.0, _TIME, "shortest time between two requests of one proxy, ±25 %", "S")
    site_rate: float | None = setting(
        None, optional(number(0, 1e6, above=True)), "most requests a second, over all workers", "N"
    )
    robots: bool = setting(
        False, values.yes_or_no, "ask robots.txt, leave alone what it forbids, keep to its Crawl-delay"
    )
    headers: Mapping[str, str] = setting({}, values.headers, "sent with every request; they replace our own")
    profiles: tuple[Mapping[str, str], ...] = setting(
        (), values.profiles, "sets of headers: each new pin draws one and keeps it; they go over `headers`"
    )
    ban_status: tuple[int, ...] = setting((403, 429), values.statuses, "statuses of a block page")
    ban_text: tuple[str, ...] = setting((), values.texts, "texts of a block page, in upper or lower case")
    ban_selector: tuple[str, ...] = setting((), values.selectors, "XPath or CSS that finds something on a block page")
    empty_ok: bool = setting(False, values.yes_or_no, "believe at once that a page yields nothing")
    attempts: int = setting(4, _COUNT, "failures charged to a task before it is given up", "N")
    swap_after: int = setting(3, _COUNT, "doubtful faults in a row before a worker swaps its proxy", "N")
    cooling: float = setting(30.0, _TIME, "first rest of a swapped proxy; doubles each time", "S")
    connect_timeout: float = setting(5.0, _SOME_TIME, "longest wait for a connection to the proxy", "S")
    timeout: float = setting(15.0, _SOME_TIME, "longest silence of an answer", "S")
    deadline: float = setting(45.0, _SOME_TIME, "longest time for a page, extraction included", "S")
    grace: float = setting(15.0, _TIME, "extra time for a hung worker before it is killed", "S")
    site_patience: float = setting(
        3600.0,
        number(0, 366 * DAY),
        "how long a run that has fetched pages waits for a silent site before it stops, to be resumed;"
        " one that never has ends within two minutes",
    )
    max_body: int = setting(5_000_000, whole(1, 2**40), "largest body of an answer, after decompression")
    files: str | None = setting(
        None,
        optional(values.text),
        "folder of downloaded files, relative to the journal's; none is the journal's name with .files",
        "DIR",
    )
    max_file: int = setting(4_000_000_000, whole(1, 2**50), "largest downloaded file", "BYTES")
    file_types: tuple[str, ...] = setting(
        (), values.media_types, "content types that a file may have, such as application/pdf or image/*"
    )
    file_speed: float = setting(
        10_000.0,
        number(0, 1e9, above=True),
        "slowest download, bytes a second: what has come so far divided by it is added to a file's `deadline`",
    )
    max_redirects: int = setting(10, whole(0, 1_000), "most redirects of one page")
    encoding: str | None = setting(None, optional(values.encoding), "in place of what the site declares")
    ca_bundle: str | None = setting(
        None, optional(values.text), "PEM file of certificate authorities, in place of the shipped ones"
    )
    threads: int = setting(1, whole(1, 100), "workers that share a process, as threads", "K")


#: What `setting` declares, by name.
SETTINGS: Mapping[str, Mapping[str, Any]] = {one.name: one.metadata for one in fields(Settings)}


def settings_from(mapping: Mapping[str, object], base: Settings | None = None) -> Settings:
    """
    `base` (or the defaults) with the values of `mapping` in place of its own; headers are added to those it has.

    A value may have its own type, or be text as the command line gives it: a number, ``yes`` or ``no``, a list
    with commas, ``none`` for no value, headers as ``Name: value, Name: value`` or one a line, texts,
    selectors and profiles one a line.

    Raises SettingsError with one problem for each unknown name (with a suggestion) and each bad value.
    """
    base = base or Settings()
    problems: list[str] = []
    checked: dict[str, Any] = {}
    for name, value in mapping.items():
        if (declared := SETTINGS.get(name)) is None:
            problems.append(f"{name}: no such setting; {_suggestion(name)}")
            continue
        try:
            checked[name] = declared["check"](value)
        except ValueError as error:
            problems.append(f"{name}: {error}")
    if problems:
        raise SettingsError(problems)
    if "headers" in checked:
        replaced = {name.lower() for name in checked["headers"]}
        kept = {name: value for name, value in base.headers.items() if name.lower() not in replaced}
        checked["headers"] = kept | checked["headers"]
    return replace(base, **checked)


def default_text(name: str) -> str:
    """The default as the command line takes it; empty for an empty list."""
    default = getattr(Settings(), name)
    if isinstance(default, bool):
        return "yes" if default else "no"
    if isinstance(default, tuple | dict):
        return ", ".join(map(str, default))
    return "none" if default is None else f"{default:.15g}" if isinstance(default, float) else str(default)


def manual_table() -> str:
    """The manual's table of all settings, in Markdown."""
    rows = [f"| `{name}` | {default_text(name)} | {SETTINGS[name]['help']} |" for name in SETTINGS]
    return "\n".join(["| setting | default | what it does |", "|---|---|---|", *rows])


def _suggestion(name: str) -> str:
    from difflib import get_close_matches

    if elsewhere := _ELSEWHERE.get(name.lower()):
        return elsewhere
    near = get_close_matches(name, SETTINGS, n=1)
    return f"did you mean {near[0]}?" if near else f"the settings are {', '.join(SETTINGS)}"
