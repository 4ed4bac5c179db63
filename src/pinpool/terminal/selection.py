"""What selectors find in a page, and what a spider has found, as lines for people. Pure."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, cast

from lxml import etree

from pinpool.model import Task
from pinpool.selectors import text_of
from pinpool.spider.items import is_empty
from pinpool.spider.page import Page
from pinpool.text import counted, cut, one_line

SHOWN_VALUES = 5
_LONGEST_TAG = 60
_LONGEST_EXTRA = 120


def selection_lines(page: Page, selector: str, width: int) -> tuple[bool, list[str]]:
    """
    Whether a selector finds something, and lines of at most `width` characters: how many matches, and the first ones.

    An element is shown by its start tag and its text. Raises ValueError if the selector cannot be used.
    """
    found = page.select(selector)
    lines = [f"{one_line(selector)}: {counted(len(found), 'match', 'matches') if found else 'no match'}"]
    lines += [cut(f"  {_shown(match)}", width) for match in found[:SHOWN_VALUES]]
    if len(found) > SHOWN_VALUES:
        lines.append(f"  ... and {len(found) - SHOWN_VALUES:,} more")
    return bool(found), lines


def field_lines(items: Sequence[str]) -> tuple[str, str]:
    """
    Which fields of the items have a value, and which have none in any item, a line each; empty if there are none.
    """
    filled: Counter[str] = Counter()
    for item in items:
        fields: dict[str, Any] = json.loads(item)
        filled.update({name: int(not is_empty(value)) for name, value in fields.items()})
    having = [_share(name, count, len(items)) for name, count in filled.items() if count]
    lacking = [one_line(name) for name, count in filled.items() if not count]
    return f"found: {', '.join(having)}" if having else "", f"not found: {', '.join(lacking)}" if lacking else ""


def task_line(task: Task) -> str:
    """A task as its stage, what is asked for, the form if it has one, and the data that is handed on."""
    line = f"{task.stage}: {task.method} {task.url}"
    if task.body is not None:
        line += f" with {cut(one_line(task.body.decode('utf-8', 'replace')), _LONGEST_EXTRA)}"
    if task.data:
        line += f", data {cut(one_line(json.dumps(json.loads(task.data), ensure_ascii=False)), _LONGEST_EXTRA)}"
    return line


def grouped(lines: Sequence[str], most: int) -> Iterator[str]:
    """The lines, equal ones once and counted; at most so many, then how many more there are."""
    counts = Counter(lines)
    for line in list(counts)[:most]:
        yield line if counts[line] == 1 else f"{line} ({counts[line]:,} times)"
    if len(counts) > most:
        yield f"... and {len(counts) - most:,} more"


def _share(name: str, count: int, items: int) -> str:
    return one_line(name) if count == items else f"{one_line(name)} ({count:,} of {items:,})"


def _shown(match: Any) -> str:
    if not isinstance(match, etree._Element) or not isinstance(match.tag, str):
        return one_line(text_of(match)) or "(empty text)"
    attributes = cast("dict[str, str]", dict(match.attrib))
    tag = " ".join([match.tag, *(f'{name}="{value}"' for name, value in attributes.items())])
    return f"{cut(f'<{one_line(tag)}>', _LONGEST_TAG)} {one_line(text_of(match))}".rstrip()
