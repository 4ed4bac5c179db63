"""
The rows of the house: a file imports only from rows above its own, or from its own package, and never in a circle.

So a reader can stop at any row and know all that is below what he reads. The README shows the same eight rows.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import pinpool
from conftest import BY_FILE

SOURCE = Path(pinpool.__file__).parent

#: Packages and root files, a line each row. Packages of one row never import each other.
ROWS = {
    "words": "model errors text urls tasks files selectors settings",
    "parts": "proxies policy journal",
    "pages": "spider fetch",
    "pool": "pool",
    "data": "stats output",
    "drivers": "crawler calls report terminal",
    "studies": "tune check",
    "faces": "cli __init__ __main__ testing",
}
#: Rows of single files and of faces, which may import each other; circles are refused all the same.
OPEN = (0, len(ROWS) - 1)
#: These stand beside the rows: the lab judges the product, and the examples are written as users write theirs.
BESIDE = {"lab", "examples"}


def modules() -> dict[str, Path]:
    """Dotted names below pinpool, without it; the package's own front is `__init__`."""
    found = {}
    for path in SOURCE.rglob("*.py"):
        name = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


MODULES = modules()


@cache
def imports_of(path: Path) -> list[tuple[str, int, bool]]:
    """(module, line, whether it runs when the file is imported) for each import from pinpool, wherever it stands."""
    return list(_imports_of(path))


def _imports_of(path: Path) -> Iterator[tuple[str, int, bool]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    late = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            named = [f"{node.module}.{alias.name}" for alias in node.names]
            named = [name if name.removeprefix("pinpool.") in MODULES else str(node.module) for name in named]
        elif isinstance(node, ast.Import):
            named = [alias.name for alias in node.names]
        else:
            continue
        for name in named:
            if name.split(".")[0] == "pinpool":
                yield (
                    name.removeprefix("pinpool").removeprefix(".") or "__init__",
                    node.lineno,
                    node not in late,
                )


def room(module: str) -> str:
    return module.partition(".")[0]


def row(module: str) -> int:
    """Which row a module stands in, counted from the top."""
    return next(number for number, members in enumerate(ROWS.values()) if room(module) in members.split())


def test_every_package_and_root_file_stands_in_one_row() -> None:
    listed = [name for members in ROWS.values() for name in members.split()]

    assert sorted(listed) == sorted({room(name) for name in MODULES} - BESIDE)


def test_files_import_only_from_rows_above_and_from_their_own_package() -> None:
    wrong = [
        f"src/pinpool/{path.relative_to(SOURCE)}:{line}: {name} imports {other}"
        for name, path in MODULES.items()
        if room(name) not in BESIDE and name != "__init__"
        for other, line, _ in imports_of(path)
        if room(other) not in BESIDE
        and room(other) != room(name)
        and not (row(other) < row(name) or row(other) == row(name) in OPEN)
    ]

    assert not wrong, "\n".join(wrong)


def test_no_file_imports_itself_in_a_circle() -> None:
    runs = {name: {other for other, _, at_once in imports_of(path) if at_once} for name, path in MODULES.items()}
    circles = []

    def walk(name: str, way: tuple[str, ...]) -> None:
        if name in way:
            circles.append(" -> ".join((*way[way.index(name) :], name)))
        elif name not in done:
            for other in sorted(runs.get(name, ())):
                walk(other, (*way, name))
            done.add(name)

    done: set[str] = set()
    for name in sorted(runs):
        walk(name, ())

    assert not circles, "\n".join(circles)


def test_the_lab_shares_no_code_with_the_product() -> None:
    """It judges pinpool, so it must not share its mistakes."""
    wrong = [
        f"{name}:{line} imports {other}"
        for name, path in MODULES.items()
        if room(name) == "lab"
        for other, line, _ in imports_of(path)
        if room(other) not in {"lab", "errors", "model"}
    ]

    assert not wrong, "\n".join(wrong)


def test_only_the_demo_and_the_lab_command_use_the_lab() -> None:
    users = {
        name
        for name, path in MODULES.items()
        if room(name) != "lab" and any(room(other) == "lab" for other, _, _ in imports_of(path))
    }

    assert users <= {"cli.demo", "cli.lab"}


def test_the_examples_import_pinpool_as_users_do() -> None:
    wrong = [
        f"{name}:{line} imports {other}"
        for name, path in MODULES.items()
        if room(name) == "examples"
        for other, line, _ in imports_of(path)
        if other != "__init__"
    ]

    assert not wrong, "\n".join(wrong)


def test_only_the_pool_imports_multiprocessing() -> None:
    users = set()
    for name, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            named += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if any(one.split(".")[0] == "multiprocessing" for one in named):
                users.add(room(name))

    assert users == {"pool"}


def test_no_module_hides_a_public_function() -> None:
    """A submodule of that name, once imported, would stand in the function's place."""
    assert not {"crawl", "proxy", "request", "resume", "session"} & {room(name) for name in MODULES}


def test_no_file_is_longer_than_500_lines() -> None:
    long = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in MODULES.items()}

    assert {name: lines for name, lines in long.items() if lines > 500} == {}


def test_one_process_runs_all_tests_of_a_file_that_share_a_fixture(pytestconfig: pytest.Config) -> None:
    """Else each process of `pytest -n 4` sets it up; some take half a minute."""
    root = pytestconfig.rootpath
    files = {path.relative_to(root).as_posix() for path in (root / "tests").rglob("test_*.py")}
    sharing = {file for file in files if re.search(r'scope="(module|session)"', (root / file).read_text())}

    assert {file for file in sharing if not file.startswith(BY_FILE)} == set()
    assert {name for name in BY_FILE if not any(file.startswith(name) for file in files)} == set()
