"""The seeds of a TOML spider: URLs with ranges, tables for requests with a form or JSON, and files of URLs."""

import re
from collections.abc import Iterator, Mapping
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

from pinpool.errors import SpiderError, UsageError
from pinpool.model import Task
from pinpool.spider.seeds import read_seeds
from pinpool.spider.toml import forms
from pinpool.spider.toml.keys import KeyPath, known_part, shown_key
from pinpool.spider.user_errors import shown_file
from pinpool.tasks import request

MAX_SEEDS = 10_000_000
_NUMBERS = r"\{(\d{1,9})\.\.(\d{1,9})\}"
_RANGE = re.compile(_NUMBERS, re.ASCII)
_RANGE_OR_WORDS = re.compile(_NUMBERS + r"|\{([^{},\s]*(?:,[^{},\s]*)+)\}", re.ASCII)


def seeds_in_file(
    document: Mapping[str, Any], lines: Mapping[KeyPath, int], folder: Path, where: str, first_stage: str
) -> list[str | Task]:
    """
    The seeds of a checked file. `where` is its name, `folder` the one that it lies in, and `first_stage` that of a
    seed that names none.

    Raises SpiderError with each seed that cannot be used, or if there is none.
    """
    found: list[str | Task] = []
    problems: list[str] = []
    for path, seed in forms.seeds_in(document):
        known = known_part(path, lines)
        place = f"{where}:{lines.get(known, 1)}: {shown_key(known)}"
        stage = seed.get("stage", first_stage)
        try:
            if "file" in seed:
                source = shown_file(str(folder / seed["file"]))
                found += read_seeds(source if source != "-" else "./-", stage, asked_by=place)  # - would be stdin
            else:
                found += _expanded(seed, stage)
        except UsageError as error:
            problems += error.problems
        except ValueError as error:
            problems.append(f"{place}: {error}")
        if len(found) > MAX_SEEDS:
            problems.append(f"{place}: more than {MAX_SEEDS:,} seeds")
            break
    if not found and not problems:
        problems.append(f'{where}: there are no seeds: write seeds = ["https://..."], or name a file with --seeds')
    if problems:
        raise SpiderError(problems)
    return found


def _expanded(seed: Mapping[str, Any], stage: str) -> Iterator[Task]:
    """A task for each way to choose from all ranges. Raises ValueError."""
    sent = {key: seed[key] for key in ("form", "json") if key in seed}
    texts = [*_texts(sent)]
    choices = [expand(seed["url"], words=True), *(expand(text) for text in texts)]
    if prod(map(len, choices)) > MAX_SEEDS:
        raise ValueError(f"its ranges make more than {MAX_SEEDS:,} seeds")
    others = {key: seed[key] for key in ("method", "headers", "data") if key in seed}
    for url, *chosen in product(*choices):
        values = iter(chosen)
        yield request(url, stage=stage, **{key: _with(value, values) for key, value in sent.items()}, **others)


def expand(text: str, *, words: bool = False) -> list[str]:
    """
    The texts that `text` stands for: ``{1..10}`` is each number, ``{01..10}`` pads them, and with `words` ``{a,b}`` is
    each word. Raises ValueError for a range that runs backwards or is too long.
    """
    parts: list[list[str]] = []
    end = 0
    for found in (_RANGE_OR_WORDS if words else _RANGE).finditer(text):
        parts += [[text[end : found.start()]], _choices(found)]
        end = found.end()
    if prod(map(len, parts)) > MAX_SEEDS:
        raise ValueError(f"its ranges make more than {MAX_SEEDS:,} seeds")
    return ["".join(chosen) for chosen in product(*parts, [text[end:]])]


def _choices(found: re.Match[str]) -> list[str]:
    first, last = found[1], found[2]
    if first is None:
        return found[3].split(",")
    if int(last) < int(first):
        raise ValueError(f"{found[0]} runs backwards: write the smaller number first")
    if int(last) - int(first) >= MAX_SEEDS:
        raise ValueError(f"{found[0]} makes more than {MAX_SEEDS:,} seeds")
    padded = any(bound[0] == "0" and len(bound) > 1 for bound in (first, last))
    width = max(len(first), len(last)) if padded else 0
    return [str(number).zfill(width) for number in range(int(first), int(last) + 1)]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


def _with(value: Any, texts: Iterator[str]) -> Any:
    """`value` with each of its texts replaced by the next of `texts`, in the order of `_texts`."""
    if isinstance(value, str):
        return next(texts)
    if isinstance(value, dict):
        return {key: _with(part, texts) for key, part in value.items()}
    return [_with(part, texts) for part in value] if isinstance(value, list) else value
