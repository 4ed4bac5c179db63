"""Where a list of proxies comes from: a file, stdin, an environment variable, or lines."""

import os
import sys
from collections.abc import Mapping, Sequence
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from pinpool.errors import ProxyListError
from pinpool.proxies.parse import COMMENT, LARGEST_FILE, NEW_LINE, parse, parse_bytes
from pinpool.proxies.proxy import ProxyList

VARIABLE = "PINPOOL_PROXIES"


def read(source: str | None, stdin: BinaryIO, environ: Mapping[str, str]) -> ProxyList:
    """
    Read a list from the file `source`, from `stdin` if it is ``-``, from the variable PINPOOL_PROXIES if it is None.

    The variable holds the path of a list if there is such a file, else the list itself: entries separated by white
    space, so a line number in a message counts entries. Raises ProxyListError with all problems.
    """
    if source == "-":
        return parse_bytes(stdin.read(LARGEST_FILE + 1), "stdin")
    if source is not None:
        return _read_file(source)
    value = environ.get(VARIABLE, "")
    if not value.strip():
        raise ProxyListError(f"no proxies given: name a list with -p FILE, pipe one to -p -, or set {VARIABLE}")
    if os.path.exists(value):  # noqa: PTH110  Path.exists raises where a list is too long for a path
        return _read_file(value)
    entries = chain.from_iterable(COMMENT.sub("", line).split() for line in NEW_LINE.split(value))
    try:
        return parse("\n".join(entries), VARIABLE)
    except ProxyListError as error:
        hint = f"{VARIABLE}: no file has this name, so it was read as the list itself"
        raise ProxyListError((*error.problems, hint)) from None


def _read_file(path: str) -> ProxyList:
    try:
        with Path(path).open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        # It may be a proxy instead of a file, and its password must not be repeated.
        if ":" in path or "@" in path:
            raise ProxyListError(
                "no such list of proxies; name a file: a proxy on the command line would show in `ps`"
            ) from None
        reason = getattr(error, "strerror", None) or "not a file name"
        raise ProxyListError(f"{path}: cannot read this list of proxies ({reason}); name another with -p") from None
    return parse_bytes(data, path)


def proxies_from(given: str | Path | Sequence[str] | ProxyList | None) -> ProxyList:
    """A list of proxies from a path, from lines, or for None from PINPOOL_PROXIES. Raises ProxyListError."""
    if isinstance(given, ProxyList):
        return given
    if given is None or isinstance(given, str | Path):
        return read(None if given is None else str(given), getattr(sys.stdin, "buffer", BytesIO()), os.environ)
    return parse("\n".join(given), "proxies")


def source_of(proxies: str | Path | Sequence[str] | ProxyList | None) -> str:
    """The absolute path from which a resume can read the list again; empty if it cannot."""
    return str(Path(proxies).absolute()) if isinstance(proxies, str | Path) and str(proxies) != "-" else ""
