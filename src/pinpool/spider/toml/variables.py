"""``${NAME}`` in the texts of a TOML spider: what the command line or the environment says."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from pinpool.spider.arguments import unknown_argument
from pinpool.spider.toml.keys import KeyPath

_VARIABLE = re.compile(r"\$\$\{|\$\{([^{}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Fault(NamedTuple):
    """What is wrong with the value of a key. `path` is empty if it is the file as a whole."""

    path: KeyPath
    text: str


class Filled(NamedTuple):
    """A file whose variables have their values, and the faults of those that have none."""

    document: dict[str, Any]
    faults: list[Fault]


def fill(document: Mapping[str, Any], given: Mapping[str, str], environment: Mapping[str, str]) -> Filled:
    """
    `document` with each ``${NAME}`` in a text replaced: by the value of `given`, else of `environment`. ``$${`` is
    ``${`` itself. Keys stay as they are.

    A name without a value is a fault, and so is one in `given` that the file does not use. No fault shows a value.
    """
    filling = _Filling(given, environment)
    filled = {key: filling.value(value, (key,)) for key, value in document.items()}
    for name in given:
        if name not in filling.used:
            filling.faults.append(Fault((), unknown_argument(name, sorted(filling.used))))
    return Filled(filled, filling.faults)


class _Filling:
    def __init__(self, given: Mapping[str, str], environment: Mapping[str, str]) -> None:
        self.used: set[str] = set()
        self.faults: list[Fault] = []
        self._given = given
        self._environment = environment

    def value(self, value: Any, path: KeyPath) -> Any:
        if isinstance(value, str):
            return _VARIABLE.sub(lambda found: self._one(found[1], path), value) if "${" in value else value
        if isinstance(value, dict):
            return {key: self.value(part, (*path, key)) for key, part in value.items()}
        if isinstance(value, list):
            return [self.value(part, (*path, number)) for number, part in enumerate(value)]
        return value

    def _one(self, name: str | None, path: KeyPath) -> str:
        if name is None:
            return "${"
        if not _NAME.fullmatch(name):
            self.faults.append(Fault(path, f"${{{name[:40]}}} is not a variable: write ${{NAME}}, or $${{ for ${{"))
            return ""
        self.used.add(name)
        if (found := self._given.get(name, self._environment.get(name))) is None:
            hint = f"give -a {name}=VALUE, or set {name} in the environment"
            self.faults.append(Fault(path, f"${{{name}}} has no value: {hint}"))
            return f"${name}"
        return found
