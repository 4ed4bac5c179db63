"""What `pinpool doctor` sees of Python, of the installed packages, and of the environment variables."""

import os
import platform
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any, NamedTuple

from pinpool.check.row import Row, State
from pinpool.text import shown_path

#: The versions of CPython that the tests run with.
TESTED = ((3, 11), (3, 12), (3, 13))
REINSTALL = "make a fresh virtual environment, and `pip install` pinpool there"

_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*\(?([^;)]*)\)?(;.*)?")
_BOUND = re.compile(r"(>=|<=|==|!=|<|>)\s*([0-9.]+)")
_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    ">=": lambda have, bound: have >= bound,
    "<=": lambda have, bound: have <= bound,
    "==": lambda have, bound: have == bound,
    "!=": lambda have, bound: have != bound,
    "<": lambda have, bound: have < bound,
    ">": lambda have, bound: have > bound,
}


def python_rows() -> Iterator[Row]:
    try:
        own = version("pinpool")
    except PackageNotFoundError:
        own = "not installed"
    yield python_row(platform.python_implementation(), sys.version_info[:3], own)
    encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower()
    if encoding.replace("-", "") != "utf8":
        found = f"Python writes {encoding}, which lacks letters of most languages"
        yield Row("text", State.WARNING, found, "set PYTHONUTF8=1, or a locale such as C.UTF-8")


def python_row(implementation: str, number: tuple[int, ...], own: str) -> Row:
    """The interpreter, and the version of pinpool."""
    found = f"{implementation} {'.'.join(map(str, number))}, pinpool {own}"
    if implementation == "CPython" and number[:2] in TESTED:
        return Row("Python", State.FINE, found)
    tested = f"CPython {'.'.join(map(str, TESTED[0]))} to {'.'.join(map(str, TESTED[-1]))}"
    return Row("Python", State.WARNING, found, f"pinpool is tested with {tested}: prefer one of these")


def package_rows() -> Iterable[Row]:
    try:
        declared = requires("pinpool") or []
    except PackageNotFoundError:
        return [Row("packages", State.WARNING, "pinpool itself is not installed", REINSTALL)]
    return wrong_packages(declared, installed_version) or [
        Row("packages", State.FINE, "all there, in versions that fit")
    ]


def wrong_packages(declared: Iterable[str], version_of: Callable[[str], str | None]) -> list[Row]:
    """
    A row for each package that is missing, or of a version that pinpool does not declare. Requirements with a condition
    do not count.
    """
    wrong = []
    for requirement in declared:
        parts = _REQUIREMENT.fullmatch(requirement.strip())
        if parts is None or parts[3]:
            continue
        name, bounds, have = parts[1], parts[2].strip(), version_of(parts[1])
        if have is None:
            wrong.append(Row(name, State.HINDERS, "is missing", REINSTALL))
        elif not all(_ORDER[sign](_numbers(have), _numbers(bound)) for sign, bound in _BOUND.findall(bounds)):
            wrong.append(Row(name, State.HINDERS, f"{have} is installed, and pinpool needs {bounds}", REINSTALL))
    return wrong


def installed_version(name: str) -> str | None:
    """The version of an installed package, None if there is none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _numbers(text: str) -> tuple[int, ...]:
    """The release as numbers, without zeros at its end: 2.0 is 2."""
    release = re.match(r"[0-9.]*", text)
    found = [int(part) for part in (release[0] if release else "").split(".") if part]
    while found and found[-1] == 0:
        found.pop()
    return tuple(found)


def bundle_rows(environ: Mapping[str, str]) -> Iterator[Row]:
    """The variables by which other programs find certificates. pinpool does not read them."""
    alike: dict[tuple[str, str], list[str]] = {}
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        if not (value := environ.get(name)):
            continue
        path = Path(value)
        there = os.access(path, os.R_OK)
        found = "set, and ignored" + ("" if there else "; what it names cannot be read")
        usable = there and path.is_file()
        todo = f"if sites need these certificates: -s ca_bundle={shown_path(path)}" if usable else ""
        alike.setdefault((found, todo), []).append(name)
    for (found, todo), names in alike.items():
        yield Row(", ".join(names), State.NOTE, found, todo)


class Variable(NamedTuple):
    """Environment variables that change a run, and how. `only` says at which values; None at all of them."""

    names: tuple[str, ...]
    state: State
    found: str
    todo: str = ""
    only: str | None = None


_PROXIES = tuple(f"{scheme}_PROXY" for scheme in ("HTTP", "HTTPS", "ALL", "FTP", "SOCKS", "NO"))
VARIABLES = (
    Variable(_PROXIES, State.NOTE, "set, and ignored: pinpool uses the proxies of its list only"),
    Variable(
        ("SSLKEYLOGFILE",),
        State.WARNING,
        "Python writes the keys of every TLS connection there: who has that file can read the traffic",
        "unset SSLKEYLOGFILE",
    ),
    Variable(
        ("OPENSSL_CONF", "OPENSSL_MODULES", "OPENSSL_ENGINES"),
        State.WARNING,
        "changes which TLS is spoken",
        "unset it if sites fail with `tls`",
    ),
    Variable(
        ("LD_PRELOAD", "DYLD_INSERT_LIBRARIES"),
        State.WARNING,
        "puts other code into every process; torsocks and proxychains change the route that way, faketime the clock",
        "unset it",
    ),
    Variable(
        ("PYTHONWARNINGS",),
        State.WARNING,
        "makes errors of warnings, also of those in a library: pages may fail as `extract`",
        "unset PYTHONWARNINGS",
        only="error",
    ),
    Variable(
        ("PYTHONHOME",),
        State.WARNING,
        "Python takes its own modules from there",
        "unset it if anything fails to import",
    ),
    Variable(
        ("PYTHONDEVMODE", "PYTHONTRACEMALLOC", "PYTHONMALLOC", "PYTHONFAULTHANDLER", "PYTHONPROFILEIMPORTTIME"),
        State.NOTE,
        "set: a run is slower, or says more",
    ),
    Variable(("PYTHONHASHSEED",), State.NOTE, "set: hashes are the same in each run; a crawl needs no such thing"),
    Variable(("PYTHONOPTIMIZE",), State.NOTE, "set: `assert` in a spider does nothing"),
    Variable(("PYTHONPATH",), State.NOTE, "set: modules there come before the installed ones"),
    Variable(("PINPOOL_PROXIES",), State.NOTE, "set: it is the list where -p is missing"),
)


def environment_rows() -> Iterable[Row]:
    rows = [*variable_rows(os.environ), *bundle_rows(os.environ)]
    return rows or [Row("environment", State.FINE, "no variable that changes a run")]


def variable_rows(environ: Mapping[str, str]) -> Iterator[Row]:
    """A row for each variable that is set and matters. Values are not shown: they may hold passwords."""
    upper: dict[str, list[str]] = {}
    for name in sorted(environ):
        if environ[name]:
            upper.setdefault(name.upper(), []).append(name)
    for variable in VARIABLES:
        names = [name for known in variable.names for name in upper.get(known, ())]
        if names and (variable.only is None or any(variable.only in environ[name] for name in names)):
            yield Row(", ".join(names), variable.state, variable.found, variable.todo)
