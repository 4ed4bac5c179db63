"""
The arguments of a spider, ``-a NAME=VALUE``: those of a function that returns it, or the ``${NAME}`` of a TOML spider.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from inspect import Parameter, signature
from typing import Any

from pinpool.errors import SpiderError
from pinpool.settings.values import yes_or_no
from pinpool.text import cut

#: Names with their values as text, in the order in which they were given.
Arguments = tuple[tuple[str, str], ...]

_NAMED = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
_WORD = re.compile(r"[^\W\d]\w*")
#: What may stand in an annotation beside the type itself.
_BESIDE = {"None", "NoneType", "Optional", "Union", "typing"}


def given_arguments(texts: Iterable[str]) -> Arguments:
    """
    The arguments of texts ``NAME=VALUE``; of two with the same name the last counts.

    Raises SpiderError with every text that is not such a pair.
    """
    split = [(text, *text.partition("=")) for text in texts]
    if wrong := [text for text, name, equals, _ in split if not equals or not name.strip().isidentifier()]:
        raise SpiderError([f"-a: {cut(text.partition('=')[0], 60)!r} is not NAME=VALUE" for text in wrong])
    return tuple({name.strip(): value for _, name, _, value in split}.items())


def unknown_argument(name: str, known: Iterable[str]) -> str:
    """The problem of an argument that a spider does not take."""
    from difflib import get_close_matches

    known = list(known)
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"the spider takes {', '.join(known) or 'none'}"
    return f"-a {name}: no such argument; {hint}"


def missing_argument(name: str) -> str:
    """The problem of an argument that a spider needs."""
    return f"the spider needs a value for {name}: give it by  -a {name}=VALUE"


def values_for(function: Callable[..., object], given: Mapping[str, str]) -> dict[str, object]:
    """
    The values by which to call `function`, each of the type that its parameter is annotated with: int, float or bool.
    Without an annotation the type of the default counts. All others are text.

    Raises SpiderError with all arguments that are unknown, missing, or not of their type.
    """
    parameters = signature(function).parameters
    named = {name: parameter for name, parameter in parameters.items() if parameter.kind in _NAMED}
    takes_any = any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters.values())
    values: dict[str, object] = {}
    problems = []
    for name, text in given.items():
        if name in named:
            try:
                values[name] = _TYPES.get(_type_of(named[name]), str)(text)
            except ValueError as error:
                problems.append(f"-a {name}: {error}")
        elif takes_any:
            values[name] = text
        else:
            problems.append(unknown_argument(name, named))
    problems += [
        missing_argument(name)
        for name, parameter in named.items()
        if name not in given and parameter.default is Parameter.empty
    ]
    problems += [
        f"the argument {name} cannot be given by its name: take the / out of the function"
        for name, parameter in parameters.items()
        if parameter.kind is Parameter.POSITIONAL_ONLY and parameter.default is Parameter.empty
    ]
    if problems:
        raise SpiderError(problems)
    return values


def _type_of(parameter: Parameter) -> str:
    """The name of the type of a parameter; the annotation may be text, or say that there may be no value."""
    annotation = parameter.annotation
    if annotation is Parameter.empty:
        return type(parameter.default).__name__
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    words = {*_WORD.findall(text)} - _BESIDE
    return words.pop() if len(words) == 1 else ""


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{cut(text, 60)!r} is not a whole number") from None


def _number(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise ValueError(f"{cut(text, 60)!r} is not a number")
    return found


_TYPES: Mapping[str, Callable[[str], Any]] = {"int": _whole, "float": _number, "bool": yes_or_no}
