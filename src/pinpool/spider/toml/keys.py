"""Keys of a TOML file: the way to a value, and how a person reads it."""

import re
from collections.abc import Mapping

#: Keys and, in lists, numbers from 0 on.
KeyPath = tuple[str | int, ...]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def known_part(path: KeyPath, lines: Mapping[KeyPath, int]) -> KeyPath:
    """
    The longest part of `path` that the file has. A number is left out where the file has no list: one link may be
    written without brackets.
    """
    known: KeyPath = ()
    for part in path:
        if (*known, part) in lines:
            known = (*known, part)
        elif isinstance(part, str):
            break
    return known


def shown_key(path: KeyPath) -> str:
    """The path as a person writes it: ``index.details[2].find``; elements of a list are counted from 1."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part + 1}]"
        else:
            text += ("." if text else "") + (part if _BARE_KEY.fullmatch(part) else repr(part[:60]))
    return text
