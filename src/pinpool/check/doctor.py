"""What would hinder a crawl on this machine: all that `pinpool doctor` looks at, in its order."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from importlib import import_module
from typing import Any

from pinpool.check.row import Row, State
from pinpool.text import counted, one_line

Check = Callable[[], Iterable[Row]]


#: Each check: its name, and the module and function that make its rows.
CHECKS = (
    ("Python", "environment_rows", "python_rows"),
    ("packages", "environment_rows", "package_rows"),
    ("urllib3", "library_rows", "urllib3_rows"),
    ("certificates", "library_rows", "certificate_rows"),
    ("environment", "environment_rows", "environment_rows"),
    ("processes", "machine_rows", "process_rows"),
    ("memory", "machine_rows", "memory_rows"),
    ("shared memory", "machine_rows", "shared_memory_rows"),
    ("folders", "machine_rows", "folder_rows"),
    ("clock", "machine_rows", "clock_rows"),
)
#: Behind these for the engine `ray`. Their functions take the cluster's address, None for a Ray on this machine alone.
RAY_CHECKS = (
    ("Ray", "ray_rows", "software_rows"),
    ("machine for Ray", "ray_rows", "machine_rows"),
    ("old cluster", "ray_rows", "leftover_rows"),
    ("Ray's security", "ray_security", "security_rows"),
    ("Ray's cluster", "ray_cluster", "cluster_rows"),
)
#: What a run in the calling process alone has no use for: it starts none.
_NOT_INLINE = ("processes", "shared memory")


def checks(engine: str = "processes", address: str | None = None) -> Iterator[tuple[str, Check]]:
    """Each check with its name. Its module is imported when it is called: also that may fail on a broken machine."""
    for name, module, function in CHECKS:
        if engine != "inline" or name not in _NOT_INLINE:
            yield name, partial(_call, module, function)
    if engine == "ray":
        for name, module, function in RAY_CHECKS:
            yield name, partial(_call, module, function, address)


def _call(module: str, function: str, *arguments: str | None) -> list[Row]:
    return list(getattr(import_module(f"pinpool.check.{module}"), function)(*arguments))


def examine(wanted: Iterable[tuple[str, Check]]) -> list[Row]:
    """The rows of all checks. One that fails itself is a warning, as nothing is known then; a failed import hinders."""
    rows: list[Row] = []
    for name, check in wanted:
        try:
            rows += check()
        except Exception as error:  # noqa: BLE001  a machine may be broken in any way
            found = f"cannot be looked at: {one_line(f'{type(error).__name__}: {error}')}"
            state = State.HINDERS if isinstance(error, ImportError) else State.WARNING
            rows.append(Row(name, state, found, "see whether `pinpool demo` runs here"))
    return rows


def hindrances(rows: Iterable[Row]) -> list[str]:
    """The names of what would hinder a crawl, each once."""
    return list(dict.fromkeys(row.what for row in rows if row.state is State.HINDERS))


def verdict(rows: Sequence[Row]) -> str:
    """The last line, for people."""
    warnings = sum(row.state is State.WARNING for row in rows)
    if bad := hindrances(rows):
        return f"this would hinder a crawl: {', '.join(bad)}"
    if warnings:
        return f"nothing here hinders a crawl, but look at {counted(warnings, 'warning')}"
    return "nothing here hinders a crawl; `pinpool demo` shows one"


def document(rows: Sequence[Row]) -> dict[str, Any]:
    """What ``--json`` prints."""
    return {"ok": not hindrances(rows), "hinders": hindrances(rows), "rows": [row._asdict() for row in rows]}
