"""The line of each key in a TOML file. The standard library's parser reports lines for broken files only."""

import re
import tomllib
from bisect import bisect_left
from contextlib import suppress

from pinpool.spider.toml.keys import KeyPath

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}'
    r"|'''(?:[^']|'{1,2}(?!'))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_OTHER_VALUE = re.compile(r"[^,\]}#\n]*")


def key_lines(text: str) -> dict[KeyPath, int]:
    """
    The line, from 1 on, of each table, key and element of a list in `text`, which is TOML that `tomllib` accepts.

    Of anything else, the lines of what comes before the first mistake.
    """
    scanner = _Scanner(text)
    with suppress(IndexError, RecursionError, tomllib.TOMLDecodeError):  # what cannot be read has no lines
        scanner.document()
    return scanner.lines


class _Scanner:
    """Goes through the text once. It knows where values end, not what they mean."""

    def __init__(self, text: str) -> None:
        self.lines: dict[KeyPath, int] = {}
        self._text = text
        self._at = 0
        self._ends = [found.start() for found in re.finditer("\n", text)]
        self._elements: dict[KeyPath, int] = {}  # of [[tables]], so far

    def document(self) -> None:
        table: KeyPath = ()
        while self._skip(_BLANK) < len(self._text):
            if self._taken("[["):
                *above, name = self._keys()
                listed = (*self._table(above), name)
                self._note(listed)
                number = self._elements[listed] = self._elements.get(listed, -1) + 1
                table = (*listed, number)
                self._note(table)
                self._take("]]")
            elif self._taken("["):
                table = self._table(self._keys())
                self._take("]")
            else:
                self._pair(table)

    def _table(self, keys: list[str]) -> KeyPath:
        """The table of this header: in a list of tables, the one that came last."""
        path: KeyPath = ()
        for key in keys:
            path = (*path, key)
            self._note(path)
            if path in self._elements:
                path = (*path, self._elements[path])
        return path

    def _pair(self, table: KeyPath) -> None:
        path = table
        for key in self._keys():
            path = (*path, key)
            self._note(path)
        self._take("=")
        self._skip(_SPACE)
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        if self._taken("["):
            number = 0
            while self._skip(_BLANK) < len(self._text) and not self._taken("]"):
                self._note((*path, number))
                self._value((*path, number))
                self._skip(_BLANK)
                self._taken(",")
                number += 1
        elif self._taken("{"):
            while self._skip(_BLANK) < len(self._text) and not self._taken("}"):
                self._pair(path)
                self._skip(_BLANK)
                self._taken(",")
        elif self._text[self._at] in "\"'":
            self._string()
        else:
            self._skip(_OTHER_VALUE)

    def _keys(self) -> list[str]:
        keys = []
        while True:
            self._skip(_SPACE)
            if self._text[self._at] in "\"'":
                keys.append(str(tomllib.loads(f"key = {self._string()}")["key"]))
            elif bare := _BARE_KEY.match(self._text, self._at):
                self._at = bare.end()
                keys.append(bare[0])
            else:
                raise IndexError(self._at)
            self._skip(_SPACE)
            if not self._taken("."):
                return keys

    def _string(self) -> str:
        if (found := _STRING.match(self._text, self._at)) is None:
            raise IndexError(self._at)
        self._at = found.end()
        return found[0]

    def _note(self, path: KeyPath) -> None:
        self.lines.setdefault(path, bisect_left(self._ends, self._at) + 1)

    def _skip(self, pattern: re.Pattern[str]) -> int:
        found = pattern.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return self._at

    def _taken(self, mark: str) -> bool:
        if not self._text.startswith(mark, self._at):
            return False
        self._at += len(mark)
        return True

    def _take(self, mark: str) -> None:
        if not self._taken(mark):
            raise IndexError(self._at)
