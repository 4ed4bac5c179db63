"""
The layers: a module imports only from layers above its own in this table, and never from its own.

So no circle can be written, and a reader can stop at any layer and know all that is below what he reads. The README
shows the same table.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pinpool

SOURCE = Path(pinpool.__file__).parent

LAYERS: list[tuple[str, set[str]]] = [
    ("words", {"model"}),
    ("errors", {"errors"}),
    (
        "judgement",
        {
            "wire",
            "proxies",
            "faults",
            "retry",
            "roster",
            "frontier",
            "outlook",
            "stats",
            "schema",
            "symptoms",
            "xpath",
            "keeping",
        },
    ),
    ("arithmetic", {"capacity", "mortality", "trial", "tuning"}),
    (
        "declaration",
        {
            "settings",
            "tasks",
            "targets",
            "referee",
            "books",
            "steering",
            "outage",
            "timesheet",
            "findings",
            "growth",
            "redaction",
            "world",
        },
    ),
    ("folds", {"timeline", "price"}),
    ("account", {"account"}),
    ("conclusions", {"conclusions", "drawing"}),
    ("spider", {"spider", "simulate"}),
    (
        "ground",
        {
            "deadline",
            "listing",
            "route",
            "storage",
            "items",
            "files",
            "seeding",
            "robots",
            "machine",
            "advice",
            "alive",
        },
    ),
    ("shared", {"engines.board", "engines.guard", "engines.leases", "engines.logpipe", "usage"}),
    ("generation", {"engines.generation", "engines.standings"}),
    ("formats", {"formats", "parquet"}),
    ("edges", {"fetch", "extract", "journal", "reading", "export"}),
    ("pages", {"survey", "report"}),
    ("child", {"worker"}),
    ("crafts", {"crafts"}),
    ("surface", {"engines.base", "engines.preload"}),
    ("engines", {"engines.processes"}),
    ("words of the run", {"chronicle", "view"}),
    ("custody", {"custody"}),
    ("canaries", {"canaries"}),
    ("crawl", {"loop"}),
    ("reloading", {"reloading"}),
    ("launch", {"launch"}),
    ("gauges", {"metrics"}),
    ("library", {"runs", "forecast"}),
    ("trials", {"trials"}),
    ("preflight", {"check"}),
    ("drawing", {"live"}),
    ("faces", {"pinned", "progress", "show", "tables", "logs", "tunetable"}),
    (
        "commands",
        {
            "cli.checking",
            "cli.crawling",
            "cli.exporting",
            "cli.looking",
            "cli.practice",
            "cli.reporting",
            "cli.retrying",
            "cli.trying",
            "cli.tuning",
        },
    ),
    ("program", {"cli.app"}),
]
#: These stand beside the table: the package's own doors, examples as a user would write them, and the lab.
DOORS = {"", "__main__", "cli", "engines", "spiders", "spiders.movies"}


def modules() -> dict[str, Path]:
    found = {}
    for path in SOURCE.rglob("*.py"):
        name = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        found[name.removesuffix("__init__").removesuffix(".")] = path
    return found


def imports_of(path: Path) -> set[str]:
    """Modules of pinpool that a file imports, wherever in the file it does so."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "pinpool":
            base = (node.module or "").removeprefix("pinpool").removeprefix(".")
            for alias in node.names:
                inner = f"{base}.{alias.name}".strip(".")
                found.add(inner if inner in modules() else base)
        elif isinstance(node, ast.Import):
            found |= {
                alias.name.removeprefix("pinpool.")
                for alias in node.names
                if alias.name.startswith("pinpool.")
            }
    return found


def rank(module: str) -> int:
    return next(number for number, (_, members) in enumerate(LAYERS) if module in members)


def test_every_module_stands_in_the_table() -> None:
    listed = set().union(*(members for _, members in LAYERS)) | DOORS
    there = {name for name in modules() if not name.startswith("lab")}

    assert there == listed


def test_imports_only_point_up_the_table() -> None:
    wrong = []
    for name, path in modules().items():
        if name in DOORS or name.startswith("lab"):
            continue
        wrong += [
            f"{name} imports {other}"
            for other in imports_of(path)
            if other not in DOORS and not other.startswith("lab") and rank(other) >= rank(name)
        ]

    assert wrong == []


def test_the_lab_knows_nothing_of_the_product() -> None:
    """It judges pinpool, so it must not share its mistakes."""
    wrong = [
        f"{name} imports {other}"
        for name, path in modules().items()
        if name.startswith("lab")
        for other in imports_of(path)
        if not other.startswith("lab") and other not in {"errors", "model"}
    ]

    assert wrong == []


def test_only_the_demo_and_the_lab_command_use_the_lab() -> None:
    users = {
        name
        for name, path in modules().items()
        if not name.startswith("lab") and any(other.split(".")[0] == "lab" for other in imports_of(path))
    }

    assert users == {"cli.practice"}


def test_only_engines_know_multiprocessing() -> None:
    users = set()
    for name, path in modules().items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            named = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            named += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if any(one.split(".")[0] == "multiprocessing" for one in named):
                users.add(name)

    assert {name for name in users if not name.startswith("engines.")} == set()
